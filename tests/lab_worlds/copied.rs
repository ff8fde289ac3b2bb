//! What people start from: one inventory with an old, a middle and a new Synapse; the
//! classic one; one of each out of `synprov init`.

use crate::world::{World, program};

const ANY: &str = include_str!("../data/labs/any-version.yaml");

fn with(version: &str) {
    World::rehearse(&format!("v{}", version.replace('.', "-")), &ANY.replace("1.163.2", version));
}

pub fn synapse_1_90() {
    with("1.90.0");
}

pub fn synapse_1_120() {
    with("1.120.2");
}

pub fn synapse_1_163() {
    with("1.163.2");
}

pub fn classic() {
    World::rehearse("classic", include_str!("../../inventories/classic.yaml"));
}

/// What `synprov init` writes, as it is.
pub fn one_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let wish = ["--server-name", "worlds.example", "--host", "hs1=192.0.2.10", "--size", "one-of-each"];
    let written = program(directory.path(), &[&["init", "--print"], &wish[..]].concat()).exits(0);
    World::rehearse("each", &written.stdout);
}
