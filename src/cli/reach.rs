//! How a host of the inventory is reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::Loaded;
use super::{Exit, Output, ReachArgs, become_password, terminal};
use crate::facts::Privilege;
use crate::inventory::{Become, Host};
use crate::secret::Secret;
use crate::transport::{Client, Config, Passphrases, Target, Transport, choose};

/// What the transport needs to know of a host. What the inventory leaves open, ssh's configuration may fill in.
///
/// Errors: a name that is no host's.
pub fn target(loaded: &Loaded, name: &str, arguments: &ReachArgs) -> Result<Target, Exit> {
    let host = loaded.inventory.hosts.get(name).ok_or(Exit::Error)?;
    Ok(of(host, name, arguments))
}

/// The same of any host.
pub fn of(host: &Host, name: &str, arguments: &ReachArgs) -> Target {
    let home = std::env::home_dir().unwrap_or_default();
    let user = host.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "root".to_owned());
    Target {
        name: name.to_owned(),
        address: host.address.value.clone(),
        port: host.port.unwrap_or(22),
        user,
        identity_files: host.identity_files.iter().map(|path| expand(path, &home)).collect(),
        known_hosts: vec![home.join(".ssh/known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts")],
        host_key: host.host_key.as_ref().map(|key| key.value.clone()),
        accept_new: host.accept_new,
        connect_timeout: Duration::from_secs(arguments.timeout),
        client: client(host, arguments),
    }
}

fn client(host: &Host, arguments: &ReachArgs) -> Client {
    Client {
        means: host.transport,
        config: match &arguments.ssh_config {
            None => Config::Default,
            Some(file) if file.as_os_str() == "none" => Config::None,
            Some(file) => Config::File(file.clone()),
        },
        jump: host.jump.iter().map(|jump| jump.value.clone()).collect(),
        port_is_default: host.port.is_none(),
        user_is_default: host.user.is_none(),
    }
}

/// How the log-in user becomes root there; asks for the password, if that is wanted and nobody was asked yet.
pub fn privilege(
    loaded: &Loaded,
    name: &str,
    arguments: &ReachArgs,
    output: &Output,
) -> Result<Privilege, Exit> {
    let host = loaded.inventory.hosts.get(name);
    privilege_by(host.map_or(Become::No, |host| host.r#become), arguments, output)
}

/// The same by this word of a host.
pub fn privilege_by(by: Become, arguments: &ReachArgs, output: &Output) -> Result<Privilege, Exit> {
    if by == Become::No {
        return Ok(Privilege::default());
    }
    let password = become_password::get(arguments.ask_become_password).map_err(|why| {
        output.error(&why, Some("or allow sudo without a password, or log in as root"));
        Exit::Error
    })?;
    Ok(if by == Become::Doas { Privilege::doas(password) } else { Privilege::sudo(password) })
}

/// How the bytes travel there.
pub fn transport(target: &Target) -> Box<dyn Transport> {
    choose(&target.address, &PASSPHRASES)
}

/// Of keys that no agent has: asked for on the terminal, if there is one.
static PASSPHRASES: Passphrases = Passphrases::asked_by(ask_for_passphrase);

fn ask_for_passphrase(file: &Path) -> Option<Secret> {
    let typed = terminal::ask(&format!("Passphrase of {}: ", file.display())).ok()?;
    (!typed.is_empty()).then(|| Secret::new(typed.as_bytes().to_vec()))
}

/// `~/x` to the home directory.
fn expand(path: &str, home: &Path) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| home.join(rest))
}
