//! The hosts of a run: what each is asked, and what a plan over them is.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::controller_secrets;
use super::load::Loaded;
use super::run::who;
use super::ways::{Way, Ways};
use super::{Exit, HostArgs, Output};
use crate::apply::{Calling, Reached, Sessions};
use crate::facts::generation::Wanted;
use crate::facts::loader::random_token;
use crate::facts::{Asked, HostError, HostErrorKind, HostFacts, gather, watched};
use crate::plan::backup::Destination;
use crate::plan::target::{NoTarget, Targeted, choose};
use crate::plan::{Allow, Input, Plan, Rolling, plan};
use crate::resource::Resource;
use crate::secret::{Secret, redact, sha256_hex};
use crate::topology::Topology;

/// Everything that was found out about the hosts of this run.
pub struct Surveyed {
    /// The hosts that answered.
    pub reached: Reached,
    /// Facts by host, in inventory order.
    pub facts: IndexMap<String, HostFacts>,
    /// Hosts that could not be had.
    pub errors: Vec<(String, HostError)>,
    /// Hosts that `--limit` left out.
    pub excluded: Vec<String>,
    /// Nonce of this run.
    pub nonce: String,
    /// Secrets of the controller.
    pub secrets: BTreeMap<String, Secret>,
    /// What the operator allowed.
    pub allow: Allow,
    /// How each host is reached.
    pub ways: Arc<Ways>,
    hashes: BTreeMap<String, String>,
    rolling: Rolling,
    backup: Option<Destination>,
    /// `--target`: what was chosen.
    pub targeted: Option<Targeted>,
}

impl Surveyed {
    /// From here on plans are about what these patterns name, and what that needs; none: about everything.
    pub fn aim(&mut self, loaded: &Loaded, patterns: &[String], output: &Output) -> Result<(), Exit> {
        if patterns.is_empty() {
            return Ok(());
        }
        match choose(&loaded.topology, &loaded.resources, &self.facts, patterns) {
            Ok(targeted) => {
                self.targeted = Some(targeted);
                Ok(())
            }
            Err(NoTarget::Unknown(pattern, known)) => {
                let help = format!("name a pool ({}), a process, a unit or a path", known.join(", "));
                output.error(&format!("--target names {pattern:?}, which nothing is called"), Some(&help));
                Err(Exit::Usage)
            }
            Err(NoTarget::NothingApplied) if !self.errors.is_empty() => {
                let help = "see why they did not; one of them may be the one that remembers";
                output.error("--target: no host that answered remembers an apply", Some(help));
                Err(self.exit())
            }
            Err(NoTarget::NothingApplied) => {
                let help = "apply once without `--target`, and let main's host take part";
                output.error(
                    "--target changes a part of what was applied, and no host remembers an apply",
                    Some(help),
                );
                Err(Exit::Error)
            }
        }
    }

    /// The plan over these facts.
    pub fn plan(&self, loaded: &Loaded) -> Plan {
        self.plan_from(loaded, &self.facts)
    }

    /// The plan over other facts of the same hosts.
    pub fn plan_from(&self, loaded: &Loaded, facts: &IndexMap<String, HostFacts>) -> Plan {
        let facts = &self.masked(facts);
        let Some(targeted) = &self.targeted else {
            return plan(&self.input(&loaded.topology, &loaded.resources, facts));
        };
        let seen = targeted.seen(facts);
        let mut plan = plan(&self.input(&targeted.topology, &targeted.resources, &seen));
        plan.unsettled.clear();
        plan.refusals.extend(targeted.refusals(&loaded.topology, &loaded.resources, facts, &plan));
        plan
    }

    /// Asks something of the plan together with what it was made from.
    pub fn with_plan<T>(&self, loaded: &Loaded, ask: impl FnOnce(&Input<'_>, &Plan) -> T) -> T {
        let facts = self.masked(&self.facts);
        let input = self.input(&loaded.topology, &loaded.resources, &facts);
        ask(&input, &plan(&input))
    }

    fn input<'a>(
        &'a self,
        topology: &'a Topology,
        resources: &'a [Resource],
        facts: &'a IndexMap<String, HostFacts>,
    ) -> Input<'a> {
        let mut input = Input::new(topology, resources, facts, &self.hashes, &self.excluded, self.allow);
        input.rolling = self.rolling;
        input.backup.clone_from(&self.backup);
        input
    }

    /// Facts in whose files no value of a secret of ours stands: somebody may have written one anywhere.
    fn masked(&self, facts: &IndexMap<String, HostFacts>) -> IndexMap<String, HostFacts> {
        let mut facts = facts.clone();
        for content in facts.values_mut().flat_map(|facts| facts.paths.values_mut()) {
            if let Some(Ok(text)) = content.content.as_deref().map(std::str::from_utf8) {
                let secrets = self.secrets.iter().map(|(name, secret)| (name.as_str(), secret));
                content.content = Some(redact(text, secrets).into_bytes());
            }
        }
        facts
    }

    /// The same over other facts of the same hosts.
    pub fn with_plan_from<T>(
        &self,
        loaded: &Loaded,
        facts: &IndexMap<String, HostFacts>,
        ask: impl FnOnce(&Input<'_>, &Plan) -> T,
    ) -> T {
        let (topology, resources) = (&loaded.topology, &loaded.resources);
        let facts = &self.masked(facts);
        let input = Input::new(topology, resources, facts, &self.hashes, &self.excluded, self.allow);
        ask(&input, &plan(&input))
    }

    /// Values of secrets that are here from now on, and win over those on hosts.
    pub fn bring(&mut self, secrets: BTreeMap<String, Secret>) {
        for (name, secret) in secrets {
            self.hashes.insert(name.clone(), nonced(&self.nonce, &secret));
            self.secrets.insert(name, secret);
        }
    }

    /// Hosts that have a secret with another value.
    pub fn holders_of_another(&self, name: &str, value: &Secret) -> Vec<&str> {
        let hash = nonced(&self.nonce, value);
        let another = |facts: &HostFacts| facts.secrets.get(name).is_some_and(|fact| fact.nonced != hash);
        self.facts.iter().filter(|(_, facts)| another(facts)).map(|(host, _)| host.as_str()).collect()
    }

    /// The hosts, for an apply; nobody has them any more afterwards.
    pub fn take(&mut self) -> Reached {
        std::mem::replace(&mut self.reached, Reached::Connected(Vec::new()))
    }

    /// All that failed is that other runs hold locks, which go by themselves: there is nothing to mend.
    pub fn is_locked(&self) -> bool {
        !self.errors.is_empty() && self.errors.iter().all(|(_, error)| error.kind == HostErrorKind::Locked)
    }

    /// What the errors mean for the exit code.
    pub fn exit(&self) -> Exit {
        exit_of(&self.errors)
    }
}

/// Secrets are compared as hashes of a line (nonce, hash of the value), just as hosts answer.
fn nonced(nonce: &str, secret: &Secret) -> String {
    sha256_hex(format!("{nonce}{}\n", sha256_hex(secret.expose())).as_bytes())
}

/// What failed hosts mean for the exit code.
pub fn exit_of(errors: &[(String, HostError)]) -> Exit {
    errors.iter().fold(Exit::Done, |exit, (_, error)| {
        exit.worse(match error.kind {
            HostErrorKind::Unreachable | HostErrorKind::Lost => Exit::Incomplete,
            HostErrorKind::Locked => Exit::Locked,
            HostErrorKind::Unfit => Exit::Incomplete,
        })
    })
}

/// Reads the controller's secrets and asks all hosts; tells the person which could not be had.
pub fn survey(
    loaded: &Loaded,
    arguments: &HostArgs,
    extent: Extent,
    output: &Output,
) -> Result<Surveyed, Exit> {
    let surveyed = ask(loaded, arguments, extent, output)?;
    tell(&surveyed.errors, output);
    Ok(surveyed)
}

/// How much hosts are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What a plan stands on.
    Plan,
    /// And what each process is like at this moment.
    States,
    /// And what else somebody could have changed.
    Drift,
    /// And this about their generations.
    Generations(Wanted),
    /// What a plan stands on, under locks that are held from then on: for what asks nobody before it goes on.
    /// The verb is what others that find them taken are told.
    Held(&'static str),
}

/// Reads the controller's secrets and asks all hosts. Which of them could not be had, nobody is told yet.
pub fn ask(loaded: &Loaded, arguments: &HostArgs, extent: Extent, output: &Output) -> Result<Surveyed, Exit> {
    let excluded = excluded(loaded, &arguments.reach.limit, "--limit", output)?;
    let secrets = controller_secrets::read(loaded, output)?;
    let nonce = random_token();
    let hashes = secrets.iter().map(|(name, secret)| (name.clone(), nonced(&nonce, secret))).collect();
    let ways = Arc::new(Ways::of(loaded, &excluded, &arguments.reach, output)?);
    let forks = usize::from(arguments.reach.forks);
    let (reached, facts, errors) = match extent {
        Extent::Held(verb) => {
            let (server_name, connect) = (&loaded.topology.server_name, ways.connecting());
            let calling = Calling { server_name, nonce: &nonce, who: &who(verb), connect };
            let mut sessions = Sessions::new(&loaded.resources, &calling);
            let hosts = ways.iter().map(|way| (way.target.name.clone(), None)).collect();
            let (facts, errors) = sessions.lock(hosts, forks);
            (Reached::Held(sessions), facts, errors)
        }
        _ => connected(loaded, &ways, extent, &nonce, forks),
    };
    let allow = Allow {
        adopt: arguments.adopt,
        keep_running: arguments.keep_running,
        datastore_restart: arguments.allow_datastore_restart,
        deletes: arguments.allow_deletes,
    };
    let rolling = Rolling { batch: arguments.batch, drain_seconds: arguments.drain_timeout };
    Ok(Surveyed {
        reached,
        facts,
        errors,
        excluded,
        nonce,
        secrets,
        ways,
        hashes,
        allow,
        rolling,
        backup: arguments.backup.clone(),
        targeted: None,
    })
}

/// Asks all hosts, and keeps the connections.
fn connected(
    loaded: &Loaded,
    ways: &Ways,
    extent: Extent,
    nonce: &str,
    forks: usize,
) -> (Reached, IndexMap<String, HostFacts>, Vec<(String, HostError)>) {
    let of = |host: &str| loaded.resources.iter().filter(|one| one.address.host == host).collect::<Vec<_>>();
    let asked: Vec<Asked<'_>> = ways
        .iter()
        .map(|Way { transport, target, privilege }| Asked {
            target: target.clone(),
            privilege: privilege.clone(),
            transport: transport.as_ref(),
            resources: of(&target.name),
            routes: None,
            reaches: Vec::new(),
            states: extent == Extent::States,
            watch: match extent {
                Extent::Drift => watched::request(&loaded.topology, &target.name, &of(&target.name)),
                _ => String::new(),
            },
            generations: match extent {
                Extent::Generations(wanted) => Some(wanted),
                _ => None,
            },
        })
        .collect();
    let answers = gather(&asked, &loaded.topology.server_name, nonce, forks);
    let (mut connections, mut facts, mut errors) = (Vec::new(), IndexMap::new(), Vec::new());
    for (host, answer) in answers {
        match answer {
            Ok((connection, fact)) => {
                connections.push(connection);
                facts.insert(host, fact);
            }
            Err(error) => errors.push((host, error)),
        }
    }
    (Reached::Connected(connections), facts, errors)
}

/// Tells the person which hosts failed and what to do.
pub fn tell(errors: &[(String, HostError)], output: &Output) {
    for (host, error) in errors {
        output.error(&format!("{host}: {error}"), error.help.as_deref());
    }
}

/// Hosts that this list of names leaves out; an empty list leaves out none. `flag` gave the list.
pub fn excluded(loaded: &Loaded, limit: &[String], flag: &str, output: &Output) -> Result<Vec<String>, Exit> {
    let hosts = &loaded.topology.hosts;
    if let Some(unknown) = limit.iter().find(|name| !hosts.contains_key(*name)) {
        let known: Vec<&str> = hosts.keys().map(String::as_str).collect();
        output.error(
            &format!("{flag} names {unknown:?}, which is no host of the inventory"),
            Some(&format!("hosts are: {}", known.join(", "))),
        );
        return Err(Exit::Usage);
    }
    if limit.is_empty() {
        return Ok(Vec::new());
    }
    Ok(hosts.keys().filter(|host| !limit.contains(host)).cloned().collect())
}
