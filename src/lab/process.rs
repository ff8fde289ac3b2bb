//! Runs a program of this machine to its end: input, output, deadline.
//!
//! Nothing secret may be in `args`: they are visible to every process of the machine. Secrets go
//! through `input`. Never in this file: what any particular program is good for.

use std::io::{Read, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::LabError;

/// Runs `program` and gives its output, whatever its exit status. Kills it at the deadline.
pub(super) fn output(
    what: &str,
    program: &str,
    args: &[&str],
    input: &[u8],
    deadline: Duration,
) -> Result<Output, LabError> {
    let until = Instant::now() + deadline;
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LabError::Missing { programs: vec![program.to_owned()] },
            _ => LabError::Io { what: format!("{what}: start {program}"), source },
        })?;
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_vec();
        // A program may end without reading its input; the broken pipe is then no error of ours.
        std::thread::spawn(move || pipe.write_all(&input));
    }
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let late =
        || LabError::Deadline { what: what.to_owned(), seconds: deadline.as_secs(), detail: String::new() };
    let status = loop {
        match child.try_wait().map_err(LabError::io(what))? {
            Some(status) => break status,
            None if Instant::now() >= until => {
                child.kill().map_err(LabError::io(what))?;
                child.wait().map_err(LabError::io(what))?;
                return Err(late());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    // A process it left behind may hold the pipes open: that must not hold us.
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    let stdout = stdout.recv_timeout(left()).map_err(|_| late())?;
    let stderr = stderr.recv_timeout(left()).map_err(|_| late())?;
    Ok(Output { status, stdout, stderr })
}

/// Like [`output`], but an exit status other than 0 is an error that carries stderr's last line.
pub(super) fn run(
    what: &str,
    program: &str,
    args: &[&str],
    input: &[u8],
    deadline: Duration,
) -> Result<String, LabError> {
    let output = output(what, program, args, input, deadline)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::Command { what: what.to_owned(), reason: failure(&output, 1) })
}

/// Why a program failed: the last `lines` lines it said on stderr, or its exit status.
pub(super) fn failure(output: &Output, lines: usize) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match said.len() {
        0 => output.status.to_string(),
        count => said[count.saturating_sub(lines)..].join("; "),
    }
}

/// Reads everything up to the end of a pipe, on a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still the best that can be shown.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens after a deadline.
        let _ = sender.send(bytes);
    });
    receiver
}

/// `PATH` with the folders of the system's tools, which a user's shell may lack.
fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Which of `programs` cannot be found.
pub(super) fn missing(programs: &[&str]) -> Vec<String> {
    let path = search_path();
    let absent = |program: &&&str| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    programs.iter().filter(absent).map(|program| (*program).to_owned()).collect()
}
