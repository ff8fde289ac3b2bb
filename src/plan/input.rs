//! Everything a plan is a function of. Same input, same bytes.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::backup::Destination;
use super::rolling::Rolling;
use super::values::{Origin, UNKNOWN, origins};
use crate::facts::HostFacts;
use crate::facts::record::Entry;
use crate::resource::{Address, Resource};
use crate::topology::Topology;

/// What the operator allowed beyond the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allow {
    /// `--adopt`: overwrite things synprov has no record of.
    pub adopt: bool,
    /// `--keep-running`: what runs unrecorded goes on as it is.
    pub keep_running: bool,
    /// `--allow-datastore-restart`: PostgreSQL or Redis of a running deployment.
    pub datastore_restart: bool,
    /// `--allow-deletes`: many processes leave at once.
    pub deletes: bool,
}

/// The input of [`super::plan`].
pub struct Input<'a> {
    /// What the inventory means.
    pub topology: &'a Topology,
    /// Desired state of all hosts, in module order.
    pub resources: &'a [Resource],
    /// Facts of the hosts that take part, in inventory order, whatever the order of the answers.
    pub facts: IndexMap<String, &'a HostFacts>,
    /// Secrets whose value is on the controller: name to hash with the nonce of this run.
    pub controller_secrets: &'a BTreeMap<String, String>,
    /// Hosts that were left out on purpose (`--limit`).
    pub excluded: &'a [String],
    /// Permissions.
    pub allow: Allow,
    /// How pools of several processes restart; [`Rolling::default`] unless it is set.
    pub rolling: Rolling,
    /// `--backup`: where to; `None` unless it is set.
    pub backup: Option<Destination>,
    origins: BTreeMap<String, Option<Origin>>,
    revisions: BTreeMap<(String, String), String>,
}

impl<'a> Input<'a> {
    /// Brings the parts together and finds out where each secret is.
    pub fn new(
        topology: &'a Topology,
        resources: &'a [Resource],
        facts: &'a IndexMap<String, HostFacts>,
        controller_secrets: &'a BTreeMap<String, String>,
        excluded: &'a [String],
        allow: Allow,
    ) -> Self {
        let mut facts: IndexMap<String, &HostFacts> =
            facts.iter().map(|(host, facts)| (host.clone(), facts)).collect();
        facts.sort_by_cached_key(|host, _| topology.hosts.get_index_of(host));
        let mut input = Self {
            topology,
            resources,
            facts,
            controller_secrets,
            excluded,
            allow,
            rolling: Rolling::default(),
            backup: None,
            origins: BTreeMap::new(),
            revisions: BTreeMap::new(),
        };
        input.origins = origins(&input);
        input.revisions = input.known_revisions();
        input
    }

    /// Where the secret's value is, if anywhere yet.
    pub fn origin(&self, secret: &str) -> Option<&Origin> {
        self.origins.get(secret)?.as_ref()
    }

    /// The host's own hash of the secret's value as it will be after the apply, or
    /// [`unknown_revision`] if the apply changes it there.
    pub fn revision(&self, host: &str, secret: &str) -> String {
        let known = self.revisions.get(&(host.to_owned(), secret.to_owned()));
        known.cloned().unwrap_or_else(|| unknown_revision(secret))
    }

    /// The record's entry for a resource.
    pub fn entry(&self, address: &Address) -> Option<&Entry> {
        self.facts.get(&address.host)?.record.entries.get(&address.to_string())
    }

    /// The revision of a secret that the record of a host remembers.
    fn applied_revision(&self, host: &str, secret: &str) -> Option<&str> {
        let wanted = |resource: &&Resource| {
            resource.address.kind == "secret"
                && resource.address.name == secret
                && resource.address.host == host
        };
        let entry = self.entry(&self.resources.iter().find(wanted)?.address)?;
        entry.applied.as_ref()?.get("value")?.strip_prefix("revision ")
    }

    /// Whether the value at the origin is, as far as hosts can tell, the one that was last applied: a
    /// host with another one was then changed by somebody, and gets back what it had.
    fn as_applied(&self, secret: &str) -> bool {
        let Some(origin) = self.origin(secret) else { return false };
        self.facts.iter().all(|(host, facts)| {
            let (Some(applied), Some(fact)) =
                (self.applied_revision(host, secret), facts.secrets.get(secret))
            else {
                return true;
            };
            let untouched = fact.revision == applied;
            // What was applied here is still here; so what is at the origin tells whether that changed.
            if origin.host.as_deref() == Some(host) {
                untouched
            } else {
                !untouched || fact.nonced == origin.nonced
            }
        })
    }

    fn known_revisions(&self) -> BTreeMap<(String, String), String> {
        let mut revisions = BTreeMap::new();
        for (name, node) in &self.topology.secrets {
            if !self.as_applied(name) {
                continue;
            }
            for host in &node.hosts {
                if let Some(applied) = self.applied_revision(host, name) {
                    revisions.insert((host.clone(), name.clone()), applied.to_owned());
                }
            }
        }
        for (host, facts) in &self.facts {
            for (name, fact) in &facts.secrets {
                let current = self.origin(name).is_some_and(|origin| origin.nonced == fact.nonced);
                if current && !fact.revision.is_empty() {
                    revisions.insert((host.clone(), name.clone()), fact.revision.clone());
                }
            }
        }
        revisions
    }
}

/// Stands for a revision only the apply can tell; the executor replaces it by what the host answers.
pub fn unknown_revision(secret: &str) -> String {
    format!("{UNKNOWN}: {secret})")
}
