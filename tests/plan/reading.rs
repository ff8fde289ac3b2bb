//! Plans as people read them: whole texts, looked at.

use synprov::render::plan::{DiffStyle, Style, text};

use crate::causes::SMALL;
use crate::inventories::SHIPPED;
use crate::machine::Kind;
use crate::world::World;

fn shown(world: &World, diff: DiffStyle) -> String {
    let told = text(&world.plan(), Style { diff, color: false, verbose: false }, 0);
    // The digest in a venv's path is its requirements'; it is not what is shown here.
    told.replace(&world.topology.venv.path, "/opt/matrix/venvs/VERSION")
}

/// Thirty workers on two hosts, ten of them of another pool.
const MANY: &str = "  many: {hosts: {hs1: 8, hs2: 12}, handles: [sync], config: {event_cache_size: 10K}}
  other: {host: hs1, count: 10, handles: [encryption], config: {event_cache_size: 10K}}
";

#[test]
fn thirty_workers_that_change_the_same_line_are_one_entry() {
    let text = format!("{}{MANY}", crate::leaving::without("sync"));
    let mut world = World::model(&text);
    world.becomes(&text.replace("10K", "20K"));
    let told = shown(&world, DiffStyle::Full);
    insta::assert_snapshot!("thirty", told);
    // Nothing is left out where each is asked for.
    let each = synprov::render::plan::text(
        &world.plan(),
        Style { diff: DiffStyle::Full, color: false, verbose: true },
        0,
    );
    for name in ["many2", "many20", "other10"] {
        assert!(each.contains(&format!("/opt/matrix/conf/workers/{name}.yaml")), "{name}\n{each}");
    }
    assert!(!each.contains('×'));
}

/// A worker on each of forty hosts.
fn forty_hosts() -> String {
    let mut text = String::from("hosts:\n");
    let mut pool = Vec::new();
    for at in 1..=40 {
        text +=
            &format!("  hs{at:02}: {{address: 192.0.2.{at}, internal_address: 10.8.0.{at}, user: root}}\n");
        pool.push(format!("hs{at:02}: 1"));
    }
    let (_, rest) = SMALL.split_once("synapse:").unwrap();
    let (rest, _) = rest.split_once("workers:").unwrap();
    let rest = rest.replace("hs1", "hs01").replace("hs2", "hs02");
    format!(
        "{text}synapse:{rest}workers:\n  client: {{hosts: {{{}}}, handles: [client_reader]}}\n",
        pool.join(", ")
    )
}

#[test]
fn many_hosts_that_get_the_same_are_told_once() {
    let told = shown(&World::bare(&forty_hosts()), DiffStyle::None);
    assert!(told.contains("hs02–hs40: put secret signing_key in place, value from hs01 × 39"), "{told}");
    let longest = told.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest < 200 && told.lines().count() < 140, "{longest} {}\n{told}", told.lines().count());
}

#[test]
fn a_first_run_is_read_from_the_top() {
    insta::assert_snapshot!("first_run", shown(&World::bare(SHIPPED[1].1), DiffStyle::Summary));
}

#[test]
fn one_option_of_one_worker() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    insta::assert_snapshot!("one_option", shown(&world, DiffStyle::Full));
}

#[test]
fn what_somebody_did_and_what_leaves() {
    let mut world = World::model(SMALL);
    world.becomes(&crate::leaving::without("sync"));
    world.machine("hs1").node("/opt/matrix/conf/workers/client.yaml").kind = Kind::File("mine\n".to_owned());
    "inactive".clone_into(
        &mut world.machine("hs2").units.get_mut("matrix_generic_worker@sender.service").unwrap().active,
    );
    insta::assert_snapshot!("drift_and_leaving", shown(&world, DiffStyle::Full));
}

/// Control characters of a host's file never reach a terminal, folded or not.
#[test]
fn what_a_host_says_stays_data() {
    let mut world = World::model(SMALL);
    world.machine("hs1").node("/opt/matrix/conf/workers/client.yaml").kind =
        Kind::File("\u{1b}[2Jgone\n".to_owned());
    let told = shown(&world, DiffStyle::Full);
    assert!(told.contains("gone") && !told.contains('\u{1b}'), "{told}");
}

/// CVE-2023-5764, CVE-2024-11079: what stands on a host in the language of our templates stays what it is.
#[test]
fn what_a_host_says_is_never_evaluated() {
    let mut world = World::model(SMALL);
    let said =
        "a: {{ 7 * 191 }}\nb: {% for x in [1] %}1337{% endfor %}\nc: {{ secrets.turn }} ${HOME} $(id)\n";
    world.machine("hs1").node("/opt/matrix/conf/workers/client.yaml").kind = Kind::File(said.to_owned());
    let told = shown(&world, DiffStyle::Full);
    for line in said.lines() {
        assert!(told.contains(&format!("-{line}")), "{told}");
    }
}
