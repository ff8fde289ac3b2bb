//! Secrets whose values come from this machine: environment, files, commands.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::load::Loaded;
use super::{Exit, Output};
use crate::inventory::SecretSource;
use crate::secret::Secret;

/// Values of all secrets that come from here.
pub fn read(loaded: &Loaded, output: &Output) -> Result<BTreeMap<String, Secret>, Exit> {
    let mut secrets = BTreeMap::new();
    let mut failed = false;
    for (name, node) in &loaded.topology.secrets {
        match value(&node.source, &loaded.path) {
            None => {}
            Some(Ok(secret)) => {
                secrets.insert(name.clone(), secret);
            }
            Some(Err((summary, help))) => {
                output.error(&format!("secret {name}: {summary}"), Some(&help));
                failed = true;
            }
        }
    }
    if failed { Err(Exit::Error) } else { Ok(secrets) }
}

/// A secret's value from its source; `None`: it originates on a host.
fn value(source: &SecretSource, inventory: &Path) -> Option<Result<Secret, (String, String)>> {
    let trimmed = |mut bytes: Vec<u8>| {
        // One newline at the end belongs to the file or the command, not to the value.
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Secret::new(bytes)
    };
    match source {
        SecretSource::Generate | SecretSource::Found(_) => None,
        SecretSource::Env(variable) => Some(match std::env::var_os(variable) {
            Some(value) if !value.is_empty() => {
                use std::os::unix::ffi::OsStringExt as _;
                Ok(Secret::new(value.into_vec()))
            }
            _ => Err((
                format!("environment variable {variable} is not set"),
                "set it for this run, e.g. from your password manager".to_owned(),
            )),
        }),
        SecretSource::File(file) => {
            let path = inventory.parent().unwrap_or(Path::new(".")).join(file);
            Some(std::fs::read(&path).map(trimmed).map_err(|error| {
                (
                    format!("cannot read {}: {error}", path.display()),
                    "the path is relative to the inventory".to_owned(),
                )
            }))
        }
        SecretSource::Field { file, key } => Some(field(&inventory.with_file_name(file), key)),
        SecretSource::Command(words) => Some(from_command(words, inventory).map(trimmed)),
    }
}

/// The text behind a key of a YAML file. Errors never show what stands in the file.
pub(super) fn field(path: &Path, key: &str) -> Result<Secret, (String, String)> {
    let failed =
        |why: &str| (format!("{} {why}", path.display()), format!("it must be YAML with {key}: TEXT"));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let (root, _) = crate::yaml::parse_lenient(&text);
    let root = root.ok_or_else(|| failed("is no YAML"))?;
    let value = root.get(key).and_then(crate::yaml::Node::as_str).filter(|value| !value.is_empty());
    value.map(|value| Secret::new(value.as_bytes().to_vec())).ok_or_else(|| failed(&format!("has no {key}")))
}

fn from_command(words: &[String], inventory: &Path) -> Result<Vec<u8>, (String, String)> {
    let help = "it runs in the inventory's directory and must print the value and exit 0".to_owned();
    let Some((program, arguments)) = words.split_first() else {
        return Err(("its command is empty".to_owned(), help));
    };
    let directory =
        inventory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |reason: String| (format!("command {program:?} failed: {reason}"), help.clone());
    // The terminal stays the person's: a password manager may ask for its passphrase there.
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(1 << 20).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(failed("it printed nothing".to_owned()));
    }
    Ok(bytes)
}
