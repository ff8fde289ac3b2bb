//! What Synapse takes over while it runs costs no restart, and everything else does.

use synprov::plan::Plan;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::leaving::brought;
use crate::perform::Killed;
use crate::world::World;

const CLIENT: &str = "matrix_generic_worker@client.service";

/// Units that read again, and units that restart.
fn both(plan: &Plan) -> (Vec<&str>, Vec<&str>) {
    let of = |wanted: fn(&Action) -> Option<&str>| {
        plan.steps.iter().filter_map(|step| wanted(&step.action)).collect::<Vec<_>>()
    };
    (
        of(|action| match action {
            Action::Reread { service } => Some(&service.unit),
            _ => None,
        }),
        of(|action| match action {
            Action::Restart { service } => Some(&service.unit),
            _ => None,
        }),
    )
}

/// `SMALL` with this among the keys of the worker `client`, and this in the shared configuration.
fn with(worker: &str, shared: &str) -> String {
    let own = "config: {event_cache_size: 10K}";
    assert!(SMALL.contains(own));
    SMALL
        .replace(own, &format!("{own}{worker}"))
        .replace("report_stats: false", &format!("report_stats: false{shared}"))
}

#[track_caller]
fn check(before: &str, after: &str, again: &[&str], anew: &[&str]) {
    let mut world = World::model(before);
    world.becomes(after);
    let plan = world.plan();
    let (rereads, restarts) = both(&plan);
    assert_eq!((rereads.as_slice(), restarts.as_slice()), (again, anew), "{}", crate::tell(&plan));
    world.apply(&plan);
    world.assert_settled();
}

#[test]
fn log_levels_and_cache_factors_are_read_again() {
    let level = |level: &str| with(&format!(", logging: {{level: {level}}}"), "");
    check(&level("INFO"), &level("DEBUG"), &[CLIENT], &[]);
    let logger = with(", logging: {loggers: {synapse.http: DEBUG}}", "");
    check(SMALL, &logger, &[CLIENT], &[]);
    let factor = |factor: &str| {
        SMALL.replace("event_cache_size: 10K", &format!("caches: {{global_factor: {factor}}}"))
    };
    check(&factor("1.0"), &factor("2.0"), &[CLIENT], &[]);
    let of_pool =
        SMALL.replace("handles: [client_reader], ", "handles: [client_reader], cache_factor: 2.0, ");
    check(SMALL, &of_pool, &[CLIENT], &[]);
    check(&of_pool, SMALL, &[CLIENT], &[]);
    let all = |factor: &str| with("", &format!(", caches: {{per_cache_factors: {{getEvent: {factor}}}}}"));
    let mut world = World::model(&all("1.0"));
    world.becomes(&all("2.0"));
    let plan = world.plan();
    let (rereads, restarts) = both(&plan);
    assert_eq!(
        (rereads.len(), restarts.len()),
        (world.topology.instances.len(), 0),
        "{}",
        crate::tell(&plan)
    );
}

#[test]
fn everything_else_needs_a_restart() {
    // Python leaves a logger at the level it had when it is named no more.
    let logger = with(", logging: {loggers: {synapse.http: DEBUG}}", "");
    check(&logger, SMALL, &[], &[CLIENT]);
    let cache = |key: &str| SMALL.replace("event_cache_size: 10K", &format!("caches: {{{key}}}"));
    check(
        &cache("sync_response_cache_duration: 1m"),
        &cache("sync_response_cache_duration: 2m"),
        &[],
        &[CLIENT],
    );
    // Listeners, writers and lists never follow from a reload.
    for (before, after) in [
        ("writes: [events]", "writes: [events, typing]"),
        ("runs: [federation_sender]", "count: 2, runs: [federation_sender]"),
        ("main: {host: hs1}", "main: {host: hs1, listeners: {admin: {port: 8999, resources: [client]}}}"),
    ] {
        let mut world = World::model(SMALL);
        world.becomes(&SMALL.replace(before, after));
        let plan = world.plan();
        assert_eq!(self::both(&plan).0, [] as [&str; 0], "{}", crate::tell(&plan));
        assert!(!brought(&plan).is_empty(), "{}", crate::tell(&plan));
    }
    let both =
        |size: &str, level: &str| with(&format!(", logging: {{level: {level}}}"), "").replace("10K", size);
    check(&both("10K", "INFO"), &both("20K", "DEBUG"), &[], &[CLIENT]);
}

#[test]
fn what_was_to_be_read_again_is_owed_by_an_apply_that_died() {
    let debug = with(", logging: {loggers: {synapse.http: DEBUG}}", "");
    let mut world = World::model(SMALL);
    world.becomes(&debug);
    let plan = world.plan();
    let swap = plan.steps.iter().position(|step| matches!(step.action, Action::Swap { .. })).unwrap();
    for (at, done) in [(swap, 1), (swap, usize::MAX), (swap + 1, 0)] {
        let mut dead = world.clone();
        dead.apply_killed(&plan, Killed { at, done });
        let again = dead.plan();
        assert_eq!(both(&again), (vec![CLIENT], vec![]), "{at} {done}\n{}", crate::tell(&again));
        let mut same = dead.clone();
        same.apply(&again);
        same.assert_settled();
        // It may have read that logger's level, and would keep it.
        dead.becomes(SMALL);
        let back = dead.plan();
        assert_eq!(both(&back).0, [] as [&str; 0], "{}", crate::tell(&back));
        dead.apply(&back);
        dead.assert_settled();
    }
}

#[test]
fn what_somebody_wrote_into_a_log_configuration_needs_a_restart() {
    let mut world = World::model(SMALL);
    let node = world.machine("hs1").node("/opt/matrix/conf/log/client.yaml");
    node.kind = crate::machine::Kind::File("mine".to_owned());
    let plan = world.plan();
    assert_eq!(both(&plan), (vec![], vec![CLIENT]), "{}", crate::tell(&plan));
}

#[test]
fn a_process_that_somebody_restarted_reads_again_if_its_files_are_older() {
    let level = with(", logging: {level: DEBUG}", "");
    let factor =
        SMALL.replace("event_cache_size: 10K", "event_cache_size: 10K, caches: {global_factor: 2.0}");
    for after in [level, factor] {
        let mut world = World::model(SMALL);
        let now = world.tick();
        world.machine("hs1").start(CLIENT, now, false);
        let mut touched = world.clone();
        world.becomes(&after);
        let plan = world.plan();
        assert_eq!(both(&plan), (vec![CLIENT], vec![]), "{}", crate::tell(&plan));
        world.apply(&plan);
        world.assert_settled();
        // Something changed after that start: who knows what it has read.
        let now = touched.tick();
        touched.machine("hs1").node("/opt/matrix/conf/log/client.yaml").changed = now;
        touched.becomes(&after);
        let plan = touched.plan();
        assert_eq!(both(&plan), (vec![], vec![CLIENT]), "{}", crate::tell(&plan));
    }
}
