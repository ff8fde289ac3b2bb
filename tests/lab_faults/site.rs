//! What the scenarios of this folder begin with.

use synprov::lab::Flavour;

use crate::deployment::{self, Beginning};

pub use crate::deployment::Site;

/// The inventory that all tests begin with.
pub const INVENTORY: &str = include_str!("../data/labs/two-hosts.yaml");
/// Its hosts, as they are written.
pub const WRITTEN: [(&str, &str); 2] = [
    ("hs1", "{address: 192.0.2.10, internal_address: 10.8.0.1, user: root"),
    ("hs2", "{address: 192.0.2.11, internal_address: 10.8.0.2, user: deploy, become: true"),
];

/// Hosts that run; nothing is applied yet.
pub fn up(test: &str, flavour: Flavour) -> Site {
    Site::up(test, flavour, Beginning { inventory: INVENTORY, hosts: &WRITTEN })
}

/// Like [`up`] on warm hosts, with the inventory applied.
pub fn provisioned(test: &str) -> Site {
    let site = up(test, Flavour::Warm);
    site.run(&["apply", "--yes", "--diff", "none"]).exits(0);
    site.is_settled();
    site
}

/// The first inventory with things replaced; each must be there.
#[track_caller]
pub fn replaced(replace: &[(&str, &str)]) -> String {
    deployment::replaced(INVENTORY, replace)
}
