//! `synprov init`: a commented inventory to begin with, from flags or a few questions.
//!
//! What is written has gone through the same checks as `synprov check` first.

mod preset;
mod questions;
mod text;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Output, exit};
use crate::diagnostic::Severity;
use crate::inventory::{self, Lock};
use crate::render::diagnostic;
use crate::topology::{self, catalogue::Catalogue};
use crate::version::Version;
use preset::Size;

/// Newest Synapse this synprov was rehearsed with.
const VERSION: &str = "1.163.2";
const CERTIFICATE: &str = "/etc/ssl/matrix/fullchain.pem";
const KEY: &str = "/etc/ssl/matrix/privkey.pem";

/// `synprov init`.
#[derive(Debug, Default, Args)]
#[command(after_help = exit::below(HELP, &[], &[]), disable_version_flag = true)]
pub struct InitArgs {
    /// The inventory to write
    #[arg(default_value = "inventory.yaml", value_name = "FILE")]
    file: PathBuf,

    /// The part of @user:example.org behind the colon
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,

    /// Where clients find the server [default: https://matrix.SERVER_NAME/]
    #[arg(long, value_name = "URL")]
    public_baseurl: Option<String>,

    /// A host; several for several hosts, the first has main, PostgreSQL, Redis and the proxy
    #[arg(long, value_name = "NAME=ADDRESS[,INTERNAL_ADDRESS]", value_parser = host)]
    host: Vec<NewHost>,

    /// User for SSH; another than root needs sudo without a password [default: root]
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// How many processes, for which machines [default: small]
    #[arg(long, value_enum, value_name = "SIZE")]
    size: Option<Size>,

    /// Version of Synapse: nothing is written that it does not know
    #[arg(long, default_value = VERSION, value_name = "VERSION")]
    version: String,

    /// Certificate chain on the proxy's host [default: /etc/ssl/matrix/fullchain.pem]
    #[arg(long, value_name = "PATH", requires = "key")]
    certificate: Option<String>,

    /// Its private key [default: /etc/ssl/matrix/privkey.pem]
    #[arg(long, value_name = "PATH", requires = "certificate")]
    key: Option<String>,

    /// Plain HTTP behind another proxy in this network, instead of a certificate
    #[arg(long, value_name = "CIDR", conflicts_with = "certificate")]
    trusted_proxy: Vec<String>,

    /// Print the inventory instead of writing it
    #[arg(long)]
    print: bool,

    /// Overwrite FILE
    #[arg(long, conflicts_with = "print")]
    force: bool,
}

const HELP: &str = "\
On a terminal it asks for what the flags do not say. Elsewhere --server-name is enough.

Examples:
  synprov init
  synprov init --server-name example.org --host hs1=192.0.2.10 --user deploy
  synprov init --server-name example.org --size large \\
    --host hs1=192.0.2.10,10.8.0.1 --host hs2=192.0.2.11,10.8.0.2
  synprov init --server-name example.org --size one-of-each --print

Then: synprov check, synprov rehearse.";

/// `--host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    name: String,
    address: String,
    internal: Option<String>,
}

fn host(text: &str) -> Result<NewHost, String> {
    let (name, rest) = text.split_once('=').ok_or("write NAME=ADDRESS, e.g. hs1=192.0.2.10")?;
    let (address, internal) = match rest.split_once(',') {
        Some((address, internal)) => (address, Some(internal.to_owned())),
        None => (rest, None),
    };
    // A name is a key of the file: it is not quoted, so it must be plain.
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if !plain || address.is_empty() {
        return Err("write NAME=ADDRESS, NAME of a-z, 0-9, _ and -, e.g. hs1=192.0.2.10".to_owned());
    }
    Ok(NewHost { name: name.to_owned(), address: address.to_owned(), internal })
}

fn base_url(server_name: &str) -> String {
    format!("https://matrix.{}/", server_name.split(':').next().unwrap_or(server_name))
}

/// Everything that is needed to write an inventory.
pub struct Answers {
    server_name: String,
    public_baseurl: String,
    hosts: Vec<NewHost>,
    /// No host was named: what stands there is an example.
    example_hosts: bool,
    user: String,
    size: Size,
    version: String,
    tls: Tls,
}

/// Where TLS ends.
pub enum Tls {
    /// At ours.
    Files {
        /// Path.
        certificate: String,
        /// Path.
        key: String,
    },
    /// At another proxy in these networks.
    Behind(Vec<String>),
}

/// Runs it.
pub fn run(mut arguments: InitArgs, output: &Output) -> Exit {
    let path = arguments.file.clone();
    if path.exists() && !arguments.print && !arguments.force {
        output.error(
            &format!("{} exists already", path.display()),
            Some("name another FILE, look at a new one with --print, or overwrite it with --force"),
        );
        return Exit::Error;
    }
    if arguments.server_name.is_none() {
        if !(std::io::stdin().is_terminal() && output.terminal) {
            output.error(
                "--server-name is missing",
                Some("it is the part of @user:example.org behind the colon"),
            );
            return Exit::Usage;
        }
        let asked = questions::ask(&mut arguments, &mut std::io::stdin().lock(), &|text| output.talk(text));
        if asked.is_none() {
            output.error("no more answers: nothing was written", None);
            return Exit::Error;
        }
    }
    let named = path.display().to_string();
    let (force, print) = (arguments.force, arguments.print);
    let text = match write(answers(arguments), &named, output) {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    if print {
        output.result(&text);
        return Exit::Done;
    }
    let mut options = std::fs::OpenOptions::new();
    // `create_new` again: it may have appeared since.
    let options = if force {
        options.write(true).create(true).truncate(true)
    } else {
        options.write(true).create_new(true)
    };
    if let Err(error) = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes())) {
        output.error(&format!("cannot write {named}: {error}"), None);
        return Exit::Error;
    }
    output.talk(&format!("{named} is written. Look at what is marked <-, then: synprov check {named}\n"));
    Exit::Done
}

fn answers(arguments: InitArgs) -> Answers {
    let server_name = arguments.server_name.unwrap_or_default();
    let example_hosts = arguments.host.is_empty();
    let example = NewHost { name: "hs1".to_owned(), address: "192.0.2.10".to_owned(), internal: None };
    let tls = match (arguments.trusted_proxy.is_empty(), arguments.certificate, arguments.key) {
        (false, ..) => Tls::Behind(arguments.trusted_proxy),
        (_, Some(certificate), Some(key)) => Tls::Files { certificate, key },
        _ => Tls::Files { certificate: CERTIFICATE.to_owned(), key: KEY.to_owned() },
    };
    Answers {
        public_baseurl: arguments.public_baseurl.unwrap_or_else(|| base_url(&server_name)),
        server_name,
        hosts: if example_hosts { vec![example] } else { arguments.host },
        example_hosts,
        user: arguments.user.unwrap_or_else(|| "root".to_owned()),
        size: arguments.size.unwrap_or_default(),
        version: arguments.version,
        tls,
    }
}

/// The text, checked as `synprov check` does; what is wrong with the answers is said of the text.
fn write(answers: Answers, path: &str, output: &Output) -> Result<String, Exit> {
    let Some(version) = Version::parse(&answers.version) else {
        let summary = format!("{:?} is no version of Synapse", answers.version);
        output.error(&summary, Some(&format!("write it as on PyPI: --version {VERSION}")));
        return Err(Exit::Usage);
    };
    let catalogue = Catalogue::builtin();
    let preset =
        catalogue.and_then(|catalogue| answers.size.preset(catalogue, &version)).map_err(|error| {
            output.error(&error, None);
            Exit::Error
        })?;
    let text = text::text(&answers, &preset, path);
    let (inventory, mut found) = inventory::parse(&text);
    if let Some(inventory) = &inventory {
        found.extend(topology::resolve(inventory, &Lock::default()).diagnostics);
    }
    let refused = found.iter().any(|found| found.severity == Severity::Error);
    if !found.is_empty() {
        // A file of this name may be there, with other lines.
        let name = if refused { format!("{path}, not written") } else { path.to_owned() };
        output.talk(&diagnostic::text(&found, &name, &text, output.color_talk));
    }
    if refused {
        let help = "give other answers; hosts that reach each other by another address than you do: \
                    --host NAME=ADDRESS,INTERNAL_ADDRESS";
        output.error("these answers make no valid inventory: nothing was written", Some(help));
        return Err(Exit::Error);
    }
    Ok(text)
}
