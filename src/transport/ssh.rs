//! Log-in and commands over SSH, by libssh2.
//!
//! One session is one thread's. It is always in non-blocking mode: libssh2's own blocking mode knows no deadline for
//! a whole log-in. Must never be here: host-key policy (`host_key`), keys (`auth`), streams (`pump`).

use std::cell::Cell;
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::auth::{GONE, LogIn};
use super::dial::{address, dial, seconds};
use super::host_key::HostKeys;
use super::passphrase::Passphrases;
use super::patience::{Refusal, patiently};
use super::pump::SshExec;
use super::wait::{Halt, code, until_done, writable};
use super::{Counters, Error, Exec, Session, Target, Transport};

/// Seconds without traffic after which a keepalive is sent; it keeps NAT tables warm, and its missing
/// acknowledgement lets the kernel notice a dead peer.
const KEEPALIVE: u32 = 15;
/// `LIBSSH2_ERROR_…`: KEX_FAILURE, KEY_EXCHANGE_FAILURE, METHOD_NONE, METHOD_NOT_SUPPORTED.
const NO_ALGORITHM: [i32; 4] = [-5, -8, -17, -33];
/// `LIBSSH2_ERROR_BANNER_RECV`.
const BAD_BANNER: i32 = -2;
/// What sshd says in place of its banner: to one too many, since 9.7; to one who is banned, since 9.8.
const FULL: &str = "Exceeded MaxStartups";
const PENALTY: &str = "Not allowed at this time";
/// `LIBSSH2_ERROR_…`: CHANNEL_FAILURE, CHANNEL_REQUEST_DENIED, REQUEST_DENIED.
const DENIED: [i32; 3] = [-21, -22, -32];

/// The SSH transport.
#[derive(Debug, Clone, Default)]
pub struct Ssh2 {
    /// Socket of the agent to ask for keys.
    pub agent: Option<PathBuf>,
    /// Private keys to try for a target that names none; those that do not exist are passed over.
    pub default_identities: Vec<PathBuf>,
    /// Passphrases of key files. `None`: keys that have one are not offered.
    pub passphrases: Option<&'static Passphrases>,
}

impl Ssh2 {
    /// As ssh does it: the agent of `SSH_AUTH_SOCK`, and `~/.ssh/id_ed25519`, `id_ecdsa`, `id_rsa`.
    pub fn from_environment() -> Self {
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
        let keys = |home: PathBuf| {
            ["id_ed25519", "id_ecdsa", "id_rsa"].map(|file| home.join(".ssh").join(file)).to_vec()
        };
        let default_identities = std::env::home_dir().map(keys).unwrap_or_default();
        Self { agent, default_identities, passphrases: None }
    }
}

impl Transport for Ssh2 {
    fn connect(&self, target: &Target) -> Result<Box<dyn Session>, Error> {
        loop {
            let refused = match self.log_in(target) {
                Ok(session) => return Ok(session),
                Err(refused) => refused,
            };
            // A person takes longer to type than a host waits: the passphrase first, then another connection.
            // Once it is known, this key is offered, and only another one can still be locked.
            let passphrases = self.passphrases.filter(|_| matches!(refused.error, Error::Auth { .. }));
            let said = refused.locked.zip(passphrases).and_then(|(file, passphrases)| passphrases.of(&file));
            if said.is_none() {
                return Err(refused.error);
            }
        }
    }
}

/// Why nobody is logged in.
struct NotIn {
    error: Error,
    /// A key that was not offered because its passphrase is not known.
    locked: Option<PathBuf>,
}

impl From<Error> for NotIn {
    fn from(error: Error) -> Self {
        Self { error, locked: None }
    }
}

impl Ssh2 {
    fn log_in(&self, target: &Target) -> Result<Box<dyn Session>, NotIn> {
        let deadline = Instant::now() + target.connect_timeout;
        // Read before the handshake: what is on record decides which algorithms are offered first.
        let host_keys = HostKeys::load(target)?;
        let session = patiently(deadline, || Self::greet(target, &host_keys, deadline))?;
        let key = session.session.host_key().map(|(key, _)| key.to_vec()).unwrap_or_default();
        host_keys.verify(target, &key)?;
        LogIn::run(&session.session, &session.socket, target, deadline, self)
            .map_err(|(error, locked)| NotIn { error, locked })?;
        session.session.set_keepalive(true, KEEPALIVE);
        session.counters.login();
        Ok(Box::new(session))
    }

    /// Connects and agrees on keys; who is there is not known yet.
    fn greet(target: &Target, host_keys: &HostKeys, deadline: Instant) -> Result<SshSession, Refusal> {
        let socket = dial(target, deadline)?;
        let broken = |reason: String| Error::Connect {
            address: address(target),
            reason,
            help: "this is a fault of this machine or of libssh2".into(),
        };
        let mut session = ssh2::Session::new().map_err(|error| broken(error.message().to_owned()))?;
        session.set_blocking(false);
        session
            .method_pref(ssh2::MethodType::HostKey, &host_keys.algorithms(target))
            .map_err(|error| broken(error.message().to_owned()))?;
        session.set_tcp_stream(socket.try_clone().map_err(|error| broken(error.to_string()))?);
        let session = SshSession {
            session,
            socket,
            address: address(target),
            patience: target.connect_timeout,
            counters: Counters::default(),
            jammed: Cell::new(false),
        };
        session.handshake(target, deadline)?;
        Ok(session)
    }
}

/// A logged-in connection.
pub(super) struct SshSession {
    pub(super) session: ssh2::Session,
    pub(super) socket: TcpStream,
    pub(super) address: String,
    pub(super) counters: Counters,
    /// How long the host may take to start a command.
    patience: Duration,
    /// Nothing more can be sent: a packet is half sent and nobody is left who could finish it.
    pub(super) jammed: Cell<bool>,
}

impl SshSession {
    fn handshake(&self, target: &Target, deadline: Instant) -> Result<(), Refusal> {
        // handshake() wants it mutable; it is a handle on the same session.
        let mut handle = self.session.clone();
        let mut first = Vec::new();
        let done = until_done(&self.session, &self.socket, deadline, || {
            if first.is_empty() {
                let mut start = [0; 60];
                let length = self.socket.peek(&mut start).unwrap_or(0);
                first.extend_from_slice(&start[..length]);
            }
            handle.handshake()
        });
        let Err(halt) = done else { return Ok(()) };
        if first.is_empty() {
            // It came between the look and libssh2's own reading, which keeps the last line.
            first.extend_from_slice(self.session.banner_bytes().unwrap_or_default());
        }
        let port = target.port;
        let overloaded = format!(
            "is {port} the port of sshd? an overloaded sshd (MaxStartups) or a ban (fail2ban) also looks so"
        );
        let said = String::from_utf8_lossy(&first);
        let said = said.lines().next().unwrap_or_default();
        let gone = matches!(&halt, Halt::Ssh(error) if GONE.contains(&code(error)));
        let busy = said.starts_with(FULL) || first.is_empty() && gone;
        let (reason, help) = match halt {
            _ if said.starts_with(FULL) => (
                "its sshd is busy with others that log in (MaxStartups)".to_owned(),
                "raise MaxStartups in its sshd_config, or speak with fewer hosts at a time: --forks".to_owned(),
            ),
            _ if said.starts_with(PENALTY) => (
                "its sshd lets this address in no more for a while (PerSourcePenalties)".to_owned(),
                "wait some minutes; PerSourcePenaltyExemptList in its sshd_config keeps this machine out of it"
                    .to_owned(),
            ),
            _ if !said.is_empty() && !first.starts_with(b"SSH-") => {
                (format!("what answers is not SSH, it says {said:?}"), format!("is {port} the port of sshd?"))
            }
            Halt::Ssh(error) if code(&error) == BAD_BANNER => (
                "what answers is not SSH, it begins with no line of text".to_owned(),
                format!("is {port} the port of sshd?"),
            ),
            Halt::Deadline if first.is_empty() => {
                (format!("connected, but no SSH banner came within {}", seconds(target)), overloaded)
            }
            Halt::Deadline => (format!("the key exchange was not done within {}", seconds(target)), overloaded),
            Halt::Ssh(error) if GONE.contains(&code(&error)) && first.is_empty() => {
                ("the connection was closed before an SSH banner came".to_owned(), overloaded)
            }
            Halt::Ssh(error) if NO_ALGORITHM.contains(&code(&error)) => (
                format!("no key exchange with {said}: {}", lower(error.message())),
                "its sshd and libssh2 share no algorithm; see KexAlgorithms, Ciphers and HostKeyAlgorithms in its \
                 sshd_config"
                    .to_owned(),
            ),
            Halt::Ssh(error) => (format!("the SSH handshake failed: {}", lower(error.message())), overloaded),
        };
        let error = Error::Connect { address: self.address.clone(), reason, help };
        Err(if busy { Refusal::Busy(error) } else { Refusal::Final(error) })
    }

    /// ⚑ sshd counts a command that has ended (MaxSessions) until it next looks around, after it has already read
    /// our request for the next one: a refusal that follows a command is asked again for half a second.
    fn open_channel(&self, deadline: Instant) -> Result<ssh2::Channel, Halt> {
        let mut pauses = [10, 20, 40, 80, 150, 200].into_iter().filter(|_| self.counters.execs() > 0);
        loop {
            let opened = until_done(&self.session, &self.socket, deadline, || self.session.channel_session());
            match (opened, pauses.next()) {
                (Err(Halt::Ssh(error)), Some(pause)) if DENIED.contains(&code(&error)) => {
                    std::thread::sleep(Duration::from_millis(pause));
                }
                (opened, _) => return opened,
            }
        }
    }

    /// Why the connection is no more. `error` is libssh2's last word.
    pub(super) fn lost(&self, error: Option<ssh2::Error>) -> Error {
        let reason = match error {
            Some(error) if GONE.contains(&code(&error)) => {
                "it was closed by the host or on the way".to_owned()
            }
            Some(error) => lower(error.message()),
            None => "for an unknown reason".to_owned(),
        };
        Error::Lost { address: self.address.clone(), reason }
    }

    fn not_started(&self, halt: Halt, what: &str) -> Error {
        match halt {
            Halt::Deadline => Error::Lost {
                address: self.address.clone(),
                reason: format!("the host did not {what} within {} s", self.patience.as_secs_f32()),
            },
            Halt::Ssh(error) if DENIED.contains(&code(&error)) => Error::Exec {
                address: self.address.clone(),
                reason: format!("the host does not {what}"),
                help:
                    "another command may still run on this connection (MaxSessions), or the user may run none"
                        .into(),
            },
            Halt::Ssh(error) => self.lost(Some(error)),
        }
    }
}

/// libssh2's texts begin with a capital.
fn lower(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

impl Session for SshSession {
    fn exec(&mut self, command: &str) -> Result<Box<dyn Exec + '_>, Error> {
        if command.contains('\0') {
            return Err(Error::Exec {
                address: self.address.clone(),
                reason: "the command holds a zero byte".into(),
                help: "send such bytes on stdin".into(),
            });
        }
        if self.jammed.get() {
            return Err(Error::Lost {
                address: self.address.clone(),
                reason: "it was given up together with an earlier command".into(),
            });
        }
        let deadline = Instant::now() + self.patience;
        let mut channel =
            self.open_channel(deadline).map_err(|halt| self.not_started(halt, "open a channel"))?;
        until_done(&self.session, &self.socket, deadline, || channel.exec(command))
            .map_err(|halt| self.not_started(halt, "start the command"))?;
        self.counters.exec();
        Ok(Box::new(SshExec::new(self, channel)))
    }

    fn counters(&self) -> Counters {
        self.counters.clone()
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        if self.session.authenticated() && writable(&self.socket) {
            let _ = self.session.disconnect(None, "done", None);
        }
        // Freeing a non-blocking session gives up, and leaks, while a channel waits for its peer: let nothing wait.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
