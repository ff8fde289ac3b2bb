//! A command running over SSH: stdin, stdout and stderr in one loop.
//!
//! ⚑ libssh2 holds at most one half-sent packet per session and only the call that began it can finish it. A blocked
//! write is therefore repeated before anything else is sent; the packets that libssh2 builds on its stack (EOF,
//! keepalive) are sent only when the socket has room, because they could never be finished. Must never be here: a
//! thread, a blocking call.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::queue::Queue;
use super::ssh::SshSession;
use super::wait::{EAGAIN, code, flags, wait_for, writable};
use super::{Error, Event, Exec};

/// Most bytes of one event.
const CHUNK: usize = 32 * 1024;
/// Most bytes written between two looks at what came in.
const BURST: usize = 256 * 1024;
/// Longest sleep, so that a keepalive is sent in time.
const NAP: Duration = Duration::from_secs(5);
/// How long only to wait for room to write, when what can be read cannot be taken before that.
const ROOM: Duration = Duration::from_millis(20);

/// SSH's number for stderr among a channel's streams (RFC 4254, 5.2).
const STDERR: i32 = 1;

pub(super) struct SshExec<'a> {
    session: &'a SshSession,
    channel: ssh2::Channel,
    queue: Queue,
    close: bool,
    eof_sent: bool,
    stderr_first: bool,
    barren: bool,
    ended: Option<Option<i32>>,
    buffer: Vec<u8>,
}

impl<'a> SshExec<'a> {
    pub(super) fn new(session: &'a SshSession, channel: ssh2::Channel) -> Self {
        Self {
            session,
            channel,
            queue: Queue::default(),
            close: false,
            eof_sent: false,
            stderr_first: false,
            barren: false,
            ended: None,
            buffer: vec![0; CHUNK],
        }
    }

    fn lost(&self) -> Error {
        self.session.lost(ssh2::Error::last_session_error(&self.session.session))
    }

    /// Writes what the channel takes, and EOF after the last byte.
    fn write(&mut self) -> Result<(), Error> {
        let mut written = 0;
        while !self.queue.is_empty() && written < BURST {
            match self.channel.write(self.queue.front()) {
                Ok(0) => break,
                Ok(count) => {
                    self.queue.consume(count);
                    self.session.counters.sent(count);
                    written += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(self.lost()),
            }
        }
        if self.close && !self.eof_sent && self.queue.is_empty() && writable(&self.session.socket) {
            match self.channel.send_eof() {
                Ok(()) => self.eof_sent = true,
                Err(error) if code(&error) == EAGAIN => {}
                Err(_) => return Err(self.lost()),
            }
        }
        Ok(())
    }

    /// What can be had without waiting.
    fn step(&mut self) -> Result<Option<Event>, Error> {
        self.write()?;
        // Turn about, so that a flood on one stream does not starve the other.
        self.stderr_first = !self.stderr_first;
        for stderr in [self.stderr_first, !self.stderr_first] {
            match self.channel.stream(if stderr { STDERR } else { 0 }).read(&mut self.buffer) {
                Ok(0) => {}
                Ok(count) => {
                    self.session.counters.received(count);
                    let bytes = self.buffer[..count].to_vec();
                    return Ok(Some(if stderr { Event::Stderr(bytes) } else { Event::Stdout(bytes) }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.lost()),
            }
        }
        // Only true once everything has been read; before that, wait_close is an error.
        if !self.channel.eof() {
            return Ok(None);
        }
        match self.channel.wait_close() {
            Ok(()) => self.end().map(Some),
            Err(error) if code(&error) == EAGAIN => Ok(None),
            Err(_) => Err(self.lost()),
        }
    }

    fn end(&mut self) -> Result<Event, Error> {
        let signal = self.channel.exit_signal().map_err(|error| self.session.lost(Some(error)))?;
        let status = self.channel.exit_status().map_err(|error| self.session.lost(Some(error)))?;
        let status = if signal.exit_signal.is_some() { None } else { Some(status) };
        self.ended = Some(status);
        self.queue.clear();
        if writable(&self.session.socket) {
            // Early, so that the host has forgotten this command when the next one comes. Freeing repeats it.
            let _ = self.channel.close();
        }
        Ok(Event::Exit(status))
    }

    fn keepalive(&self) -> Result<(), Error> {
        let blocked = flags(&self.session.session).is_some_and(|flags| flags.contains(PollFlags::OUT));
        if !blocked && writable(&self.session.socket) {
            self.session.session.keepalive_send().map_err(|error| self.session.lost(Some(error)))?;
        }
        Ok(())
    }

    fn wait(&mut self, wait: Duration) {
        let eof_due = self.close && !self.eof_sent && self.queue.is_empty();
        let blocked = flags(&self.session.session).is_some_and(|flags| flags.contains(PollFlags::OUT));
        let out = if eof_due || blocked { PollFlags::OUT } else { PollFlags::empty() };
        if self.barren && blocked {
            // A half-sent packet also stops reading (libssh2 wants to widen the window first), and a socket that
            // stays readable would make this a busy loop.
            self.barren = false;
            wait_for(&mut [PollFd::new(&self.session.socket, PollFlags::OUT)], wait.min(ROOM));
            return;
        }
        let mut fds = [PollFd::new(&self.session.socket, PollFlags::IN | out)];
        wait_for(&mut fds, wait.min(NAP));
        self.barren = blocked && fds[0].revents() == PollFlags::IN;
    }
}

impl Exec for SshExec<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.ended.is_some() || self.close {
            return Ok(());
        }
        self.queue.push(bytes);
        self.write()
    }

    fn close_stdin(&mut self) -> Result<(), Error> {
        self.close = true;
        if self.ended.is_some() { Ok(()) } else { self.write() }
    }

    fn next(&mut self, wait: Duration) -> Result<Event, Error> {
        if let Some(status) = self.ended {
            return Ok(Event::Exit(status));
        }
        let start = Instant::now();
        loop {
            if let Some(event) = self.step()? {
                self.barren = false;
                return Ok(event);
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Event::Idle);
            }
            self.keepalive()?;
            self.wait(left);
        }
    }

    fn unsent(&self) -> usize {
        self.queue.len()
    }
}

impl Drop for SshExec<'_> {
    fn drop(&mut self) {
        // Freeing the channel sends EOF and CLOSE. If a packet is half sent, neither can go out, nor anything else.
        if self.ended.is_none() && !(self.queue.is_empty() && writable(&self.session.socket)) {
            self.session.jammed.set(true);
            let _ = self.session.socket.shutdown(Shutdown::Both);
        }
    }
}
