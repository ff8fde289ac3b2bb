//! The password with which the log-in user becomes root: from the environment, or asked for once in a run.

use std::sync::{Mutex, PoisonError};

use super::terminal;
use crate::secret::Secret;

/// For programs, which have no terminal.
const VARIABLE: &str = "SYNPROV_BECOME_PASSWORD";

/// What was typed. Whoever finds nothing holds it while asking, so that nobody else asks too.
static TYPED: Mutex<Option<Secret>> = Mutex::new(None);

/// The password; `None`: hosts must not ask for one.
///
/// Errors: no terminal to ask on; an empty password, or one of several lines.
pub fn get(ask: bool) -> Result<Option<Secret>, String> {
    let mut known = TYPED.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_some() {
        return Ok(known.clone());
    }
    if ask {
        let typed = terminal::ask("Password for sudo or doas on the hosts: ")
            .map_err(|why| format!("{why}; programs give the password in {VARIABLE}"))?;
        let password = usable(typed.as_bytes()).ok_or("an empty password is none")?;
        *known = Some(password);
        return Ok(known.clone());
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
