//! Every kind of resource, created, unchanged, changed and leaving: what is planned, and how it is said.

use std::fmt::Write as _;

use synprov::plan::Plan;
use synprov::plan::step::Action;

use crate::causes::SMALL;
use crate::leaving::without;
use crate::machine::{Kind, Machine};
use crate::world::World;

const CLIENT: &str = "matrix_generic_worker@client.service";
const YAML: &str = "/opt/matrix/conf/workers/client.yaml";
const FORM: &str = "/opt/matrix/conf/secrets/form";

/// What is said of one resource of one host: its change and the steps that make it.
fn said(plan: &Plan, host: &str, kind: &str, name: &str) -> String {
    let mut text = String::new();
    let found =
        plan.changes.iter().find(|change| change.host == host && change.kind == kind && change.name == name);
    let Some(change) = found else { return "nothing\n".to_owned() };
    let cause = format!("{:?}", change.cause).to_lowercase();
    let _ = writeln!(text, "{:?}, {cause}: {}", change.operation, change.reason);
    for step in plan.steps.iter().filter(|step| step.host == host) {
        let concerns = step.completes.contains(&change.address)
            || match &step.action {
                Action::Remove { files, directories, .. } => {
                    files.iter().any(|(path, _)| path == name) || directories.iter().any(|path| path == name)
                }
                Action::Swap { gone, .. } => gone.iter().any(|(path, _)| path == name),
                Action::Stop { unit, .. } => unit == name,
                _ => false,
            };
        if concerns {
            let _ = writeln!(text, "    {} ({})", step.action.title(), step.why);
        }
    }
    for note in plan.notes.iter().filter(|note| note.contains(&format!("{kind} {name} "))) {
        let _ = writeln!(text, "    {note}");
    }
    text
}

/// A resource and what somebody does to it.
type Case = (&'static str, &'static str, &'static str, &'static [fn(&mut Machine)]);

fn unit(machine: &mut Machine) -> &mut synprov::facts::host::UnitFact {
    machine.units.get_mut(CLIENT).unwrap()
}

fn edit(machine: &mut Machine, path: &str) {
    machine.node(path).kind = Kind::File("mine".to_owned());
}

const CASES: [Case; 9] = [
    ("hs1", "packages", "nginx", &[|host| drop(host.packages.take("nginx"))]),
    ("hs1", "user", "matrix", &[|host| drop(host.users.take("matrix"))]),
    (
        "hs1",
        "directory",
        "/opt/matrix/conf",
        &[
            |host| "0777".clone_into(&mut host.node("/opt/matrix/conf").mode),
            |host| host.node("/opt/matrix/conf").kind = Kind::Link("/home/somebody".to_owned()),
        ],
    ),
    (
        "hs1",
        "file",
        YAML,
        &[
            |host| edit(host, YAML),
            |host| drop(host.nodes.remove(YAML)),
            |host| {
                "nobody".clone_into(&mut host.node(YAML).owner);
                "0666".clone_into(&mut host.node(YAML).mode);
            },
            |host| host.node(YAML).kind = Kind::Link("/etc/passwd".to_owned()),
        ],
    ),
    (
        "hs1",
        "directive",
        "/etc/nginx/nginx.conf",
        &[|host| {
            host.directives.values_mut().for_each(|value| *value = 10);
        }],
    ),
    (
        "hs2",
        "secret",
        "form",
        &[|host| edit(host, FORM), |host| "0644".clone_into(&mut host.node(FORM).mode)],
    ),
    (
        "hs2",
        "venv",
        "/opt/matrix/venvs/1.163.2-",
        &[
            |host| host.venvs.values_mut().for_each(|venv| "broken".clone_into(&mut venv.state)),
            |host| host.venvs.values_mut().for_each(|venv| "partial".clone_into(&mut venv.state)),
            |host| host.venvs.clear(),
        ],
    ),
    (
        "hs1",
        "service",
        CLIENT,
        &[
            |host| "inactive".clone_into(&mut unit(host).active),
            |host| {
                "failed".clone_into(&mut unit(host).active);
                "exit-code".clone_into(&mut unit(host).result);
            },
            |host| {
                "activating".clone_into(&mut unit(host).active);
                "auto-restart".clone_into(&mut unit(host).sub);
            },
            |host| "disabled".clone_into(&mut unit(host).file_state),
            |host| unit(host).needs_reload = true,
            |host| edit(host, YAML),
        ],
    ),
    (
        "hs1",
        "postgresql",
        "matrix",
        &[
            |host| host.postgresql.as_mut().unwrap().peers.clear(),
            |host| host.postgresql.as_mut().unwrap().role = Some(false),
            |host| {
                let settings = &mut host.postgresql.as_mut().unwrap().settings;
                settings.insert("max_connections".to_owned(), ("10".to_owned(), false));
            },
        ],
    ),
];

#[test]
fn every_kind_created_unchanged_changed_and_leaving() {
    let bare = World::bare(SMALL);
    let model = World::model(SMALL);
    let mut leaving = model.clone();
    // Everything but the data leaves hs1's worker, and all of hs2.
    leaving.becomes(
        &without("sync")
            .replace("  sender: {host: hs2, runs: [federation_sender]}\n", "")
            .replace("  client: {host: hs1, handles: [client_reader], config: {event_cache_size: 10K}}\n", "")
            .replace("proxy: {host: hs1, kind: nginx, tls: none}\n", "")
            .replace("user: root}\nsynapse", "user: root, retired: true}\nsynapse"),
    );
    let (created, unchanged, left) = (bare.plan(), model.plan(), leaving.plan());
    let mut text = String::new();
    for (host, kind, name, deeds) in CASES {
        let resource = model
            .of(host)
            .into_iter()
            .find(|one| one.address.kind == kind && one.address.name.starts_with(name));
        let name = resource.unwrap_or_else(|| panic!("no {kind} {name}")).address.name.clone();
        let _ = write!(text, "{kind} {name}\n  create: {}", said(&created, host, kind, &name));
        assert_eq!(said(&unchanged, host, kind, &name), "nothing\n", "{kind} {name} changes in the model");
        for deed in deeds {
            let mut world = model.clone();
            deed(world.machine(host));
            let _ = write!(text, "  update: {}", said(&world.plan(), host, kind, &name));
        }
        let _ = writeln!(text, "  delete: {}", said(&left, host, kind, &name));
    }
    // The digest in a venv's path is its requirements'; it is not what is shown here.
    let venv = model.topology.venv.path.clone();
    insta::assert_snapshot!(text.replace(&venv, "/opt/matrix/venvs/VERSION"));
}

#[test]
fn steps_of_several_things_say_how_many_of_each() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node("/opt/matrix/conf/log/client.yaml").kind = Kind::File("mine".to_owned());
    world.machine("hs1").nodes.remove("/opt/matrix/conf/log/main.yaml");
    world
        .becomes(&format!("{}  more: {{host: hs1, handles: [initial_sync]}}\n", SMALL.replace("10K", "20K")));
    world.machine("hs1").units.get_mut("matrix_generic_worker@persister.service").unwrap().active =
        "inactive".to_owned();
    let plan = world.plan();
    let text: String = plan
        .steps
        .iter()
        .map(|step| format!("{}: {} ({})\n", step.host, step.action.title(), step.why))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_process_that_crashes_again_and_again_is_in_one_state() {
    // systemd shows it waiting for its next attempt, or in the middle of one.
    let plan = |sub: &str| {
        let mut world = World::model(SMALL);
        let host = world.machines.get_mut("hs1").unwrap();
        let crashing = unit(host);
        "activating".clone_into(&mut crashing.active);
        sub.clone_into(&mut crashing.sub);
        crashing.restarts = 4;
        world.plan()
    };
    let (waiting, trying) = (plan("auto-restart"), plan("start"));
    assert!(!waiting.is_empty());
    assert_eq!(format!("{:?}", waiting.changes), format!("{:?}", trying.changes));
}
