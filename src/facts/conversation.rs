//! Lines to and from a script that runs on a host: sentinel, silence deadline, bounded output.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::loader;
use super::privilege::{self, Privilege};
use crate::transport::{Event, Exec, Session};

/// A host that says nothing for this long is given up; its scripts send a heartbeat every 5 s.
const SILENCE: Duration = Duration::from_secs(45);
/// Start-up files may print this much before the script speaks.
const MAX_NOISE: usize = 1 << 20;
/// The longest line accepted: a capped file in base64 with room to spare.
const MAX_LINE: usize = 1 << 20;
/// How much of standard error is kept for messages.
const MAX_STDERR: usize = 4096;

/// Why a host's part of a run failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}")]
pub struct HostError {
    /// One sentence, without the host's name.
    pub summary: String,
    /// What to do.
    pub help: Option<String>,
    /// What kind of failure, for the exit code.
    pub kind: HostErrorKind,
}

/// Kinds of [`HostError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostErrorKind {
    /// It could not be spoken with.
    Unreachable,
    /// The connection to it was there and is no more.
    Lost,
    /// It answered, and cannot be provisioned as it is.
    Unfit,
    /// Another run holds its lock.
    Locked,
}

impl HostError {
    /// The host could not be spoken with.
    pub fn unreachable(summary: impl Into<String>, help: Option<String>) -> Self {
        Self { summary: summary.into(), help, kind: HostErrorKind::Unreachable }
    }

    /// The host answered and is not fit.
    pub fn unfit(summary: impl Into<String>, help: impl Into<String>) -> Self {
        Self { summary: summary.into(), help: Some(help.into()), kind: HostErrorKind::Unfit }
    }
}

impl From<crate::transport::Error> for HostError {
    fn from(error: crate::transport::Error) -> Self {
        let help = error.help().map(str::to_owned);
        let kind = match error {
            crate::transport::Error::Lost { .. } => HostErrorKind::Lost,
            _ => HostErrorKind::Unreachable,
        };
        Self { summary: error.to_string(), help, kind }
    }
}

/// What a host says next.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// One line, without its newline; invalid UTF-8 replaced.
    Line(String),
    /// Nothing within the time given.
    Nothing,
    /// The script has ended with this status.
    End(Option<i32>),
}

/// A running script and its lines.
pub struct Conversation<'a> {
    exec: Box<dyn Exec + 'a>,
    sentinel: String,
    spoken: bool,
    buffer: Vec<u8>,
    lines: VecDeque<String>,
    stderr: Vec<u8>,
    ended: Option<Option<i32>>,
    heard_at: Instant,
}

impl<'a> Conversation<'a> {
    /// Starts `script`, which has `request` in `$synprov_request`; one exec.
    pub fn start(
        session: &'a mut dyn Session,
        privilege: &Privilege,
        script: &str,
        request: &str,
    ) -> Result<Self, HostError> {
        let sentinel = loader::random_token();
        let mut exec = session.exec(&loader::command(privilege))?;
        let mut input = zeroize::Zeroizing::new(privilege.preamble());
        input.extend_from_slice(&loader::envelope(script, request, &sentinel));
        exec.send(&input)?;
        Ok(Self {
            exec,
            sentinel,
            spoken: false,
            buffer: Vec::new(),
            lines: VecDeque::new(),
            stderr: Vec::new(),
            ended: None,
            heard_at: Instant::now(),
        })
    }

    /// Queues bytes for the script.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        Ok(self.exec.send(bytes)?)
    }

    /// Closes the script's standard input: it stops between steps.
    pub fn close(&mut self) -> Result<(), HostError> {
        Ok(self.exec.close_stdin()?)
    }

    /// The next line, after at most `wait`.
    pub fn hear(&mut self, wait: Duration) -> Result<Heard, HostError> {
        let until = Instant::now() + wait;
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Heard::Line(line));
            }
            if let Some(status) = self.ended {
                return if self.spoken { Ok(Heard::End(status)) } else { Err(self.never_spoke(status)) };
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.exec.next(left)? {
                Event::Stdout(bytes) => self.take(&bytes)?,
                Event::Stderr(bytes) => {
                    let room = MAX_STDERR.saturating_sub(self.stderr.len());
                    self.stderr.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                Event::Exit(status) => self.ended = Some(status),
                Event::Idle => {
                    if self.heard_at.elapsed() > SILENCE {
                        let summary = format!("it has said nothing for {} seconds", SILENCE.as_secs());
                        return Err(HostError::unreachable(summary, None));
                    }
                    return Ok(Heard::Nothing);
                }
            }
        }
    }

    /// Whether the script itself has begun to speak.
    pub fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// What came on standard error, cleaned, for a message.
    pub fn complaints(&self) -> String {
        clean(&String::from_utf8_lossy(&self.stderr)).trim().to_owned()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.heard_at = Instant::now();
        self.buffer.extend_from_slice(bytes);
        let limit = if self.spoken { MAX_LINE } else { MAX_NOISE };
        let mut start = 0;
        while let Some(length) = self.buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[start..start + length]);
            if self.spoken {
                self.lines.push_back(line.into_owned());
            } else if line == self.sentinel.as_str() {
                self.spoken = true;
            }
            start += length + 1;
        }
        self.buffer.drain(..start);
        if self.buffer.len() > limit {
            return Err(HostError::unreachable("it sends a line without end", None));
        }
        Ok(())
    }

    /// The script did not even begin: the login, sudo or bash stood in the way.
    fn never_spoke(&self, status: Option<i32>) -> HostError {
        let complaints = self.complaints();
        let has = |needle: &str| complaints.contains(needle);
        if has("gzip") && has("not found") {
            return HostError::unfit(
                "there is no gzip",
                "install gzip, which Debian and Ubuntu call essential",
            );
        }
        if status == Some(loader::TRUNCATED) {
            return HostError::unreachable("the connection ended before the facts script had arrived", None);
        }
        if status == Some(privilege::REFUSED) || has("Authentication failed") {
            return HostError::unfit(
                "the password for becoming root was not accepted",
                "it is the log-in user's own for sudo and doas; try it there: sudo -k true",
            );
        }
        if has("password is required")
            || has("a terminal is required")
            || has("must have a tty")
            || has("doas: Authentication required")
        {
            return HostError::unfit(
                "sudo or doas wants a password",
                "give it with --ask-become-password, or allow it without one (`USER ALL=(root) NOPASSWD: ALL` in a file \
                 under /etc/sudoers.d), or log in as root",
            );
        }
        if has("is not in the sudoers") || has("not allowed to execute") {
            return HostError::unfit(
                "the log-in user may not use sudo",
                "add it to /etc/sudoers.d, or log in as root",
            );
        }
        if has("sudo") && (has("not found") || status == Some(127)) {
            return HostError::unfit(
                "there is no sudo",
                "install sudo, or log in as root without `become: true`",
            );
        }
        if has("python3") && has("not found") {
            return HostError::unfit(
                "there is no python3, without which it cannot be given a password",
                "install python3-minimal there, or allow sudo without a password, or log in as root",
            );
        }
        if has("bash") && has("not found") {
            return HostError::unfit("there is no bash", "install bash");
        }
        let status =
            status.map_or_else(|| "by a signal".to_owned(), |status| format!("with status {status}"));
        let said = if complaints.is_empty() { String::new() } else { format!(": {complaints}") };
        HostError::unfit(
            format!("the log-in shell ended {status} before the facts script began{said}"),
            "see whether `ssh HOST bash -c true` works (nologin shell, ForceCommand, a broken start-up file)",
        )
    }
}

/// Text from a host, safe for a terminal: control characters other than newline and tab removed.
pub fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| {
            matches!(c, '\n' | '\t')
                || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        })
        .collect()
}
