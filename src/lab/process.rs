//! Runs a program of this machine to its end: input, output, deadline.
//!
//! Nothing secret may be in `args`: they are visible to every process of the machine. Secrets go
//! through `input`. Never in this file: what any particular program is good for.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
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
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LabError::Missing { programs: vec![program.to_owned()] },
            _ => LabError::Io { what: format!("{what}: start {program}"), source },
        })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // A program may end without reading its input; the broken pipe is then no error of ours.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        let out = scope.spawn(move || read_all(stdout));
        let err = scope.spawn(move || read_all(stderr));
        let until = Instant::now() + deadline;
        let status = loop {
            match child.try_wait().map_err(LabError::io(what))? {
                Some(status) => break Some(status),
                None if Instant::now() >= until => {
                    child.kill().map_err(LabError::io(what))?;
                    child.wait().map_err(LabError::io(what))?;
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let Some(status) = status else {
            let seconds = deadline.as_secs();
            return Err(LabError::Deadline { what: what.to_owned(), seconds, detail: String::new() });
        };
        Ok(Output { status, stdout: out.join().unwrap_or_default(), stderr: err.join().unwrap_or_default() })
    })
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
    Err(LabError::Command { what: what.to_owned(), reason: failure(&output) })
}

/// Why a program failed: the last line it said on stderr, or its exit status.
pub(super) fn failure(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => line.trim().to_owned(),
        None => output.status.to_string(),
    }
}

/// Everything up to the end of a pipe.
fn read_all(pipe: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before an error is still the best that can be shown.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// Which of `programs` are not on `PATH` (`/usr/sbin` and `/sbin` count too).
pub(super) fn missing(programs: &[&str]) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let absent = |program: &&&str| !folders.iter().any(|folder| folder.join(program).is_file());
    programs.iter().filter(absent).map(|program| (*program).to_owned()).collect()
}
