//! Pages to look at: what model hosts would answer, and what somebody did to them.

use indexmap::IndexMap;
use synprov::facts::watched::{DropIn, Package, Process};
use synprov::facts::{HostError, HostErrorKind, HostFacts};
use synprov::plan::drift::Drift;
use synprov::render::drift::Report;
use synprov::render::graph::{Graph, svg};
use synprov::render::html::{self, Around};

use crate::machine::{BOOT, Kind, ticks};
use crate::world::World;

const THREE: &str = include_str!("../../inventories/three-hosts.yaml");
const SYNC: &str = "/opt/matrix/conf/workers/sync.yaml";
const MADE: &str = "2026-11-27 07:30:00 UTC by admin@desk";
/// 2026-11-26 18:01 UTC.
const LAST_NIGHT: i64 = 1_795_716_086_000_000;

fn around<'a>(title: &'a str, picture: &'a str) -> Around<'a> {
    Around { title, made: MADE, picture: Some(picture) }
}

fn picture(world: &World) -> String {
    svg(&Graph::new(&world.topology))
}

fn plan_of(world: &World, title: &str) -> String {
    html::plan(&world.plan(), &[], &around(title, &picture(world)))
}

/// Nothing has ever been applied.
pub fn first() -> String {
    plan_of(&World::bare(THREE), "Plan for example.org, from three-hosts.yaml")
}

/// The file with this text added, at some time.
fn edited(world: &mut World, host: &str, path: &str, from: &str, to: &str) {
    let machine = world.machine(host);
    let text = machine.text(path).unwrap().replacen(from, to, 1);
    let node = machine.node(path);
    (node.kind, node.changed) = (Kind::File(text), LAST_NIGHT);
}

/// A deployment changes, and somebody has been at work on a host.
pub fn plan() -> String {
    let mut world = World::model(THREE);
    let text = THREE
        .replace("sync: {hosts: {hs2: 2, hs3: 2}", "sync: {hosts: {hs2: 2, hs3: 3}")
        .replace("event_cache_size: 20K", "event_cache_size: 40K")
        .replace("max_upload_size: 100M", "max_upload_size: 200M")
        .replace("  appservice: {host: hs1, runs: [appservices]}\n", "");
    world.becomes(&text);
    edited(&mut world, "hs1", "/opt/matrix/conf/log/main.yaml", "INFO", "DEBUG");
    world.machine("hs2").node("/opt/matrix/conf/workers").mode = "0777".to_owned();
    plan_of(&world, "Plan for example.org, from three-hosts.yaml")
}

/// What somebody did to two hosts; the third could not be asked.
pub fn drift() -> String {
    let mut world = World::model(THREE);
    world.becomes(&THREE.replace("max_upload_size: 100M", "max_upload_size: 200M"));
    world.excluded.push("hs3".to_owned());
    edited(&mut world, "hs2", SYNC, "event_cache_size: 20K", "event_cache_size: 500K");
    edited(&mut world, "hs1", "/opt/matrix/conf/log/main.yaml", "INFO", "DEBUG");
    world.machine("hs2").node("/opt/matrix/conf/workers").mode = "0777".to_owned();
    world.machine("hs1").remove("/opt/matrix/conf/workers/pusher.yaml");
    world.machine("hs1").node("/opt/matrix/conf/workers").changed = LAST_NIGHT;
    let mut facts = world.facts();
    by_hand(&mut facts);
    drift_of(&world, &facts)
}

/// What only facts show.
fn by_hand(facts: &mut IndexMap<String, HostFacts>) {
    let hs1 = &mut facts["hs1"];
    let unit = "matrix_generic_worker@persister.service";
    let path = format!("/etc/systemd/system/{unit}.d/tuning.conf");
    hs1.units.get_mut(unit).unwrap().drop_ins.push(path.clone());
    hs1.watched
        .drop_ins
        .insert(path, DropIn { changed: LAST_NIGHT, keys: vec!["Nice".into(), "CPUQuota".into()] });
    hs1.watched.redis.push(("appendonly".into(), "no".into(), "yes".into()));
    hs1.watched.applied = Some(BOOT);
    hs1.watched.packages.insert("nginx".into(), Package { installed: LAST_NIGHT, held: false });
    let hs2 = &mut facts["hs2"];
    hs2.units.get_mut("matrix_generic_worker@typing.service").unwrap().active = "failed".into();
    let ghost = "matrix_generic_worker@ghost.service";
    hs2.watched.processes.push(Process {
        pid: 77,
        unit: ghost.to_owned(),
        ticks: ticks(BOOT + 5_000_000),
        what: "synapse.app.generic_worker --config-path=/opt/matrix/conf/workers/ghost.yaml".to_owned(),
    });
    hs2.watched.units.insert(ghost.to_owned(), "active".to_owned());
}

fn drift_of(world: &World, facts: &IndexMap<String, HostFacts>) -> String {
    let drift = world.drift_over(facts);
    let lost = HostError {
        summary: "no answer from 192.0.2.12:22 within 10 s".to_owned(),
        help: Some("is the address right, and does `ssh deploy@192.0.2.12` work?".to_owned()),
        kind: HostErrorKind::Unreachable,
    };
    report(world, "Drift of example.org", &drift, &[("hs3".to_owned(), lost)])
}

fn report(world: &World, title: &str, drift: &Drift, errors: &[(String, HostError)]) -> String {
    let name = &world.topology.server_name;
    let report = Report { server_name: name, drift, errors, began: LAST_NIGHT, seconds: 1.0, exit: 2 };
    html::drift(&report, &around(title, &picture(world)))
}

/// Words that would like to be more than words: each sets the title of the page if it is.
pub const HOSTILE: &str = "</code></pre></span></style></title><script>document.title='PWNED'</script>\
    <img src=x onerror=\"document.title='PWNED'\"><svg onload=document.title='PWNED'>\" onload=\"document.title='PWNED'\" x=\"\n\
    '><a href=javascript:document.title='PWNED'>click</a><iframe src=https://example.com/></iframe>\n\
    <style>*{display:none}</style><link rel=stylesheet href=//example.com/x.css><meta http-equiv=refresh content=0;url=//example.com>\n\
    --><!--<base href=//example.com/>\u{202e}\u{2066}\u{200b}\u{1b}[2J\0\r&lt;script&gt;\n";

/// Both pages, of hosts that say such things wherever they can.
pub fn hostile() -> [String; 2] {
    let mut world = World::model(THREE);
    world.becomes(&THREE.replace("event_cache_size: 20K", "event_cache_size: 40K"));
    let long = format!("{HOSTILE}{}\n", "x".repeat(3000));
    world.machine("hs2").node(SYNC).kind = Kind::File(long.clone());
    world.machine("hs2").node("/opt/matrix/conf/log/sync.yaml").owner = HOSTILE.to_owned();
    world.machine("hs1").node("/opt/matrix/conf/log/main.yaml").kind = Kind::Link(HOSTILE.to_owned());
    let picture = picture(&world);
    let plan = html::plan(&world.plan(), &[], &around(HOSTILE, &picture));
    let mut facts = world.facts();
    let hs1 = &mut facts["hs1"];
    hs1.watched.redis.push((HOSTILE.into(), HOSTILE.into(), long.clone()));
    hs1.keys.insert(HOSTILE.to_owned(), vec![HOSTILE.to_owned()]);
    hs1.watched.processes.push(Process { pid: 1, unit: HOSTILE.into(), ticks: 1, what: HOSTILE.into() });
    let lost = HostError {
        summary: HOSTILE.to_owned(),
        help: Some(HOSTILE.to_owned()),
        kind: HostErrorKind::Unreachable,
    };
    let drift = world.drift_over(&facts);
    [plan, report(&world, HOSTILE, &drift, &[(HOSTILE.to_owned(), lost)])]
}
