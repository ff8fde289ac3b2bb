//! Whole files and tables, to be read.

use std::fmt::Write as _;

use serde_json::to_string_pretty;
use synprov::inventory::Lock;
use synprov::topology::{Condition, Topology};

use crate::site::{Site, one_host, three_hosts};
use crate::{fresh, resolved};

fn check(name: &str, site: &Site) {
    let (topology, lock) = resolved(site, &Lock::default());
    insta::assert_snapshot!(format!("{name}_shared"), to_string_pretty(&topology.shared_config).unwrap());
    insta::assert_snapshot!(format!("{name}_workers"), workers(&topology));
    insta::assert_snapshot!(format!("{name}_routes"), routes(&topology));
    insta::assert_snapshot!(format!("{name}_rest"), rest(&topology, &lock));
}

#[test]
fn everything_on_one_host() {
    check("one_host", &one_host());
}

#[test]
fn three_hosts_with_internal_addresses() {
    check("three_hosts", &three_hosts());
}

#[test]
fn an_old_synapse_has_other_keys_and_paths() {
    let site = Site::new().version("1.90.0").pool("client on hs1 handles client sync");
    let topology = fresh(&site);
    let mut text = to_string_pretty(&topology.shared_config).unwrap();
    write!(text, "\n{}\n{:#?}", routes(&topology), topology.venv).unwrap();
    insta::assert_snapshot!("old", text);
}

fn workers(topology: &Topology) -> String {
    let mut text = String::new();
    for instance in &topology.instances {
        let config =
            instance.config.as_ref().map_or("null".to_owned(), |config| to_string_pretty(config).unwrap());
        writeln!(
            text,
            "{} on {} ({}, {:?}) {:?}\n  writes {:?} runs {:?} env {:?}\n  ready {:?}\n  reads {:?}\n  secrets {:?}\n{config}\n",
            instance.name,
            instance.host,
            instance.unit,
            instance.stage,
            (instance.client_port, instance.replication_port, &instance.address),
            instance.writes,
            instance.runs,
            instance.environment,
            instance.ready,
            instance.shared_inputs.keys().collect::<Vec<_>>(),
            instance.secrets,
        )
        .unwrap();
    }
    text
}

fn routes(topology: &Topology) -> String {
    let mut text = String::new();
    for route in &topology.routes {
        let conditions = route.conditions.iter().map(|condition| match condition {
            Condition::WithoutQuery(name) => format!(" without {name}"),
            Condition::Query { name, value } => format!(" with {name}={value}"),
            Condition::Selected(pool) => format!(" selected by {pool}"),
        });
        let condition: String = conditions.collect();
        let main = if route.fallback { " or main" } else { "" };
        writeln!(
            text,
            "{:28} {}{condition} {:?} -> {}{main} ({})",
            route.class, route.regex, route.methods, route.upstream, route.pool
        )
        .unwrap();
    }
    for (key, upstream) in &topology.upstreams {
        writeln!(text, "{key}: {upstream:?}").unwrap();
    }
    text
}

fn rest(topology: &Topology, lock: &Lock) -> String {
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{lock:#?}",
        topology.hosts, topology.postgresql, topology.redis, topology.proxy, topology.venv, topology.secrets
    )
}
