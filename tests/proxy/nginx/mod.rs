//! What is nginx' own, with routes that follow from inventories.

mod agreement;
mod fallback;
mod order;
mod site;
mod who;
mod writer;

use synprov::inventory::{self, Lock};
use synprov::topology::{Topology, resolve};

/// The topology of an inventory on one host behind a trusted proxy on loopback; `proxy` adds to its
/// proxy's keys, `more` is the rest of the file.
fn topology(proxy: &str, more: &str) -> Topology {
    let text = format!(
        "hosts: {{hs1: {{address: 192.0.2.10}}}}\n\
         postgresql: {{host: hs1}}\nredis: {{host: hs1}}\nmain: {{host: hs1}}\n\
         proxy: {{host: hs1, tls: none, trusted_proxies: [127.0.0.0/8]{proxy}}}\n\
         synapse:\n  server_name: example.org\n  version: 1.163.2\n  secrets: {{mas: env:MAS}}\n  \
         appservices: {{telegram: {{file: telegram.yaml}}}}\n{more}"
    );
    let (inventory, found) = inventory::parse(&text);
    let inventory = inventory.unwrap_or_else(|| panic!("{found:#?}"));
    let resolved = resolve(&inventory, &Lock::default());
    resolved.topology.unwrap_or_else(|| panic!("{found:#?} {:#?}", resolved.diagnostics))
}
