//! How the hosts of a run are reached.

use std::sync::Arc;

use super::load::Loaded;
use super::reach::{privilege, target, transport};
use super::{Exit, Output, ReachArgs};
use crate::apply::Connect;
use crate::facts::{Connection, HostError, Privilege};
use crate::transport::{Target, Transport};

/// How one host is reached.
pub struct Way {
    /// By whom the bytes travel.
    pub transport: Box<dyn Transport>,
    /// Where to.
    pub target: Target,
    /// As whom, there.
    pub privilege: Privilege,
}

/// How the hosts of a run are reached, in inventory order.
pub struct Ways(Vec<Way>);

impl Ways {
    /// Of all hosts but those. May ask for passwords.
    pub fn of(
        loaded: &Loaded,
        excluded: &[String],
        arguments: &ReachArgs,
        output: &Output,
    ) -> Result<Self, Exit> {
        let mut ways = Vec::new();
        for host in loaded.topology.hosts.keys().filter(|host| !excluded.contains(host)) {
            let target = target(loaded, host, arguments)?;
            let privilege = privilege(loaded, host, arguments, output)?;
            ways.push(Way { transport: transport(&target), target, privilege });
        }
        Ok(Self(ways))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Way> {
        self.0.iter()
    }

    /// Logs in to a host of this run.
    ///
    /// Errors: it can not be reached, or is none of them.
    pub fn connect(&self, host: &str) -> Result<Connection, HostError> {
        let Some(way) = self.0.iter().find(|way| way.target.name == host) else {
            return Err(HostError::unfit(format!("{host} takes no part in this run"), "see `--limit`"));
        };
        let session = way.transport.connect(&way.target)?;
        Ok(Connection { name: host.to_owned(), session, privilege: way.privilege.clone() })
    }

    /// The same, for whoever logs in later.
    pub fn connecting(self: &Arc<Self>) -> Connect {
        let ways = Arc::clone(self);
        Arc::new(move |host| ways.connect(host))
    }
}
