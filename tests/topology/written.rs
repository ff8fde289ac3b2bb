//! Inventories as people write them: from the YAML text to the topology.

use std::path::Path;

use proptest::prelude::*;
use synprov::diagnostic::Severity;
use synprov::inventory::words::{HANDLES, RUNS, WRITES};
use synprov::inventory::{Inventory, Lock, lock, parse};
use synprov::topology::catalogue::Catalogue;
use synprov::topology::{Topology, resolve};

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// An inventory that ships with synprov.
pub fn shipped(name: &str) -> Inventory {
    let (inventory, found) = parse(&text(name));
    assert!(found.is_empty(), "{name}: {found:#?}");
    inventory.unwrap()
}

/// What it means; without a word of complaint.
fn meaning(name: &str) -> (Topology, Lock) {
    let resolved = resolve(&shipped(name), &Lock::default());
    assert!(resolved.diagnostics.is_empty(), "{name}: {:#?}", resolved.diagnostics);
    (resolved.topology.unwrap(), resolved.lock)
}

#[test]
fn the_shipped_inventories_resolve_and_their_locks_survive_the_file() {
    for (name, most, least) in
        [("single-host.yaml", 30, 11), ("three-hosts.yaml", 40, 11), ("classic.yaml", 12, 12)]
    {
        let (topology, made) = meaning(name);
        assert!((least..=most).contains(&topology.instances.len()), "{name}: {}", topology.instances.len());
        assert_eq!(lock::parse(&lock::emit(&made)).unwrap(), made, "{name}");
    }
}

/// The classic set-up's units, one by one.
#[test]
fn the_classic_inventory_has_the_classic_units() {
    let units: Vec<String> =
        meaning("classic.yaml").0.instances.iter().map(|instance| instance.unit.clone()).collect();
    for unit in [
        "matrix_main.service",
        "matrix_media.service",
        "matrix_generic_worker@client.service",
        "matrix_generic_worker@federation_reader.service",
        "matrix_generic_worker@synchrotron.service",
        "matrix_generic_worker@events.service",
        "matrix_generic_worker@user_dir.service",
        "matrix_generic_worker@appservice.service",
        "matrix_generic_worker@background.service",
        "matrix_generic_worker@frontend_proxy.service",
        "matrix_generic_worker@pusher.service",
        "matrix_generic_worker@federation_sender.service",
    ] {
        assert!(units.iter().any(|known| known == unit), "no {unit} in {units:?}");
    }
}

/// The parser's closed lists and the catalogue say the same words.
#[test]
fn words_are_the_catalogues() {
    let catalogue = Catalogue::builtin().unwrap();
    let sorted = |words: Vec<&str>| {
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(sorted(HANDLES.to_vec()), sorted(catalogue.words()));
    assert_eq!(
        sorted(WRITES.to_vec()),
        sorted(catalogue.streams.iter().map(|one| one.name.as_str()).collect())
    );
    assert_eq!(sorted(RUNS.to_vec()), sorted(catalogue.jobs.iter().map(|one| one.name.as_str()).collect()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Lines lost, doubled and moved, and a lock of another time: findings perhaps, never a panic,
    /// and no topology beside an error.
    #[test]
    fn damaged_inventories_are_refused_or_understood(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3), 1..5),
        name in prop::sample::select(vec!["single-host.yaml", "three-hosts.yaml", "classic.yaml"]),
        other in prop::sample::select(vec!["single-host.yaml", "three-hosts.yaml", "classic.yaml"]),
    ) {
        let mut lines: Vec<String> = text(name).lines().map(str::to_owned).collect();
        for (from, to, how) in changes {
            let line = lines[from.index(lines.len())].clone();
            match how {
                0 => drop(lines.remove(from.index(lines.len()))),
                1 => lines.insert(to.index(lines.len()), line),
                _ => {
                    let at = to.index(lines.len());
                    lines[at] = line;
                }
            }
        }
        let lock = resolve(&shipped(other), &Lock::default()).lock;
        if let (Some(inventory), _) = parse(&lines.join("\n")) {
            let resolved = resolve(&inventory, &lock);
            let errors = resolved.diagnostics.iter().any(|found| found.severity == Severity::Error);
            prop_assert_eq!(resolved.topology.is_none(), errors);
        }
    }
}
