//! How the processes of a host are run on the side, to ask Synapse about its configuration.
//!
//! Never in it: what is asked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::shared_config::log_config;
use super::types::{App, Instance, Topology};

/// What Synapse is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SynapseCheck {
    /// Interpreter of the venv.
    pub python: String,
    /// User the check runs as.
    pub user: String,
    /// Configuration paths of main, wherever it runs: every host has its configuration.
    #[serde(default)]
    pub main: Vec<String>,
    /// Whether main is asked too, though it is elsewhere or nothing of it changes.
    #[serde(default)]
    pub asks_main: bool,
    /// Process of this host to its configuration paths, in order.
    pub processes: Vec<(String, Vec<String>)>,
    /// Directory of the admin's own Python modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<String>,
}

impl SynapseCheck {
    /// What [`super::registered::SCRIPT`] is told, as JSON.
    pub fn asked(&self) -> String {
        serde_json::json!([self.main, self.asks_main, self.processes]).to_string()
    }
}

impl Topology {
    /// For the processes of one host, main first if it is there.
    pub fn synapse_check(&self, host: &str) -> SynapseCheck {
        let here = self.instances.iter().filter(|instance| instance.host == host);
        SynapseCheck {
            python: format!("{}/bin/python", self.venv.path),
            user: self.user.clone(),
            main: self.main().map(|main| self.configuration_paths(main).1).unwrap_or_default(),
            asks_main: false,
            processes: here.map(|instance| self.configuration_paths(instance)).collect(),
            modules: self.modules(),
        }
    }

    /// Of the routes: for main, wherever it runs, and the processes of one host.
    pub fn routes_check(&self, host: &str) -> SynapseCheck {
        let asks_main = self.main().is_some_and(|main| main.host != host);
        SynapseCheck { asks_main, ..self.synapse_check(host) }
    }

    /// The same for some of the processes of a host: all requests that a lone main would serve are held against them.
    /// Without a process for media it is up to main which these are.
    pub fn routes_check_of(&self, host: &str, names: &BTreeSet<&str>) -> SynapseCheck {
        let media = self.instances.iter().any(|instance| instance.app == App::MediaRepository);
        let main = self.main().is_some_and(|main| names.contains(main.name.as_str()));
        let mut check = SynapseCheck { asks_main: !media && !main, ..self.synapse_check(host) };
        check.processes.retain(|(name, _)| names.contains(name.as_str()));
        check
    }

    /// The process that alone reads this file of Synapse's, if it is one of this host.
    pub fn only_reader(&self, host: &str, path: &str) -> Option<&Instance> {
        self.instances.iter().filter(|instance| instance.host == host).find(|instance| {
            let own = instance.config.is_some().then(|| self.own_configuration(&instance.name));
            own.as_deref() == Some(path) || log_config(&self.root, &instance.name) == path
        })
    }

    /// Path of the file of a process other than main.
    fn own_configuration(&self, name: &str) -> String {
        format!("{}/conf/workers/{name}.yaml", self.root)
    }

    /// A process with the paths that its unit gives it.
    fn configuration_paths(&self, instance: &Instance) -> (String, Vec<String>) {
        let conf = format!("{}/conf", self.root);
        let mut paths = vec![format!("{conf}/config.yaml"), format!("{conf}/conf.d/")];
        if instance.config.is_some() {
            paths.push(self.own_configuration(&instance.name));
        }
        (instance.name.clone(), paths)
    }
}
