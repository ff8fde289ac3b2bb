//! The Python environment: what is asked of pip, and where the result lives.
//!
//! The path is known before anything is resolved: it is named after the request, not the answer.

use super::catalogue::Catalogue;
use super::types::Venv;
use crate::inventory::{Install, Installer, Lock, Synapse};
use crate::secret::sha256_hex;
use crate::version::Version;

/// Raised when synprov builds venvs in another way, so that they get new paths.
const REVISION: u32 = 0;

/// Debian's package `matrix-synapse-py3` installs here.
const DEBIAN: &str = "/opt/venvs/matrix-synapse";

/// The venv of this inventory. Adopted ones ask nothing of pip.
pub(super) fn build(
    synapse: &Synapse,
    version: &Version,
    root: &str,
    catalogue: &Catalogue,
    lock: &Lock,
) -> Venv {
    let adopted = |path: &str| Venv {
        path: path.to_owned(),
        requirements: Vec::new(),
        constraints: Vec::new(),
        locked: None,
        managed: false,
        installer: Installer::default(),
        offline: false,
        wheels: None,
    };
    match &synapse.install {
        Install::Venv(path) => adopted(&path.value),
        Install::Debian => adopted(DEBIAN),
        Install::Managed => {
            let mut extras: Vec<&str> = synapse.extras.iter().map(|extra| extra.value.as_str()).collect();
            // `postgres` would compile psycopg2; the binary wheel is the same module.
            extras.retain(|extra| *extra != "postgres" && *extra != "redis");
            extras.push("redis");
            extras.sort_unstable();
            extras.dedup();
            let requirements = vec![
                format!("matrix-synapse[{}]=={version}", extras.join(",")),
                "psycopg2-binary".to_owned(),
            ];
            let more = synapse.packages.iter().map(|package| package.value.clone());
            let requirements: Vec<String> = requirements.into_iter().chain(more).collect();
            let constraints = catalogue.constraints(version);
            let request = format!("{}\n\n{}\n\n{REVISION}", requirements.join("\n"), constraints.join("\n"));
            let key = format!("{version}-{}", &sha256_hex(request.as_bytes())[..12]);
            let locked = lock.packages.get(&key).cloned();
            Venv {
                path: format!("{root}/venvs/{key}"),
                requirements,
                constraints,
                locked,
                managed: true,
                installer: synapse.installer,
                offline: synapse.wheelhouse.is_some(),
                wheels: synapse.wheelhouse.as_ref().and_then(|house| house.wheels.clone()),
            }
        }
    }
}
