//! `synprov import HOST`: asks the host, writes the inventory and its lock, says what needs a hand.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{ImportArgs, tell};
use crate::cli::{Exit, Output, ReachArgs, hosts, reach};
use crate::facts::Privilege;
use crate::facts::running::ask;
use crate::import::{Reached, found, name_like, write};
use crate::inventory;
use crate::transport;
use crate::yaml;

/// Runs it.
pub fn run(arguments: &ImportArgs, host: &str, output: &Output) -> Exit {
    let lock = arguments.output.with_extension("lock");
    if !arguments.print
        && let Some(there) = [&arguments.output, &lock].into_iter().find(|path| path.exists())
    {
        let help = "name another file with -o, or look at what would be written with --print";
        output.error(&format!("{} exists already", there.display()), Some(help));
        return Exit::Error;
    }
    let (reached, target, privilege) = match reached(arguments, host, output) {
        Ok(reached) => reached,
        Err(exit) => return exit,
    };
    let transport = reach::transport(&target);
    let lines = match ask(&target, &privilege, transport.as_ref()) {
        Ok(lines) => lines,
        Err(error) => {
            let errors = [(reached.name, error)];
            hosts::tell(&errors, output);
            return hosts::exit_of(&errors);
        }
    };
    let imported = match write(&found::read(&lines), &reached) {
        Ok(imported) => imported,
        Err(note) => {
            output.error(&format!("{}: {}", note.at, note.what), Some(&note.help));
            return Exit::Error;
        }
    };
    tell("Not understood, or in need of a hand", &imported.notes, output);
    tell("Would be something else than what runs", &imported.differs, output);
    if arguments.print {
        output.result(&imported.inventory);
        return Exit::Done;
    }
    for (path, text) in [(&arguments.output, &imported.inventory), (&lock, &imported.lock)] {
        if let Err(error) = create(path, text) {
            output.error(&format!("cannot write {}: {error}", path.display()), None);
            return Exit::Error;
        }
    }
    let (file, lock) = (arguments.output.display(), lock.display());
    output.talk(&format!("{file} and {lock} are written: main and {} workers.\n", imported.workers));
    let keep = if imported.differs.is_empty() { " --keep-running" } else { "" };
    output.talk(&format!("Read it, then: synprov check {file}, synprov plan --adopt{keep} {file}\n"));
    Exit::Done
}

/// A file that was not there a moment ago.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// The host as an inventory has it, checked as one is.
fn reached(
    arguments: &ImportArgs,
    host: &str,
    output: &Output,
) -> Result<(Reached, transport::Target, Privilege), Exit> {
    let (user, address) = match host.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, host),
    };
    let first = if address.parse::<std::net::IpAddr>().is_ok() {
        ""
    } else {
        address.split('.').next().unwrap_or("")
    };
    let name = arguments.name.clone().unwrap_or_else(|| name_like(first, "hs1", |_| false));
    let mut keys = Map::from_iter([("address".to_owned(), json!(address))]);
    let mut set = |key: &str, value: Option<Value>| keys.extend(value.map(|value| (key.to_owned(), value)));
    set("port", arguments.port.map(Value::from));
    set("user", user.map(Value::from));
    set("become", arguments.r#become.then_some(Value::Bool(true)));
    set("identity_files", arguments.identity_file.as_ref().map(|file| json!([file])));
    set("host_key", arguments.host_key.as_ref().map(|key| json!(key)));
    let reached = Reached { name: name.clone(), keys };
    // The rest of a smallest inventory, so that the host is read as any other.
    let text = yaml::emit_text(&json!({
        "hosts": {name.clone(): reached.keys},
        "synapse": {"server_name": "example.org", "version": "1.163.2"},
        "postgresql": {"host": name},
        "main": {"host": name},
    }));
    let (read, found) = inventory::parse(&text);
    let Some(host) = read.as_ref().and_then(|read| read.hosts.get(&name)).filter(|_| found.is_empty()) else {
        output.findings(&found, "the command line", &text);
        return Err(Exit::Usage);
    };
    let arguments = ReachArgs { timeout: arguments.timeout, ..ReachArgs::default() };
    let privilege = reach::privilege_by(host.r#become, &arguments, output)?;
    Ok((reached, reach::of(host, &name, &arguments), privilege))
}
