//! What a drift run says of changed hosts: each thing somebody did, once, and nothing else.

use indexmap::IndexMap;
use synprov::facts::HostFacts;
use synprov::facts::host::UnitFact;
use synprov::facts::watched::{Certificate, DropIn, Package, Process, VenvFile};
use synprov::plan::drift::{Class, Drift, Finding, What};

use crate::causes::SMALL;
use crate::inventories::SHIPPED;
use crate::machine::{BOOT, Kind, ticks};
use crate::world::World;

const FILE: &str = "/opt/matrix/conf/workers/client.yaml";
const UNIT: &str = "matrix_generic_worker@client.service";
const DAY: i64 = 86_400_000_000;

/// `class kind name change` of each finding.
fn told(drift: &Drift) -> Vec<String> {
    let one = |one: &Finding| format!("{:?} {} {} {:?}", one.class, one.kind, one.name, one.change);
    drift.findings.iter().map(one).collect()
}

/// Facts of a settled deployment after something that only facts show.
fn seen(change: impl FnOnce(&mut HostFacts)) -> Drift {
    let world = World::model(SMALL);
    let mut facts: IndexMap<String, HostFacts> = world.facts();
    change(&mut facts["hs1"]);
    world.drift_over(&facts)
}

/// The one finding is this one.
#[track_caller]
fn check(expected: &str, change: impl FnOnce(&mut HostFacts)) -> Finding {
    let drift = seen(change);
    assert_eq!(told(&drift), [expected], "{:#?}", drift.findings);
    drift.findings[0].clone()
}

#[test]
fn nothing_is_told_of_what_was_applied() {
    for (_, text) in SHIPPED {
        assert_eq!(World::model(text).drift().findings, []);
    }
}

#[test]
fn what_the_inventory_intends_is_pending_and_nobodys_drift() {
    let mut world = World::model(SMALL);
    world.becomes(
        &SMALL.replace("10K", "20K").replace("  sender: {host: hs2, runs: [federation_sender]}\n", ""),
    );
    let drift = world.drift();
    assert!(drift.findings.iter().all(|one| one.class == Class::Pending), "{:#?}", told(&drift));
    assert!(drift.findings.iter().any(|one| one.name == FILE && one.change == What::NotApplied));
    assert!(drift.findings.iter().any(|one| one.name == "matrix_generic_worker@sender.service"));
    // Nobody has applied anything yet.
    let bare = World::bare(SMALL).drift();
    assert!(!bare.findings.is_empty() && bare.findings.iter().all(|one| one.class == Class::Pending));
}

#[test]
fn an_edited_file_is_told_with_its_diff_its_owner_its_time_and_who_may_have_read_it() {
    let mut world = World::model(SMALL);
    let now = world.tick();
    let machine = world.machine("hs1");
    let edited = format!("{}mine: true\n", machine.text(FILE).unwrap());
    let node = machine.node(FILE);
    (node.kind, node.changed) = (Kind::File(edited), now);
    let drift = world.drift();
    assert_eq!(told(&drift), [format!("Drift file {FILE} Content")]);
    let one = &drift.findings[0];
    assert_eq!((one.host.as_str(), one.module.as_deref(), one.since), ("hs1", Some("worker"), Some(now)));
    assert_eq!(one.affects, [UNIT]);
    assert!(one.healed_by_apply);
    let diff = one.diff.as_deref().unwrap();
    assert!(diff.contains("\n+mine: true\n") && !diff.contains("\n-"), "{diff}");
}

#[test]
fn a_change_of_both_is_drift() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node(FILE).kind = Kind::File("mine\n".to_owned());
    world.becomes(&SMALL.replace("10K", "20K"));
    let drift = world.drift();
    assert!(told(&drift).contains(&format!("Drift file {FILE} Content")), "{:#?}", told(&drift));
}

#[test]
fn a_secret_changed_at_its_origin_is_drift_though_an_apply_takes_it_over() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node("/opt/matrix/conf/secrets/macaroon").kind = Kind::File("new".to_owned());
    let drift = world.drift();
    let ours: Vec<String> = told(&drift).into_iter().filter(|one| one.starts_with("Drift")).collect();
    assert_eq!(ours, ["Drift secret macaroon Content"], "{:#?}", told(&drift));
    world.settled().assert_settled();
}

#[test]
fn units_are_told_by_what_is_wrong_with_them() {
    let unit =
        |change: fn(&mut UnitFact)| move |facts: &mut HostFacts| change(facts.units.get_mut(UNIT).unwrap());
    let told = |what: &str| format!("Drift service {UNIT} {what}");
    check(&told("Stopped"), unit(|fact| fact.active = "inactive".into()));
    check(&told("Failed"), unit(|fact| fact.active = "failed".into()));
    check(&told("Disabled"), unit(|fact| fact.file_state = "disabled".into()));
    check(&told("Masked"), unit(|fact| fact.file_state = "masked".into()));
    check(&told("NotReloaded"), unit(|fact| fact.needs_reload = true));
    check(
        &told("Overridden"),
        unit(|fact| {
            fact.load = "loaded".into();
            fact.fragment = format!("/etc/systemd/system/{UNIT}");
        }),
    );
    let python = "/usr/bin/python3.11";
    let one = check(&format!("Drift program {python} Outdated"), |facts| {
        facts.watched.stale.insert(UNIT.into(), python.into());
        facts.watched.stale.insert("matrix_main.service".into(), python.into());
    });
    assert_eq!(one.command.unwrap(), format!("systemctl restart {UNIT} matrix_main.service"));
}

#[test]
fn a_process_that_died_is_told_until_somebody_takes_note_unless_the_host_has_just_booted() {
    let died = |started: i64| {
        move |facts: &mut HostFacts| {
            let fact = facts.units.get_mut(UNIT).unwrap();
            (fact.restarts, fact.invocation, fact.started) = (2, "another".into(), started);
            facts.paths.values_mut().for_each(|path| path.changed = BOOT);
        }
    };
    let one = check(&format!("Drift service {UNIT} Crashed"), died(BOOT + 3_700_000_000));
    assert_eq!(one.command.unwrap(), format!("systemctl reset-failed {UNIT}"));
    check(&format!("Information service {UNIT} Crashed"), died(BOOT + 60_000_000));
    // What died before synprov had started it is no news.
    assert_eq!(seen(|facts| facts.units.get_mut(UNIT).unwrap().restarts = 3).findings, []);
}

#[test]
fn somebodys_drop_in_is_told_and_ours_is_not() {
    let path = format!("/etc/systemd/system/{UNIT}.d/x.conf");
    let with = |path: &str, keys: &[&str], unit: &'static str| {
        let (path, keys) = (path.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect());
        move |facts: &mut HostFacts| {
            facts.units.get_mut(unit).unwrap().drop_ins.push(path.clone());
            facts.watched.drop_ins.insert(path, DropIn { changed: 1, keys });
        }
    };
    let one = check(&format!("Drift drop_in {path} Overridden"), with(&path, &["Nice"], UNIT));
    assert_eq!(one.affects, [UNIT]);
    assert!(one.summary.contains("Nice"), "{}", one.summary);
    assert!(one.command.unwrap().contains(&format!("rm -f {path} && systemctl daemon-reload")));
    let nginx = "/etc/systemd/system/nginx.service.d/x.conf";
    check(&format!("Drift drop_in {nginx} Overridden"), with(nginx, &["LimitNOFILE"], "nginx.service"));
    // nginx is not ours: what else somebody sets there is theirs.
    assert_eq!(seen(with(nginx, &["Nice"], "nginx.service")).findings, []);
    // Container managers put something of theirs under every service.
    let lxc = "/run/systemd/system/service.d/zzz-lxc-service.conf";
    assert_eq!(seen(with(lxc, &["ProtectProc"], UNIT)).findings, []);
    let all = "/etc/systemd/system/service.d/x.conf";
    assert_eq!(seen(with(all, &["OOMPolicy"], UNIT)).findings, []);
    check(&format!("Drift drop_in {all} Overridden"), with(all, &["ProtectProc"], UNIT));
    assert_eq!(
        seen(with("/etc/systemd/system/nginx.service.d/matrix.conf", &["LimitNOFILE"], "nginx.service"))
            .findings,
        []
    );
}

#[test]
fn processes_that_nobody_owns_are_told_once() {
    let ghost = "matrix_generic_worker@ghost.service";
    let process = |unit: &str| Process {
        pid: 77,
        unit: unit.to_owned(),
        ticks: ticks(BOOT + 5_000_000),
        what: "synapse.app.generic_worker --config-path=/opt/matrix/conf/workers/ghost.yaml".to_owned(),
    };
    let one = check(&format!("Drift process {ghost} Unowned"), |facts| {
        facts.watched.processes.extend([process(UNIT), process(ghost)]);
        facts
            .watched
            .units
            .extend([(UNIT.to_owned(), "active".to_owned()), (ghost.to_owned(), "active".to_owned())]);
        facts.watched.wanted.extend([UNIT.to_owned(), ghost.to_owned(), "bridge.service".to_owned()]);
    });
    assert_eq!(one.since, Some(BOOT + 5_000_000));
    assert_eq!(one.command.unwrap(), format!("systemctl disable --now {ghost}"));
    let one = check("Drift process 77 in session-1.scope Unowned", |facts| {
        facts.watched.processes.push(process("session-1.scope"));
    });
    assert_eq!(one.command.unwrap(), "kill 77");
    check(&format!("Drift process {ghost} Unowned"), |facts| facts.watched.wanted.push(ghost.to_owned()));
    check(&format!("Drift process {ghost} Unowned"), |facts| {
        facts.watched.units.insert(ghost.to_owned(), "failed".to_owned());
    });
}

#[test]
fn files_of_the_admins_are_told_if_they_win_over_ours_or_are_not_read() {
    let path = "/opt/matrix/conf/conf.d/mine.yaml";
    let with = |key: &str, changed: i64| {
        let key = key.to_owned();
        move |facts: &mut HostFacts| {
            facts.keys.insert(path.to_owned(), vec![key]);
            facts.watched.stamps.insert(path.to_owned(), changed);
        }
    };
    let told = |what: &str| format!("Drift configuration {path} {what}");
    assert!(check(&told("Overridden"), with("instance_map", BOOT)).summary.contains("instance_map"));
    assert!(check(&told("Overridden"), with("report_stats", BOOT)).summary.contains("report_stats"));
    let one = check(&told("Outdated"), with("email", i64::MAX));
    assert!(
        one.affects.contains(&"matrix_main.service".to_owned()) && one.affects.len() == 3,
        "{:?}",
        one.affects
    );
    assert_eq!(seen(with("email", BOOT)).findings, []);
}

#[test]
fn datastores_are_told_by_what_they_run_with() {
    let one = check("Drift redis appendonly Setting", |facts| {
        facts.watched.redis.push(("appendonly".into(), "no".into(), "yes".into()));
    });
    assert_eq!(one.command.unwrap(), "systemctl restart redis-server@matrix.service");
    check("Drift redis redis-server@matrix.service Setting", |facts| {
        facts.watched.redis.push(("-".into(), "-".into(), "refused".into()));
    });
    check("Drift postgresql matrix Stopped", |facts| facts.postgresql.as_mut().unwrap().unreachable = true);
    let one = check("Drift postgresql matrix Setting", |facts| facts.watched.login = Some(false));
    assert!(one.command.unwrap().contains("/opt/matrix/conf/secrets/database"));
    assert_eq!(seen(|facts| facts.watched.login = Some(true)).findings, []);
}

#[test]
fn a_renewed_package_is_information_unless_it_is_held() {
    let renewed = |held: bool| {
        move |facts: &mut HostFacts| {
            facts.watched.applied = Some(BOOT);
            facts.watched.packages.insert("nginx".into(), Package { installed: BOOT + 1, held });
            facts.watched.packages.insert("redis-server".into(), Package { installed: BOOT - 1, held });
        }
    };
    check("Information packages nginx Renewed", renewed(false));
    check("Drift packages nginx Renewed", renewed(true));
}

#[test]
fn a_venv_is_told_with_the_files_that_are_not_pips() {
    let path = "/opt/matrix/venvs/x";
    let file = |how: &str| VenvFile { how: how.into(), changed: 5, path: format!("synapse/{how}.py") };
    let one = check(&format!("Drift venv {path} Content"), |facts| {
        facts.watched.venvs.insert(path.into(), vec![file("edited"), file("added"), file("gone")]);
    });
    assert_eq!((one.differences.len(), one.since), (3, Some(5)));
}

#[test]
fn certificates_are_told_in_time() {
    let text = SMALL.replace("tls: none", "tls: {certificate: /etc/ssl/a.pem, key: /etc/ssl/a.key}");
    let world = World::model(&text);
    let now = world.now;
    let with = |life: i64, left: i64, changed: i64| {
        let mut facts = world.facts();
        let validity = Some((now + (left - life) * DAY, now + left * DAY));
        facts["hs1"].watched.applied = Some(BOOT);
        facts["hs1"].watched.certificates.insert("/etc/ssl/a.pem".into(), Certificate { changed, validity });
        told(&world.drift_over(&facts))
    };
    let certificate = |class: &str, what: &str| vec![format!("{class} certificate /etc/ssl/a.pem {what}")];
    assert_eq!(with(90, 40, BOOT), Vec::<String>::new());
    assert_eq!(with(90, 20, BOOT), certificate("Drift", "Expiring"));
    assert_eq!(with(365, 22, BOOT), Vec::<String>::new());
    assert_eq!(with(365, 20, BOOT), certificate("Drift", "Expiring"));
    // Of those that live for six days a half may be left before they are renewed.
    assert_eq!(with(6, 3, BOOT), Vec::<String>::new());
    assert_eq!(with(6, 1, BOOT), certificate("Drift", "Expiring"));
    assert_eq!(with(90, -2, BOOT), certificate("Drift", "Expiring"));
    assert_eq!(with(90, 89, now + 1), certificate("Drift", "Outdated"));
    assert_eq!(with(90, 89, BOOT + 1), certificate("Information", "Renewed"));
    assert_eq!(with(90, 89, 0), certificate("Drift", "Removed"));
}

#[test]
fn clocks_are_compared_by_what_they_must_differ_at_the_least() {
    let asked = |before: i64, after: i64| {
        move |facts: &mut HostFacts| {
            facts.watched.asked = Some((facts.now + before, facts.now + after));
        }
    };
    assert_eq!(seen(asked(-1, 1)).findings, []);
    assert_eq!(seen(asked(-60_000_000, 60_000_000)).findings, [], "a slow answer tells nothing");
    assert_eq!(seen(asked(4_000_000, 4_100_000)).findings, []);
    assert!(check("Drift clock clock Skewed", asked(42_500_000, 43_000_000)).summary.contains("42 s behind"));
    assert!(check("Drift clock clock Skewed", asked(-8_000_000, -7_000_000)).summary.contains("7 s ahead"));
}

#[test]
fn what_an_apply_left_unfinished_is_pending() {
    let mut world = World::model(SMALL);
    let address = format!("hs1/systemd/service:{UNIT}");
    let machine = world.machine("hs1");
    let mut entry = machine.recorded().entries[&address].clone();
    entry.pending = entry.applied.clone();
    machine.record.push_str(&entry.line(&address));
    machine.units.get_mut(UNIT).unwrap().active = "inactive".to_owned();
    let drift = world.drift();
    let of_unit: Vec<&Finding> = drift.findings.iter().filter(|one| one.name == UNIT).collect();
    assert_eq!(of_unit.len(), 1);
    assert!(drift.findings.iter().all(|one| one.class == Class::Pending), "{:#?}", told(&drift));
}
