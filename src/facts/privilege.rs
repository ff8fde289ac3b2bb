//! How the log-in user becomes root on a host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// Answers the question for a password on the host.
const BECOME: &str = include_str!("become.py");

/// Runs the script that the first argument holds.
const UNPACK: &str = "import binascii,sys;exec(binascii.a2b_base64(sys.argv.pop(1)))";

/// Exit status of a host whose sudo or doas did not accept the password.
pub const REFUSED: i32 = 97;

/// Who makes the log-in user root, and with which password. The default: the log-in user is root.
#[derive(Debug, Clone, Default)]
pub struct Privilege {
    /// `sudo` or `doas`.
    program: Option<&'static str>,
    password: Option<Secret>,
}

impl Privilege {
    /// By sudo; without a password it must not ask for one.
    pub fn sudo(password: Option<Secret>) -> Self {
        Self { program: Some("sudo"), password }
    }

    /// By doas; without a password it must not ask for one.
    pub fn doas(password: Option<Secret>) -> Self {
        Self { program: Some("doas"), password }
    }

    /// What stands before the command, for any login shell.
    pub(super) fn prefix(&self) -> String {
        match (self.program, &self.password) {
            (None, _) => String::new(),
            (Some(program), None) => format!("{program} -n -- "),
            (Some(program), Some(_)) => {
                // In base64, because no login shell changes any of it.
                let script = STANDARD.encode(BECOME);
                let prompt = if program == "sudo" { "-p synprov-password: " } else { "" };
                format!("python3 -I -B -c \"{UNPACK}\" {script} {program} {prompt}-- ")
            }
        }
    }

    /// What goes to standard input before anything else.
    pub(super) fn preamble(&self) -> Vec<u8> {
        let password = self.password.as_ref().filter(|_| self.program.is_some());
        password.map(|password| [password.expose(), b"\n"].concat()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::super::loader::{command, envelope};
    use super::*;

    /// Asks like sudo does: on the terminal, after a lecture, three times.
    const SUDO: &str = r#"#!/bin/bash
[[ $1 == -p && $3 == -- ]] || exit 99
printf 'We trust you have received the usual lecture.\r\n' > /dev/tty
for attempt in 1 2 3; do
    printf %s "$2" > /dev/tty
    IFS= read -rs word < /dev/tty
    sleep 0.2
    [[ $word == "right word" ]] && { shift 3; exec "$@"; }
    printf 'Sorry, try again.\r\n' > /dev/tty
done
exit 1
"#;
    const SCRIPT: &str = "synprov_main() { echo \"$1\"; cat; echo oops >&2; exit 3; }\n";

    /// Status, stdout, stderr of a script run through the stand-in, under this login shell.
    fn run(shell: &str, password: &str, request: &[u8]) -> (Option<i32>, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let sudo = directory.path().join("sudo");
        std::fs::write(&sudo, SUDO).unwrap();
        std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let privilege = Privilege::sudo(Some(Secret::new(password.as_bytes().to_vec())));
        let mut child = Command::new(shell)
            .args(["-c", &command(&privilege)])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = [privilege.preamble(), envelope(SCRIPT, "", "abc"), request.to_vec()].concat();
        // Who is refused reads no further; who reads also writes.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[test]
    fn the_password_is_given_on_the_terminal_and_the_rest_on_stdin() {
        let request = "line\n".repeat(50_000);
        for shell in ["bash", "dash", "fish", "tcsh", "zsh"] {
            if Command::new(shell).args(["-c", "true"]).status().is_err() {
                continue;
            }
            let (status, stdout, stderr) = run(shell, "right word", request.as_bytes());
            assert_eq!((status, stderr.as_str()), (Some(3), "oops\n"), "{shell}");
            assert_eq!(stdout, format!("abc\n{request}"), "{shell}");
        }
    }

    #[test]
    fn a_wrong_password_is_offered_once() {
        let (status, stdout, stderr) = run("bash", "wrong word", b"");
        assert_eq!((status, stdout.as_str(), stderr.as_str()), (Some(REFUSED), "", ""));
    }

    #[test]
    fn the_password_is_in_no_command_line() {
        let privilege = Privilege::sudo(Some(Secret::new(b"right word".to_vec())));
        assert!(
            !command(&privilege).contains("right word") && !format!("{privilege:?}").contains("right word")
        );
        let length = command(&privilege).len();
        assert!(length < 8 * 1024, "{length}: some login shells take no more");
    }
}
