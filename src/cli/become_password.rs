//! The password with which the log-in user becomes root: from the environment, or asked for once in a run.

use std::sync::OnceLock;

use super::terminal;
use crate::secret::Secret;

/// For programs, which have no terminal.
const VARIABLE: &str = "SYNPROV_BECOME_PASSWORD";

/// What was typed.
static TYPED: OnceLock<Secret> = OnceLock::new();

/// The password; `None`: hosts must not ask for one.
///
/// Errors: no terminal to ask on; an empty password, or one of several lines.
pub fn get(ask: bool) -> Result<Option<Secret>, String> {
    if let Some(typed) = TYPED.get() {
        return Ok(Some(typed.clone()));
    }
    if ask {
        let typed = terminal::ask("Password for sudo or doas on the hosts: ")
            .map_err(|why| format!("{why}; programs give the password in {VARIABLE}"))?;
        let password = usable(typed.as_bytes()).ok_or("an empty password is none")?;
        return Ok(Some(TYPED.get_or_init(|| password).clone()));
    }
    match std::env::var_os(VARIABLE) {
        None => Ok(None),
        Some(value) => {
            use std::os::unix::ffi::OsStrExt as _;
            let password = usable(value.as_bytes());
            password.map(Some).ok_or_else(|| format!("{VARIABLE} is empty or has several lines"))
        }
    }
}

/// One line that is not empty.
fn usable(bytes: &[u8]) -> Option<Secret> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    (!bytes.is_empty() && !bytes.contains(&b'\n')).then(|| Secret::new(bytes.to_vec()))
}
