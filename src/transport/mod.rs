//! Bytes to and from one host: connect once, run a command, speak with it.
//!
//! A transport knows nothing of facts, plans or steps, and no inventory but its word for who speaks: a [`Target`] says all.
//! Every wait has a deadline. Every failure is an [`Error`] whose text says what to do.
//!
//! What a command may contain: sshd gives it to the user's login shell, whichever that is. A command
//! made by [`remote_command`] is read alike by bash, dash, ksh, zsh, fish, csh and tcsh; anything else
//! is at the caller's risk. Must never be here: retries (the caller knows what is safe to repeat), a way
//! to switch host-key checks off, and secrets inside a command.

mod attempt;
mod auth;
mod child;
mod client;
mod command;
mod counters;
mod dial;
mod host_key;
mod jump;
mod known_hosts;
mod local;
mod openssh;
mod passphrase;
mod patience;
mod pump;
mod queue;
mod ssh;
mod wait;

use std::time::Duration;

pub use crate::inventory::Means;
pub use client::{Client, Config};
pub use command::{CommandError, remote_command};
pub use counters::Counters;
pub use local::Local;
pub use openssh::OpenSsh;
pub use passphrase::{Ask, Passphrases};
pub use ssh::Ssh2;

/// The transport for a host's address: `local` is this machine, anything else is reached over SSH
/// with this process' agent (`SSH_AUTH_SOCK`) and default keys, by whoever can do what is asked for.
/// `passphrases`: for keys that no agent has.
pub fn choose(address: &str, passphrases: &'static Passphrases) -> Box<dyn Transport> {
    if address == "local" {
        return Box::new(Local);
    }
    let ssh2 = Ssh2 { passphrases: Some(passphrases), ..Ssh2::from_environment() };
    Box::new(Ssh { ssh2 })
}

/// SSH by libssh2 where that will do, by OpenSSH's client where it will not.
#[derive(Debug, Clone, Default)]
pub struct Ssh {
    /// Agent and default keys of libssh2's side.
    pub ssh2: Ssh2,
}

impl Transport for Ssh {
    fn connect(&self, target: &Target) -> Result<Box<dyn Session>, Error> {
        match client::way(target, &self.ssh2.default_identities)? {
            client::Way::Ssh2(target) => self.ssh2.connect(&target),
            client::Way::OpenSsh(target, reason) => {
                tracing::info!("{}: by OpenSSH's client, because {reason}", target.name);
                OpenSsh.connect(&target)
            }
        }
    }
}

/// Everything needed to reach one host.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name for messages.
    pub name: String,
    /// Name or IP address, or `local`.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Private key files to try first; `~` is expanded by the caller.
    pub identity_files: Vec<std::path::PathBuf>,
    /// Files in OpenSSH's known_hosts format, the first is the one written with `accept_new`.
    pub known_hosts: Vec<std::path::PathBuf>,
    /// The only key accepted, `ssh-ed25519 AAAA…`; known_hosts is then not read.
    pub host_key: Option<String>,
    /// Record an unknown key on first contact. A changed key is always refused.
    pub accept_new: bool,
    /// Deadline for TCP connect, handshake and log-in together.
    pub connect_timeout: Duration,
    /// How OpenSSH's client and its configuration take part.
    pub client: Client,
}

/// Why a host could not be spoken with. `Display` is one sentence; [`Error::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: refused, unroutable, name unknown, deadline passed, banner stalled.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// `ADDRESS:PORT`.
        address: String,
        /// One clause.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The host's key is unknown, changed, revoked, or not the pinned one.
    #[error("{summary}")]
    HostKey {
        /// One sentence naming address and fingerprint.
        summary: String,
        /// What to do; for an unknown key how to record it.
        help: String,
    },
    /// No offered key was accepted.
    #[error("{user}@{address} accepted none of the keys offered: {tried}")]
    Auth {
        /// Log-in user.
        user: String,
        /// `ADDRESS:PORT`.
        address: String,
        /// What was tried, e.g. `agent (2 keys), /root/.ssh/id_ed25519`.
        tried: String,
        /// What to do.
        help: String,
    },
    /// Logged in, but the host starts no command; also: a command that cannot be sent.
    #[error("cannot run a command on {address}: {reason}")]
    Exec {
        /// `ADDRESS:PORT`, or `local`.
        address: String,
        /// One clause.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The connection died or fell silent in the middle.
    #[error("lost the connection to {address}: {reason}")]
    Lost {
        /// `ADDRESS:PORT`.
        address: String,
        /// One clause.
        reason: String,
    },
}

impl Error {
    /// What the operator can do about it, if there is more to say than the sentence itself.
    pub fn help(&self) -> Option<&str> {
        match self {
            Error::Connect { help, .. }
            | Error::HostKey { help, .. }
            | Error::Auth { help, .. }
            | Error::Exec { help, .. } => Some(help),
            Error::Lost { .. } => None,
        }
    }
}

/// Opens sessions. One implementation each for ssh2, OpenSSH's client, the local machine, and tests.
pub trait Transport: Send + Sync {
    /// Connects and logs in. Exactly one SSH login.
    fn connect(&self, target: &Target) -> Result<Box<dyn Session>, Error>;
}

/// A logged-in connection to one host.
pub trait Session: Send {
    /// Starts `command` (one exec). The login shell may be anything: let [`remote_command`] make it.
    /// Dropping the [`Exec`] before [`Event::Exit`] closes the command's stdin and abandons it; it is not
    /// killed, and a second command beside it is refused by hosts with `MaxSessions 1`. Dropped with bytes
    /// unsent, it takes the connection with it: what follows is [`Error::Lost`].
    fn exec(&mut self, command: &str) -> Result<Box<dyn Exec + '_>, Error>;

    /// What this session has cost so far; a handle that stays readable while a command runs.
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// What came from a running command.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes of standard output.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// Nothing happened before the deadline given to [`Exec::next`].
    Idle,
    /// Both streams are at their end and the command has ended with this status (`None`: by a signal).
    /// Given again at every later call. Over ssh 0 is no proof of success by itself: libssh2 says 0 too
    /// when a server closes the channel without a status, so what matters needs an end mark of its own.
    Exit(Option<i32>),
}

/// A running command: stdin, stdout and stderr are pumped together, so that nothing deadlocks.
pub trait Exec {
    /// Queues bytes for standard input; they are sent while [`Exec::next`] waits, and as far as possible at once.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// Closes standard input once what was queued has been sent.
    fn close_stdin(&mut self) -> Result<(), Error>;
    /// The next thing that happens, or [`Event::Idle`] after `wait`. With `wait` zero it only polls.
    fn next(&mut self, wait: Duration) -> Result<Event, Error>;
    /// Bytes queued and not yet sent.
    fn unsent(&self) -> usize;
}
