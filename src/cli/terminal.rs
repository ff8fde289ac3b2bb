//! Questions on the terminal whose answers nobody sees.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Asks, without showing what is typed; the answer without its newline.
///
/// Errors: there is no terminal, or it fails.
pub fn ask(question: &str) -> Result<Zeroizing<String>, String> {
    let none = |_| "there is no terminal to ask on".to_owned();
    let failed = |error: std::io::Error| format!("cannot ask on the terminal: {error}");
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(none)?;
    let shown = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    // Only now: what is typed at the sight of the question is neither shown nor thrown away.
    let mut typed = Zeroizing::new(String::new());
    let read = terminal
        .write_all(question.as_bytes())
        .and_then(|()| BufReader::new(&terminal).read_line(&mut typed));
    let back = tcsetattr(&terminal, OptionalActions::Flush, &shown);
    drop(terminal.write_all(b"\n"));
    read.map_err(failed)?;
    back.map_err(|error| failed(error.into()))?;
    let length = typed.trim_end_matches(['\r', '\n']).len();
    typed.truncate(length);
    Ok(typed)
}
