//! What hosts may reach outside the lab: one nftables table per lab, on the machine's own bridges.
//!
//! It sits before podman's rules, where a reject is final and an accept is not. It rejects rather
//! than drops, so that a rehearsal that tries the real world fails at once instead of hanging.
//! Inside the lab, and from this machine to its hosts, everything passes.

use std::time::Duration;

use super::LabError;
use super::indexes::Indexes;
use super::network::Networks;
use super::process::{output, run};

const SHORT: Duration = Duration::from_secs(30);

/// The lab's table. Lab names have no underscores, so two labs never share one.
fn table(lab: &str) -> String {
    format!("synprov_lab_{}", lab.replace('-', "_"))
}

/// Admits the indexes and nothing else.
pub(super) fn limit(lab: &str, networks: &Networks, indexes: &Indexes) -> Result<(), LabError> {
    let (public, internal) = (&networks.public_bridge, &networks.internal_bridge);
    let mut addresses: Vec<String> =
        indexes.names.iter().flat_map(|(_, list)| list).map(ToString::to_string).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports: Vec<String> = indexes.ports.iter().map(ToString::to_string).collect();
    let admitted = if addresses.is_empty() {
        String::new()
    } else {
        let (addresses, ports) = (addresses.join(", "), ports.join(", "));
        format!("iifname \"{public}\" ip daddr {{ {addresses} }} tcp dport {{ {ports} }} accept")
    };
    let rules = format!(
        r#"table inet {table} {{
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname != {{ "{public}", "{internal}" }} accept
    ct state established,related accept
    iifname "{public}" oifname "{public}" accept
    iifname "{internal}" oifname "{internal}" accept
    {admitted}
    reject with icmpx admin-prohibited
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname != {{ "{public}", "{internal}" }} accept
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    {admitted}
    reject with icmpx admin-prohibited
  }}
}}
"#,
        table = table(lab)
    );
    run(&format!("lab {lab:?}: limit what it reaches"), "nft", &["-f", "-"], rules.as_bytes(), SHORT)?;
    Ok(())
}

/// Removes the tables of labs that have no network any more: somebody else's bridges have their names now.
pub(super) fn tidy() -> Result<(), LabError> {
    let what = "remove packet filters of labs that are gone";
    let tables = run(what, "nft", &["list", "tables", "inet"], b"", SHORT)?;
    let networks = run(what, "podman", &["network", "ls", "--format", "{{.Name}}"], b"", SHORT)?;
    gone(&tables, &networks).iter().try_for_each(|lab| unlimit(lab))
}

/// Labs that have a table and no network.
fn gone(tables: &str, networks: &str) -> Vec<String> {
    let labs = tables.lines().filter_map(|line| line.trim().strip_prefix("table inet synprov_lab_"));
    let labs = labs.map(|lab| lab.replace('_', "-"));
    labs.filter(|lab| !networks.lines().any(|name| name == format!("synprov-lab-{lab}.public"))).collect()
}

/// Lets the lab's public network reach another lab's.
pub(super) fn admit(lab: &str, bridge: &str, other: &str) -> Result<(), LabError> {
    let what = format!("lab {lab:?}: let it reach another lab");
    let table = table(lab);
    let rule = ["insert", "rule", "inet", &table, "forward", "iifname", bridge, "oifname", other, "accept"];
    run(&what, "nft", &rule, b"", SHORT).map(drop)
}

/// Removes the table if it is there.
pub(super) fn unlimit(lab: &str) -> Result<(), LabError> {
    let what = format!("lab {lab:?}: remove its packet filter");
    let table = table(lab);
    if output(&what, "nft", &["list", "table", "inet", &table], b"", SHORT)?.status.success() {
        run(&what, "nft", &["delete", "table", "inet", &table], b"", SHORT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::gone;

    #[test]
    fn only_tables_of_labs_without_a_network_are_removed() {
        let tables = "table inet filter\ntable inet synprov_lab_a_b\ntable inet synprov_lab_a\n";
        let networks = "podman\nsynprov-lab-a-b.public\nsynprov-lab-a-b.internal\n";
        assert_eq!(gone(tables, networks), ["a"]);
        assert!(gone("table ip nat\n", "").is_empty());
    }
}
