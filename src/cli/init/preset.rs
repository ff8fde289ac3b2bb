//! Sizes: which pools a deployment of that size has. The sizes are data in `/presets`.
//!
//! Never here: hosts, and how an inventory is written.

use clap::ValueEnum;
use serde::Deserialize;

use crate::topology::catalogue::Catalogue;
use crate::version::Version;

/// `--size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Size {
    /// One host with 2 cores and 4 GB: main and four workers
    #[default]
    Small,
    /// 4 to 8 cores, 16 GB: a process for each kind of work
    Medium,
    /// 16 cores and 64 GB or several hosts: several processes where that helps
    Large,
    /// Every stream, job and class of endpoints in a pool of its own
    OneOfEach,
}

/// A size.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    #[serde(rename = "format")]
    _format: u32,
    /// For whom and why, for the head of the inventory.
    pub about: String,
    /// Of each worker.
    pub cache_factor: f64,
    /// Of each process.
    pub db_pool: Connections,
    /// In the order of the inventory.
    pub pools: Vec<PresetPool>,
}

/// `db_pool`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// `cp_min`
    pub min: u32,
    /// `cp_max`
    pub max: u32,
}

/// A pool of a size.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetPool {
    /// Name.
    pub name: String,
    /// Classes of endpoints.
    #[serde(default)]
    pub handles: Vec<String>,
    /// Streams.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Jobs.
    #[serde(default)]
    pub runs: Vec<String>,
    /// Processes.
    #[serde(default = "one")]
    pub count: usize,
    /// On main's host.
    #[serde(default)]
    pub front: bool,
    /// Shared out over the other hosts.
    #[serde(default)]
    pub spread: bool,
    /// Written above the pool.
    pub comment: Option<String>,
}

fn one() -> usize {
    1
}

impl Size {
    /// As on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::OneOfEach => "one-of-each",
        }
    }

    /// The size with what this Synapse version knows of it.
    pub fn preset(self, catalogue: &Catalogue, version: &Version) -> Result<Preset, String> {
        let (name, text) = match self {
            Self::Small => ("small", include_str!("../../../presets/small.yaml")),
            Self::Medium => ("medium", include_str!("../../../presets/medium.yaml")),
            Self::Large => ("large", include_str!("../../../presets/large.yaml")),
            Self::OneOfEach => ("one-of-each", include_str!("../../../presets/one-of-each.yaml")),
        };
        let read = serde_saphyr::from_str(text);
        let mut preset: Preset = read.map_err(|error| format!("presets/{name}.yaml: {error}"))?;
        for pool in &mut preset.pools {
            known(pool, catalogue, version);
        }
        // A comment of a pool that goes stays with the next one.
        let mut comment = None;
        preset.pools.retain_mut(|pool| {
            comment = pool.comment.take().or(comment.take());
            let kept = !(pool.handles.is_empty() && pool.writes.is_empty() && pool.runs.is_empty());
            if kept {
                pool.comment = comment.take();
            }
            kept
        });
        Ok(preset)
    }
}

/// Leaves out what the version does not know; a stream that is none yet becomes its class.
fn known(pool: &mut PresetPool, catalogue: &Catalogue, version: &Version) {
    let stream = |name: &str| catalogue.stream(name).is_some_and(|stream| stream.known(version));
    let class = |word: &str| {
        let mut classes = catalogue.classes.iter().filter(|class| class.words.iter().any(|one| one == word));
        classes.any(|class| class.endpoints.iter().any(|endpoint| endpoint.active(version)))
    };
    let (known, unknown): (Vec<String>, Vec<String>) =
        std::mem::take(&mut pool.writes).into_iter().partition(|name| stream(name));
    pool.writes = known;
    pool.handles.extend(unknown);
    pool.handles.retain(|word| class(word));
}
