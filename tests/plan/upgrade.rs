//! From one release of Synapse to another and back: what is said, what is refused, what comes first.

use proptest::prelude::*;
use synprov::facts::host::Holds;
use synprov::plan::Plan;
use synprov::plan::backup::{Destination, Kept};
use synprov::plan::step::Action;
use synprov::topology::catalogue::Catalogue;
use synprov::version::Version;

use crate::causes::SMALL;
use crate::order::assert_valid;
use crate::sampled;
use crate::world::World;

/// The small deployment with another release.
fn at(version: &str) -> String {
    SMALL.replace("1.163.2", version)
}

/// A deployment that goes from one release to another; not yet applied.
fn upgrading(from: &str, to: &str) -> World {
    let mut world = World::model(&at(from));
    world.becomes(&at(to));
    world
}

fn told(plan: &Plan, words: &str) -> bool {
    plan.notes.iter().any(|note| note.contains(words))
}

#[test]
fn an_upgrade_says_what_it_crosses() {
    let mut world = upgrading("1.120.2", "1.163.2");
    let plan = world.plan();
    assert_eq!(plan.refusals, []);
    assert_valid(&world, &plan);
    for words in [
        "schema from 88 to 94",
        "Synapse 1.120.2 still starts on it afterwards",
        "Synapse 1.126: only server admins may publish rooms",
        "do not understand all that they send each other",
    ] {
        assert!(told(&plan, words), "{words}: {:#?}", plan.notes);
    }
    for words in ["Synapse 1.111:", "Synapse 1.136:", "background updates"] {
        assert!(!told(&plan, words), "{words}: {:#?}", plan.notes);
    }
    world.apply(&plan);
    world.assert_settled();
    // The same release again, or one that was never there, crosses nothing.
    assert_eq!(World::bare(SMALL).plan().notes, [] as [&str; 0]);
    let mut world = upgrading("1.163.1", "1.163.2");
    let plan = world.plan();
    assert!(
        plan.notes.iter().all(|note| note.contains(": venv /opt/matrix/venvs/1.163.1-")),
        "{:#?}",
        plan.notes
    );
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn what_is_pending_in_the_database_or_written_by_hand_is_said_when_the_release_changes() {
    for (to, said) in [("1.163.2", true), ("1.157.1", false)] {
        let world = upgrading("1.157.1", to);
        let mut facts = world.facts();
        let hs1 = facts.get_mut("hs1").unwrap();
        let updates = ["one", "two", "three", "four"].map(str::to_owned).to_vec();
        hs1.postgresql.as_mut().unwrap().holds.as_mut().unwrap().updates = updates;
        let keys = vec!["user_directory_search_all_users".to_owned()];
        hs1.keys.insert("/opt/matrix/conf/conf.d/mine.yaml".to_owned(), keys);
        let plan = world.plan_over(&facts);
        assert_eq!(plan.refusals, []);
        assert_eq!(
            told(&plan, "4 background updates of the database on hs1 have not ended (one, two, three, …)"),
            said
        );
    }
}

#[test]
fn another_release_waits_for_a_database_that_is_locked() {
    for (to, refused) in [("1.163.2", true), ("1.97.0", true), ("1.157.1", false)] {
        let world = upgrading("1.157.1", to);
        let mut facts = world.facts();
        // What a host says of it then: that there is one, and no more.
        let holds = Holds { locked: true, ..Holds::default() };
        facts.get_mut("hs1").unwrap().postgresql.as_mut().unwrap().holds = Some(holds);
        let plan = world.plan_over(&facts);
        assert_eq!(
            plan.refusals.iter().any(|one| one.summary.contains("the database is locked")),
            refused,
            "{to}"
        );
        assert_eq!(plan.refusals.is_empty(), !refused, "{:?}", plan.refusals);
        assert!(!told(&plan, "Synapse goes back from 1.157.1 to 1.97.0, which the database allows"));
    }
}

/// Releases that changed the schema, and the present one.
fn releases() -> Vec<&'static str> {
    vec![
        "1.92.3", "1.97.0", "1.98.0", "1.99.0", "1.100.0", "1.105.0", "1.107.0", "1.120.2", "1.135.0",
        "1.157.1", "1.163.2",
    ]
}

#[test]
fn the_way_to_any_release_is_open_exactly_if_the_database_allows_it() {
    let pairs = (prop::sample::select(releases()), prop::sample::select(releases()), any::<bool>());
    sampled(12, pairs, |(from, to, external)| {
        let text = |version: &str| {
            let text = at(version);
            if !external {
                return text;
            }
            let to = "postgresql: {external: {host: 192.0.2.9, database: synapse, user: synapse}}";
            text.replace("postgresql: {host: hs1}", to)
        };
        let mut world = World::model(&text(from));
        world.becomes(&text(to));
        let plan = world.plan();
        let parse = |text: &str| Version::parse(text).unwrap();
        let allowed = Catalogue::builtin().unwrap().releases.can_go_back(&parse(from), &parse(to));
        assert_eq!(plan.refusals.is_empty(), allowed, "{from} to {to}: {:#?}", plan.refusals);
        if allowed {
            // The model database panics under a release that does not start on it.
            world.apply(&plan);
            world.assert_settled();
        } else {
            let words = if external { "does not start on a database that" } else { "the database forbids" };
            assert!(plan.refusals[0].summary.contains(words), "{:#?}", plan.refusals);
            assert!(plan.refusals[0].help.contains("restore-from-backup.md"));
        }
    });
}

#[test]
fn what_leads_nowhere_back_is_said_before() {
    let world = upgrading("1.97.0", "1.163.2");
    assert!(
        told(&world.plan(), "Synapse 1.97.0 does not start on it afterwards: only a backup"),
        "{:#?}",
        world.plan().notes
    );
    // A database that another deployment has upgraded further, restored here: no record is needed.
    let used = World::model(SMALL);
    let mut world = World::bare(&at("1.97.0"));
    world.machine("hs1").postgresql = used.machines["hs1"].postgresql.clone();
    let refusals = world.plan().refusals;
    let refused =
        refusals.iter().find(|one| one.summary.contains("the database forbids Synapse 1.97.0")).unwrap();
    assert!(refused.help.contains("1.100 or later"), "{refused:#?}");
}

#[test]
fn every_process_is_checked_with_the_new_release_before_anything_is_put_in_place() {
    let world = upgrading("1.163.1", "1.163.2");
    let plan = world.plan();
    let first =
        |wanted: &dyn Fn(&Action) -> bool| plan.steps.iter().position(|step| wanted(&step.action)).unwrap();
    let swap = first(&|action| matches!(action, Action::Swap { .. }));
    for host in ["hs1", "hs2"] {
        let checked = plan.steps.iter().position(|step| {
            let Action::CheckRoutes { check, .. } = &step.action else { return false };
            let mut here = world.topology.instances.iter().filter(|one| one.host == host);
            step.host == host
                && step.why.contains("has to accept the configuration of every process")
                && check.python.starts_with("/opt/matrix/venvs/1.163.2-")
                && here.all(|one| check.processes.iter().any(|(name, _)| *name == one.name))
        });
        assert!(checked.is_some_and(|at| at < swap), "{host}: {}", crate::tell(&plan));
    }
    let build = first(&|action| matches!(action, Action::BuildVenv { .. }));
    assert!(build < swap && !plan.steps.iter().any(|step| matches!(step.action, Action::Remove { .. })));
}

#[test]
fn a_backup_comes_before_anything() {
    let mut world = upgrading("1.157.1", "1.163.2");
    let without = world.plan();
    world.backup = Some("/srv/backups".parse::<Destination>().unwrap());
    let plan = world.plan();
    assert_valid(&world, &plan);
    assert_eq!(plan.refusals, []);
    assert_eq!(plan.steps.len(), without.steps.len() + 2);
    let kept: Vec<&Kept> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::BackUp { kept, .. } => Some(kept),
            _ => None,
        })
        .collect();
    let files = ["/opt/matrix/conf", "/var/lib/synprov/example.org"].map(str::to_owned).to_vec();
    assert_eq!(kept, [&Kept::Database("matrix".to_owned()), &Kept::Files(files)]);
    for step in &plan.steps[2..] {
        assert!(
            step.after.iter().any(|id| *id <= 1) || step.after.iter().any(|id| *id < step.id),
            "{step:?}"
        );
    }
    world.apply(&plan);
    // With nothing to do there is nothing to back up for.
    world.assert_settled();
    // A first apply has nothing to lose.
    let mut bare = World::bare(SMALL);
    bare.backup.clone_from(&world.backup);
    assert!(!bare.plan().steps.iter().any(|step| matches!(step.action, Action::BackUp { .. })));
    // What cannot be dumped is refused.
    let external = SMALL.replace(
        "postgresql: {host: hs1}",
        "postgresql: {external: {host: 192.0.2.9, database: synapse, user: synapse}}",
    );
    let mut world = World::model(&external);
    world.becomes(&external.replace("10K", "20K"));
    world.backup.clone_from(&bare.backup);
    let refusals = world.plan().refusals;
    assert!(refusals.len() == 1 && refusals[0].summary.contains("somebody else runs"), "{refusals:#?}");
}
