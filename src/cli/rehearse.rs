//! `synprov rehearse` and `--lab`: the same inventory on throwaway hosts of this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::apply::{ApplyArgs, apply_loaded};
use super::hosts::{Extent, survey};
use super::lab::LabArgs;
use super::load::{Loaded, StandIn, load_or_tell, read_inventory};
use super::{Exit, HostArgs, InventoryArgs, Output, ReachArgs, exit};
use crate::inventory::{Inventory, Tls};
use crate::lab::client::Door;
use crate::lab::verify::{Features, Homeserver, Process, verify};
use crate::lab::{Distro, Flavour, Lab, LabError, Outward, client_name, lab_name, lab_spec};
use crate::render::plan::{DiffStyle, Style, text};
use crate::render::{self, rehearsal};
use crate::topology::Request;

/// `synprov rehearse`.
#[derive(Debug, Args)]
#[command(after_help = exit::below(HELP, exit::APPLIES, &[]))]
pub struct RehearseArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    /// Leave the hosts up; `synprov lab down` removes them
    #[arg(long)]
    keep: bool,

    /// What the hosts run
    #[arg(long, value_enum, default_value_t = DistroChoice::Debian12, value_name = "DISTRO")]
    distro: DistroChoice,

    /// Hosts with PostgreSQL, Redis, nginx and Python preinstalled (faster) instead of bare ones
    #[arg(long)]
    warm: bool,

    /// How much of what changes inside files is shown
    #[arg(long, value_enum, default_value_t = DiffStyle::None, value_name = "HOW")]
    diff: DiffStyle,
}

/// `--distro`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DistroChoice {
    /// Bookworm.
    #[value(name = "debian-12")]
    Debian12,
    /// Trixie.
    #[value(name = "debian-13")]
    Debian13,
}

impl From<DistroChoice> for Distro {
    fn from(choice: DistroChoice) -> Self {
        match choice {
            DistroChoice::Debian12 => Distro::Debian12,
            DistroChoice::Debian13 => Distro::Debian13,
        }
    }
}

const HELP: &str = "\
Examples:
  synprov rehearse           about 3 minutes; nothing real is touched
  synprov rehearse --keep    leaves the hosts for a look around
  synprov lab ssh hs1
  synprov plan --lab";

/// Runs it.
pub fn run(arguments: &RehearseArgs, output: &Output) -> Exit {
    let inventory = match read_inventory(&arguments.inventory) {
        Ok(inventory) => inventory,
        Err(unloadable) => {
            unloadable.tell(&arguments.inventory.inventory, output);
            return Exit::Error;
        }
    };
    let name = name_of(&arguments.inventory.inventory, &inventory);
    let flavour = if arguments.warm { Flavour::Warm } else { Flavour::Bare };
    let spec = lab_spec(&inventory, &name, arguments.distro.into(), flavour, Outward::Indexes);
    output.talk(&format!(
        "Starting {} throwaway host(s) as lab {name}; the first time an image is built (about a minute)…\n",
        spec.hosts.len()
    ));
    let lab = match Lab::up(&spec) {
        Ok(lab) => lab,
        Err(error) => return tell(&error, output),
    };
    let exit = on_lab(arguments, &inventory, lab.clone(), output);
    if arguments.keep {
        output.talk(&format!(
            "The hosts stay. Look around: synprov lab ssh {}; again: synprov plan --lab {}; remove: synprov lab down {name}\n",
            lab.hosts().first().map_or("HOST", |host| &host.name),
            arguments.inventory.inventory.display(),
        ));
        return exit;
    }
    match lab.down() {
        Ok(()) => exit,
        Err(error) => exit.worse(tell(&error, output)),
    }
}

fn on_lab(arguments: &RehearseArgs, inventory: &Inventory, lab: Lab, output: &Output) -> Exit {
    let stand_in = StandIn { lock_path: lock_path(&lab), lab };
    let loaded = match load_or_tell(&arguments.inventory, Some(&stand_in), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    output.result(&rehearsal::substitutions(&loaded.substitutions, output.color));
    output.result(&format!("{}\n", render::topology::text(&loaded.topology, output.color)));
    let hosts = HostArgs::of(ReachArgs::default());
    let apply = ApplyArgs::rehearsal(arguments.inventory.clone(), hosts.clone(), arguments.diff);
    let exit = apply_loaded(loaded, Some(&stand_in), &apply, None, output);
    if exit != Exit::Done {
        return exit;
    }
    let loaded = match load_or_tell(&arguments.inventory, Some(&stand_in), output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let exit = prove(&loaded, inventory, &stand_in.lab, output);
    exit.worse(plan_again(&loaded, &hosts, output))
}

/// A client lives through its story; ports are looked at from outside.
fn prove(loaded: &Loaded, inventory: &Inventory, lab: &Lab, output: &Output) -> Exit {
    let topology = &loaded.topology;
    let Some(proxy) = &topology.proxy else {
        output.talk("The inventory has no proxy: no client can prove it.\n");
        return Exit::Done;
    };
    let found = proxy.hosts.first().and_then(|host| lab.host(host).ok());
    let Some(address) = found.and_then(|host| host.address.parse().ok()) else { return Exit::Error };
    let tls = proxy.tls != Tls::None;
    let ca = if tls { std::fs::read(&lab.state().ca).ok() } else { None };
    let door = Door {
        name: client_name(inventory),
        address: SocketAddr::new(address, if tls { 443 } else { 80 }),
        ca,
    };
    let processes = topology
        .instances
        .iter()
        .map(|one| Process {
            instance: one.name.clone(),
            host: one.host.clone(),
            unit: one.unit.clone(),
            log: one.logging.directory.as_ref().map(|directory| format!("{directory}/{}.log", one.name)),
        })
        .collect();
    let features = Features::of(&topology.shared_config);
    let homeserver = Homeserver { server_name: topology.server_name.clone(), door, processes, features };
    output.talk("A client registers, logs in, talks and listens through the proxy…\n");
    let router = topology.router();
    let checks =
        match verify(lab, &homeserver, &|method, path| router.route(&Request::new(method, path)).instances) {
            Ok(checks) => checks,
            Err(error) => return tell(&error, output),
        };
    output.result(&rehearsal::checks(&checks, output.color));
    let mut exit = if checks.iter().all(|check| check.ok) { Exit::Done } else { Exit::Error };
    for host in lab.hosts() {
        let allowed: &[u16] = match (proxy.hosts.contains(&host.name), tls) {
            (true, true) => &[22, 80, 443, 8448],
            (true, false) => &[22, 80],
            (false, _) => &[22],
        };
        match lab.port_scan(&host.address) {
            Ok(open) => {
                let ok = open.iter().all(|port| allowed.contains(port));
                output.result(&rehearsal::ports(&host.name, &open, ok, output.color));
                if !ok {
                    exit = exit.worse(Exit::Error);
                }
            }
            Err(error) => exit = exit.worse(tell(&error, output)),
        }
    }
    exit
}

/// The second plan must be empty.
fn plan_again(loaded: &Loaded, hosts: &HostArgs, output: &Output) -> Exit {
    let surveyed = match survey(loaded, hosts, Extent::Plan, output) {
        Ok(surveyed) => surveyed,
        Err(exit) => return exit,
    };
    let plan = surveyed.plan(loaded);
    output.result(&text(
        &plan,
        Style { diff: DiffStyle::Full, color: output.color, verbose: false },
        surveyed.errors.len(),
    ));
    if plan.is_empty() { surveyed.exit() } else { Exit::Error }
}

/// `synprov lab …`.
pub fn lab(arguments: &LabArgs, output: &Output) -> Exit {
    match super::lab::run(arguments, &mut std::io::stdout().lock()) {
        Ok(0) => Exit::Done,
        Ok(code) => Exit::Status(code),
        Err(error) => tell(&error, output),
    }
}

/// The lab that stands in for the inventory's hosts, if `--lab` was given.
pub fn stand_in(arguments: &InventoryArgs, output: &Output) -> Result<Option<StandIn>, Exit> {
    if !arguments.lab {
        return Ok(None);
    }
    let inventory = read_inventory(arguments).map_err(|unloadable| {
        unloadable.tell(&arguments.inventory, output);
        Exit::Error
    })?;
    let lab = Lab::find(&name_of(&arguments.inventory, &inventory)).map_err(|error| tell(&error, output))?;
    Ok(Some(StandIn { lock_path: lock_path(&lab), lab }))
}

/// An inventory's lab is named after its file, or after its server if the file is just `inventory.yaml`.
fn name_of(path: &Path, inventory: &Inventory) -> String {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        None | Some("inventory") => lab_name(&inventory.synapse.server_name.value),
        Some(stem) => lab_name(stem),
    }
}

/// The lab's own lock lies with its keys and goes with it.
fn lock_path(lab: &Lab) -> PathBuf {
    lab.state().ca.with_file_name("inventory.lock")
}

fn tell(error: &LabError, output: &Output) -> Exit {
    output.error(&error.to_string(), error.help().as_deref());
    Exit::Error
}
