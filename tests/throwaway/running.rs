//! The program while it runs: its talk as it comes, signals, its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::answer::Answer;

/// Nothing that a test waits for takes longer; a migration of ten minutes takes long.
const PATIENCE: Duration = Duration::from_secs(900);

/// A run that has begun. Killed when this goes.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
    stdout: JoinHandle<Vec<u8>>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let talk = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in talk.split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What a killed program has said is read to its end too.
            let _ = stdout.read_to_end(&mut bytes);
            bytes
        });
        Self { child, lines, heard: Vec::new(), stdout }
    }

    /// Waits for a line of its talk; `None`: it ended first.
    pub fn until_line(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("it waits for ever:\n{}", self.heard.join("\n")),
            }
        }
    }

    /// The line that says that a step begins whose title contains this.
    pub fn until_step(&mut self, title: &str) -> Option<String> {
        self.until_line(|line| line.starts_with('[') && line.contains(title))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // One that has ended already needs none.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its end and all that it said.
    pub fn ends(mut self) -> Answer {
        let _ = self.until_line(|_| false);
        let status = self.child.wait().unwrap();
        let stdout = std::mem::replace(&mut self.stdout, std::thread::spawn(Vec::new)).join().unwrap();
        let stderr = self.heard.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        Output { status, stdout, stderr }.into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
