//! A command line that every login shell reads alike.
//!
//! sshd runs `SHELL -c COMMAND` with the shell of the user's passwd entry. Inside single quotes bash, dash,
//! ksh and zsh change nothing; fish still reads `\\` and `\'`, csh and tcsh still expand `!` and end a line
//! at a newline. Must never be here: a quoting routine. What some shell would change is refused instead.

/// Longest program, bytes. Far below the 128 KiB that Linux allows one argument; a loader is short,
/// and whatever is long belongs on stdin, where it can be counted and checked.
const MAX: usize = 8 * 1024;

/// Why a program cannot be sent as a command: a bug of the caller, not of the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A character that some login shell changes or that ends the quoted word.
    #[error("the remote program holds {character:?} at byte {at}, which some login shell would change")]
    Character {
        /// The character.
        character: char,
        /// Its place, bytes from 0.
        at: usize,
    },
    /// Longer than 8 KiB.
    #[error("the remote program has {0} bytes, more than 8192: send it on stdin")]
    TooLong(usize),
}

/// Turns a bash program of one line into a command for [`super::Session::exec`].
///
/// `script` is printable ASCII without `'`, `!` and backslash, at most 8 KiB. `--norc` matters: Debian's bash reads
/// `.bashrc` also for `bash -c` under sshd, and a `.bashrc` prints, sleeps and fails as it likes. (The login shell
/// itself may still do so once, before us.) `exec` saves the login shell's process, so signals reach bash.
pub fn remote_command(script: &str) -> Result<String, CommandError> {
    if script.len() > MAX {
        return Err(CommandError::TooLong(script.len()));
    }
    let mangled = |c: char| !(' '..='~').contains(&c) || matches!(c, '\'' | '!' | '\\');
    match script.char_indices().find(|&(_, character)| mangled(character)) {
        Some((at, character)) => Err(CommandError::Character { character, at }),
        None => Ok(format!("exec bash --noprofile --norc -c '{script}'")),
    }
}
