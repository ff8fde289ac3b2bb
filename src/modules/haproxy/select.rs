//! Selectors of dedicated pools as named ACLs: one for each list that is not empty, all of which must hold.
//!
//! An application service's token is read by HAProxy from the secret's own file; it never stands in
//! the configuration. Never here: which routes ask for a selector.

use super::Section;
use crate::topology::{Selector, Topology, token_of};

/// The ACLs of all selectors. Errors: an application service whose token is no secret of the topology.
pub(super) fn acls(frontend: &mut Section, topology: &Topology) -> Result<(), String> {
    for (pool, selector) in &topology.selectors {
        frontend.comment(&format!("Requests that pool {pool} takes."));
        let name = |list: &str| format!("select.{pool}.{list}");
        for service in &selector.appservices {
            let secret = topology.secrets.get(&token_of(service));
            let file = &secret.ok_or_else(|| format!("the token of {service:?} is no secret"))?.path;
            frontend.line(&["acl", &name("appservice"), "var(txn.token)", "-m", "str", "-f", file]);
        }
        for agent in &selector.user_agents {
            frontend.line(&["acl", &name("user_agent"), "req.fhdr(user-agent)", "-m", "reg", "--", agent]);
        }
        for network in &selector.sources {
            frontend.line(&["acl", &name("source"), "src", "-m", "ip", "--", network]);
        }
        if let Some(rooms) = selector.room_pattern() {
            frontend.line(&["acl", &name("room"), "var(txn.path)", "-m", "reg", "--", &rooms]);
        }
        if let (Some(tokens), Some(ids)) = (selector.token_pattern(), selector.user_id_pattern()) {
            let name = name("user");
            frontend.line(&["acl", &name, "var(txn.token)", "-m", "reg", "--", &tokens]);
            frontend.line(&["acl", &name, "url_param(user_id)", "-m", "reg", "--", &ids]);
        }
    }
    Ok(())
}

/// Names of the ACLs of one selector.
pub(super) fn names(pool: &str, selector: &Selector) -> Vec<String> {
    let lists = [
        ("appservice", selector.appservices.is_empty()),
        ("user_agent", selector.user_agents.is_empty()),
        ("source", selector.sources.is_empty()),
        ("room", selector.rooms.is_empty()),
        ("user", selector.users.is_empty()),
    ];
    let used = lists.into_iter().filter(|(_, empty)| !empty);
    used.map(|(list, _)| format!("select.{pool}.{list}")).collect()
}

/// Whether any selector looks at the access token.
pub(super) fn by_token(topology: &Topology) -> bool {
    topology.selectors.values().any(|one| !one.appservices.is_empty() || !one.users.is_empty())
}

/// Names of the secrets that HAProxy reads when it starts.
pub(in crate::modules) fn secrets(topology: &Topology) -> Vec<String> {
    let services = topology.selectors.values().flat_map(|selector| &selector.appservices);
    let mut names: Vec<String> = services.map(|service| token_of(service)).collect();
    names.sort();
    names.dedup();
    names
}
