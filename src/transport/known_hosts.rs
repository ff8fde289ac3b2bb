//! OpenSSH's known_hosts: read it, ask it about a key, add a line to it.
//!
//! The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Ours and not libssh2's, because libssh2 knows no
//! patterns, no `@revoked` and no line numbers. Must never be here: a decision to trust; that is `host_key`.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The lines of all files, in order.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
    authorities: Vec<Line>,
}

/// One usable line.
#[derive(Debug)]
pub(super) struct Line {
    /// Where it stands.
    pub file: PathBuf,
    /// From 1.
    pub number: usize,
    /// `ssh-ed25519` and so on.
    pub key_type: String,
    key: Vec<u8>,
    names: String,
    mark: Mark,
}

/// What stands in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Revoked,
    Authority,
}

/// What the files say about a key.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// This key is recorded for this name.
    Known,
    /// No key is recorded for this name.
    Unknown,
    /// Only other keys are recorded for this name; the first of them, one of the same type if there is one.
    Other(&'a Line),
    /// This key is recorded as revoked.
    Revoked(&'a Line),
}

/// The name under which a host stands in known_hosts: `host`, or `[host]:port` if the port is not 22.
pub(super) fn name(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl KnownHosts {
    /// Reads all files that exist. Lines that make no sense are skipped, as ssh does.
    ///
    /// Errors: a file that exists and cannot be read, with its path.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, (PathBuf, std::io::Error)> {
        let mut all = Vec::new();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    let numbered = text.lines().zip(1..);
                    all.extend(numbered.filter_map(|(line, number)| Line::parse(line, file, number)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err((file.clone(), error)),
            }
        }
        // A certificate authority's key is no host's key, and libssh2 cannot check certificates.
        let (authorities, lines) = all.into_iter().partition(|line| line.mark == Mark::Authority);
        Ok(Self { lines, authorities })
    }

    /// The first line that names a certificate authority for a host of this [`name`].
    pub(super) fn authority(&self, name: &str) -> Option<&Line> {
        self.authorities.iter().find(|line| matches(&line.names, name))
    }

    /// What is known about `key` (the binary blob) of `host`.
    ///
    /// As ssh does, a key recorded for the plain name also counts for a port other than 22,
    /// but a different key there does not speak against it.
    pub(super) fn check(&self, host: &str, port: u16, key: &[u8]) -> Verdict<'_> {
        let (own, plain) = (self.lines_for(&name(host, port)), self.lines_for(&name(host, 22)));
        if let Some(line) =
            own.iter().chain(&plain).find(|line| line.mark == Mark::Revoked && line.key == key)
        {
            return Verdict::Revoked(line);
        }
        let good = |line: &&&Line| line.mark == Mark::None;
        if own.iter().chain(&plain).filter(good).any(|line| line.key == key) {
            return Verdict::Known;
        }
        let same_type = own.iter().filter(good).find(|line| Some(line.key_type.as_str()) == blob_type(key));
        match same_type.or(own.iter().find(good)) {
            Some(line) => Verdict::Other(line),
            None => Verdict::Unknown,
        }
    }

    /// The types of key recorded for `host`, those for exactly this port first.
    pub(super) fn key_types(&self, host: &str, port: u16) -> Vec<String> {
        let mut lines = self.lines_for(&name(host, port));
        lines.extend(self.lines_for(&name(host, 22)));
        lines.into_iter().filter(|line| line.mark == Mark::None).map(|line| line.key_type.clone()).collect()
    }

    fn lines_for(&self, name: &str) -> Vec<&Line> {
        self.lines.iter().filter(|line| matches(&line.names, name)).collect()
    }
}

impl Line {
    fn parse(text: &str, file: &Path, number: usize) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('#') {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let mut names = words.next()?;
        let mark = match names {
            "@revoked" => Mark::Revoked,
            "@cert-authority" => Mark::Authority,
            other if other.starts_with('@') => return None,
            _ => Mark::None,
        };
        if mark != Mark::None {
            names = words.next()?;
        }
        let key = parse_key(words.next()?, words.next()?)?;
        let key_type = blob_type(&key)?.to_owned();
        Some(Self { file: file.to_owned(), number, key_type, key, names: names.to_owned(), mark })
    }
}

/// The blob of a key written as `TYPE BASE64`; `None` if it is not one, or one of another type.
pub(super) fn parse_key(key_type: &str, base64: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(base64).ok()?;
    (blob_type(&key) == Some(key_type)).then_some(key)
}

/// The type that a key's blob says it is: its first string (RFC 4253, 6.6).
pub(super) fn blob_type(key: &[u8]) -> Option<&str> {
    let length = u32::from_be_bytes(*key.first_chunk()?) as usize;
    std::str::from_utf8(key.get(4..)?.get(..length)?).ok()
}

/// Whether a line's first field covers `name`.
fn matches(names: &str, name: &str) -> bool {
    if names.starts_with("|1|") {
        return matches_hashed(names, name);
    }
    let mut found = false;
    for pattern in names.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(&pattern.to_lowercase(), name) => return false,
            Some(_) => {}
            None => found |= glob(&pattern.to_lowercase(), name),
        }
    }
    found
}

/// `|1|SALT|HASH`: libssh2 has the HMAC-SHA1, so a line with only this name is shown to it.
fn matches_hashed(names: &str, name: &str) -> bool {
    let check = || {
        let mut hosts = ssh2::Session::new()?.known_hosts()?;
        // It skips a key of less than 20 characters.
        let line = format!("{names} ssh-ed25519 {}", "A".repeat(68));
        hosts.read_str(&line, ssh2::KnownHostFileKind::OpenSSH)?;
        Ok::<_, ssh2::Error>(hosts.check(name, b"any key"))
    };
    matches!(check(), Ok(ssh2::CheckResult::Match | ssh2::CheckResult::Mismatch))
}

/// `*` is any text, `?` is any one character, all else is itself.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` took one character more; no recursion, so no pattern is slow.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    (p, t) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// A line for `key`, without newline.
pub(super) fn line(host: &str, port: u16, key: &[u8]) -> String {
    format!("{} {} {}", name(host, port), blob_type(key).unwrap_or("unknown"), STANDARD.encode(key))
}

/// Adds a line to a file with one write; creates it (0600) and its directory (0700) if they are absent.
pub(super) fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // A last line without newline must not swallow ours.
    let open_end = match std::fs::read(file) {
        Ok(bytes) => bytes.last().is_some_and(|&byte| byte != b'\n'),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let text = format!("{}{line}\n", if open_end { "\n" } else { "" });
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
