//! `synprov drift`: whether anybody but synprov changed the hosts. Made for cron: silent if not.

mod notify;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::hosts::{Extent, ask};
use super::load::{Loaded, load};
use super::output::nothing;
use super::rehearse::stand_in;
use super::several::{self, MoreArgs, Others};
use super::whole_file::{PRIVATE, replace};
use super::{Exit, HostArgs, InventoryArgs, Output, ReachArgs, clock, exit};
use crate::plan::drift::{Class, drift};
use crate::render::drift::{Report, Scope, json, merged, prometheus, text};
use crate::render::graph::{Graph, svg};
use crate::render::html::{self, Around};
use notify::Notify;

/// `synprov drift`.
#[derive(Debug, Clone, Args)]
#[command(after_help = exit::below(HELP, &[], EXITS))]
pub struct DriftArgs {
    #[command(flatten)]
    inventory: InventoryArgs,

    #[command(flatten)]
    more: MoreArgs,

    #[command(flatten)]
    reach: ReachArgs,

    /// Also report, and exit 2 for, what the inventory intends and nobody has applied
    #[arg(long)]
    pending: bool,

    /// What is put out
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    format: Format,

    /// One document on standard output, the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write to this file, replaced as a whole, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write what was found as one page for a browser as well (0600): no script, nothing it loads
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Run this when the outcome is another than last time: command:[PROGRAM, ARGUMENT, …], report on its standard input
    #[arg(long, value_name = "command:[…]")]
    notify: Option<Notify>,

    /// Put out nothing; the exit status says it
    #[arg(short, long, conflicts_with_all = ["format", "json", "out"])]
    quiet: bool,
}

/// What a drift run puts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// A report for people; nothing if there is nothing to tell
    #[default]
    Text,
    /// One document, see schema/drift.schema.json
    Json,
    /// Metrics for node_exporter's textfile collector
    Prometheus,
}

/// What its exit codes say of the hosts.
const EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "nobody but synprov changed anything"),
    (Exit::Changes, "somebody did"),
    (Exit::Incomplete, "a host could not be asked (what is known of the others is told)"),
];

const HELP: &str = "\
It asks each host once, takes no lock, changes nothing, also not inventory.lock. \
What the distribution renews by itself is no drift, unless a process still runs what was there before.

What --notify knows of last time lies in $XDG_STATE_HOME/synprov/drift (~/.local/state/synprov/drift), a file for \
each inventory and --limit. The command is run in the inventory's directory with SYNPROV_STATE (clean, drift or \
incomplete), SYNPROV_BEFORE, SYNPROV_SERVER_NAME and SYNPROV_EXIT in its environment. If it fails, it is run again next time.

Examples:
  synprov drift                        is all as it was left?
  synprov drift --pending              and has everything been applied?
  synprov drift -v                     also renewed packages, nothing cut short
  synprov drift --format json | jq '.findings[].name'
  synprov drift --format prometheus \\
    --out /var/lib/prometheus/node-exporter/synprov.prom
  synprov drift a.yaml b.yaml          several deployments, side by side
  synprov drift --html drift.html      one page for a browser
  synprov drift -q --notify 'command:[mail, -s, \"drift on example.org\", root]'";

/// Runs it.
pub fn run(arguments: &DriftArgs, output: &Output) -> Exit {
    let put = |text: &str, output: &Output| put(arguments, text, output);
    let Some(all) = arguments.more.all(&arguments.inventory) else { return run_one(arguments, &put, output) };
    // Metrics of several are one page.
    let merges = arguments.format == Format::Prometheus;
    let files = [("--out", arguments.out.is_some() && !merges), ("--html", arguments.html.is_some())];
    if let Err(exit) = several::refuse(&files, output) {
        return exit;
    }
    let mut each = DriftArgs { more: MoreArgs::default(), ..arguments.clone() };
    let (at_once, forks) = several::shares(each.reach.forks, all.len());
    each.reach.forks = forks;
    let pages = Mutex::new(BTreeMap::new());
    let exit = several::side_by_side(&all, at_once, Others::GoOn, output, |inventory, output| {
        let keep = |text: &str, _: &Output| {
            let at = all.iter().position(|one| one.inventory == inventory.inventory);
            pages.lock().unwrap_or_else(PoisonError::into_inner).insert(at, text.to_owned());
            Exit::Done
        };
        let arguments = DriftArgs { inventory: inventory.clone(), ..each.clone() };
        run_one(&arguments, if merges { &keep } else { &put }, output)
    });
    let pages = pages.into_inner().unwrap_or_else(PoisonError::into_inner);
    if pages.is_empty() {
        return exit;
    }
    exit.worse(put(&merged(pages.values().map(String::as_str)), output))
}

/// Where the text of a report goes, and what came of that.
type Put<'a> = &'a dyn Fn(&str, &Output) -> Exit;

fn run_one(arguments: &DriftArgs, put: Put<'_>, output: &Output) -> Exit {
    // What is written to a file stays as it was: whoever reads it sees by its time that it is old.
    let json = (arguments.json || arguments.format == Format::Json) && arguments.out.is_none();
    let inventory = Some(arguments.inventory.inventory.as_path());
    output.answers(json && !arguments.quiet, inventory, nothing, || told(arguments, put, output))
}

/// `Err`: nothing was put out.
fn told(arguments: &DriftArgs, put: Put<'_>, output: &Output) -> Result<Exit, Exit> {
    let (began, at) = (Instant::now(), now());
    let stand_in = stand_in(&arguments.inventory, output)?;
    // Warnings are `check`'s: a mail about them every hour is not wanted.
    let mut loaded = match load(&arguments.inventory, stand_in.as_ref()) {
        Ok(loaded) => loaded,
        Err(unloadable) => {
            unloadable.tell(&arguments.inventory.inventory, output);
            return Err(Exit::Error);
        }
    };
    // The lock on disk stays as it is, whatever this run would add.
    if arguments.inventory.locked {
        loaded.lock.save(true, output)?;
    }
    let hosts = HostArgs::of(arguments.reach.clone());
    let surveyed = ask(&loaded, &hosts, Extent::Drift, output)?;
    let drift = surveyed.with_plan(&loaded, drift);
    let counts = |class: Class| drift.of(class).next().is_some();
    let mut exit = surveyed.exit();
    if counts(Class::Drift) || (arguments.pending && counts(Class::Pending)) {
        exit = exit.worse(Exit::Changes);
    }
    let report = Report {
        server_name: &loaded.topology.server_name,
        drift: &drift,
        errors: &surveyed.errors,
        began: at,
        seconds: began.elapsed().as_secs_f64(),
        exit: exit.code(),
    };
    if !arguments.quiet {
        exit = exit.worse(put(&said(arguments, &report, output), output));
    }
    if let Some(path) = &arguments.html {
        exit = exit.worse(write_page(path, &loaded, &report, output));
    }
    if let Some(notify) = &arguments.notify {
        exit = exit.worse(remember(arguments, notify, &loaded, &report, output));
    }
    Ok(exit)
}

/// The report as it was asked for.
fn said(arguments: &DriftArgs, report: &Report<'_>, output: &Output) -> String {
    let scope = Scope {
        pending: arguments.pending,
        verbose: output.verbose > 0,
        color: output.color && arguments.out.is_none(),
    };
    match arguments.format {
        _ if arguments.json => json(report),
        Format::Text => text(report, scope),
        Format::Json => json(report),
        Format::Prometheus => prometheus(report),
    }
}

/// Puts it out where it was asked for.
fn put(arguments: &DriftArgs, text: &str, output: &Output) -> Exit {
    let Some(path) = &arguments.out else {
        output.result(text);
        return Exit::Done;
    };
    // Others (node_exporter) read it.
    match replace(path, text.as_bytes(), 0o644) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output.error(&format!("cannot write {}: {error}", path.display()), None);
            Exit::Error
        }
    }
}

/// The report as a page, with the picture of what the inventory means. Says nothing: cron would mail it.
fn write_page(path: &Path, loaded: &Loaded, report: &Report<'_>, output: &Output) -> Exit {
    let picture = svg(&Graph::new(&loaded.topology));
    let title = format!("Drift of {}", report.server_name);
    let made = format!("{} by {}, against {}", clock::utc_now(), clock::who(), loaded.path.display());
    let around = Around { title: &title, made: &made, picture: Some(&picture) };
    match replace(path, html::drift(report, &around).as_bytes(), PRIVATE) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let help = "name a file in a directory that exists and may be written";
            output.error(&format!("cannot write {}: {error}", path.display()), Some(help));
            Exit::Error
        }
    }
}

/// Runs the command if the outcome is another than last time, and remembers it.
fn remember(
    arguments: &DriftArgs,
    notify: &Notify,
    loaded: &Loaded,
    report: &Report<'_>,
    output: &Output,
) -> Exit {
    let path = match state::path(&loaded.path, &arguments.reach.limit, arguments.inventory.lab) {
        Ok(path) => path,
        Err(summary) => {
            output.error(&summary, Some("set XDG_STATE_HOME to a directory that this user can write"));
            return Exit::Error;
        }
    };
    let (before, state) = (state::read(&path), state::State::of(report, arguments.pending));
    if before == state {
        return Exit::Done;
    }
    let scope = Scope { pending: arguments.pending, verbose: false, color: false };
    let mut words = text(report, scope);
    if words.is_empty() {
        words = format!("No drift of {} any more.\n", report.server_name);
    }
    let directory = loaded.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let environment = [
        ("SYNPROV_STATE", state.word.clone()),
        ("SYNPROV_BEFORE", before.word),
        ("SYNPROV_SERVER_NAME", report.server_name.to_owned()),
        ("SYNPROV_EXIT", report.exit.to_string()),
    ];
    if let Err(why) = notify.run(directory.unwrap_or(Path::new(".")), &environment, &words) {
        output.error(&format!("--notify: {why}"), Some("it is run again by the next drift run"));
        return Exit::Error;
    }
    if let Err(error) = state::write(&path, &state) {
        output
            .error(&format!("cannot write {}: {error}", path.display()), Some("the next run notifies again"));
        return Exit::Error;
    }
    Exit::Done
}

/// This machine's clock, microseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
