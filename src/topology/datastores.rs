//! PostgreSQL and Redis as seen from Synapse: addresses, binds, peers, sizes.

use super::placement::{LOOPBACK, Placement};
use super::ports;
use super::secrets;
use super::types::{DatabaseNode, Endpoint};
use crate::inventory::{Datastore, DbPool, Inventory};

/// `cp_min` and `cp_max` where nobody says otherwise (Synapse's own example).
pub const DEFAULT_POOL: DbPool = DbPool { min: 5, max: 10 };

/// Connections beyond Synapse's pools: superuser's reserve, backups, an admin's psql, overlap.
const HEADROOM: u32 = 50;

/// PostgreSQL's endpoint. `connections` is the sum of `cp_max` of all processes.
pub(super) fn postgresql(
    inventory: &Inventory,
    placement: &Placement,
    prefix: &str,
    connections: u32,
) -> Endpoint {
    let mut database = DatabaseNode {
        role: prefix.to_owned(),
        database: prefix.to_owned(),
        password: secrets::database_password(inventory),
        sslmode: None,
        max_connections: max_connections(connections),
    };
    if let Datastore::External(external) = &inventory.postgresql.value {
        database.role = external.user.clone().unwrap_or(database.role);
        database.database = external.database.clone().unwrap_or(database.database);
        database.sslmode = external.sslmode.clone();
    }
    let endpoint = endpoint(&inventory.postgresql.value, placement, ports::POSTGRESQL, ports::POSTGRESQL);
    Endpoint { database: Some(database), ..endpoint }
}

/// Redis' endpoint; `None` if the inventory has none.
pub(super) fn redis(inventory: &Inventory, placement: &Placement) -> Option<Endpoint> {
    let store = inventory.redis.as_ref()?;
    Some(endpoint(&store.value, placement, ports::REDIS, 6379))
}

fn endpoint(store: &Datastore, placement: &Placement, ours: u16, product: u16) -> Endpoint {
    match store {
        Datastore::External(external) => Endpoint {
            host: None,
            address: external.host.value.clone(),
            port: external.port.unwrap_or(product),
            binds: Vec::new(),
            peers: Vec::new(),
            database: None,
        },
        Datastore::Host(host) => {
            let address = placement.datastore(host);
            let mut binds = vec![LOOPBACK.to_owned()];
            let mut peers = Vec::new();
            if address != LOOPBACK {
                binds.push(address.clone());
                peers.extend(placement.synapse_hosts().iter().map(|host| placement.internal(host)));
            }
            Endpoint { host: Some(host.value.clone()), address, port: ours, binds, peers, database: None }
        }
    }
}

/// Multiples of 100 from 200 on, so that the usual added worker does not restart PostgreSQL.
fn max_connections(connections: u32) -> u32 {
    connections.saturating_add(HEADROOM).div_ceil(100).saturating_mul(100).max(200)
}

#[cfg(test)]
mod tests {
    use super::max_connections;

    #[test]
    fn connections_grow_in_coarse_steps() {
        assert_eq!([0, 150, 151, 250, 251].map(max_connections), [200, 200, 300, 300, 400]);
    }
}
