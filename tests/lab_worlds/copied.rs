//! What people start from: one inventory with an old, a middle and a new Synapse; the classic one.

use crate::world::World;

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
