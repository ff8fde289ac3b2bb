//! The way through jump hosts, as a command that OpenSSH's client runs as its ProxyCommand.

use std::ffi::OsString;

/// A ProxyCommand through jump hosts. ⚑ Not `-J`: the ssh that it starts knows nothing of BatchMode and would ask
/// the terminal.
pub(super) fn proxy(config: &[OsString], jump: &[String], accept_new: bool) -> Option<String> {
    let (last, before) = jump.split_last()?;
    let strict = if accept_new { "accept-new" } else { "yes" };
    let mut words = vec!["ssh".to_owned()];
    words.extend(config.iter().map(|word| quoted(&word.to_string_lossy())));
    for option in ["BatchMode=yes", "ServerAliveInterval=15", "ClearAllForwardings=yes"] {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words.extend(["-o".to_owned(), format!("StrictHostKeyChecking={strict}")]);
    if let Some(inner) = proxy(config, before, accept_new) {
        words.extend(["-o".to_owned(), quoted(&format!("ProxyCommand={inner}"))]);
    }
    let (user, host) = last.split_once('@').map_or((None, last.as_str()), |(user, host)| (Some(user), host));
    if let Some(user) = user {
        words.extend(["-l".to_owned(), quoted(user)]);
    }
    let (host, port) = host_and_port(host);
    if let Some(port) = port {
        words.extend(["-p".to_owned(), port.to_owned()]);
    }
    // What the shell and the outer ssh make of the inner command's own tokens.
    let command = words.join(" ").replace('%', "%%");
    Some(format!("{command} -W '[%h]:%p' -- {}", quoted(host)))
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `IPV6`.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

/// One word for any shell: single quotes, which sh, fish and csh read alike but for what cannot stand in a name.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{host_and_port, proxy, quoted};

    #[test]
    fn jumps_nest() {
        assert_eq!(proxy(&[], &[], false), None);
        let one = proxy(&[], &["admin@bastion:2222".to_owned()], false).unwrap_or_default();
        assert!(one.ends_with("-l admin -p 2222 -W '[%h]:%p' -- bastion"), "{one}");
        let two = proxy(&[], &["a".to_owned(), "b".to_owned()], false).unwrap_or_default();
        assert!(two.contains("[%%h]:%%p") && two.ends_with("-W '[%h]:%p' -- b"), "{two}");
        let three = proxy(&[], &["a".to_owned(), "b".to_owned(), "c".to_owned()], false).unwrap_or_default();
        assert!(three.contains("[%%%%h]:%%%%p"), "{three}");
    }

    #[test]
    fn addresses_of_jumps() {
        assert_eq!(host_and_port("h"), ("h", None));
        assert_eq!(host_and_port("h:22"), ("h", Some("22")));
        assert_eq!(host_and_port("fd00::1"), ("fd00::1", None));
        assert_eq!(host_and_port("[fd00::1]:22"), ("fd00::1", Some("22")));
        assert_eq!(host_and_port("[fd00::1]"), ("fd00::1", None));
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
