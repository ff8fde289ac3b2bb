//! Whether the steps of a plan are in an order that is safe, judged from `after` alone.

use std::collections::{BTreeMap, BTreeSet};

use synprov::plan::change::Operation;
use synprov::plan::step::Action;
use synprov::plan::{Plan, Step};
use synprov::resource::{Body, FileSet, Stage};

use crate::world::World;

/// Everything a step waits for, itself left out.
fn ancestors(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::new();
    for step in &plan.steps {
        let mut own: BTreeSet<usize> = step.after.iter().copied().collect();
        for before in &step.after {
            own.extend(&all[*before]);
        }
        all.push(own);
    }
    all
}

/// Units a step brings up or lets take over their configuration.
fn brought(step: &Step) -> Vec<&str> {
    match &step.action {
        Action::Start { services } => services.iter().map(|service| service.unit.as_str()).collect(),
        Action::Restart { service } | Action::Reload { service } | Action::Reread { service } => {
            vec![&service.unit]
        }
        _ => Vec::new(),
    }
}

/// Insists on everything that must hold for any plan.
pub fn assert_valid(world: &World, plan: &Plan) {
    let all = ancestors(plan);
    for (at, step) in plan.steps.iter().enumerate() {
        assert_eq!(step.id, at);
        assert!(step.after.iter().all(|before| *before < at), "step {at} waits for a later one");
        assert!(!step.why.is_empty(), "step {at} has no reason");
    }
    let before = |first: &Step, then: &Step| {
        assert!(
            all[then.id].contains(&first.id),
            "{}: {} does not wait for {}: {}\n{}",
            then.host,
            then.action.title(),
            first.host,
            first.action.title(),
            crate::tell(plan)
        );
    };
    completed(plan);
    let stages: BTreeMap<(&str, &str), Stage> = world
        .resources
        .iter()
        .filter_map(|one| match &one.body {
            Body::Service { unit, stage, .. } => Some(((one.address.host.as_str(), unit.as_str()), *stage)),
            _ => None,
        })
        .collect();
    let first = persisters_first(world, plan);
    let rank = |step: &Step, unit: &str| match stages.get(&(step.host.as_str(), unit)) {
        Some(Stage::Mount) => -1,
        Some(Stage::Datastore) => 0,
        Some(Stage::Main) => 1,
        Some(Stage::Writer) => 2,
        Some(Stage::Worker) => 3,
        Some(Stage::Target) => 4,
        Some(Stage::Proxy) => 5,
        // An nginx that served us and is no longer ours.
        None if unit == "nginx.service" => 6,
        None => panic!("{unit} is started and not desired"),
    };
    for step in &plan.steps {
        let units = brought(step);
        for earlier in &plan.steps {
            match (&earlier.action, &step.action) {
                // Validated everywhere before anything is in place anywhere.
                (Action::Validate { .. } | Action::CheckRoutes { .. }, Action::Swap { .. }) => {
                    before(earlier, step)
                }
                (Action::Stage { set, .. }, Action::Swap { set: of, .. })
                    if set == of && earlier.host == step.host =>
                {
                    before(earlier, step)
                }
                (Action::Stage { set, .. }, then)
                    if validates(then) == Some(*set) && earlier.host == step.host =>
                {
                    before(earlier, step)
                }
                (Action::GenerateSecret { file, .. }, Action::PutSecret { file: other, .. })
                    if file.name == other.name =>
                {
                    before(earlier, step)
                }
                // What is refused leaves nothing behind where units are.
                (
                    Action::Validate { .. } | Action::CheckRoutes { .. },
                    Action::MakeDirectories { directories },
                ) if directories.iter().any(|made| made.path.contains(".service.d")) => before(earlier, step),
                (Action::MakeDirectories { .. }, Action::Swap { set: FileSet::Systemd, .. })
                    if earlier.host == step.host =>
                {
                    before(earlier, step)
                }
                (Action::InstallPackages { packages }, _) if earlier.host == step.host => {
                    match &step.action {
                        // It is built beside all that it does not need.
                        Action::BuildVenv { .. } => {
                            let needs = packages.iter().any(|one| one == "python3-venv");
                            assert_eq!(all[step.id].contains(&earlier.id), needs, "{packages:?}");
                        }
                        Action::InstallPackages { .. } if earlier.id >= step.id => {}
                        _ => before(earlier, step),
                    }
                }
                (
                    Action::BuildVenv { .. },
                    Action::InstallPackages { .. }
                    | Action::CreateUser { .. }
                    | Action::GenerateSecret { .. }
                    | Action::PutSecret { .. },
                ) if earlier.host == step.host => assert!(!all[step.id].contains(&earlier.id)),
                (
                    Action::BuildVenv { .. },
                    Action::Stage { .. } | Action::Validate { .. } | Action::CheckRoutes { .. },
                ) if earlier.host == step.host => before(earlier, step),
                // Nothing starts before what it reads is in place and systemd has read it.
                (Action::Swap { set, .. }, _)
                    if !units.is_empty()
                        && earlier.host == step.host
                        && (!matches!(set, FileSet::Nginx | FileSet::Haproxy)
                            || rank(step, units[0]) == 5) =>
                {
                    before(earlier, step)
                }
                (Action::DaemonReload, _)
                    if !units.is_empty() && earlier.host == step.host && earlier.id < step.id =>
                {
                    before(earlier, step)
                }
                (Action::PreparePostgresql { .. }, _) if units.iter().any(|unit| rank(step, unit) > 0) => {
                    before(earlier, step)
                }
                // What lets go of something has stopped, on whatever host, before anybody takes it over.
                (Action::Stop { drain_seconds: 0, .. }, _)
                    if units.iter().any(|unit| (1..4).contains(&rank(step, unit))) =>
                {
                    before(earlier, step)
                }
                (Action::BuildVenv { .. }, _)
                    if units.iter().any(|unit| (1..4).contains(&rank(step, unit)))
                        && earlier.host == step.host =>
                {
                    before(earlier, step)
                }
                // What leaves is no longer routed to when it stops, and stopped when its files go.
                (Action::Reload { .. }, Action::Stop { drain_seconds, .. }) if *drain_seconds > 0 => {
                    before(earlier, step)
                }
                (Action::Stop { unit, disable: true, .. }, Action::Remove { files, .. })
                    if earlier.host == step.host && files.iter().any(|(path, _)| unit_has(unit, path)) =>
                {
                    before(earlier, step)
                }
                _ => {}
            }
            // Main, writers, workers, proxy: over all hosts.
            for one in brought(earlier) {
                for then in &units {
                    let ours = |step: &Step, unit: &str| first.contains(&(step.host.as_str(), unit));
                    let main_first = rank(earlier, one) == 1 && ours(step, then);
                    if rank(earlier, one) < rank(step, then) && !main_first {
                        before(earlier, step);
                    }
                    if ours(earlier, one) && rank(step, then) == 1 {
                        before(earlier, step);
                    }
                }
            }
        }
        if let Action::Swap { set, .. } = &step.action {
            let here = plan.steps.iter().filter(|other| other.host == step.host);
            let validated = here.filter(|other| validates(&other.action) == Some(*set)).count();
            let wanted = usize::from(!matches!(set, FileSet::Plain | FileSet::Redis));
            assert_eq!(validated, wanted, "set {} on {}", set.name(), step.host);
        }
        if matches!(&step.action, Action::Swap { set: FileSet::Systemd, .. }) {
            assert!(
                plan.steps[step.id..]
                    .iter()
                    .any(|later| later.host == step.host && later.action == Action::DaemonReload),
                "unit files swapped and not read"
            );
        }
    }
}

/// The set whose files this has their own program look at.
fn validates(action: &Action) -> Option<FileSet> {
    match action {
        Action::Validate { set, .. } => Some(*set),
        Action::CheckRoutes { .. } => Some(FileSet::Synapse),
        _ => None,
    }
}

/// Persisters that start before main restarts: the list of them changes among themselves.
fn persisters_first<'p>(world: &World, plan: &'p Plan) -> BTreeSet<(&'p str, &'p str)> {
    let main = format!("{}_main.service", world.topology.prefix);
    let main = plan.steps.iter().position(|step| brought(step).contains(&main.as_str()));
    let persists = |host: &str, unit: &str| {
        world.topology.instances.iter().any(|one| {
            one.host == host && one.unit == unit && one.writes.iter().any(|stream| stream == "events")
        })
    };
    let before = plan.steps.iter().take(main.unwrap_or(0));
    let started = before.flat_map(|step| brought(step).into_iter().map(|unit| (step.host.as_str(), unit)));
    started.filter(|(host, unit)| persists(host, unit)).collect()
}

/// Whether a file is named after the process of a unit.
fn unit_has(unit: &str, path: &str) -> bool {
    let name = unit.trim_end_matches(".service").rsplit(['@', '_']).next().unwrap();
    path.ends_with(&format!("/{name}.yaml")) || path.contains(unit)
}

/// Every change is made by exactly one step, and no step makes another.
fn completed(plan: &Plan) {
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for step in &plan.steps {
        for address in &step.completes {
            *made.entry(address).or_default() += 1;
        }
    }
    for change in &plan.changes {
        let steps = made.remove(change.address.as_str()).unwrap_or(0);
        let expected = usize::from(matches!(change.operation, Operation::Create | Operation::Update));
        assert_eq!(steps, expected, "{} is made by {steps} steps\n{}", change.address, crate::tell(plan));
        if change.operation == Operation::Delete {
            let done = plan.steps.iter().any(|step| match &step.action {
                Action::Stop { unit, disable, .. } => *unit == change.name && *disable,
                Action::Remove { files, directories, .. } => {
                    files.iter().any(|(path, _)| *path == change.name) || directories.contains(&change.name)
                }
                Action::Swap { gone, .. } => gone.iter().any(|(path, _)| *path == change.name),
                _ => false,
            });
            assert!(done, "{} is deleted by no step\n{}", change.address, crate::tell(plan));
        }
    }
    assert!(made.is_empty(), "steps make what is no change: {made:?}\n{}", crate::tell(plan));
}
