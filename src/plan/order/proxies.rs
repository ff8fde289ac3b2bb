//! The proxies as they stand, and what they route around while processes restart.
//!
//! Never here: who restarts when (`roll.rs`).

use std::collections::BTreeSet;

use super::super::change::Cause;
use super::super::service::is_active;
use super::super::step::{Action, StagedFile, Startable};
use super::super::{Considered, Input};
use super::Builder;
use crate::facts::HostFacts;
use crate::modules::away::{around, upstreams};
use crate::resource::{Body, Content, FileSet, Stage};
use crate::secret::sha256_hex;
use crate::topology::Instance;

/// A file of a running proxy in which its upstreams stand.
pub(super) struct Routing {
    pub host: String,
    set: FileSet,
    file: StagedFile,
    service: Startable,
    /// As it stands, with every server in service.
    base: String,
    /// As it is from the last step on.
    now: String,
}

/// Why nothing can be routed around anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blind(pub String);

/// All running proxies of the deployment. `Err`: one of them routes, and cannot be told.
pub(super) fn routings(input: &Input<'_>, considered: &[Considered<'_>]) -> Result<Vec<Routing>, Blind> {
    let Some(proxy) = &input.topology.proxy else {
        return Err(Blind("the inventory has no proxy".to_owned()));
    };
    let mut routings = Vec::new();
    for host in &proxy.hosts {
        let Some(facts) = input.facts.get(host) else {
            return Err(Blind(format!("{host}, which has a proxy, takes no part")));
        };
        let here = || considered.iter().filter(|one| one.resource.address.host == *host);
        let service = here().find_map(|one| match &one.resource.body {
            Body::Service { unit, stage: Stage::Proxy, ready, .. } => {
                Some(Startable { unit: unit.clone(), ready: ready.clone() })
            }
            _ => None,
        });
        let Some(service) = service else { continue };
        if !facts.units.get(&service.unit).is_some_and(is_active) {
            // It routes nothing.
            continue;
        }
        let files = || {
            here().filter(|one| {
                matches!(&one.resource.body, Body::File { set: FileSet::Nginx | FileSet::Haproxy, .. })
            })
        };
        let edited =
            |one: &&Considered<'_>| one.change.as_ref().is_some_and(|change| change.cause != Cause::Intended);
        if let Some(one) = files().find(edited) {
            return Err(Blind(format!("{host}: {} is not as synprov left it", one.resource.address.name)));
        }
        for one in files() {
            let Body::File { path, owner, group, mode, set, content, .. } = &one.resource.body else {
                continue;
            };
            if !facts.paths.contains_key(path) || !content.secrets().is_empty() {
                // It does not stand there yet, or holds tokens and no upstreams.
                continue;
            }
            let Some(text) = standing(path, content, facts) else {
                return Err(Blind(format!("{host}: the content of {path} is not known here")));
            };
            if upstreams(*set, &text).is_empty() {
                continue;
            }
            let base = around(*set, &text, &BTreeSet::new());
            let file = StagedFile {
                path: path.clone(),
                owner: owner.clone(),
                group: group.clone(),
                mode: mode.clone(),
                digest: String::new(),
                content: Content::default(),
            };
            let service = service.clone();
            routings.push(Routing { host: host.clone(), set: *set, file, service, now: base.clone(), base });
        }
    }
    Ok(routings)
}

/// Text of a file that is on the host, byte for byte. Hosts send what differs from what is desired, and
/// values of secrets are masked in it.
fn standing(path: &str, content: &Content, facts: &HostFacts) -> Option<String> {
    let found = facts.paths.get(path)?;
    let digest = found.digest.as_ref()?;
    if *digest == content.digest() {
        return Some(content.redacted());
    }
    let text = String::from_utf8(found.content.clone()?).ok()?;
    (sha256_hex(text.as_bytes()) == *digest).then_some(text)
}

impl Routing {
    /// Upstreams with the addresses that they route to.
    pub fn upstreams(&self) -> Vec<Vec<String>> {
        upstreams(self.set, &self.base)
    }

    /// Whether it can route around this address: somebody else is there to be asked.
    pub fn can_spare(&self, address: &str) -> bool {
        around(self.set, &self.base, &BTreeSet::from([address.to_owned()])) != self.base
    }
}

impl Builder<'_, '_> {
    /// Has every proxy route around these and no others.
    pub(super) fn route_around(&mut self, routings: &mut [Routing], away: &[&Instance], why: &str) {
        let addresses: BTreeSet<String> = away.iter().filter_map(|one| one.client.clone()).collect();
        let topology = self.input.topology;
        for routing in routings {
            let text = around(routing.set, &routing.base, &addresses);
            if text == routing.now {
                continue;
            }
            let content = Content::text(&text);
            let file = StagedFile { digest: content.digest(), content, ..routing.file.clone() };
            let over = file.path.rsplit_once('/').map_or("/", |(directory, _)| directory).to_owned();
            let links = match (routing.set, &topology.proxy) {
                (FileSet::Haproxy, Some(proxy)) => proxy.links(&topology.prefix),
                _ => Vec::new(),
            };
            let spared = away
                .iter()
                .filter(|one| one.client.as_ref().is_some_and(|address| routing.can_spare(address)));
            let action = Action::Route {
                set: routing.set,
                file,
                over,
                links,
                service: routing.service.clone(),
                away: spared.map(|one| one.name.clone()).collect(),
            };
            routing.now = text;
            self.push(&routing.host, action, why, Vec::new());
        }
    }
}
