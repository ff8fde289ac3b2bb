//! `synprov check --against-host`: the inventory held against what hosts really have. Changes nothing.
//!
//! One login and one exec a host. What is found is data ([`Found`]) for `check` to tell.

use serde_json::{Value, json};

use super::hosts::{excluded, exit_of, target, tell};
use super::load::Loaded;
use super::rehearse::host_arguments;
use super::{Exit, Output};
use crate::facts::loader::random_token;
use crate::facts::{Asked, HostFacts, gather};
use crate::topology::Topology;
use crate::transport;

/// What a look at one host brought.
pub struct Found {
    host: String,
    /// What is wrong, in sentences.
    wrong: Vec<String>,
}

/// Looks at these hosts, or at all that run Synapse if none is named.
pub fn look(loaded: &Loaded, hosts: &[String], output: &Output) -> (Vec<Found>, Exit) {
    let topology = &loaded.topology;
    let mut arguments = host_arguments();
    arguments.limit = hosts.to_vec();
    let left_out = match excluded(loaded, &arguments.limit, "--against-host", output) {
        Ok(left_out) => left_out,
        Err(exit) => return (Vec::new(), exit),
    };
    let wanted = topology.hosts.values().filter(|host| host.synapse && !left_out.contains(&host.name));
    let mut asked = Vec::new();
    for host in wanted {
        match target(loaded, &host.name, &arguments) {
            Ok(target) => asked.push((transport::choose(&target.address), target)),
            Err(exit) => return (Vec::new(), exit),
        }
    }
    let asked: Vec<Asked<'_>> = asked
        .iter()
        .map(|(transport, target)| Asked {
            target: target.clone(),
            become_root: loaded.inventory.hosts.get(&target.name).is_some_and(|host| host.r#become),
            transport: transport.as_ref(),
            resources: loaded
                .resources
                .iter()
                .filter(|one| one.address.host == target.name && one.address.kind == "venv")
                .collect(),
            routes: Some(topology.routes_check(&target.name)),
        })
        .collect();
    let answers = gather(&asked, &topology.server_name, &random_token(), usize::from(arguments.forks));
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (host, answer) in answers {
        match answer {
            Ok((_, facts)) => found.push(Found { host, wrong: wrong(topology, &facts) }),
            Err(error) => errors.push((host, error)),
        }
    }
    tell(&errors, output);
    let misfit = found.iter().any(|one| !one.wrong.is_empty());
    let exit = exit_of(&errors).worse(if misfit { Exit::Error } else { Exit::Done });
    (found, exit)
}

fn wrong(topology: &Topology, facts: &HostFacts) -> Vec<String> {
    if !facts.unserved.is_empty() {
        return vec![format!("Synapse could not be asked what it serves: {}", facts.unserved)];
    }
    let mut wrong = Vec::new();
    let installed = facts.venvs.get(&topology.venv.path).and_then(|venv| venv.synapse.as_deref());
    if let Some(installed) = installed.filter(|installed| *installed != topology.version.as_str()) {
        let (path, version) = (&topology.venv.path, &topology.version);
        wrong.push(format!("{path} has Synapse {installed}, the inventory says {version}"));
    }
    wrong.extend(topology.complaints(&facts.served));
    wrong
}

/// For people.
pub fn text(found: &[Found], topology: &Topology, output: &Output) {
    for Found { host, wrong } in found {
        if wrong.is_empty() {
            let version = &topology.version;
            output.result(&format!(
                "{host}: every route leads to a process of Synapse {version} that serves it\n"
            ));
        }
        for sentence in wrong {
            output.error(&format!("{host}: {sentence}"), None);
        }
    }
}

/// For machines.
pub fn json(found: &[Found]) -> Value {
    found.iter().map(|one| json!({"host": one.host, "wrong": one.wrong})).collect()
}
