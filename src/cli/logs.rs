//! `synprov logs`: what processes logged, of several hosts together, and what they log from now on.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

use clap::Args;

use super::hosts::{excluded, exit_of, tell};
use super::load::Loaded;
use super::reach::{privilege, target};
use super::services::{NAMES, ServiceArgs};
use super::{Exit, Output, exit};
use crate::facts::journal::{Line, Request, Source, read};
use crate::facts::{HostError, Privilege};
use crate::plan::control::select::Service;
use crate::render;
use crate::transport;

/// `synprov logs`.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct LogsArgs {
    #[command(flatten)]
    services: ServiceArgs,

    /// Go on with what is logged from now on, until interrupted
    #[arg(short, long)]
    follow: bool,

    /// How many lines of each process
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    lines: u32,

    /// Not older than this: 90s, 15m, 2h, 3d, or 2026-11-26 or '2026-11-26 18:00' in the host's time
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<String>,
}

fn help() -> String {
    let text = format!(
        "It reads the journal, or the log file of processes that log to files, over SSH; what a terminal would \
         obey is taken out. Times are UTC. Without names: all Synapse processes.\n\n{NAMES}\n\n\
         Examples:\n  synprov logs sync2\n  synprov logs main sync -f\n  synprov logs 'fed*' --since 15m -n 1000\n  \
         synprov logs redis prod.yaml"
    );
    exit::below(&text, exit::ASKS, &[])
}

/// In words that `journalctl --since` and `date -d` both understand.
fn when(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("s") => Some("seconds"),
        Some("m" | "min") => Some("minutes"),
        Some("h") => Some("hours"),
        Some("d") => Some("days"),
        _ => None,
    };
    if let (Some(unit), Ok(count)) = (unit, digits.parse::<u32>()) {
        return Ok(format!("{count} {unit} ago"));
    }
    // A date, and perhaps a time of day behind it.
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" | "0000-00-00 00:00" | "0000-00-00 00:00:00" => Ok(text.to_owned()),
        _ => Err("write 90s, 15m, 2h, 3d, 2026-11-26 or '2026-11-26 18:00'".to_owned()),
    }
}

/// What a host's thread sends.
enum News {
    Line(String, Line),
    Failed(String, HostError),
}

/// Runs it.
pub fn run(arguments: &LogsArgs, output: &Output) -> Exit {
    let loaded = match arguments.services.loaded(output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let chosen = match arguments.services.chosen(&loaded, |service| service.instance.is_some(), output) {
        Ok(chosen) => chosen,
        Err(exit) => return exit,
    };
    match gather(arguments, &loaded, &chosen, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn gather(
    arguments: &LogsArgs,
    loaded: &Loaded,
    chosen: &[Service<'_>],
    output: &Output,
) -> Result<Exit, Exit> {
    let hosts = &arguments.services.reach;
    let left_out = excluded(loaded, &hosts.limit, "--limit", output)?;
    let mut wanted: BTreeMap<&str, Vec<&Service<'_>>> = BTreeMap::new();
    for service in chosen.iter().filter(|service| !left_out.contains(&service.resource.address.host)) {
        wanted.entry(&service.resource.address.host).or_default().push(service);
    }
    let mut asked = Vec::new();
    for (host, services) in &wanted {
        let request = Request {
            sources: services.iter().map(|service| source(service)).collect(),
            lines: arguments.lines,
            since: arguments.since.clone(),
            follow: arguments.follow,
        };
        let privilege = privilege(loaded, host, hosts, output)?;
        asked.push((target(loaded, host, hosts)?, privilege, request));
    }
    let printer = render::logs::Printer::new(&wanted, output.color);
    let (news_in, news) = channel();
    let mut errors = Vec::new();
    std::thread::scope(|scope| {
        for (target, privilege, request) in &asked {
            let news_in = news_in.clone();
            scope.spawn(move || one(target, privilege, request, &news_in));
        }
        drop(news_in);
        let mut lines = Vec::new();
        for item in &news {
            match item {
                News::Failed(host, error) => errors.push((host, error)),
                News::Line(host, line) if arguments.follow => {
                    if !output.stream(&printer.line(&host, &line)) {
                        // Nobody reads any more; the hosts' threads notice at their next line.
                        break;
                    }
                }
                News::Line(host, line) => lines.push((host, line)),
            }
        }
        drop(news);
        if !arguments.follow {
            output.result(&printer.all(lines));
        }
    });
    tell(&errors, output);
    Ok(exit_of(&errors))
}

/// Where a service logs.
fn source(service: &Service<'_>) -> Source {
    let logging = service.instance.map(|instance| &instance.logging);
    match logging.and_then(|logging| logging.directory.as_ref()) {
        Some(directory) => Source::File(format!("{directory}/{}.log", service.name)),
        // Debian's unit only groups the clusters.
        None if service.name == "postgresql" => Source::Unit("postgresql@*.service".to_owned()),
        None => Source::Unit(service.unit.to_owned()),
    }
}

/// One host's thread.
fn one(target: &transport::Target, privilege: &Privilege, request: &Request, news: &Sender<News>) {
    let name = &target.name;
    let outcome = super::reach::transport(target).connect(target).map_err(HostError::from);
    let outcome = outcome.and_then(|mut session| {
        read(session.as_mut(), privilege, request, &mut |line| {
            news.send(News::Line(name.clone(), line)).is_ok()
        })
    });
    if let Err(error) = outcome {
        // Nobody listens any more: then there is nobody to tell.
        drop(news.send(News::Failed(name.clone(), error)));
    }
}

#[cfg(test)]
mod tests {
    use super::when;

    #[test]
    fn times_are_those_that_hosts_understand() {
        assert_eq!(when("15m").as_deref(), Ok("15 minutes ago"));
        assert_eq!(when("2026-11-26 18:00").as_deref(), Ok("2026-11-26 18:00"));
        for wrong in ["", "m", "-1h", "1w", "yesterday", "2026-11-26\t18:00", "$(date)", "15"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }
}
