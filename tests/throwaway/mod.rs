//! Labs of tests: named after the test and this process, gone when the test ends.

use synprov::lab::{Distro, Flavour, HostSpec, Lab, LabSpec, Outward, Sudo};

/// Removes a lab when a test ends, however it ends.
pub struct Removed(pub String);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = Lab::remove(&self.0);
    }
}

/// A bare lab, to be changed by the test.
pub fn spec(test: &str, outward: Outward, hosts: Vec<HostSpec>) -> (LabSpec, Removed) {
    let name = format!("test-{test}-{}", std::process::id());
    (LabSpec { name: name.clone(), hosts, flavour: Flavour::Bare, outward }, Removed(name))
}

/// One host.
pub fn host(name: &str, index: u8, user: &str, sudo: Sudo, distro: Distro) -> HostSpec {
    HostSpec { name: name.into(), user: user.into(), sudo, distro, index, tls_names: Vec::new() }
}
