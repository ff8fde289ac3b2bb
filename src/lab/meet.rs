//! Two labs that reach each other, as two homeservers on the Internet do: names, ways, trust.
//!
//! Each learns the other's names and its CA; the packet filter lets its public network reach the
//! other's. Internal networks stay apart. Never in this file: what homeservers are told about it.

use std::time::Duration;

use super::error::LabError;
use super::process::{failure, run};
use super::{Lab, Outward, outward};

/// What every program on Debian trusts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const SHORT: Duration = Duration::from_secs(60);

/// Lets every host of `lab` reach `other`, whose first host answers to `names`, and trust its CA as any
/// other: Synapse fetches `.well-known` with the host's CAs even where federation has a list of its own.
/// One way; the other way is another call.
pub(super) fn introduce(lab: &Lab, other: &Lab, names: &[&str]) -> Result<(), LabError> {
    let (own, others) = (lab.state(), other.state());
    let Some(door) = others.hosts.first() else { return Ok(()) };
    if own.outward == Outward::Indexes {
        outward::admit(&own.name, &bridge(&own.public_network)?, &bridge(&others.public_network)?)?;
    }
    let authority =
        std::fs::read_to_string(&others.ca).map_err(LabError::io(format!("read {}", others.ca.display())))?;
    let line = format!("{} {}\n", door.address, names.join(" "));
    for host in &own.hosts {
        append(lab, &host.name, "/etc/hosts", &line)?;
        append(lab, &host.name, BUNDLE, &authority)?;
    }
    Ok(())
}

/// The machine's bridge of a podman network.
fn bridge(network: &str) -> Result<String, LabError> {
    let args = ["network", "inspect", "--format", "{{.NetworkInterface}}", network];
    let what = format!("look at network {network:?}");
    Ok(run(&what, "podman", &args, b"", SHORT)?.trim().to_owned())
}

fn append(lab: &Lab, host: &str, path: &str, text: &str) -> Result<(), LabError> {
    let script = format!("cat >> {path}");
    let output = lab.exec_with_input(host, &["sh", "-ec", &script], text.as_bytes())?;
    if output.status.success() {
        return Ok(());
    }
    Err(LabError::Command { what: format!("add to {path} on host {host:?}"), reason: failure(&output, 1) })
}
