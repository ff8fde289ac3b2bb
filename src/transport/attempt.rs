//! A command over OpenSSH's shared connection, begun again while the host has not taken it.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::child::ChildExec;
use super::dial::address;
use super::openssh::OpenSshSession;
use super::{Error, Event, Exec};

/// The status of ssh itself, not of the command (ssh(1), EXIT STATUS).
const SSH_FAILED: i32 = 255;

/// What it takes to start a command again that the host has not begun. ⚑ sshd counts a command that has ended
/// (MaxSessions) until it next looks around, and only the client's stderr tells that it refused the next one.
pub(super) struct Attempt {
    command: String,
    sent: Zeroizing<Vec<u8>>,
    closed: bool,
    stderr: Vec<u8>,
    pauses: std::vec::IntoIter<u64>,
}

impl Attempt {
    pub(super) fn new(command: &str) -> Self {
        let pauses = vec![10, 20, 40, 80, 150, 200].into_iter();
        let (command, sent) = (command.to_owned(), Zeroizing::default());
        Self { command, sent, closed: false, stderr: Vec::new(), pauses }
    }

    /// Whether what stands on stderr so far may be the client's own word about a refusal.
    fn refused(&self) -> bool {
        const WORD: &[u8] = b"mux_client_request_session";
        let length = WORD.len().min(self.stderr.len());
        self.stderr[..length] == WORD[..length]
    }
}

pub(super) struct OpenSshExec<'a> {
    pub(super) exec: ChildExec,
    pub(super) session: &'a OpenSshSession,
    /// `None` once the host has begun, or if nothing can be in its way.
    pub(super) attempt: Option<Attempt>,
}

impl OpenSshExec<'_> {
    /// Starts anew what the host refused to begin.
    fn again(&mut self, mut attempt: Attempt) -> Result<(), Error> {
        let Some(pause) = attempt.pauses.next() else {
            return Err(self.session.not_started(
                "the host does not open a channel".to_owned(),
                "another command may still run on this connection (MaxSessions), or the user may run none",
            ));
        };
        std::thread::sleep(Duration::from_millis(pause));
        self.exec = self.session.start(&attempt.command)?;
        self.exec.send(&attempt.sent)?;
        if attempt.closed {
            self.exec.close_stdin()?;
        }
        attempt.stderr.clear();
        self.attempt = Some(attempt);
        Ok(())
    }

    fn ended(&self, status: Option<i32>) -> Result<Event, Error> {
        match status {
            Some(SSH_FAILED) if !self.session.lives() => Err(Error::Lost {
                address: address(&self.session.target),
                reason: "it was closed by the host or on the way".to_owned(),
            }),
            // A command that a signal ended has this status, too.
            Some(SSH_FAILED) => Ok(Event::Exit(None)),
            status => Ok(Event::Exit(status)),
        }
    }
}

impl Exec for OpenSshExec<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(attempt) = &mut self.attempt {
            attempt.sent.extend_from_slice(bytes);
        }
        self.exec.send(bytes)
    }

    fn close_stdin(&mut self) -> Result<(), Error> {
        if let Some(attempt) = &mut self.attempt {
            attempt.closed = true;
        }
        self.exec.close_stdin()
    }

    fn next(&mut self, wait: Duration) -> Result<Event, Error> {
        let until = Instant::now() + wait;
        loop {
            let event = self.exec.next(until.saturating_duration_since(Instant::now()))?;
            let Some(mut attempt) = self.attempt.take() else {
                return if let Event::Exit(status) = event { self.ended(status) } else { Ok(event) };
            };
            match event {
                Event::Idle => {
                    self.attempt = Some(attempt);
                    return Ok(Event::Idle);
                }
                Event::Stderr(bytes) => {
                    attempt.stderr.extend_from_slice(&bytes);
                    if !attempt.refused() {
                        return Ok(Event::Stderr(attempt.stderr));
                    }
                    self.attempt = Some(attempt);
                }
                Event::Exit(Some(SSH_FAILED)) if !attempt.stderr.is_empty() && self.session.lives() => {
                    self.again(attempt)?;
                }
                Event::Exit(status) => return self.ended(status),
                stdout => return Ok(stdout),
            }
        }
    }

    fn unsent(&self) -> usize {
        self.exec.unsent()
    }
}
