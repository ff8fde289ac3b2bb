//! Plans in files: the same when read again, refused when damaged, stale when anything they stand on changed.

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use proptest::prelude::*;
use synprov::plan::Plan;
use synprov::plan::saved::{FORMAT, Made, Saved, SavedError, Source, check_value, stands};
use synprov::plan::stale;
use synprov::secret::{Secret, sha256_hex};

use crate::causes::SMALL;
use crate::inventories::written;
use crate::machine::Kind;
use crate::sampled;
use crate::world::World;

const CLIENT: &str = "/opt/matrix/conf/workers/client.yaml";

fn made(world: &World) -> Made {
    let source = || Source { path: "/nowhere/inventory.yaml".to_owned(), sha256: sha256_hex(b"") };
    let check = |(name, value): (&String, &String)| {
        (name.clone(), check_value("salt", name, &Secret::new(value.clone().into_bytes())))
    };
    Made {
        at: "2026-11-22 04:33:46 UTC".to_owned(),
        by: "admin@desk".to_owned(),
        synprov: env!("CARGO_PKG_VERSION").to_owned(),
        inventory: source(),
        lock: source(),
        modules_directory: None,
        modules: sha256_hex(format!("{} ", env!("CARGO_PKG_VERSION")).as_bytes()),
        lab: false,
        limit: Vec::new(),
        target: Vec::new(),
        rolling: world.rolling,
        backup: world.backup.clone(),
        allowed: Vec::new(),
        salt: "salt".to_owned(),
        secrets: world.values.iter().map(check).collect(),
        hosts: stands(&world.topology, &world.facts()),
    }
}

pub fn saved(world: &World) -> Saved {
    Saved { made: made(world), plan: world.plan() }
}

/// Everything that is said of a saved plan before it would be applied to these hosts.
fn differences(saved: &Saved, world: &World) -> Vec<String> {
    let mut lines = stale::hosts(&saved.made, &saved.plan, &stands(&world.topology, &world.facts()));
    lines.extend(stale::plans(&saved.plan, &world.plan()));
    lines
}

/// What of a plan a file keeps.
fn bytes(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

#[test]
fn any_plan_is_the_same_when_it_is_read_again() {
    sampled(8, written(), |written| {
        let world = World::bare(&written.text());
        let saved = saved(&world);
        let text = saved.text().unwrap();
        let read = Saved::parse(&text).unwrap();
        assert_eq!(read.made, saved.made);
        assert_eq!(bytes(&read.plan), bytes(&saved.plan));
        assert_eq!(differences(&read, &world), [] as [&str; 0]);
        for value in world.values.values() {
            assert!(!text.contains(value.as_str()), "a secret stands in the file");
        }
        // Done once, it is not done again.
        let mut world = world;
        let plan = world.plan();
        world.apply(&plan);
        assert!(!differences(&read, &world).is_empty());
    });
}

#[test]
fn a_file_that_is_cut_off_or_edited_anywhere_is_refused() {
    let text = saved(&World::bare(SMALL)).text().unwrap();
    sampled(
        300,
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
        |(at, cut, byte)| {
            assert!(Saved::parse(&text[..cut.index(text.len())]).is_err(), "cut off");
            let at = at.index(text.len());
            let mut bytes = text.clone().into_bytes();
            if byte.is_ascii() && bytes[at] != byte {
                bytes[at] = byte;
                let edited = String::from_utf8(bytes).unwrap();
                assert!(Saved::parse(&edited).is_err(), "byte {at} became {byte}");
            }
        },
    );
    assert!(matches!(Saved::parse(&text[..text.len() - 1]), Err(SavedError::Truncated { .. })));
    assert_eq!(Saved::parse(&text.replace("hs1", "hs9")), Err(SavedError::Edited));
    let newer = text.replace("{\"synprov_plan\":1,", "{\"synprov_plan\":2,\"what\":\"ever\",");
    assert_eq!(Saved::parse(&newer), Err(SavedError::Newer { found: FORMAT + 1 }));
}

/// An intended change is saved; what somebody does meanwhile is named, or the plan is still the same.
#[test]
fn whatever_changes_a_plan_is_named_and_nothing_else_refuses_it() {
    let mut model = World::model(SMALL);
    model.becomes(&SMALL.replace("10K", "20K"));
    let saved = saved(&model);
    let files: Vec<(String, String)> = model
        .machines
        .iter()
        .flat_map(|(host, machine)| machine.nodes.iter().map(move |(path, node)| (host, path, node)))
        .filter(|(_, _, node)| matches!(node.kind, Kind::File(_)))
        .map(|(host, path, _)| (host.clone(), path.clone()))
        .collect();
    for (host, path) in &files {
        for deed in 0..3 {
            let mut world = model.clone();
            match deed {
                0 => world.machine(host).node(path).kind = Kind::File("mine".to_owned()),
                1 => world.machine(host).remove(path),
                _ => "0606".clone_into(&mut world.machine(host).node(path).mode),
            }
            let found = differences(&saved, &world);
            let same = bytes(&world.plan()) == bytes(&saved.plan);
            assert_eq!(found.is_empty(), same, "{host} {path} {deed}: {found:#?}");
            if !same && !path.contains("/secrets/") {
                assert!(found.iter().any(|line| line.contains(path.as_str())), "{path}: {found:#?}");
            }
        }
    }
    let after = |act: &dyn Fn(&mut World)| {
        let mut world = model.clone();
        act(&mut world);
        differences(&saved, &world).join("\n")
    };
    let said = after(&|world| {
        world.machine("hs1").node(CLIENT).kind = Kind::File("mine".to_owned());
    });
    assert!(said.contains(&format!("hs1: file {CLIENT}: its content is")), "{said}");
    let said = after(&|world| {
        let unit = world.machine("hs2").units.get_mut("matrix_generic_worker@sync.service").unwrap();
        "inactive".clone_into(&mut unit.active);
    });
    assert_eq!(
        said,
        "hs2: service matrix_generic_worker@sync.service would change now: it should run and is stopped"
    );
    let said = after(&|world| {
        world.machine("hs1").venvs.values_mut().for_each(|venv| venv.synapse = Some("1.150.0".to_owned()));
    });
    assert_eq!(said, "Synapse on hs1 is 1.150.0 instead of 1.163.2");
    // Another apply of the same inventory, and then the host's former state from a backup of its files.
    let said = after(&|world| {
        let before = world.machine("hs1").clone();
        let plan = world.plan();
        world.apply(&plan);
        world.machine("hs1").nodes = before.nodes;
    });
    assert!(said.contains("hs1 was applied to since"), "{said}");
}

#[test]
fn a_check_value_tells_little_and_another_value_apart() {
    let value = |text: &str| check_value("salt", "smtp", &Secret::new(text.as_bytes().to_vec()));
    assert_eq!(value("a").len(), 4);
    assert_ne!(value("a"), value("b"));
    assert_ne!(value("a"), check_value("other", "smtp", &Secret::new(b"a".to_vec())));
    // It is so short that of many values a good part share it.
    let all: BTreeMap<String, u32> = (0..70_000).map(|n| (value(&n.to_string()), n)).collect();
    assert!(all.len() < 50_000, "{}", all.len());
}

fn synprov(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("synprov").unwrap();
    command.current_dir(directory).env_remove("SYNPROV_INVENTORY").env("HOME", directory);
    command.env("SMTP_PASSWORD", "smtp of the controller").env_remove("SSH_AUTH_SOCK");
    command
}

/// A directory with the small inventory, its lock, and a plan of it for bare hosts that are not to be had.
fn directory() -> (tempfile::TempDir, Saved) {
    let directory = tempfile::tempdir().unwrap();
    let text = SMALL.replace("address: 192.0.2.", "port: 1, address: 127.0.0.");
    let world = World::bare(&text);
    let mut saved = saved(&world);
    let lock = synprov::inventory::lock::emit(&world.lock);
    for (name, text, source) in [
        ("inventory.yaml", &text, &mut saved.made.inventory),
        ("inventory.lock", &lock, &mut saved.made.lock),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        *source = Source { path: path.display().to_string(), sha256: sha256_hex(text.as_bytes()) };
    }
    std::fs::write(directory.path().join("saved.plan"), saved.text().unwrap()).unwrap();
    (directory, saved)
}

#[test]
fn show_needs_no_host_and_no_inventory() {
    let (directory, saved) = directory();
    for name in ["inventory.yaml", "inventory.lock"] {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    let show = |words: &[&str]| {
        let output = synprov(directory.path()).args(["show", "saved.plan"]).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = show(&[]);
    for part in ["made 2026-11-22 04:33:46 UTC by admin@desk", "Plan: ", "+report_stats", "install packages"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!show(&["--diff", "none"]).contains("+report_stats"));
    let document: serde_json::Value = serde_json::from_str(&show(&["--json"])).unwrap();
    assert_eq!(document["changes"].as_array().unwrap().len(), saved.plan.changes.len());
    assert_eq!(document["made"]["by"], "admin@desk");
    synprov(directory.path())
        .args(["show", "nothing.plan"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("plan --out FILE"));
}

#[test]
fn apply_refuses_a_file_whose_sources_changed_before_it_asks_a_host() {
    let (directory, saved) = directory();
    let refused = |code: i32, words: &[&str]| {
        let output = synprov(directory.path()).args(["apply", "saved.plan"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word} is missing:\n{said}");
        }
    };
    // All is as it was: the hosts are asked, and are not to be had.
    refused(3, &["127.0.0.1:1", "Nothing was changed"]);
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let (inventory, lock, whole) = (read("inventory.yaml"), read("inventory.lock"), read("saved.plan"));
    write("inventory.yaml", &inventory.replace("10K", "11K"));
    write("inventory.lock", &format!("{lock}\n"));
    std::fs::create_dir_all(directory.path().join("modules/mine")).unwrap();
    write("modules/mine/module.yaml", "format: 1\nresources: []\n");
    refused(4, &["inventory.yaml was changed", "inventory.lock was changed", "the modules were changed"]);
    std::fs::remove_dir_all(directory.path().join("modules")).unwrap();
    write("inventory.lock", &lock);
    write("inventory.yaml", "nonsense: [");
    refused(4, &["inventory.yaml was changed"]);
    std::fs::remove_file(directory.path().join("inventory.yaml")).unwrap();
    refused(4, &["inventory.yaml cannot be read"]);
    write("inventory.yaml", &inventory);

    write("saved.plan", &whole[..whole.len() - 100]);
    refused(4, &["it is cut off", "Nothing was changed"]);
    write("saved.plan", &whole[..5]);
    refused(4, &["it is cut off"]);
    write("saved.plan", &whole.replace("report_stats: false", "report_stats: true"));
    refused(4, &["its digest is another"]);
    write("saved.plan", &whole.replace("{\"synprov_plan\":1,", "{\"synprov_plan\":2,"));
    refused(4, &["it has format 2", "use the synprov that made it"]);

    // Another synprov; a permission that the file cannot grant; a host that it does not speak of.
    let mut other = saved.clone();
    other.made.synprov = "9.9.9".to_owned();
    write("saved.plan", &other.text().unwrap());
    refused(4, &["the plan was made by 9.9.9"]);
    let mut other = saved;
    other.made.allowed = vec!["--adopt".to_owned()];
    write("saved.plan", &other.text().unwrap());
    refused(64, &["a file grants no permission", "synprov apply saved.plan --adopt"]);
    synprov(directory.path()).args(["apply", "saved.plan", "--adopt"]).assert().code(3);
    synprov(directory.path()).args(["apply", "saved.plan", "--adopt", "--limit", "hs1"]).assert().code(64);
}

#[test]
fn a_plan_that_cannot_be_applied_is_not_saved() {
    let (directory, _) = directory();
    synprov(directory.path())
        .args(["plan", "--out", "other.plan"])
        .assert()
        .code(3)
        .stderr(predicate::str::contains("other.plan was not written"));
    assert!(!directory.path().join("other.plan").exists());
}

/// Seeds for the fuzz targets (`tests/fuzz.rs`) whenever the layout of plans or records has changed.
#[test]
#[ignore = "writes into fuzz/seeds"]
fn seeds_of_the_fuzz_targets_are_written() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut world = World::bare(SMALL);
    std::fs::write(seeds.join("plan/bare"), saved(&world).text().unwrap()).unwrap();
    let plan = world.plan();
    world.apply(&plan);
    for (host, machine) in &world.machines {
        std::fs::write(seeds.join("record").join(host), &machine.record).unwrap();
    }
    world.becomes(&SMALL.replace("10K", "20K"));
    std::fs::write(seeds.join("plan/change"), saved(&world).text().unwrap()).unwrap();
}
