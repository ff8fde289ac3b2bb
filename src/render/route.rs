//! Where a request goes, as text.

use std::fmt::Write as _;

use super::paint::Paint;
use crate::diagnostic::Span;
use crate::topology::explain::{Because, Explanation, Key, Main, Process};
use crate::topology::{Balance, Gate};

/// Where a proxy's generated configuration says so.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Absolute path on the proxy's host.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// That line.
    pub text: String,
}

/// Some lines, aligned. `inventory`: its name, for places in it.
pub fn text(
    request: &str,
    explained: &Explanation,
    place: Option<&Place>,
    inventory: &str,
    color: bool,
) -> String {
    let paint = Paint(color);
    let mut rows: Vec<(&str, String)> = Vec::new();
    let refused = match explained.gate {
        Gate::Open => None,
        Gate::Replication => Some("404: replication is never open"),
        Gate::Admin => Some("404: the admin API is not open to this address; proxy.admin says to which"),
        Gate::Mas => Some("404: /_synapse/mas is not open to this address; mas says to which"),
        Gate::Own => Some("the proxy's own, or 404: this is not Synapse's"),
    };
    if let Some(refused) = refused {
        return format!("{}\n  {}  {refused}\n", paint.bold(request), paint.dim("answer   "));
    }
    rows.push(("class", format!("{}: {}", explained.class, because(explained, inventory))));
    if let Some(regex) = &explained.regex {
        let methods = match explained.methods.as_slice() {
            [] => "every method".to_owned(),
            methods => methods.join(", "),
        };
        rows.push(("matches", format!("{regex} ({methods}{})", releases(explained))));
    }
    let raw = request.split(' ').nth(1).and_then(|target| target.split('?').next());
    if raw.is_some_and(|raw| raw != explained.path) {
        rows.push(("path", format!("{} (decoded, as it is matched)", explained.path)));
    }
    if let Some(place) = place {
        rows.push(("location", format!("{}:{}: {}", place.file, place.line, place.text)));
    }
    rows.push(("pool", format!("{}, upstream {}", explained.pool, explained.upstream)));
    rows.push(("balance", balance(explained)));
    rows.push(("processes", processes(&explained.processes)));
    rows.push(("timeout", format!("{} s without a byte of the answer", explained.timeout)));
    rows.push(("main", main(explained).to_owned()));
    let mut out = format!("{}\n", paint.bold(request));
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}  {value}", paint.dim(&format!("{name:9}")));
    }
    out
}

fn because(explained: &Explanation, inventory: &str) -> String {
    let pool = &explained.pool;
    let at = |span: &Span| format!("{inventory}:{}:{}", span.line, span.column);
    match &explained.because {
        Because::Handles { word, span } => format!("{pool} handles {word} ({})", at(span)),
        Because::Writes { stream, span: Some(span) } => format!("{pool} writes {stream} ({})", at(span)),
        Because::Writes { stream, span: None } => format!("{pool} writes {stream}, as media processes do"),
        Because::NoPool { words } => format!("no pool handles {}", words.join(" or ")),
        Because::MainOnly => "no worker of Synapse serves that".to_owned(),
    }
}

fn releases(explained: &Explanation) -> String {
    match (&explained.since, &explained.until) {
        (None, None) => String::new(),
        (Some(since), None) => format!("; workers serve it since Synapse {since}"),
        (None, Some(until)) => format!("; as of Synapse {until} and before"),
        (Some(since), Some(until)) => format!("; as of Synapse {since} to {until}"),
    }
}

fn balance(explained: &Explanation) -> String {
    if explained.processes.len() < 2 {
        return "one process, nothing to choose".to_owned();
    }
    let how = match explained.balance {
        Balance::RoundRobin => return "in turn".to_owned(),
        Balance::LeastConn => return "the one with the fewest connections".to_owned(),
        Balance::User => "same user, same process",
        Balance::Room => "same room, same process",
        Balance::Source => "same address, same process",
    };
    let key = match &explained.key {
        None => return how.to_owned(),
        Some(Key::User(name)) => format!("the user's name in the token, {name}"),
        Some(Key::Token) => "the token as a whole, which is not one of Synapse's own".to_owned(),
        Some(Key::Device) => "address and User-Agent, since tokens of MAS change".to_owned(),
        Some(Key::Room(room)) => format!("the room {room}"),
        Some(Key::Source(Some(address))) => format!("the client's address, {address}"),
        Some(Key::Source(None)) => "the client's address".to_owned(),
    };
    format!("{how}; hashed here: {key}")
}

fn processes(processes: &[Process]) -> String {
    let one = |process: &Process| {
        let host = process.host.as_ref().map_or_else(String::new, |host| format!(" on {host}"));
        let weight = if process.weight == 1 { String::new() } else { format!(", weight {}", process.weight) };
        format!("{}{host} ({}{weight})", process.name, process.address)
    };
    processes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn main(explained: &Explanation) -> &'static str {
    match explained.main {
        Main::Serves => "serves it",
        Main::StandsIn => "stands in while none of these answers",
        Main::NotTheWriter => "cannot stand in: it does not write the stream",
        Main::NotTheSession => "cannot stand in: the session of a login is in one process' memory",
        Main::NoMedia => "cannot stand in: it has no media repository beside media workers",
        Main::Refuses => "cannot stand in",
    }
}
