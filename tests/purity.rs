//! The core touches no file, network, clock, environment or process: its sources do not even name them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

/// Rooms that only compute.
const PURE: [&str; 6] = ["import", "inventory", "topology", "resource", "modules", "plan"];

/// What reaches outside. `std::net` is listed by its sockets: its addresses are plain values.
const OUTSIDE: [&str; 22] = [
    "std::fs",
    "std::io",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "SystemTime",
    "Instant",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "ToSocketAddrs",
    "getrandom",
    "RandomState",
    "rustix",
    "tempfile",
    "println!",
    "eprintln!",
    "crate::transport",
    "crate::apply",
    "crate::cli",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The source without its tests and comments.
fn code(text: &str) -> String {
    let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

fn offences(name: &str, text: &str) -> Vec<String> {
    let code = code(text);
    OUTSIDE.iter().filter(|word| code.contains(**word)).map(|word| format!("{name}: {word}")).collect()
}

#[test]
fn the_core_reaches_nothing_outside_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for room in PURE {
        sources(&root.join(room), &mut found);
    }
    for file in ["yaml.rs", "diagnostic.rs", "secret.rs", "version.rs", "facts/host.rs", "facts/record.rs"] {
        found.push(root.join(file));
    }
    assert!(found.len() > 60, "{} sources", found.len());
    let offences: Vec<String> = found
        .iter()
        .flat_map(|path| offences(&path.display().to_string(), &std::fs::read_to_string(path).unwrap()))
        .collect();
    assert_eq!(offences, [] as [&str; 0]);
}

#[test]
fn what_reaches_outside_is_noticed() {
    for guilty in [
        "use std::fs;",
        "let now = std::time::Instant::now();",
        "use std::{\n    fs,\n};\nstd::env::var(\"X\")",
    ] {
        assert!(!offences("x", guilty).is_empty(), "{guilty}");
    }
    for innocent in ["// std::fs", "use std::net::IpAddr;", "a();\n#[cfg(test)]\nmod tests { use std::fs; }"]
    {
        assert_eq!(offences("x", innocent), [] as [&str; 0], "{innocent}");
    }
}
