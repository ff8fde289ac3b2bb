//! Somebody changes applied hosts: the plan lists exactly that, says that it is drift, and mends it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use synprov::plan::Allow;
use synprov::plan::change::Cause;
use synprov::plan::drift::Class;
use synprov::resource::{Body, Resource};

use crate::inventories::{SHIPPED, Written, written};
use crate::machine::{Kind, concerns};
use crate::order::assert_valid;
use crate::sampled;
use crate::world::World;

/// What somebody can do to a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    Edit,
    Remove,
    Chmod,
    Chown,
    Link,
    Empty,
    Stop,
    Disable,
    Fail,
    Crash,
    RestartedAfter,
    RestartedBefore,
    StaleUnit,
    Uninstall,
    Lower,
    Lock,
    NoPeers,
    DropRole,
    Break,
    Forget,
}

use Deed::*;

/// What can be done to a resource of this kind, not counting what is not noticed or not allowed.
fn deeds(world: &World, resource: &Resource) -> Vec<Deed> {
    match &resource.body {
        Body::Packages { .. } | Body::User { .. } => vec![Uninstall, Forget],
        Body::Directory { .. } => vec![Chmod, Chown, Forget],
        // Of a file with secrets only the record knows the content: without it, it is unmanaged.
        Body::File { content, .. } if !content.secrets().is_empty() => {
            vec![Edit, Remove, Chmod, Chown, Link, Empty]
        }
        Body::File { .. } => vec![Edit, Remove, Chmod, Chown, Link, Empty, Forget],
        Body::Directive { .. } => vec![Lower],
        // The value at its origin is right by definition, and a secret gone from everywhere is refused.
        Body::Secret { name, .. } => {
            let others = world.topology.secrets[name].hosts.iter().any(|host| *host != resource.address.host);
            let origin = world.topology.instances[0].host == resource.address.host;
            match (others && !origin, world.values.contains_key(name)) {
                (true, _) | (_, true) => vec![Edit, Remove, Chmod, Chown],
                _ => vec![Chmod, Chown],
            }
        }
        Body::Venv { .. } => vec![Break, Remove, Forget],
        Body::Service { owned: true, .. } => {
            vec![Stop, Disable, Fail, Crash, RestartedAfter, RestartedBefore, StaleUnit, Forget]
        }
        Body::Service { .. } => vec![Disable, RestartedBefore, Forget],
        Body::Postgresql { settings, peers, .. } => {
            let mut deeds = vec![DropRole, Lock];
            if !settings.is_empty() {
                deeds.push(Lower);
            }
            if !peers.is_empty() {
                deeds.push(NoPeers);
            }
            deeds
        }
        // Only the record knows of these.
        Body::Routes { .. } | Body::ExternalPostgresql { .. } => Vec::new(),
    }
}

/// What the plan must list because of deeds: addresses that must be there.
#[derive(Debug, Default)]
struct Expected(BTreeSet<String>);

impl Expected {
    fn insert(&mut self, resource: &Resource) {
        self.0.insert(resource.address.to_string());
    }

    /// Services that read something whose content somebody touched.
    fn readers(&mut self, world: &World, host: &str, path: &str) {
        for file in world.of(host) {
            let (readers, secret): (Vec<String>, Option<&str>) = match &file.body {
                Body::File { path: of, inputs_of, reread_by, .. } if of == path => {
                    (inputs_of.keys().chain(reread_by.keys()).cloned().collect(), None)
                }
                Body::Secret { name, path: of, .. } if of == path => (Vec::new(), Some(name)),
                _ => continue,
            };
            for service in world.of(host) {
                let Body::Service { unit, secrets, .. } = &service.body else { continue };
                let by_secret = secret.is_some_and(|name| secrets.iter().any(|read| read == name));
                if readers.contains(unit) || by_secret {
                    self.insert(service);
                }
            }
        }
        // systemd has to read a changed unit file again.
        for service in world.of(host) {
            if matches!(&service.body, Body::Service { unit, .. } if concerns(path, unit)) {
                self.insert(service);
            }
        }
    }
}

/// Does it, and says what the plan must list.
fn commit(world: &mut World, resource: &Resource, deed: Deed, expected: &mut Expected) {
    let now = world.tick();
    let host = resource.address.host.clone();
    if deed == Forget {
        let line = synprov::facts::record::forget(&resource.address.to_string());
        world.machine(&host).record.push_str(&line);
        return;
    }
    match &resource.body {
        Body::Packages { packages, .. } => {
            world.machine(&host).packages.retain(|package| !packages.contains(package));
        }
        Body::User { name, .. } => world.machine(&host).users.retain(|user| user != name),
        Body::Directory { path, .. } | Body::File { path, .. } | Body::Secret { path, .. } => {
            if rights(world, &host, path, deed) {
                expected.insert(resource);
                return;
            }
            let machine = world.machine(&host);
            match deed {
                Remove => drop(machine.nodes.remove(path)),
                Link => machine.node(path).kind = Kind::Link("/etc/passwd".to_owned()),
                Empty => machine.node(path).kind = Kind::File(String::new()),
                _ => machine.node(path).kind = Kind::File(format!("edited at {now}")),
            }
            if let Some(node) = machine.nodes.get_mut(path) {
                node.changed = now;
            }
            machine.unit_file_changed(path);
            expected.readers(world, &host, path);
        }
        Body::Directive { directive, path, .. } => {
            world.machine(&host).directives.insert((directive.clone(), path.clone()), 512);
            // The processes run with the lower number until they are reloaded.
            let nginx = world.of(&host).into_iter().find(|one| one.address.name == "nginx.service");
            let nginx = nginx.cloned();
            nginx.iter().for_each(|nginx| expected.insert(nginx));
        }
        Body::Venv { path, .. } => {
            let machine = world.machine(&host);
            match deed {
                Break => machine.venvs.get_mut(path).unwrap().state = "broken".to_owned(),
                _ => drop(machine.venvs.remove(path)),
            }
            // What runs may have imported what was there.
            for service in world.of(&host) {
                if matches!(&service.body, Body::Service { inputs, .. } if inputs.contains_key("venv")) {
                    expected.insert(service);
                }
            }
        }
        Body::Service { unit, reload, .. } => {
            let reload = *reload;
            let machine = world.machine(&host);
            let fact = machine.units.get_mut(unit).unwrap();
            match deed {
                Stop => (fact.active, fact.sub) = ("inactive".to_owned(), "dead".to_owned()),
                Disable => fact.file_state = "disabled".to_owned(),
                Fail => (fact.active, fact.result) = ("failed".to_owned(), "exit-code".to_owned()),
                Crash => (fact.active, fact.sub) = ("activating".to_owned(), "auto-restart".to_owned()),
                StaleUnit => fact.needs_reload = true,
                RestartedBefore => {
                    // Somebody restarted it; everything it reads is older.
                    machine.start(unit, now, reload);
                    return;
                }
                RestartedAfter => {
                    // Somebody restarted it, and something it reads was touched later.
                    machine.start(unit, now, reload);
                    let read = world.of(&host).into_iter().find_map(|one| match &one.body {
                        Body::File { path, inputs_of, .. } if inputs_of.contains_key(unit) => {
                            Some(path.clone())
                        }
                        _ => None,
                    });
                    let Some(read) = read else { return };
                    let later = world.tick();
                    let machine = world.machine(&host);
                    if let Some(node) = machine.nodes.get_mut(&read) {
                        node.changed = later;
                    }
                    // Another one that was started by somebody reads it too.
                    touched(world, &host, &read, expected);
                }
                _ => unreachable!(),
            }
        }
        Body::Postgresql { .. } => {
            let postgresql = world.machine(&host).postgresql.as_mut().unwrap();
            match deed {
                Lower => {
                    drop(postgresql.settings.insert("max_connections".to_owned(), ("20".to_owned(), false)))
                }
                NoPeers => postgresql.peers.clear(),
                DropRole => postgresql.role = None,
                _ => postgresql.role = Some(false),
            }
        }
        Body::Routes { .. } | Body::ExternalPostgresql { .. } => {}
    }
    expected.insert(resource);
}

/// Changes the rights only; the content stays.
fn rights(world: &mut World, host: &str, path: &str, deed: Deed) -> bool {
    let node = world.machine(host).node(path);
    match deed {
        Chmod => node.mode = "0666".to_owned(),
        Chown => node.owner = "nobody".to_owned(),
        _ => return false,
    }
    true
}

/// Readers of a touched file that somebody else started must restart; the others are known to be current.
fn touched(world: &World, host: &str, path: &str, expected: &mut Expected) {
    let machine = &world.machines[host];
    let record = machine.recorded();
    for service in world.of(host) {
        let Body::Service { unit, .. } = &service.body else { continue };
        let reads = world.of(host).into_iter().any(|one| {
            matches!(&one.body, Body::File { path: of, inputs_of, reread_by, .. }
                if of == path && (inputs_of.contains_key(unit) || reread_by.contains_key(unit)))
        });
        let started =
            record.entries.get(&service.address.to_string()).and_then(|entry| entry.started.clone());
        if reads && started.is_none_or(|started| started.invocation != machine.units[unit].invocation) {
            expected.insert(service);
        }
    }
}

/// Plans after the deeds, and compares; then mends and finds nothing left.
fn check(mut world: World, picks: &[(prop::sample::Index, prop::sample::Index)]) {
    world.allow = Allow { datastore_restart: true, ..Allow::default() };
    let mut expected = Expected::default();
    let mut touched: BTreeMap<String, Deed> = BTreeMap::new();
    for (which, what) in picks {
        let resource = world.resources[which.index(world.resources.len())].clone();
        let possible = deeds(&world, &resource);
        if possible.is_empty() || touched.contains_key(&resource.address.to_string()) {
            continue;
        }
        let deed = possible[what.index(possible.len())];
        if in_the_way(&resource, deed, &touched) {
            continue;
        }
        touched.insert(resource.address.to_string(), deed);
        commit(&mut world, &resource, deed, &mut expected);
    }
    let plan = world.plan();
    let found: BTreeSet<String> = plan.changes.iter().map(|change| change.address.clone()).collect();
    assert_eq!(found, expected.0, "after {touched:#?}\n{}", crate::tell(&plan));
    assert_eq!(plan.refusals, [], "after {touched:#?}");
    assert_eq!(named(&world), names(&expected), "drift after {touched:#?}");
    for change in &plan.changes {
        assert_eq!(
            change.cause,
            Cause::Drift,
            "after {touched:#?}: {}\n{}",
            change.address,
            crate::tell(&plan)
        );
    }
    assert_valid(&world, &plan);
    world.apply(&plan);
    world.assert_settled();
}

/// What `drift` names on which host, all of it somebody else's doing.
fn named(world: &World) -> BTreeSet<String> {
    let drift = world.drift();
    let all = drift.findings.iter().flat_map(|finding| {
        assert_eq!(finding.class, Class::Drift, "{finding:#?}");
        let names = finding.affects.iter().chain([&finding.name]);
        names.map(|name| format!("{} {name}", finding.host)).collect::<Vec<_>>()
    });
    all.collect()
}

/// The same of what is expected.
fn names(expected: &Expected) -> BTreeSet<String> {
    let name = |address: &String| {
        let (host, rest) = address.split_once('/').unwrap();
        format!("{host} {}", rest.split_once('/').unwrap().1.split_once(':').unwrap().1)
    };
    expected.0.iter().map(name).collect()
}

/// Deeds whose effects would hide one another, so that what to expect would be a plan of its own.
fn in_the_way(resource: &Resource, deed: Deed, touched: &BTreeMap<String, Deed>) -> bool {
    let started =
        |deed: Deed| matches!(deed, RestartedBefore | RestartedAfter | Forget | Stop | Fail | Crash);
    // A process that was started by somebody else after an edit is judged by the edit's time.
    (started(deed) && resource.address.kind == "service" && !touched.is_empty())
        || touched.iter().any(|(address, deed)| address.contains("/service:") && started(*deed))
}

fn picks(most: usize) -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..most)
}

#[test]
fn what_somebody_changed_is_listed_and_nothing_else() {
    sampled(25, (written(), picks(7)), |(written, picks)| check(World::model(&written.text()), &picks));
}

#[test]
fn one_change_at_a_time_on_the_shipped_inventories() {
    let models: Vec<World> = SHIPPED.iter().map(|(_, text)| World::model(text)).collect();
    sampled(80, (0..SHIPPED.len(), picks(2)), |(which, picks)| check(models[which].clone(), &picks));
}

/// Every deed on every resource of one small deployment.
#[test]
fn every_deed_on_every_resource() {
    let written = Written {
        hosts: 2,
        data: 0,
        front: 1,
        tls: true,
        pools: vec![(0, 0, 1), (6, 1, 2), (7, 1, 1), (8, 1, 1), (12, 0, 2), (17, 1, 1)],
    };
    let model = World::model(&written.text());
    let mut done = 0;
    for resource in model.resources.clone() {
        for deed in deeds(&model, &resource) {
            let mut world = model.clone();
            world.allow = Allow { datastore_restart: true, ..Allow::default() };
            let mut expected = Expected::default();
            commit(&mut world, &resource, deed, &mut expected);
            let plan = world.plan();
            let what = format!("{deed:?} of {}\n{}", resource.address, crate::tell(&plan));
            let found: BTreeSet<String> = plan.changes.iter().map(|change| change.address.clone()).collect();
            assert_eq!(found, expected.0, "{what}");
            assert!(plan.changes.iter().all(|change| change.cause == Cause::Drift), "{what}");
            assert_eq!(plan.refusals, [], "{what}");
            assert_eq!(named(&world), names(&expected), "drift after {what}");
            assert!(
                expected.0.is_empty() || world.drift().findings.len() == 1 || deed == RestartedAfter,
                "{what}"
            );
            assert_valid(&world, &plan);
            world.apply(&plan);
            world.assert_settled();
            done += 1;
        }
    }
    println!("{done} deeds");
    assert!(done > 200);
}
