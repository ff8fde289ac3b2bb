//! `synprov secrets export | import`: the deployment's own secrets, through memory, into an encrypted file and
//! onto a new main host.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indexmap::IndexMap;

use super::execute::execute;
use super::hosts::{Extent, Surveyed, exit_of, survey, tell};
use super::load::{Loaded, load_or_tell};
use super::reach::{privilege, target};
use super::rehearse::stand_in;
use super::sealed::{Unsealed, seal, unseal};
use super::{Exit, HostArgs, InventoryArgs, Output, ReachArgs, exit};
use crate::apply::fetch::fetch;
use crate::facts::{HostError, HostFacts};
use crate::plan::Plan;
use crate::plan::control::bring::bring;
use crate::render;
use crate::secret::Secret;

/// `synprov secrets`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::ACTS, &[]))]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the secrets that hosts hold (signing key, replication, macaroons, …) into an age-encrypted file
    Export(ExportArgs),
    /// Put the secrets of such a file onto a new main host, before its first apply; never overwrites one
    Import(ImportArgs),
}

/// `synprov secrets export`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(EXPORT_HELP, exit::ASKS, &[]))]
struct ExportArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    /// Encrypt to this age key instead of a passphrase; may be given several times
    #[arg(short, long, value_name = "AGE1")]
    recipient: Vec<String>,

    /// Where to; must not exist yet [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `synprov secrets import`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(IMPORT_HELP, exit::ACTS, &[]))]
struct ImportArgs {
    /// What `secrets export` wrote
    file: PathBuf,

    #[command(flatten)]
    inventory: InventoryArgs,

    /// File with the age identity that it was encrypted to; may be given several times
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
}

const HELP: &str = "\
Examples:
  synprov secrets export -o secrets.age
  synprov secrets import secrets.age";

const EXPORT_HELP: &str = "\
The values travel through memory; nothing of them is printed or kept. Secrets that the inventory takes from \
elsewhere (env:, file:, command:) are not in it: keep those where they are. The file is a common age file \
(age-encryption.org): `age -d` opens it, too.

Examples:
  synprov secrets export -o secrets.age                    asks for a passphrase
  synprov secrets export --recipient age1… -o secrets.age  for an age-keygen key";

const IMPORT_HELP: &str = "\
For the rebuild of a deployment whose hosts are gone: the file's secrets are put onto main's host, from where \
the apply that follows brings them to the others. A secret that any host already has with another value \
stops it.

Examples:
  synprov secrets import secrets.age
  synprov secrets import secrets.age prod.yaml --identity key.txt";

/// Runs it.
pub fn run(arguments: &SecretsArgs, output: &Output) -> Exit {
    let done = match &arguments.command {
        Command::Export(arguments) => export(arguments, output),
        Command::Import(arguments) => import(arguments, output),
    };
    done.unwrap_or_else(|exit| exit)
}

fn loaded(inventory: &InventoryArgs, output: &Output) -> Result<Loaded, Exit> {
    let stand_in = stand_in(inventory, output)?;
    load_or_tell(inventory, stand_in.as_ref(), output)
}

fn export(arguments: &ExportArgs, output: &Output) -> Result<Exit, Exit> {
    if let Some(path) = arguments.output.as_ref().filter(|path| path.exists()) {
        output.error(&format!("{} exists and is not overwritten", path.display()), None);
        return Err(Exit::Error);
    }
    let loaded = loaded(&arguments.inventory, output)?;
    let secrets = values(&loaded, output)?;
    if secrets.is_empty() {
        output.error("no host has a secret yet", Some("there is nothing to export before the first apply"));
        return Err(Exit::Error);
    }
    let names: Vec<String> = secrets.keys().cloned().collect();
    let unsealed = Unsealed { server_name: loaded.topology.server_name.clone(), secrets };
    let sealed = seal(&unsealed, &arguments.recipient).map_err(|why| {
        output.error(&why, None);
        Exit::Error
    })?;
    match &arguments.output {
        None => output.result(&sealed),
        Some(path) => write(path, &sealed).map_err(|error| {
            output.error(&format!("cannot write {}: {error}", path.display()), None);
            Exit::Error
        })?,
    }
    output.talk(&format!("{} secrets exported: {}\n", names.len(), names.join(", ")));
    Ok(Exit::Done)
}

/// A new file that only its owner may read.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Every secret that originates on hosts, from main's host, or else from the first that has it.
fn values(loaded: &Loaded, output: &Output) -> Result<BTreeMap<String, Secret>, Exit> {
    let topology = &loaded.topology;
    let main = topology.instances.first().map(|main| main.host.as_str());
    let mut wanted: IndexMap<&str, BTreeMap<String, String>> = IndexMap::new();
    for (name, node) in topology.secrets.iter().filter(|(_, node)| node.source.is_on_hosts()) {
        let on_main = node.hosts.iter().map(String::as_str).find(|host| Some(*host) == main);
        let Some(host) = on_main.or(node.hosts.first().map(String::as_str)) else { continue };
        wanted.entry(host).or_default().insert(name.clone(), node.path.clone());
    }
    let reach = ReachArgs::default();
    let (mut secrets, mut errors) = (BTreeMap::new(), Vec::new());
    for (host, paths) in &wanted {
        let target = target(loaded, host, &reach)?;
        let privilege = privilege(loaded, host, &reach, output)?;
        let answer = super::reach::transport(&target)
            .connect(&target)
            .map_err(HostError::from)
            .and_then(|mut session| fetch(session.as_mut(), &privilege, paths));
        match answer {
            Ok(found) => {
                for name in paths.keys().filter(|name| !found.contains_key(*name)) {
                    output.talk(&format!("{host} has no secret {name} yet\n"));
                }
                secrets.extend(found);
            }
            Err(error) => errors.push(((*host).to_owned(), error)),
        }
    }
    tell(&errors, output);
    if errors.is_empty() { Ok(secrets) } else { Err(exit_of(&errors)) }
}

fn import(arguments: &ImportArgs, output: &Output) -> Result<Exit, Exit> {
    let loaded = loaded(&arguments.inventory, output)?;
    let unsealed = unseal(&arguments.file, &arguments.identity).map_err(|why| {
        output.error(&why, None);
        Exit::Error
    })?;
    let topology = &loaded.topology;
    if unsealed.server_name != topology.server_name {
        output.error(
            &format!(
                "these are secrets of {:?}, the inventory is of {:?}",
                unsealed.server_name, topology.server_name
            ),
            Some("a signing key belongs to one server name for ever"),
        );
        return Err(Exit::Error);
    }
    let ours = |name: &String| topology.secrets.get(name).is_some_and(|node| node.source.is_on_hosts());
    let (known, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) =
        unsealed.secrets.into_iter().partition(|(name, _)| ours(name));
    for name in unknown.keys() {
        output.talk(&format!(
            "secret {name} is none that this inventory leaves to the hosts; it is left out\n"
        ));
    }
    let mut surveyed = survey(&loaded, &HostArgs::of(ReachArgs::default()), Extent::Held("import"), output)?;
    if !surveyed.errors.is_empty() {
        output.talk("Nothing was done.\n");
        return Err(surveyed.exit());
    }
    let mut refused = false;
    for (name, value) in &known {
        for host in surveyed.holders_of_another(name, value) {
            output.error(&format!("{host} has a secret {name} already, with another value"), None);
            refused = true;
        }
    }
    if refused {
        output.talk("Nothing was done: a secret is never overwritten.\n");
        return Err(Exit::Error);
    }
    surveyed.bring(known);
    let again = |surveyed: &Surveyed, facts: &IndexMap<String, HostFacts>| -> Plan {
        surveyed.with_plan_from(&loaded, facts, bring)
    };
    let plan = again(&surveyed, &surveyed.facts);
    if plan.is_empty() {
        output.result("Nothing to do: main's host has all of them.\n");
        return Ok(Exit::Done);
    }
    output.result(&render::control::steps(&plan));
    let exit = execute("import", &loaded, &mut surveyed, &plan, &again, 120, output);
    if exit == Exit::Done {
        output.talk("Next: `synprov apply`.\n");
    }
    Ok(exit)
}
