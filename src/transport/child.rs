//! A process of this machine whose stdin, stdout and stderr are pumped together.
//!
//! Must never be here: what the process is; that is `local`'s and `openssh`'s.

use std::io::{ErrorKind, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::queue::Queue;
use super::wait::wait_for;
use super::{Counters, Error, Event, Exec};

const CHUNK: usize = 32 * 1024;
/// How long to sleep when only the end of the process is missing, for which there is no descriptor on every Unix.
const NAP: Duration = Duration::from_millis(5);

/// A process of this machine as a running command.
pub(super) struct ChildExec {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    queue: Queue,
    close: bool,
    stderr_first: bool,
    ended: Option<Option<i32>>,
    buffer: Vec<u8>,
    counters: Counters,
    address: String,
}

impl ChildExec {
    /// Starts a command with pipes, in a process group of its own: Ctrl-C at the terminal reaches synprov and not
    /// the step that is to be finished. `address` is for messages.
    pub(super) fn start(command: &mut Command, address: &str, counters: Counters) -> std::io::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let exec = Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child: Some(child),
            queue: Queue::default(),
            close: false,
            stderr_first: false,
            ended: None,
            buffer: vec![0; CHUNK],
            counters,
            address: address.to_owned(),
        };
        for pipe in [
            exec.stdin.as_ref().map(AsFd::as_fd),
            exec.stdout.as_ref().map(AsFd::as_fd),
            exec.stderr.as_ref().map(AsFd::as_fd),
        ] {
            pipe.map(|pipe| rustix::io::ioctl_fionbio(pipe, true)).transpose()?;
        }
        Ok(exec)
    }

    fn write(&mut self) {
        while let (Some(stdin), false) = (&mut self.stdin, self.queue.is_empty()) {
            match stdin.write(self.queue.front()) {
                Ok(count) => {
                    self.queue.consume(count);
                    self.counters.sent(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The command no longer reads, as it may.
                Err(_) => {
                    self.stdin = None;
                    self.queue.clear();
                }
            }
        }
        if self.close && self.queue.is_empty() {
            self.stdin = None;
        }
    }

    fn step(&mut self) -> Result<Option<Event>, Error> {
        self.write();
        self.stderr_first = !self.stderr_first;
        for stderr in [self.stderr_first, !self.stderr_first] {
            let count = if stderr {
                read(&mut self.stderr, &mut self.buffer)
            } else {
                read(&mut self.stdout, &mut self.buffer)
            };
            if count > 0 {
                self.counters.received(count);
                let bytes = self.buffer[..count].to_vec();
                return Ok(Some(if stderr { Event::Stderr(bytes) } else { Event::Stdout(bytes) }));
            }
        }
        if self.stdout.is_some() || self.stderr.is_some() {
            return Ok(None);
        }
        let Some(child) = &mut self.child else { return Ok(None) };
        match child.try_wait() {
            Ok(None) => Ok(None),
            Ok(Some(status)) => {
                self.ended = Some(status.code());
                self.queue.clear();
                Ok(Some(Event::Exit(status.code())))
            }
            Err(error) => Err(Error::Lost { address: self.address.clone(), reason: error.to_string() }),
        }
    }

    fn wait(&self, wait: Duration) {
        let mut fds = Vec::with_capacity(3);
        if let (Some(stdin), false) = (&self.stdin, self.queue.is_empty()) {
            fds.push(PollFd::new(stdin, PollFlags::OUT));
        }
        fds.extend(self.stdout.iter().map(|stdout| PollFd::new(stdout, PollFlags::IN)));
        fds.extend(self.stderr.iter().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
        let only_end = self.stdout.is_none() && self.stderr.is_none();
        wait_for(&mut fds, if only_end { wait.min(NAP) } else { wait });
    }
}

/// Reads what is there; 0 if nothing is. At its end the pipe is dropped.
fn read(pipe: &mut Option<impl Read>, buffer: &mut [u8]) -> usize {
    loop {
        let Some(open) = pipe else { return 0 };
        match open.read(buffer) {
            Ok(count) if count > 0 => return count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => *pipe = None,
        }
    }
}

impl Exec for ChildExec {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.stdin.is_some() && !self.close {
            self.queue.push(bytes);
            self.write();
        }
        Ok(())
    }

    fn close_stdin(&mut self) -> Result<(), Error> {
        self.close = true;
        self.write();
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Result<Event, Error> {
        if let Some(status) = self.ended {
            return Ok(Event::Exit(status));
        }
        let start = Instant::now();
        loop {
            if let Some(event) = self.step()? {
                return Ok(event);
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Event::Idle);
            }
            self.wait(left);
        }
    }

    fn unsent(&self) -> usize {
        self.queue.len()
    }
}

impl Drop for ChildExec {
    fn drop(&mut self) {
        // As over ssh, an abandoned command finds its pipes closed and is not killed. Somebody must still bury it.
        let (Some(mut child), None) = (self.child.take(), self.ended) else { return };
        let _ = std::thread::Builder::new().name("reap".into()).spawn(move || child.wait());
    }
}
