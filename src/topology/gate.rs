//! What the proxy lets in at all, by path and by the client's address.
//!
//! Synapse's reverse_proxy.md: expose `/_matrix` and `/_synapse/client`, not the admin API; and
//! workers.md: never replication. `/_synapse/mas` is for Matrix Authentication Service alone.
//! Never here: which process serves what is let in.

use std::net::IpAddr;

use serde::Serialize;

use super::network;
use super::types::{ProxyNode, Topology};

/// What the proxy does with a request before it is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// It goes where the routes say.
    Open,
    /// 404: `/_synapse/replication` is never open.
    Replication,
    /// 404: `/_synapse/admin` is closed, or closed to this address.
    Admin,
    /// 404: `/_synapse/mas` is closed, or closed to this address.
    Mas,
    /// The proxy answers itself: `.well-known`, ACME, an extra route, or 404 for what is not Matrix.
    Own,
}

/// Replication and the two APIs that are open to networks only, as prefixes of the decoded path.
pub const REPLICATION: &str = "/_synapse/replication";
/// The admin API.
pub const ADMIN: &str = "/_synapse/admin";
/// The API for Matrix Authentication Service.
pub const MAS: &str = "/_synapse/mas";
/// Prefixes that are open to everybody.
pub const PUBLIC: [&str; 2] = ["/_matrix/", "/_synapse/client/"];
/// Answered by main, unless the inventory says what stands there.
pub const WELL_KNOWN_CLIENT: &str = "/.well-known/matrix/client";
/// Where other servers shall go.
pub const WELL_KNOWN_SERVER: &str = "/.well-known/matrix/server";

/// What becomes of a decoded path from this address. Without a proxy of ours everything is open.
pub(super) fn of(topology: &Topology, path: &str, source: Option<IpAddr>) -> Gate {
    let Some(proxy) = &topology.proxy else { return Gate::Open };
    let from = |networks: &[String]| {
        source.is_some_and(|source| networks.iter().any(|network| network::contains(network, source)))
    };
    let closed = |open: bool, gate: Gate| if open { Gate::Open } else { gate };
    if path.starts_with(REPLICATION) {
        Gate::Replication
    } else if path.starts_with(ADMIN) {
        closed(from(&proxy.admin), Gate::Admin)
    } else if path.starts_with(MAS) {
        closed(from(topology.mas_networks()), Gate::Mas)
    } else if path == WELL_KNOWN_CLIENT {
        closed(proxy.well_known_client.is_none(), Gate::Own)
    } else if path == WELL_KNOWN_SERVER {
        closed(serves_well_known_server(topology, proxy), Gate::Own)
    } else {
        closed(PUBLIC.iter().any(|prefix| path.starts_with(prefix)), Gate::Own)
    }
}

/// Whether main answers [`WELL_KNOWN_SERVER`].
pub(crate) fn serves_well_known_server(topology: &Topology, proxy: &ProxyNode) -> bool {
    let key = topology.shared_config.get("serve_server_wellknown");
    proxy.well_known_server.is_none() && key == Some(&serde_json::Value::Bool(true))
}

impl Topology {
    /// Networks that may ask `/_synapse/mas`; none without Matrix Authentication Service.
    pub fn mas_networks(&self) -> &[String] {
        self.mas.as_ref().map_or(&[], |mas| &mas.networks)
    }
}
