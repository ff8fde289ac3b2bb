//! A plan in a file: what it does, and everything it was made from.
//!
//! The first line says format, length and digest of the second, which is the plan as JSON. The digest
//! tells a file that was cut off or edited from a whole one; whoever edits on purpose can compute
//! another. That is no danger: a saved plan is only ever compared with the one that today's inventory
//! and hosts give, and it grants no permission (`--adopt` and the like are given anew). Never in it:
//! contents of secrets. Never here: files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backup::Destination;
use super::{Plan, Rolling};
use crate::facts::HostFacts;
use crate::secret::{Secret, sha256_hex};
use crate::topology::Topology;

/// Layout this program writes; newer ones are refused.
pub const FORMAT: u32 = 1;

/// How every saved plan begins.
const MAGIC: &str = "{\"synprov_plan\":";

#[derive(Serialize, Deserialize)]
struct Header {
    synprov_plan: u32,
    bytes: usize,
    sha256: String,
}

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// What it was made from.
    pub made: Made,
    /// What is to be done.
    pub plan: Plan,
}

/// What a plan was made from: none of it may have changed when it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// When, `2026-11-22 04:33:46 UTC`.
    pub at: String,
    /// By whom, `user@machine`.
    pub by: String,
    /// Version of synprov.
    pub synprov: String,
    /// The inventory.
    pub inventory: Source,
    /// Its lock, as this plan extended it.
    pub lock: Source,
    /// Directory of the user's own modules, if it was named.
    pub modules_directory: Option<String>,
    /// Digest of all modules.
    pub modules: String,
    /// It speaks to throwaway hosts (`--lab`).
    pub lab: bool,
    /// Hosts that `--limit` named; empty: all.
    pub limit: Vec<String>,
    /// What `--target` named; empty: everything.
    pub target: Vec<String>,
    /// How pools restart: `--batch`, `--drain-timeout`.
    #[serde(default)]
    pub rolling: Rolling,
    /// `--backup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Destination>,
    /// Permissions that were given, in the words of the command line.
    pub allowed: Vec<String>,
    /// Goes into the check values of secrets.
    pub salt: String,
    /// Name to check value of each secret that comes from the controller: see [`check_value`].
    pub secrets: BTreeMap<String, String>,
    /// What each host was.
    pub hosts: BTreeMap<String, Stand>,
}

/// A file that a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Absolute path.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// What a plan takes for granted of a host beyond what its changes say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stand {
    /// How many applies changed something there.
    pub generation: u64,
    /// Version of Synapse in the venv that is wanted, if one is there.
    pub synapse: Option<String>,
    /// Digest of that venv's packages.
    pub packages: Option<String>,
}

/// Why a file is no plan that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It does not begin as one.
    #[error("it is no saved plan")]
    Foreign,
    /// A newer synprov wrote it.
    #[error("it has format {found}, this synprov knows up to {FORMAT}")]
    Newer {
        /// Format found.
        found: u32,
    },
    /// Its end is missing.
    #[error("it is cut off: {found} of {wanted} bytes are there")]
    Truncated {
        /// Bytes found.
        found: usize,
        /// Bytes written.
        wanted: usize,
    },
    /// Its content is not what was written.
    #[error("it was changed since it was written (its digest is another)")]
    Edited,
    /// Its layout is not the one of its format.
    #[error("its content is not understood: {0}")]
    Damaged(String),
}

impl SavedError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            SavedError::Newer { .. } => "use the synprov that made it, or make a new plan with this one",
            _ => "make a new one with `synprov plan --out FILE`",
        }
    }
}

/// Whether this text is, or begins as, a saved plan: other files are taken for inventories.
pub fn is_saved(text: &str) -> bool {
    text.starts_with(MAGIC) || (!text.is_empty() && MAGIC.starts_with(text))
}

impl Saved {
    /// The file's text.
    ///
    /// Errors: what serde says, for a plan that is no JSON.
    pub fn text(&self) -> Result<String, String> {
        let mut body = serde_json::to_string(self).map_err(|error| error.to_string())?;
        body.push('\n');
        let header = Header { synprov_plan: FORMAT, bytes: body.len(), sha256: sha256_hex(body.as_bytes()) };
        let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
        Ok(format!("{header}\n{body}"))
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, SavedError> {
        if !is_saved(text) {
            return Err(SavedError::Foreign);
        }
        let (line, body) = text.split_once('\n').ok_or(SavedError::Truncated { found: 0, wanted: 1 })?;
        let header: serde_json::Value =
            serde_json::from_str(line).map_err(|error| SavedError::Damaged(error.to_string()))?;
        // The format comes first, so that a newer layout is refused before it is misread.
        let found = header.get("synprov_plan").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if found > u64::from(FORMAT) {
            return Err(SavedError::Newer { found: found.try_into().unwrap_or(u32::MAX) });
        }
        let header: Header =
            serde_json::from_value(header).map_err(|error| SavedError::Damaged(error.to_string()))?;
        // What was edited is as long as it may be, but still has its end.
        if body.len() < header.bytes && !body.ends_with('\n') {
            return Err(SavedError::Truncated { found: body.len(), wanted: header.bytes });
        }
        if sha256_hex(body.as_bytes()) != header.sha256 {
            return Err(SavedError::Edited);
        }
        serde_json::from_str(body).map_err(|error| SavedError::Damaged(error.to_string()))
    }
}

/// Sixteen bits of a salted digest: another value is noticed (but for one in 65,536), and no more than
/// those sixteen bits can be learnt about a value from the file, however weak it is.
pub fn check_value(salt: &str, name: &str, secret: &Secret) -> String {
    let value = sha256_hex(secret.expose());
    sha256_hex(format!("{salt} {name} {value}").as_bytes())[..4].to_owned()
}

/// What the plan takes for granted of each host.
pub fn stands<'a>(
    topology: &Topology,
    facts: impl IntoIterator<Item = (&'a String, &'a HostFacts)>,
) -> BTreeMap<String, Stand> {
    let stand = |facts: &HostFacts| {
        let venv = facts.venvs.get(&topology.venv.path);
        Stand {
            generation: facts.record.header.as_ref().map_or(0, |header| header.generation),
            synapse: venv.and_then(|venv| venv.synapse.clone()),
            packages: venv.map(|venv| venv.packages.clone()),
        }
    };
    facts.into_iter().map(|(host, facts)| (host.clone(), stand(facts))).collect()
}
