//! The two networks of a lab: a public one with a way out, an internal one that stands in for a VPN.
//!
//! Podman serves no names on them: hosts have a hosts file, so that what they can resolve is what
//! the lab wrote. Never in this file: what hosts may reach (`outward`).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::LabError;
use super::process::{failure, output, run};
use super::state::LABEL;

const SHORT: Duration = Duration::from_secs(60);

/// A lab's networks.
pub(super) struct Networks {
    /// N of `10.89.N.0/24` (public) and `10.90.N.0/24` (internal).
    number: u8,
    /// Podman's name of the public network.
    pub(super) public: String,
    /// Podman's name of the internal network.
    pub(super) internal: String,
    /// The machine's bridge of the public network.
    pub(super) public_bridge: String,
    /// The machine's bridge of the internal network.
    pub(super) internal_bridge: String,
}

impl Networks {
    /// What `address` of a host points to.
    pub(super) fn public_address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 89, self.number, 10 + index)
    }

    /// What `internal_address` of a host points to.
    pub(super) fn internal_address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 90, self.number, 10 + index)
    }
}

/// Creates both on the first pair of subnets that nobody on this machine uses.
pub(super) fn create(lab: &str) -> Result<Networks, LabError> {
    // Labs that start at the same time begin to look at different places.
    let first = lab.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 200;
    let mut reason = String::new();
    for number in (0..200).map(|step| 20 + (first + step) % 200) {
        match create_pair(lab, number)? {
            Ok(networks) => return Ok(networks),
            Err(taken) => reason = taken,
        }
    }
    Err(LabError::Command { what: format!("lab {lab:?}: find a free network"), reason })
}

/// `Ok(Err(reason))`: one of the two subnets is taken; nothing is left of the other.
fn create_pair(lab: &str, number: u8) -> Result<Result<Networks, String>, LabError> {
    let (public, internal) = (format!("synprov-lab-{lab}.public"), format!("synprov-lab-{lab}.internal"));
    let subnets = [format!("10.89.{number}.0/24"), format!("10.90.{number}.0/24")];
    let label = format!("{LABEL}={lab}");
    for subnet in &subnets {
        if let Some(route) = route_over(subnet)? {
            return Ok(Err(format!("{subnet} is taken by the route {route:?}")));
        }
    }
    let what = format!("lab {lab:?}: create its networks");
    let common = ["network", "create", "--disable-dns", "--label", &label, "--subnet"];
    let args = [&common[..], &[&subnets[0], &public]].concat();
    let created = output(&what, "podman", &args, b"", SHORT)?;
    if !created.status.success() {
        return Ok(Err(failure(&created, 1)));
    }
    let args = [&common[..], &[&subnets[1], "--internal", &internal]].concat();
    let created = output(&what, "podman", &args, b"", SHORT)?;
    if !created.status.success() {
        run(&what, "podman", &["network", "rm", &public], b"", SHORT)?;
        return Ok(Err(failure(&created, 1)));
    }
    let bridge = |name: &str| {
        let args = ["network", "inspect", "--format", "{{.NetworkInterface}}", name];
        run(&what, "podman", &args, b"", SHORT).map(|text| text.trim().to_owned())
    };
    let (public_bridge, internal_bridge) = (bridge(&public)?, bridge(&internal)?);
    Ok(Ok(Networks { number, public, internal, public_bridge, internal_bridge }))
}

/// A route of this machine, other than a default one, that overlaps `subnet` (a VPN's, say).
fn route_over(subnet: &str) -> Result<Option<String>, LabError> {
    for selector in ["match", "root"] {
        let args = ["-4", "route", "show", selector, subnet];
        let routes = run("read the routes of this machine", "ip", &args, b"", SHORT)?;
        if let Some(route) = routes.lines().find(|line| !line.starts_with("default")) {
            return Ok(Some(route.trim().to_owned()));
        }
    }
    Ok(None)
}
