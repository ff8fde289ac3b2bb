//! `synprov check --against-host`: the inventory held against what hosts really have. Changes nothing.
//!
//! One login and one exec a host. What is found is data ([`Found`]) for `check` to tell.

use serde_json::{Value, json};

use super::hosts::{excluded, exit_of, tell};
use super::load::Loaded;
use super::reach::{privilege, target};
use super::{Exit, Output, ReachArgs};
use crate::facts::host::Reached;
use crate::facts::loader::random_token;
use crate::facts::{Asked, HostFacts, Port, gather};
use crate::topology::{Reach, Source, Topology, reachability, socket};

/// What a look at one host brought.
pub struct Found {
    host: String,
    /// What is wrong, in sentences.
    wrong: Vec<String>,
    /// What may be as it should, in sentences: nothing listens before the first apply.
    notes: Vec<String>,
    /// Ports of other hosts that it reaches.
    reached: usize,
    /// Synapse runs here, so its routes were looked at.
    synapse: bool,
}

/// Looks at these hosts, or at all that run Synapse or reach out to others, if none is named.
pub fn look(loaded: &Loaded, hosts: &[String], output: &Output) -> (Vec<Found>, Exit) {
    let topology = &loaded.topology;
    let arguments = ReachArgs { limit: hosts.to_vec(), ..ReachArgs::default() };
    let left_out = match excluded(loaded, &arguments.limit, "--against-host", output) {
        Ok(left_out) => left_out,
        Err(exit) => return (Vec::new(), exit),
    };
    let reaches = reachability(topology);
    let of = |host: &str| -> Vec<&Reach> {
        reaches.iter().filter(|one| matches!(&one.from, Source::Host(from) if from == host)).collect()
    };
    let wanted = topology
        .hosts
        .values()
        .filter(|host| (host.synapse || !of(&host.name).is_empty()) && !left_out.contains(&host.name));
    let mut asked = Vec::new();
    for host in wanted {
        match target(loaded, &host.name, &arguments) {
            Ok(target) => match privilege(loaded, &host.name, &arguments, output) {
                Ok(privilege) => asked.push((super::reach::transport(&target), target, privilege)),
                Err(exit) => return (Vec::new(), exit),
            },
            Err(exit) => return (Vec::new(), exit),
        }
    }
    let asked: Vec<Asked<'_>> = asked
        .iter()
        .map(|(transport, target, privilege)| Asked {
            target: target.clone(),
            privilege: privilege.clone(),
            transport: transport.as_ref(),
            resources: loaded
                .resources
                .iter()
                .filter(|one| one.address.host == target.name && one.address.kind == "venv")
                .collect(),
            routes: runs_synapse(topology, &target.name).then(|| topology.routes_check(&target.name)),
            reaches: of(&target.name).into_iter().map(port).collect(),
            states: false,
            watch: String::new(),
            generations: None,
        })
        .collect();
    let answers = gather(&asked, &topology.server_name, &random_token(), usize::from(arguments.forks));
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (host, answer) in answers {
        match answer {
            Ok((_, facts)) => {
                let synapse = runs_synapse(topology, &host);
                let wrong = if synapse { misfits(topology, &facts) } else { Vec::new() };
                let mut one = Found { host, wrong, notes: Vec::new(), reached: 0, synapse };
                of(&one.host.clone()).into_iter().for_each(|reach| one.judge(reach, &facts));
                found.push(one);
            }
            Err(error) => errors.push((host, error)),
        }
    }
    tell(&errors, output);
    let misfit = found.iter().any(|one| !one.wrong.is_empty());
    let exit = exit_of(&errors).worse(if misfit { Exit::Error } else { Exit::Done });
    (found, exit)
}

fn runs_synapse(topology: &Topology, host: &str) -> bool {
    topology.hosts.get(host).is_some_and(|host| host.synapse)
}

fn port(reach: &Reach) -> Port {
    Port { address: reach.address.clone(), port: reach.port }
}

impl Found {
    /// Says what became of one port that must be reachable from this host.
    fn judge(&mut self, reach: &Reach, facts: &HostFacts) {
        let to = socket(&reach.address, reach.port);
        let whose = reach.to.as_ref().map_or_else(String::new, |host| format!(" on {host}"));
        let what = format!("{to}{whose} ({})", reach.why);
        match facts.reached.get(&port(reach)) {
            Some(Reached::Open) => self.reached += 1,
            Some(Reached::Refused) => self.notes.push(format!(
                "{what} refuses connections: nothing listens there yet, or a firewall rejects them"
            )),
            Some(Reached::Silent) => self.wrong.push(format!(
                "{what} does not answer: a firewall on the way drops it, or the host is off; `synprov firewall` prints what must be let through"
            )),
            Some(Reached::Failed(why)) => self.wrong.push(format!("{what} cannot be reached: {why}")),
            None => self.wrong.push(format!("{what} was not tried")),
        }
    }
}

fn misfits(topology: &Topology, facts: &HostFacts) -> Vec<String> {
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
    for Found { host, wrong, notes, reached, synapse } in found {
        if *synapse && wrong.is_empty() {
            let version = &topology.version;
            output.result(&format!(
                "{host}: every route leads to a process of Synapse {version} that serves it\n"
            ));
        }
        if *reached > 0 {
            let ports = if *reached == 1 { "port" } else { "ports" };
            output.result(&format!("{host}: reaches {reached} {ports} of other hosts\n"));
        }
        for sentence in notes {
            output.talk(&format!("{host}: {sentence}\n"));
        }
        for sentence in wrong {
            output.error(&format!("{host}: {sentence}"), None);
        }
    }
}

/// For machines.
pub fn json(found: &[Found]) -> Value {
    let one = |one: &Found| json!({"host": one.host, "wrong": one.wrong, "notes": one.notes, "reached": one.reached});
    found.iter().map(one).collect()
}
