//! How the processes of a host are run on the side, to ask Synapse about its configuration.
//!
//! Never in it: what is asked.

use serde::{Deserialize, Serialize};

use super::types::{Instance, Topology};

/// What Synapse is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SynapseCheck {
    /// Interpreter of the venv.
    pub python: String,
    /// User the check runs as.
    pub user: String,
    /// Process name to its configuration paths, in order.
    pub processes: Vec<(String, Vec<String>)>,
    /// Directory of the admin's own Python modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<String>,
}

impl Topology {
    /// For the processes of one host, main first if it is there.
    pub fn synapse_check(&self, host: &str) -> SynapseCheck {
        let here = self.instances.iter().filter(|instance| instance.host == host);
        SynapseCheck {
            python: format!("{}/bin/python", self.venv.path),
            user: self.user.clone(),
            processes: here.map(|instance| self.configuration_paths(instance)).collect(),
            modules: self.modules(),
        }
    }

    /// For main, wherever it runs (every host has its configuration), and the processes of one host.
    pub fn routes_check(&self, host: &str) -> SynapseCheck {
        let mut check = self.synapse_check(host);
        if let Some(main) = self.instances.first().filter(|main| main.host != host) {
            check.processes.insert(0, self.configuration_paths(main));
        }
        check
    }

    /// A process with the paths that its unit gives it.
    fn configuration_paths(&self, instance: &Instance) -> (String, Vec<String>) {
        let conf = format!("{}/conf", self.root);
        let mut paths = vec![format!("{conf}/config.yaml"), format!("{conf}/conf.d/")];
        if instance.config.is_some() {
            paths.push(format!("{conf}/workers/{}.yaml", instance.name));
        }
        (instance.name.clone(), paths)
    }
}
