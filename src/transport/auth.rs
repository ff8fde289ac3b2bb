//! Logging in with a key: files named in the inventory, then the agent, then ssh's default files.
//!
//! Files first, because a host ends the log-in after a few wrong keys (MaxAuthTries) and agents hold many. Must
//! never be here: passwords, and any prompt: OpenSSL would ask the terminal for a passphrase if we let it.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine as _;
use zeroize::Zeroizing;

use super::dial::{address, bare, seconds};
use super::passphrase::Passphrases;
use super::wait::{Halt, code, until_done};
use super::{Error, Ssh2, Target, known_hosts};

/// `LIBSSH2_ERROR_…` of a connection that is gone: SEND, DISCONNECT, RECV.
pub(super) const GONE: [i32; 3] = [-7, -13, -43];
/// `LIBSSH2_ERROR_…` of a key that was offered and not accepted: AUTHENTICATION_FAILED, PUBLICKEY_UNVERIFIED.
const REFUSED: [i32; 2] = [-18, -19];

/// One log-in under way.
pub(super) struct LogIn<'a> {
    pub session: &'a ssh2::Session,
    pub socket: &'a TcpStream,
    pub target: &'a Target,
    pub deadline: Instant,
    passphrases: Option<&'static Passphrases>,
    tried: Vec<String>,
    locked: Option<PathBuf>,
}

/// What came of one key.
enum Outcome {
    In,
    Refused,
    Unusable(String),
}

impl<'a> LogIn<'a> {
    /// Logs in, or says what was tried, with a key file whose passphrase would have been needed. Default keys are
    /// used only if the target names no file.
    pub(super) fn run(
        session: &'a ssh2::Session,
        socket: &'a TcpStream,
        target: &'a Target,
        deadline: Instant,
        with: &Ssh2,
    ) -> Result<(), (Error, Option<PathBuf>)> {
        let passphrases = with.passphrases;
        let mut log_in =
            Self { session, socket, target, deadline, passphrases, tried: Vec::new(), locked: None };
        match log_in.with_any(with.agent.as_deref(), &with.default_identities) {
            Ok(true) => Ok(()),
            Ok(false) => Err((log_in.refused(false), log_in.locked)),
            Err(error) => Err((error, log_in.locked)),
        }
    }

    fn with_any(&mut self, agent: Option<&Path>, defaults: &[PathBuf]) -> Result<bool, Error> {
        let target = self.target;
        for file in &target.identity_files {
            if self.file(file, true)? {
                return Ok(true);
            }
        }
        if let Some(socket) = agent
            && self.agent(socket)?
        {
            return Ok(true);
        }
        for file in defaults.iter().filter(|_| target.identity_files.is_empty()) {
            if self.file(file, false)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn file(&mut self, path: &Path, named: bool) -> Result<bool, Error> {
        if path.extension().is_some_and(|extension| extension == "pub") {
            // The public half selects a key of the agent.
            return Ok(false);
        }
        let shown = path.display();
        let mut passphrase = None;
        match std::fs::read(path).map(Zeroizing::new) {
            Ok(bytes) if has_passphrase(&bytes) => {
                passphrase = self.passphrases.and_then(|passphrases| passphrases.known(path));
                if passphrase.is_none() {
                    self.tried.push(format!("{shown} (not offered: it has a passphrase)"));
                    self.locked.get_or_insert(path.to_owned());
                    return Ok(false);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if named {
                    self.tried.push(format!("{shown} (no such file)"));
                }
                return Ok(false);
            }
            Err(error) => {
                self.tried.push(format!("{shown} ({error})"));
                return Ok(false);
            }
        }
        let user = &self.target.user;
        let text = passphrase.as_ref().and_then(|secret| std::str::from_utf8(secret.expose()).ok());
        let offer = |session: &ssh2::Session| session.userauth_pubkey_file(user, None, path, text);
        match self.attempt(offer, &shown.to_string())? {
            Outcome::In => return Ok(true),
            Outcome::Refused => self.tried.push(shown.to_string()),
            Outcome::Unusable(_) if passphrase.is_some() => {
                self.tried.push(format!("{shown} (the passphrase that was typed does not open it)"));
            }
            Outcome::Unusable(why) => self.tried.push(format!("{shown} (not usable: {why})")),
        }
        Ok(false)
    }

    fn agent(&mut self, socket: &Path) -> Result<bool, Error> {
        // libssh2 speaks to the agent without a deadline, so a dead socket is found out first. Only the signing
        // itself then waits for as long as the agent does, because it may be waiting for a touch.
        let answers = UnixStream::connect(socket).and_then(|stream| list_request(stream, self.deadline));
        let keys = answers.map_err(|error| error.to_string()).and_then(|()| {
            let list = || {
                let mut agent = self.session.agent()?;
                agent.set_identity_path(socket)?;
                agent.connect()?;
                agent.list_identities()?;
                let keys = agent.identities()?;
                Ok::<_, ssh2::Error>((agent, keys))
            };
            list().map_err(|error| error.message().to_owned())
        });
        let (agent, mut keys) = match keys {
            Ok(found) => found,
            Err(why) => {
                self.tried.push(format!("agent ({why})"));
                return Ok(false);
            }
        };
        let named: Vec<Vec<u8>> =
            self.target.identity_files.iter().filter_map(|file| public_half(file)).collect();
        keys.sort_by_key(|key| !named.iter().any(|blob| blob == key.blob()));
        let count = keys.len();
        let plural = if count == 1 { "key" } else { "keys" };
        let mut offered = 0;
        let user = &self.target.user;
        for key in &keys {
            offered += 1;
            let shown = format!("agent ({offered} of {count} {plural})");
            if let Outcome::In = self.attempt(|_| agent.userauth(user, key), &shown)? {
                return Ok(true);
            }
        }
        self.tried.push(format!("agent ({count} {plural})"));
        Ok(false)
    }

    fn attempt(
        &mut self,
        mut call: impl FnMut(&ssh2::Session) -> Result<(), ssh2::Error>,
        shown: &str,
    ) -> Result<Outcome, Error> {
        match until_done(self.session, self.socket, self.deadline, || call(self.session)) {
            Ok(()) if self.session.authenticated() => Ok(Outcome::In),
            Ok(()) => Ok(Outcome::Refused),
            Err(Halt::Ssh(error)) if hung_up(&error) => {
                self.tried.push(shown.to_owned());
                Err(self.refused(true))
            }
            Err(Halt::Ssh(error)) if REFUSED.contains(&code(&error)) => Ok(Outcome::Refused),
            Err(Halt::Ssh(error)) => Ok(Outcome::Unusable(error.message().to_owned())),
            Err(Halt::Deadline) => Err(Error::Connect {
                address: address(self.target),
                reason: format!("the log-in was not done within {}", seconds(self.target)),
                help: "is the host overloaded, or does the agent wait for a confirmation?".into(),
            }),
        }
    }

    fn refused(&self, hung_up: bool) -> Error {
        let Target { user, port, .. } = self.target;
        let help = if let Some(locked) = &self.locked {
            format!("load the key into an agent: ssh-add {}", locked.display())
        } else if hung_up {
            "the host ended the log-in, as it does after too many keys (MaxAuthTries) or for a user who may not \
             log in; name the one right key in identity_files"
                .into()
        } else if self.tried.is_empty() {
            "there is no agent and no key file: name one in identity_files, or start an agent and ssh-add a key"
                .into()
        } else {
            format!(
                "add the public key to ~{user}/.ssh/authorized_keys on the host, or name another key in \
                 identity_files; compare: ssh -v -p {port} {user}@{}",
                bare(&self.target.address)
            )
        };
        let tried = if self.tried.is_empty() { "there is none".to_owned() } else { self.tried.join(", ") };
        Error::Auth { user: user.clone(), address: address(self.target), tried, help }
    }
}

/// Whether the connection ended instead of an answer coming. ⚑ libssh2 gives that the number of a refused key while
/// it waits for the answer; only the text differs.
fn hung_up(error: &ssh2::Error) -> bool {
    GONE.contains(&code(error)) || (code(error) == REFUSED[1] && error.message().starts_with("Waiting for"))
}

/// Asks an agent for its keys and waits for the whole answer, which is thrown away
/// (draft-ietf-sshm-ssh-agent, SSH_AGENTC_REQUEST_IDENTITIES; at most 256 KiB, as in OpenSSH).
fn list_request(mut stream: UnixStream, deadline: Instant) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let left = deadline.saturating_duration_since(Instant::now()).max(std::time::Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))?;
    let mut ask = || {
        stream.write_all(&[0, 0, 0, 1, 11])?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length).min(256 * 1024);
        stream.read_exact(&mut vec![0; length as usize])
    };
    ask().map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => std::io::Error::other("it does not answer"),
        _ => error,
    })
}

/// Whether a private key file is encrypted: PEM says so in a header, OpenSSH's own format by its cipher's name
/// (OpenSSH PROTOCOL.key).
fn has_passphrase(file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    let mut lines = text.lines().map(str::trim);
    let Some(begin) = lines.find(|line| line.starts_with("-----BEGIN ")) else { return false };
    if begin.contains("ENCRYPTED") {
        return true;
    }
    let body: Vec<&str> = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    if !begin.contains("OPENSSH") {
        return body.iter().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
    }
    // The magic (15 bytes) and the cipher's length and name lie within the first line.
    let head: String = body.concat().chars().take(64).collect();
    let head = base64::engine::general_purpose::STANDARD.decode(head).unwrap_or_default();
    head.strip_prefix(b"openssh-key-v1\0").is_some_and(|rest| !rest.starts_with(b"\0\0\0\x04none"))
}

/// The public key that belongs to a private key file, if its `.pub` lies beside it.
fn public_half(file: &Path) -> Option<Vec<u8>> {
    let mut path = file.as_os_str().to_owned();
    if file.extension().is_none_or(|extension| extension != "pub") {
        path.push(".pub");
    }
    let text = std::fs::read_to_string(path).ok()?;
    let mut words = text.split_ascii_whitespace();
    known_hosts::parse_key(words.next()?, words.next()?)
}
