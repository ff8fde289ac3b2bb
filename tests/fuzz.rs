//! The fuzz targets over mutated seeds, a second each: so that they go on working, and the shallow findings
//! need no fuzzer. The same mutations in the same order every time; `SYNPROV_FUZZ_SECONDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Words that parsers stumble over.
const WORDS: &[&str] = &[
    "\n",
    "\t",
    "\r\n",
    "\0",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    ",",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "|",
    "null",
    "~",
    "yes",
    "-",
    "-1",
    "0",
    "65536",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999",
    ".inf",
    "\u{1b}[2J",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "{secret: x}",
    "{{ x }}",
    "\\u0000",
    "end\tfacts\n",
    "watched\t",
    "property\t",
    "1970-01-01",
];

/// Sebastiano Vigna's SplitMix64: the same numbers every time, and nothing to depend on.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (limit.max(1) as u64)).unwrap()
    }

    /// Changes something about `bytes`, or puts a piece of `other` into them.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len() - at, |n| n + 1);
        match self.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let line = bytes[at..end].to_vec();
                bytes.splice(at..at, line);
            }
            3 => bytes.truncate(at),
            4 => {
                let from = self.below(other.len());
                let piece = other[from..].iter().take(self.below(80)).copied();
                bytes.splice(at..at, piece);
            }
            // A number becomes another one: what is counted and computed with.
            5 => {
                let digits = |from: &[u8]| from.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let start = at + bytes[at..].iter().position(u8::is_ascii_digit).unwrap_or(0);
                let length = digits(&bytes[start..]);
                bytes.splice(start..start + length, WORDS[self.below(WORDS.len())].bytes());
            }
            _ => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].bytes())),
        }
    }
}

/// Files of these folders of the repository, of which there has to be one at least.
fn seeds(folders: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let mut files: Vec<PathBuf> =
        files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {folders:?}");
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn check(name: &str, target: fn(&[u8]), folders: &[&str]) {
    let seeds = seeds(folders);
    for (_, seed) in &seeds {
        target(seed);
    }
    let seconds = std::env::var("SYNPROV_FUZZ_SECONDS").map_or(1, |text| text.parse().unwrap());
    let (began, mut random) = (Instant::now(), Random(0));
    while began.elapsed() < Duration::from_secs(seconds) {
        let (path, seed) = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())].1;
        let mut bytes = seed.clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes, other);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            std::fs::write(&file, &bytes).unwrap();
            eprintln!("{name}: it panics over {}, made from {}", file.display(), path.display());
            resume_unwind(panic);
        }
    }
}

#[test]
fn inventories() {
    check("inventory", entry::inventory, &["inventories", "tests/data/bad", "tests/data/wrong"]);
}

#[test]
fn facts() {
    check("facts", entry::facts, &["fuzz/seeds/facts"]);
}

#[test]
fn plans() {
    check("plan", entry::plan, &["fuzz/seeds/plan"]);
}

#[test]
fn records() {
    check("record", entry::record, &["fuzz/seeds/record"]);
}

/// Every target is one that is built, and has seeds that its parser takes as they are: others would teach a fuzzer little.
#[test]
fn each_target_has_seeds_that_are_understood() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    for name in ["inventory", "facts", "plan", "record"] {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs")).exists());
    }
    for (path, seed) in seeds(&["fuzz/seeds/plan"]) {
        let read = synprov::plan::saved::Saved::parse(&String::from_utf8(seed).unwrap());
        assert!(
            read.is_ok(),
            "{}: {}; `cargo test --test plan -- --ignored seeds` writes it anew",
            path.display(),
            read.unwrap_err()
        );
    }
    for (path, seed) in seeds(&["fuzz/seeds/record"]) {
        let text = String::from_utf8(seed).unwrap();
        let record = synprov::facts::Record::fold(&text.lines().collect::<Vec<_>>());
        assert!(record.is_ok_and(|record| !record.entries.is_empty()), "{}", path.display());
    }
    for (path, seed) in seeds(&["fuzz/seeds/facts"]) {
        let mut reply = synprov::facts::reply::Reply::default();
        let text = String::from_utf8(seed).unwrap();
        let ended = text.lines().any(|line| reply.take(line).unwrap());
        assert!(ended && reply.finish().is_ok(), "{}", path.display());
    }
}
