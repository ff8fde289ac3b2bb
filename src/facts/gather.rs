//! Asks all hosts at once, a thread each, and keeps the connections for an apply.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::conversation::{Conversation, Heard};
use super::generation::Wanted;
use super::host::HostFacts;
use super::privilege::Privilege;
use super::reply::Reply;
use super::request::{Also, Mode, Port, request};
use crate::resource::Resource;
use crate::topology::SynapseCheck;
use crate::transport::{Session, Target, Transport};

pub use super::conversation::{HostError, HostErrorKind};

/// A host that takes longer than this to answer is given up.
const DEADLINE: Duration = Duration::from_secs(120);

/// The facts script.
pub const SCRIPT: &str = concat!(include_str!("say.sh"), include_str!("facts.sh"));
/// The same with what says whether a process is ready.
const STATES: &str =
    concat!(include_str!("say.sh"), include_str!("facts.sh"), "\n", include_str!("ready.sh"));

/// The facts script of a drift run.
const WATCH: &str = concat!(include_str!("say.sh"), include_str!("facts.sh"), include_str!("watch.sh"));

/// One host to ask.
pub struct Asked<'a> {
    /// How to reach it.
    pub target: Target,
    /// Run as root through sudo.
    pub privilege: Privilege,
    /// How the bytes travel.
    pub transport: &'a dyn Transport,
    /// What is desired there.
    pub resources: Vec<&'a Resource>,
    /// Processes to ask what they serve, which takes seconds; a plan does not.
    pub routes: Option<SynapseCheck>,
    /// Ports of other hosts to try from there; a plan tries none.
    pub reaches: Vec<Port>,
    /// Also what each service's process is like and whether it is ready; a plan does not ask.
    pub states: bool,
    /// What only a drift run asks: lines by [`super::watched::request`]; empty: nothing.
    pub watch: String,
    /// What to ask about its generations; a plan asks nothing.
    pub generations: Option<Wanted>,
}

/// A logged-in host.
pub struct Connection {
    /// Host name of the inventory.
    pub name: String,
    /// The open session.
    pub session: Box<dyn Session>,
    /// Run as root through sudo.
    pub privilege: Privilege,
}

/// One host's outcome.
pub type Answer = (String, Result<(Connection, HostFacts), HostError>);

/// Asks every host, at most `forks` at a time. The outcomes come in the order of `hosts`.
pub fn gather(hosts: &[Asked<'_>], server_name: &str, nonce: &str, forks: usize) -> Vec<Answer> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..hosts.len()).collect());
    let answers: Mutex<Vec<(usize, Answer)>> = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..forks.clamp(1, hosts.len().max(1)) {
            scope.spawn(|| {
                while let Some(index) = next() {
                    let host = &hosts[index];
                    let answer = (host.target.name.clone(), ask(host, server_name, nonce));
                    answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn ask(host: &Asked<'_>, server_name: &str, nonce: &str) -> Result<(Connection, HostFacts), HostError> {
    let mut session = host.transport.connect(&host.target)?;
    let also = Also {
        routes: host.routes.as_ref(),
        reaches: &host.reaches,
        states: host.states,
        watch: &host.watch,
        generations: host.generations,
    };
    let request = request(Mode::Facts, server_name, nonce, "-", &host.resources, also);
    let script = match (host.states, host.watch.is_empty()) {
        (true, _) => STATES,
        (false, false) => WATCH,
        (false, true) => SCRIPT,
    };
    let before = clock();
    let mut conversation = Conversation::start(session.as_mut(), &host.privilege, script, &request)?;
    let mut facts = hear_facts(&mut conversation)?;
    facts.watched.asked = Some((before, clock()));
    drop(conversation);
    fit(&facts)?;
    Ok((Connection { name: host.target.name.clone(), session, privilege: host.privilege.clone() }, facts))
}

/// This machine's clock, microseconds since the epoch.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Reads one whole answer of the facts script.
pub fn hear_facts(conversation: &mut Conversation<'_>) -> Result<HostFacts, HostError> {
    let until = Instant::now() + DEADLINE;
    let mut reply = Reply::default();
    let refused = |error: super::reply::ReplyError| {
        HostError::unfit(
            super::conversation::clean(&error.to_string()),
            "report this with the host's versions of bash and coreutils",
        )
    };
    loop {
        match conversation.hear(Duration::from_secs(1))? {
            Heard::Line(line) if line == "beat" => {}
            Heard::Line(line) if line.starts_with("locked\t") => {
                let holder = super::conversation::clean(line.trim_start_matches("locked\t"));
                return Err(HostError {
                    summary: format!("another run holds its lock: {holder}"),
                    help: Some("wait until it has ended; the lock goes with it".to_owned()),
                    kind: HostErrorKind::Locked,
                });
            }
            Heard::Line(line) => {
                if reply.take(&line).map_err(refused)? {
                    return reply.finish().map_err(refused);
                }
            }
            Heard::Nothing if Instant::now() > until => {
                let summary = format!("its facts did not come within {} seconds", DEADLINE.as_secs());
                return Err(HostError::unreachable(summary, None));
            }
            Heard::Nothing => {}
            Heard::End(_) => {
                let said = conversation.complaints();
                let summary =
                    format!("its facts script ended early{}{said}", if said.is_empty() { "" } else { ": " });
                return Err(HostError::unfit(
                    summary,
                    "see whether bash, coreutils, util-linux, findutils, grep and sed are whole there",
                ));
            }
        }
    }
}

/// Whether synprov can provision this host at all.
pub fn fit(facts: &HostFacts) -> Result<(), HostError> {
    if facts.euid != 0 {
        return Err(HostError::unfit(
            "the log-in user is not root",
            "set `become: true` for this host (sudo without a password), or `user: root`",
        ));
    }
    let version = |text: &str| {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        (major.parse::<u32>().unwrap_or(u32::MAX), minor.parse::<u32>().unwrap_or(0))
    };
    // Newer releases than the ones tried are let through: what they lack, validators will say.
    let supported = match facts.os_id.as_str() {
        "debian" => version(&facts.os_version) >= (12, 0),
        "ubuntu" => version(&facts.os_version) >= (22, 4),
        _ => false,
    };
    if !supported {
        let name = super::conversation::clean(&facts.os_name);
        return Err(HostError::unfit(
            format!("it runs {}", if name.is_empty() { "an unknown system" } else { &name }),
            "synprov provisions Debian 12 and 13, Ubuntu 22.04 and 24.04",
        ));
    }
    if !facts.systemd {
        return Err(HostError::unfit(
            "systemd is not process 1 there",
            "boot it with systemd (a plain container has none)",
        ));
    }
    Ok(())
}
