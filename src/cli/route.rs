//! `synprov route`: where one request goes, and why, without asking a host.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::load::{Loaded, load_or_tell};
use super::output::nothing;
use super::{Exit, InventoryArgs, Output, exit};
use crate::render::route::{self, Place};
use crate::resource::{Body, FileSet};
use crate::topology::Request;
use crate::topology::explain::{Explanation, explain};
use crate::topology::site::split_port;

/// `synprov route`.
#[derive(Debug, Args)]
#[command(override_usage = "synprov route [OPTIONS] [INVENTORY] <METHOD> <URL>", after_help = exit::below(HELP, &[], &[]))]
pub struct RouteArgs {
    /// The inventory [default: inventory.yaml], a method, and a URL or its path with the query, as on the wire
    #[arg(value_name = "INVENTORY METHOD URL", num_args = 2..=3, required = true)]
    words: Vec<String>,

    /// A header of the request, `NAME: VALUE`; may be given again
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,

    /// The client's address, after trusted proxies were believed
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,

    /// As if the request had the token of this application service of the inventory
    #[arg(long, value_name = "NAME")]
    appservice: Option<String>,

    /// Directory with modules that add to the built-in ones or shadow them [default: modules/ beside the inventory]
    #[arg(long, env = "SYNPROV_MODULES", value_name = "DIR")]
    modules: Option<PathBuf>,

    /// Answer as JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  synprov route GET '/_matrix/client/v3/sync?since=s1'
  synprov route prod.yaml PUT /_matrix/federation/v1/send/1 --from 192.0.2.7
  synprov route POST https://matrix.example.org/_matrix/client/v3/keys/query
  synprov route GET /_matrix/client/v3/sync --header 'User-Agent: mautrix'";

/// Runs it: 0 if there is an answer, 64 if the request is none.
pub fn run(arguments: &RouteArgs, output: &Output) -> Exit {
    output.answers(arguments.json, None, nothing, || routed(arguments, output))
}

/// `Err`: nothing was put out.
fn routed(arguments: &RouteArgs, output: &Output) -> Result<Exit, Exit> {
    let (inventory, [method, url]) = match arguments.words.as_slice() {
        [inventory, method, url] => (PathBuf::from(inventory), [method, url]),
        [method, url] => {
            let named = std::env::var_os("SYNPROV_INVENTORY").filter(|name| !name.is_empty());
            (named.map_or_else(|| "inventory.yaml".into(), PathBuf::from), [method, url])
        }
        _ => return Err(Exit::Usage),
    };
    let request = match request(method, url, arguments) {
        Ok(request) => request,
        Err((summary, help)) => {
            output.error(&summary, Some(&help));
            return Err(Exit::Usage);
        }
    };
    let inventory =
        InventoryArgs { inventory, locked: false, modules: arguments.modules.clone(), lab: false };
    let loaded = load_or_tell(&inventory, None, output)?;
    if let Some(name) = &arguments.appservice
        && !loaded.inventory.synapse.appservices.contains_key(name)
    {
        let known: Vec<&str> = loaded.inventory.synapse.appservices.keys().map(String::as_str).collect();
        let help = format!("it has: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        output.error(&format!("the inventory has no application service {name:?}"), Some(&help));
        return Err(Exit::Usage);
    }
    note_host(url, &loaded, output);
    let found = loaded.topology.router().route(&request);
    let explained = match explain(&loaded.topology, &loaded.inventory, &request, &found) {
        Ok(explained) => explained,
        Err(message) => {
            output.error(&message, None);
            return Err(Exit::Error);
        }
    };
    let place = place(&loaded, &explained);
    if arguments.json {
        output.document(json!({
            "method": request.method,
            "target": request.target,
            "route": explained,
            "location": place,
        }));
    } else {
        let line = format!("{} {}", request.method, request.target);
        let name = inventory.inventory.display().to_string();
        output.result(&route::text(&line, &explained, place.as_ref(), &name, output.color));
    }
    Ok(Exit::Done)
}

/// Says that a URL's host is none that the proxy answers to; where the request would go is told all the same.
fn note_host(url: &str, loaded: &Loaded, output: &Output) {
    let Some((_, rest)) = url.split_once("://") else { return };
    let host = split_port(rest.split(['/', '?', '#']).next().unwrap_or_default()).0.to_ascii_lowercase();
    let names = loaded.topology.site_names();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(&host)) {
        let summary = format!("this site answers to {}, not to {host:?}", names.join(" and "));
        output.warn(
            &summary,
            "this is where the request would go if it came here; see `server_names` of the proxy",
        );
    }
}

/// What was typed as a request; else what is wrong with it and what to write.
fn request(method: &str, url: &str, arguments: &RouteArgs) -> Result<Request, (String, String)> {
    if method.contains('/') {
        let help = "write the method before the URL: synprov route GET /_matrix/client/versions";
        return Err((format!("{method:?} is no method"), help.to_owned()));
    }
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let help = format!("methods are written in capitals: {}", method.to_ascii_uppercase());
        return Err((format!("{method:?} is no method"), help));
    }
    let target = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => url,
    };
    let target = target.split('#').next().unwrap_or_default();
    if !target.starts_with('/') {
        let help = "write https://HOST/_matrix/… or its path, /_matrix/…";
        return Err((format!("{url:?} is no URL"), help.to_owned()));
    }
    if let Some(bad) = target.chars().find(|c| c.is_control() || c.is_whitespace()) {
        let help = format!("write it as on the wire: %{:02X}", u32::from(bad));
        return Err((format!("{url:?} holds the character {bad:?}"), help));
    }
    let mut headers = Vec::new();
    for header in &arguments.header {
        let parts = header.split_once(':').filter(|(name, _)| {
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
        });
        let Some((name, value)) = parts else {
            // Its value may be a token.
            let help = "write it in one word for the shell: --header 'User-Agent: Element'";
            return Err(("a header is no NAME: VALUE".to_owned(), help.to_owned()));
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let appservice = arguments.appservice.clone();
    Ok(Request { headers, source: arguments.from, appservice, ..Request::new(method, target) })
}

/// The line of the proxy's generated configuration that takes the request.
fn place(loaded: &Loaded, explained: &Explanation) -> Option<Place> {
    let files: Vec<(&String, String)> = loaded
        .resources
        .iter()
        .filter_map(|resource| match &resource.body {
            Body::File { path, content, set: FileSet::Nginx | FileSet::Haproxy, .. } => {
                Some((path, content.redacted()))
            }
            _ => None,
        })
        .collect();
    let wanted = |text: &str| match &explained.regex {
        Some(regex) => {
            (text.starts_with("location ~") || text.starts_with("acl ")) && text.contains(regex.as_str())
        }
        None => ["/_matrix/", "/_synapse/client/"].iter().any(|prefix| {
            explained.path.starts_with(prefix)
                && (text == format!("location {prefix} {{")
                    || (text.starts_with(&format!("use_backend {} if ", explained.upstream))
                        && text.contains(prefix)))
        }),
    };
    files.into_iter().find_map(|(path, content)| {
        let (at, text) = content.lines().map(str::trim).enumerate().find(|(_, text)| wanted(text))?;
        Some(Place { file: path.clone(), line: at + 1, text: text.trim_end_matches(" {").to_owned() })
    })
}
