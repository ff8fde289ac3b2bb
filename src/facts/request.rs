//! What one host is asked: exactly the things that are desired for it.

use std::fmt::Write as _;

use base64::Engine as _;

use super::generation::Wanted;
use crate::resource::{Body, Resource};
use crate::topology::SynapseCheck;
use crate::topology::registered::SCRIPT;

/// What the exec is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Answer and end.
    Facts,
    /// Take the lock, answer, then serve steps.
    Apply,
}

/// A port somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Name or IP address, IPv6 without brackets.
    pub address: String,
    /// TCP.
    pub port: u16,
}

/// End of the path of the directory whose files are the admin's own and are laid over ours.
const OTHERS: &str = "/conf/conf.d";

/// Whether this directory holds files of the admin's own that Synapse lays over ours.
pub(super) fn is_others(directory: &str) -> bool {
    directory.ends_with(OTHERS)
}

/// Directory of a deployment's record on every host.
pub fn state_directory(server_name: &str) -> String {
    format!("/var/lib/synprov/{server_name}")
}

/// What a host is asked besides what is desired for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Also<'a> {
    /// What these processes serve, which takes seconds.
    pub routes: Option<&'a SynapseCheck>,
    /// Which of these ports of other hosts it can connect to, 5 s at most.
    pub reaches: &'a [Port],
    /// What each service's process is like and whether it is ready; needs the functions of `ready.sh`.
    pub states: bool,
    /// What only a drift run asks: lines by [`super::watched::request`]; needs the functions of `watch.sh`.
    pub watch: &'a str,
    /// What to say of its generations.
    pub generations: Option<Wanted>,
}

/// The request as lines of tab-separated fields, ending with `end`.
///
/// `nonce` is this run's, the same for all hosts; `who` names this run to others that find the lock taken.
pub fn request(
    mode: Mode,
    server_name: &str,
    nonce: &str,
    who: &str,
    resources: &[&Resource],
    also: Also<'_>,
) -> String {
    let mut text = String::new();
    let mode = match mode {
        Mode::Facts => "facts",
        Mode::Apply => "apply",
    };
    // Writing to a String cannot fail.
    let _ =
        writeln!(text, "mode\t{mode}\nstate\t{}\nnonce\t{nonce}\nwho\t{who}", state_directory(server_name));
    for resource in resources {
        let _ = match &resource.body {
            Body::Packages { packages, .. } => {
                packages.iter().try_for_each(|package| writeln!(text, "package\t{package}"))
            }
            Body::User { name, .. } => writeln!(text, "user\t{name}"),
            Body::Directory { path, .. } => {
                writeln!(text, "path\t-\t{path}").and_then(|()| match is_others(path) {
                    true => writeln!(text, "keys\t-\t{path}"),
                    false => Ok(()),
                })
            }
            Body::File { path, content, .. } => {
                let word = if content.secrets().is_empty() { "path" } else { "secretful" };
                writeln!(text, "{word}\t{}\t{path}", content.digest())
            }
            Body::Directive { path, directive, .. } => writeln!(text, "directive\t{directive}\t{path}"),
            Body::Secret { name, path, .. } => writeln!(text, "secret\t{name}\t{path}"),
            Body::Venv { path, .. } => writeln!(text, "venv\t{path}"),
            Body::Service { unit, reload, .. } => {
                writeln!(text, "{}\t{unit}", if *reload { "reloads" } else { "unit" })
            }
            Body::Postgresql { role, database, settings, .. } => {
                writeln!(text, "postgresql\t{role}\t{database}").and_then(|()| {
                    settings.keys().try_for_each(|setting| writeln!(text, "setting\t{setting}"))
                })
            }
            Body::Routes { .. } | Body::ExternalPostgresql { .. } => Ok(()),
        };
    }
    if let Some(check @ SynapseCheck { python, user, modules, .. }) = also.routes {
        let script = base64::engine::general_purpose::STANDARD.encode(SCRIPT);
        let processes = check.asked();
        let modules = modules.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "script\t{script}\nprocesses\t{processes}\nmodules\t{modules}\nserving\t{user}\t{python}"
        );
    }
    for Port { address, port } in also.reaches {
        let _ = writeln!(text, "reaches\t{address}\t{port}");
    }
    for resource in resources.iter().filter(|_| also.states) {
        let Body::Service { unit, ready, .. } = &resource.body else { continue };
        let _ = writeln!(text, "ready\t{unit}\t");
        for condition in ready.conditions() {
            let _ = writeln!(text, "ready\t{unit}\t{condition}");
        }
    }
    text.push_str(also.watch);
    if let Some(wanted) = also.generations {
        let _ = writeln!(text, "generations\t{}", wanted.word());
    }
    text.push_str("end\n");
    text
}
