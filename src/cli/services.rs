//! Services on the command line: words that name processes, and the inventory among them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::load::{Loaded, load_or_tell};
use super::rehearse::stand_in;
use super::{Exit, HostArgs, InventoryArgs, Output, ReachArgs};
use crate::plan::control::select::{Service, select, services};

/// Which inventory and which of its services.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Processes, pools, patterns, main, postgresql, redis, proxy, all; a word that ends in .yaml is the inventory
    #[arg(value_name = "INVENTORY|NAME")]
    words: Vec<String>,

    /// The inventory, if its name does not end in .yaml or .yml
    #[arg(short, long, env = "SYNPROV_INVENTORY", value_name = "INVENTORY")]
    inventory: Option<PathBuf>,

    /// Directory with modules that add to the built-in ones or shadow them [default: modules/ beside the inventory]
    #[arg(long, env = "SYNPROV_MODULES", value_name = "DIR")]
    modules: Option<PathBuf>,

    /// Speak to the throwaway hosts that `synprov rehearse --keep` left instead of the real ones
    #[arg(long)]
    lab: bool,

    #[command(flatten)]
    pub reach: ReachArgs,
}

/// What `--help` says about names.
pub const NAMES: &str = "\
Names are those of the inventory: a process (sync2), a pool (sync), a pattern ('fed*'), main, postgresql, \
redis, proxy, a unit (matrix_main.service), or all. A word that ends in .yaml or .yml is the inventory, \
wherever it stands; `-i FILE` takes a file of any name.";

impl ServiceArgs {
    /// The file of the inventory, as it was named.
    pub fn path(&self) -> PathBuf {
        let named = self.words.iter().find(|word| is_inventory(word)).map(PathBuf::from);
        named.or_else(|| self.inventory.clone()).unwrap_or_else(|| PathBuf::from("inventory.yaml"))
    }

    /// Which inventory; the lock is never extended by what only speaks of services.
    fn inventory(&self, output: &Output) -> Result<InventoryArgs, Exit> {
        if let Some(second) = self.words.iter().filter(|word| is_inventory(word)).nth(1) {
            output.error(&format!("two inventories are named, the second is {second}"), None);
            return Err(Exit::Usage);
        }
        let inventory = self.path();
        Ok(InventoryArgs { inventory, locked: false, modules: self.modules.clone(), lab: self.lab })
    }

    /// That inventory, read; whatever is wrong with it is told.
    pub fn loaded(&self, output: &Output) -> Result<Loaded, Exit> {
        let inventory = self.inventory(output)?;
        let stand_in = stand_in(&inventory, output)?;
        load_or_tell(&inventory, stand_in.as_ref(), output)
    }

    /// Which hosts, and how they are spoken with.
    pub fn hosts(&self) -> HostArgs {
        HostArgs::of(self.reach.clone())
    }

    /// The words that are names.
    pub fn names(&self) -> Vec<String> {
        self.words.iter().filter(|word| !is_inventory(word)).cloned().collect()
    }

    /// The services that are meant; without names those of which `otherwise` is true.
    pub fn chosen<'a>(
        &self,
        loaded: &'a Loaded,
        otherwise: impl Fn(&Service<'a>) -> bool,
        output: &Output,
    ) -> Result<Vec<Service<'a>>, Exit> {
        let all = services(&loaded.topology, &loaded.resources);
        select(&self.names(), &all, otherwise).map_err(|unknown| {
            output.error(&unknown.to_string(), Some(&unknown.help));
            Exit::Usage
        })
    }
}

/// No process can have such a name: instance names have no dots.
fn is_inventory(word: &str) -> bool {
    Path::new(word).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}
