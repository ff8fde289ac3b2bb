//! An inventory with the model hosts it speaks of: plan, apply, change the inventory, plan again.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use synprov::facts::HostFacts;
use synprov::inventory::{self, Lock, SecretSource};
use synprov::modules::{Modules, expand};
use synprov::plan::backup::Destination;
use synprov::plan::drift::{Drift, drift};
use synprov::plan::target::{Targeted, choose};
use synprov::plan::{Allow, Input, Plan, Rolling, plan};
use synprov::resource::Resource;
use synprov::topology::{self, Instance, Topology};

use crate::machine::{BOOT, Machine, nonced};

/// Digest of the modules in the records of these tests.
pub const MODULES: &str = "modules";

#[derive(Debug, Clone)]
pub struct World {
    pub topology: Topology,
    pub resources: Vec<Resource>,
    pub lock: Lock,
    pub machines: IndexMap<String, Machine>,
    /// Values of secrets that come from the controller.
    pub values: BTreeMap<String, String>,
    pub excluded: Vec<String>,
    /// `--target`.
    pub target: Vec<String>,
    pub allow: Allow,
    pub rolling: Rolling,
    /// `--backup`.
    pub backup: Option<Destination>,
    /// Microseconds since the epoch; every act takes a second.
    pub now: i64,
    /// Counts secrets, so that each is another one.
    pub made: u32,
    /// What each process that runs took hold of when it started: host and unit to words.
    pub running: BTreeMap<(String, String), BTreeSet<String>>,
    /// Everything that was ever held.
    pub words: BTreeSet<String>,
}

impl World {
    /// Bare hosts and an inventory that has never been applied.
    pub fn bare(text: &str) -> Self {
        Self::try_bare(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The same, unless the inventory has errors.
    pub fn try_bare(text: &str) -> Result<Self, String> {
        let (topology, resources, lock) = meaning(text, &Lock::default())?;
        let machines = topology.hosts.keys().map(|host| (host.clone(), Machine::bare(host))).collect();
        let mut world = Self {
            topology,
            resources,
            lock,
            machines,
            values: BTreeMap::new(),
            excluded: Vec::new(),
            target: Vec::new(),
            allow: Allow::default(),
            rolling: Rolling::default(),
            backup: None,
            now: BOOT + 3_600_000_000,
            made: 0,
            running: BTreeMap::new(),
            words: BTreeSet::new(),
        };
        world.read_controller_secrets();
        world.read_words();
        Ok(world)
    }

    /// Hosts on which everything desired has been applied.
    pub fn model(text: &str) -> Self {
        Self::bare(text).settled()
    }

    /// Applies what there is to do and insists that it can be.
    pub fn settled(mut self) -> Self {
        let plan = self.plan();
        assert_eq!(plan.refusals, [], "refused");
        self.apply(&plan);
        self
    }

    /// Another inventory for the same hosts; new ones are bare.
    pub fn becomes(&mut self, text: &str) {
        let (topology, resources, lock) =
            meaning(text, &self.lock).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for host in topology.hosts.keys() {
            self.machines.entry(host.clone()).or_insert_with(|| Machine::bare(host));
        }
        (self.topology, self.resources, self.lock) = (topology, resources, lock);
        self.read_controller_secrets();
        self.read_words();
    }

    fn read_words(&mut self) {
        self.words.extend(self.topology.instances.iter().flat_map(held));
    }

    /// What a process holds by the present topology, with who else does; main holds what nobody else does.
    pub fn holds(&self, host: &str, unit: &str) -> BTreeMap<String, BTreeSet<(String, String)>> {
        let instances = &self.topology.instances;
        let place = |one: &Instance| (one.host.clone(), one.unit.clone());
        let holders = |word: &String| -> BTreeSet<(String, String)> {
            let named: BTreeSet<_> =
                instances.iter().filter(|one| held(one).contains(word)).map(place).collect();
            if named.is_empty() { instances.first().map(place).into_iter().collect() } else { named }
        };
        let me = (host.to_owned(), unit.to_owned());
        let mine = self.words.iter().map(|word| (word.clone(), holders(word)));
        mine.filter(|(_, holders)| holders.contains(&me)).collect()
    }

    fn read_controller_secrets(&mut self) {
        for (name, node) in &self.topology.secrets {
            if node.source != SecretSource::Generate {
                self.values.entry(name.clone()).or_insert_with(|| format!("{name} of the controller"));
            }
        }
    }

    /// The model host.
    pub fn machine(&mut self, host: &str) -> &mut Machine {
        self.machines.get_mut(host).unwrap_or_else(|| panic!("no host {host}"))
    }

    /// A second passes.
    pub fn tick(&mut self) -> i64 {
        self.now += 1_000_000;
        self.now
    }

    /// Facts of the hosts that take part, in inventory order.
    pub fn facts(&self) -> IndexMap<String, HostFacts> {
        let hosts = self.topology.hosts.keys().filter(|host| !self.excluded.contains(host));
        hosts.map(|host| (host.clone(), self.machines[host].facts(&self.of(host), self.now))).collect()
    }

    /// Desired state of one host.
    pub fn of(&self, host: &str) -> Vec<&Resource> {
        self.resources.iter().filter(|resource| resource.address.host == host).collect()
    }

    /// The plan over these hosts.
    pub fn plan(&self) -> Plan {
        self.plan_over(&self.facts())
    }

    /// The plan over these facts.
    pub fn plan_over(&self, facts: &IndexMap<String, HostFacts>) -> Plan {
        let hashes = self.values.iter().map(|(name, value)| (name.clone(), nonced(value))).collect();
        let plan_of = |topology, resources, facts| {
            let mut input = Input::new(topology, resources, facts, &hashes, &self.excluded, self.allow);
            input.rolling = self.rolling;
            input.backup.clone_from(&self.backup);
            plan(&input)
        };
        let Some(targeted) = self.targeted(facts) else {
            return plan_of(&self.topology, &self.resources[..], facts);
        };
        let seen = targeted.seen(facts);
        let mut plan = plan_of(&targeted.topology, &targeted.resources[..], &seen);
        plan.unsettled.clear();
        plan.refusals.extend(targeted.refusals(&self.topology, &self.resources, facts, &plan));
        plan
    }

    /// What `target` chooses.
    pub fn targeted(&self, facts: &IndexMap<String, HostFacts>) -> Option<Targeted> {
        let choose = || choose(&self.topology, &self.resources, facts, &self.target).unwrap();
        (!self.target.is_empty()).then(choose)
    }

    /// Asks something of the plan over these facts together with what it was made from.
    pub fn with_plan<T>(
        &self,
        facts: &IndexMap<String, HostFacts>,
        ask: impl FnOnce(&Input<'_>, &Plan) -> T,
    ) -> T {
        let hashes = self.values.iter().map(|(name, value)| (name.clone(), nonced(value))).collect();
        let input = Input::new(&self.topology, &self.resources, facts, &hashes, &self.excluded, self.allow);
        ask(&input, &plan(&input))
    }

    /// What somebody else changed.
    pub fn drift(&self) -> Drift {
        self.drift_over(&self.facts())
    }

    /// What somebody else changed, by these facts.
    pub fn drift_over(&self, facts: &IndexMap<String, HostFacts>) -> Drift {
        self.with_plan(facts, drift)
    }

    /// Nothing is left to do, or this says what.
    pub fn assert_settled(&self) {
        let plan = self.plan();
        assert!(plan.is_empty() && plan.refusals.is_empty(), "not settled: {}", crate::tell(&plan));
        assert_eq!(plan.unsettled, [] as [&str; 0], "the records do not say what is");
        assert_eq!(self.drift().findings, [], "drift of what is settled");
        let counted: usize = self
            .topology
            .hosts
            .keys()
            .filter(|host| !self.excluded.contains(host))
            .map(|host| self.of(host).len())
            .sum();
        assert_eq!(plan.unchanged, counted);
    }
}

/// What an instance names as its own.
fn held(instance: &Instance) -> BTreeSet<String> {
    let writes = instance.writes.iter().map(|word| format!("writes {word}"));
    writes.chain(instance.runs.iter().map(|word| format!("runs {word}"))).collect()
}

/// What an inventory's text means.
pub fn meaning(text: &str, lock: &Lock) -> Result<(Topology, Vec<Resource>, Lock), String> {
    let (inventory, found) = inventory::parse(text);
    let inventory = inventory.ok_or_else(|| format!("{found:#?}"))?;
    let resolved = topology::resolve(&inventory, lock);
    let topology = resolved.topology.ok_or_else(|| format!("{:#?}", resolved.diagnostics))?;
    let resources = expand(&Modules::builtin(), &topology).map_err(|errors| format!("{errors:#?}"))?;
    Ok((topology, resources, resolved.lock))
}
