//! Whether the key a host shows is the one it must show.
//!
//! Either one pinned key, or OpenSSH's known_hosts; an unknown key is recorded at most on first contact
//! (`accept_new`). Must never be here: a way to go on without a check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Digest as _;

use super::dial::{address, bare};
use super::known_hosts::{self, KnownHosts, Verdict};
use super::{Error, Target};

/// Host-key algorithms by type of key, in the order we like them. No certificates: libssh2 cannot check one, and
/// would offer them first, so that a host with a certificate looks as if its key had changed. No SHA-1.
const ALGORITHMS: [(&str, &[&str]); 5] = [
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ecdsa-sha2-nistp256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-sha2-nistp384", &["ecdsa-sha2-nistp384"]),
    ("ecdsa-sha2-nistp521", &["ecdsa-sha2-nistp521"]),
    ("ssh-rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
];

/// What the host's key is compared with. Made before the handshake, because it orders the algorithms.
pub(super) enum HostKeys {
    /// This one and no other.
    Pinned(Vec<u8>),
    /// What the files hold.
    Files(KnownHosts),
}

/// `SHA256:…`, as `ssh-keygen -lf` prints it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(key)))
}

impl HostKeys {
    /// Reads what `target` says about its key. Errors: a pinned key that is none, an unreadable file.
    pub(super) fn load(target: &Target) -> Result<Self, Error> {
        if let Some(pinned) = &target.host_key {
            let mut words = pinned.split_ascii_whitespace();
            let key =
                words.next().zip(words.next()).and_then(|(kind, data)| known_hosts::parse_key(kind, data));
            return key.map(Self::Pinned).ok_or_else(|| Error::HostKey {
                summary: format!("the pinned host_key of {} is not a public key", address(target)),
                help: "write it as in the host's /etc/ssh/ssh_host_ed25519_key.pub: \"ssh-ed25519 AAAA…\""
                    .into(),
            });
        }
        KnownHosts::read(&target.known_hosts).map(Self::Files).map_err(|(file, error)| Error::HostKey {
            summary: format!("cannot read {}: {error}", file.display()),
            help: "host keys are checked against it; make it readable for this user".into(),
        })
    }

    /// The algorithms to offer, those of keys on record first, for libssh2's `method_pref`.
    pub(super) fn algorithms(&self, target: &Target) -> String {
        let known = match self {
            Self::Pinned(key) => known_hosts::blob_type(key).map(str::to_owned).into_iter().collect(),
            Self::Files(files) => files.key_types(bare(&target.address), target.port),
        };
        let mut order = ALGORITHMS;
        order.sort_by_key(|(key_type, _)| known.iter().position(|k| k == key_type).unwrap_or(usize::MAX));
        order.iter().flat_map(|(_, names)| names.iter().copied()).collect::<Vec<_>>().join(",")
    }

    /// Accepts `key` (the binary blob), records it if that is wanted and it is the first, or refuses it.
    pub(super) fn verify(&self, target: &Target, key: &[u8]) -> Result<(), Error> {
        let address = address(target);
        let shown = format!("{} {}", known_hosts::blob_type(key).unwrap_or("unknown"), fingerprint(key));
        let files = match self {
            Self::Pinned(pinned) if pinned == key => return Ok(()),
            Self::Pinned(pinned) => {
                return Err(Error::HostKey {
                    summary: format!(
                        "{address} shows {shown}, but its pinned host_key is {}",
                        fingerprint(pinned)
                    ),
                    help:
                        "another machine may be answering; if the host was reinstalled, ask it for its key \
                           (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on its console) and pin that"
                            .into(),
                });
            }
            Self::Files(files) => files,
        };
        match files.check(bare(&target.address), target.port, key) {
            Verdict::Known => Ok(()),
            Verdict::Revoked(line) => Err(Error::HostKey {
                summary: format!(
                    "{address} shows {shown}, which is revoked at {}:{}",
                    line.file.display(),
                    line.number
                ),
                help: "never trust this key again: give the host a new one, then record that".into(),
            }),
            Verdict::Other(line) => Err(Error::HostKey {
                summary: format!(
                    "{address} shows {shown}, but {}:{} records another {} key for it",
                    line.file.display(),
                    line.number,
                    line.key_type
                ),
                help: format!(
                    "another machine may be answering; if the host was reinstalled and this fingerprint is what \
                     `ssh-keygen -lf` says on its console, remove the old key: ssh-keygen -f {} -R '{}'",
                    line.file.display(),
                    known_hosts::name(bare(&target.address), target.port)
                ),
            }),
            Verdict::Unknown if target.accept_new => record(target, key),
            Verdict::Unknown => Err(unknown(target, key, &shown)),
        }
    }
}

fn unknown(target: &Target, key: &[u8], shown: &str) -> Error {
    let host = bare(&target.address);
    let line = known_hosts::line(host, target.port, key);
    let pin = line.split_once(' ').map_or("", |(_, key)| key);
    let file = target.known_hosts.first().map_or("known_hosts".into(), |file| file.display().to_string());
    Error::HostKey {
        summary: format!("the key of {} is not known: {shown}", address(target)),
        help: format!(
            "compare the fingerprint with `ssh-keygen -lf` on the host's console, then either log in once with \
             ssh -p {} {}@{host}, or add to {file} the line: {line} or pin it in the inventory: host_key: {pin} \
             or, if the network between can be trusted now: accept_new: true",
            target.port, target.user
        ),
    }
}

/// An unrecorded key would be accepted again and again, which is no check at all: a failed write refuses.
fn record(target: &Target, key: &[u8]) -> Result<(), Error> {
    let line = known_hosts::line(bare(&target.address), target.port, key);
    let failed = |reason: String| Error::HostKey {
        summary: format!("cannot record the key of {}: {reason}", address(target)),
        help: "accept_new needs a known_hosts file that can be written".into(),
    };
    let file = target.known_hosts.first().ok_or_else(|| failed("no known_hosts file is given".into()))?;
    known_hosts::append(file, &line).map_err(|error| failed(format!("{}: {error}", file.display())))
}
