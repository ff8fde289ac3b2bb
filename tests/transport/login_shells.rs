//! The same command under every login shell, given to it by a real sshd.

use synprov::transport::{CommandError, remote_command};

use crate::run;
use crate::sshd::Sshd;

/// Every printable ASCII character that a program may hold, and what a shell might want to do with it.
const PROGRAM: &str = r#"v="$(head -c 5)"; [[ $v == a?c* && ! -e /nowhere ]] || exit 9; "#;

#[test]
fn all_read_it_alike() {
    let program = PROGRAM.replace("! -e /nowhere", "-d /").to_owned()
        + r##"printf "%s|" "$v" {x,y} ~+ "*" "#" `echo tick` ${v:1:2} "[^]" $((1 + 2)) "a;b&c" "$#" @ = , . / :; cat; exit 6"##;
    let command = remote_command(&program).unwrap();
    let mut tested = Vec::new();
    for shell in ["bash", "dash", "fish", "tcsh", "csh", "zsh", "ksh"] {
        let Some(path) = ["/bin", "/usr/bin"]
            .iter()
            .map(|d| format!("{d}/{shell}"))
            .find(|p| std::path::Path::new(p).exists())
        else {
            continue;
        };
        // What sshd does for a user of this shell, without making users on the machine that runs the tests.
        let sshd = Sshd::start(&[&format!("ForceCommand exec {path} -c \"$SSH_ORIGINAL_COMMAND\"")]);
        let outcome = run(&mut *sshd.session(), &command, b"abcderest");
        let (stdout, stderr, status) = outcome.text();
        let here = stdout.split('|').nth(3).unwrap_or_default().to_owned();
        let expected = format!("abcde|x|y|{here}|*|#|tick|bc|[^]|3|a;b&c|0|@|=|,|.|/|:|rest");
        assert_eq!((stdout, stderr, status), (expected, String::new(), Some(6)), "{shell}");
        tested.push(shell);
    }
    println!("login shells tried: {}", tested.join(", "));
    assert!(tested.contains(&"bash") && tested.contains(&"dash"), "{tested:?}");
}

#[test]
fn startup_files_are_not_read_by_our_bash() {
    // Debian's bash reads .bashrc for `bash -c` under sshd, too.
    let sshd = Sshd::start(&["ForceCommand export HOME=DIR; exec /bin/dash -c \"$SSH_ORIGINAL_COMMAND\""]);
    for file in [".bashrc", ".profile", ".bash_profile"] {
        std::fs::write(sshd.path(file), "echo noise\n").unwrap();
    }
    let mut session = sshd.session();
    let command = remote_command("echo in").unwrap();
    assert_eq!(run(&mut *session, &command, b"").text(), ("in\n".into(), String::new(), Some(0)));
    let bare = run(&mut *session, "env -u SHLVL bash -c \"echo in\"", b"").text().0;
    assert_eq!(bare, "noise\nin\n", "the trap is real");
}

#[test]
fn what_some_shell_would_change_is_refused() {
    let check = |script: &str| remote_command(script).unwrap_err();
    for (script, character, at) in [
        ("echo 'a'", '\'', 5),
        ("a\\b", '\\', 1),
        ("! true", '!', 0),
        ("a\nb", '\n', 1),
        ("a\tb", '\t', 1),
        ("é", 'é', 0),
        ("a\0", '\0', 1),
    ] {
        assert_eq!(check(script), CommandError::Character { character, at });
    }
    assert_eq!(check(&"x".repeat(8193)), CommandError::TooLong(8193));
    assert!(remote_command(&"x".repeat(8192)).is_ok());
}
