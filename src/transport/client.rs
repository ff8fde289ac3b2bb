//! What OpenSSH's client would do for a host, and whether libssh2 can do the same.
//!
//! `ssh -G` is asked, which alone knows `Match`, `Include` and tokens; its answer is read here. Must never be
//! here: a reader of ssh_config of our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::known_hosts::{self, KnownHosts};
use super::{Error, Target};
use crate::inventory::Means;

/// How OpenSSH's client takes part in reaching a host.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Which implementation speaks.
    pub means: Means,
    /// Which configuration of OpenSSH's client counts.
    pub config: Config,
    /// Jump hosts on the way, the first one first: `[USER@]HOST[:PORT]` each.
    pub jump: Vec<String>,
    /// The target's port is a default that the configuration may change.
    pub port_is_default: bool,
    /// The target's user is a default that the configuration may change.
    pub user_is_default: bool,
}

/// Where the configuration of OpenSSH's client is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Config {
    /// There is none to be read.
    #[default]
    None,
    /// Where ssh looks for it: the user's and the system's.
    Default,
    /// This file alone, as with `ssh -F`.
    File(PathBuf),
}

impl Config {
    /// Options of ssh that say so.
    pub(super) fn arguments(&self) -> Vec<std::ffi::OsString> {
        match self {
            Self::None => vec!["-F".into(), "none".into()],
            Self::Default => Vec::new(),
            Self::File(file) => vec!["-F".into(), file.into()],
        }
    }

    /// Whether there is anything to read. The system's own file says nothing about the way to a host, as
    /// distributions ship it; what admins add to it lies in its directory.
    fn is_there(&self) -> bool {
        match self {
            Self::None => false,
            Self::File(_) => true,
            Self::Default => {
                let own = std::env::home_dir().is_some_and(|home| home.join(".ssh/config").exists());
                own || std::fs::read_dir("/etc/ssh/ssh_config.d")
                    .is_ok_and(|mut files| files.next().is_some())
            }
        }
    }
}

/// How a target is reached in the end.
#[derive(Debug)]
pub(super) enum Way {
    /// By libssh2, with what the configuration says put in.
    Ssh2(Target),
    /// By OpenSSH's client, for this reason.
    OpenSsh(Target, String),
}

/// Decides who speaks with a target. `defaults`: keys for a target that names none.
///
/// Errors: a configuration that ssh refuses; no ssh where one is needed.
pub(super) fn way(target: &Target, defaults: &[PathBuf]) -> Result<Way, Error> {
    let client = &target.client;
    let mut target = target.clone();
    if client.means == Means::Ssh2 {
        return Ok(Way::Ssh2(target));
    }
    let asked = client.means == Means::OpenSsh;
    let says = if client.config.is_there() { Some(Settings::ask(&target)?) } else { None };
    if let Some(says) = &says {
        says.fill(&mut target);
    }
    let reason = if asked {
        Some("the inventory says transport: openssh".to_owned())
    } else if !target.client.jump.is_empty() {
        Some("it is behind a jump host".to_owned())
    } else {
        says.as_ref().and_then(Settings::beyond_libssh2).or_else(|| certified(&target, defaults))
    };
    Ok(match (reason, says) {
        (Some(reason), _) => Way::OpenSsh(target, reason),
        (None, says) => {
            if let Some(address) = says.as_ref().and_then(|says| says.first("hostname")) {
                target.address = address.to_owned();
            }
            Way::Ssh2(target)
        }
    })
}

/// The answer of `ssh -G`: keywords in lower case with their values, in order.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    fn ask(target: &Target) -> Result<Self, Error> {
        let refused = |reason: String, help: &str| Error::Connect {
            address: target.address.clone(),
            reason,
            help: help.to_owned(),
        };
        let client = &target.client;
        let mut ssh = Command::new("ssh");
        ssh.arg("-G").args(client.config.arguments());
        if !client.port_is_default {
            ssh.args(["-p", &target.port.to_string()]);
        }
        if !client.user_is_default {
            ssh.args(["-l", &target.user]);
        }
        ssh.args(["--", super::dial::bare(&target.address)]).stdin(Stdio::null());
        let output = match ssh.output() {
            Ok(output) => output,
            // Nobody's configuration can be meant for a program that is not there.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && client.config == Config::Default =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(refused(format!("cannot start ssh: {error}"), INSTALL)),
        };
        if !output.status.success() {
            return Err(refused(
                format!("ssh refuses its configuration: {}", sentence(&output.stderr)),
                "try it: ssh -G HOST; `--ssh-config none` reads no configuration",
            ));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            settings.0.entry(key.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        settings
    }

    /// The first value of a keyword; `none` is no value.
    fn first(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str).filter(|value| !value.is_empty() && *value != "none")
    }

    /// Files of a keyword, `~` expanded.
    fn files(&self, key: &str) -> Vec<PathBuf> {
        let home = std::env::home_dir().unwrap_or_default();
        let values = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        let expand =
            |word: &str| word.strip_prefix("~/").map_or_else(|| PathBuf::from(word), |rest| home.join(rest));
        values.iter().filter(|value| *value != "none").map(|value| expand(value)).collect()
    }

    /// Takes over what the target leaves open. Checking of host keys is never taken to be off.
    fn fill(&self, target: &mut Target) {
        if let (true, Some(port)) = (target.client.port_is_default, self.first("port")) {
            target.port = port.parse().unwrap_or(target.port);
        }
        if let (true, Some(user)) = (target.client.user_is_default, self.first("user")) {
            target.user = user.to_owned();
        }
        if target.identity_files.is_empty() {
            let named = self.files("identityfile");
            // Without any in the configuration ssh lists its default names.
            if !named.iter().any(|file| file.ends_with(".ssh/id_xmss") || file.ends_with(".ssh/id_ecdsa_sk"))
            {
                target.identity_files = named;
            }
        }
        let known: Vec<PathBuf> = ["userknownhostsfile", "globalknownhostsfile"]
            .into_iter()
            .filter_map(|key| self.first(key))
            .flat_map(|value| Self::parse(&format!("file {}", value.replace(' ', "\nfile "))).files("file"))
            .collect();
        if !known.is_empty() {
            target.known_hosts = known;
        }
        target.accept_new |= self.first("stricthostkeychecking") == Some("accept-new");
    }

    /// What is asked for that libssh2 cannot do.
    fn beyond_libssh2(&self) -> Option<String> {
        const KEYWORDS: [(&str, &str); 9] = [
            ("proxyjump", "ProxyJump"),
            ("proxycommand", "ProxyCommand"),
            ("certificatefile", "CertificateFile"),
            ("hostkeyalias", "HostKeyAlias"),
            ("identityagent", "IdentityAgent"),
            ("pkcs11provider", "PKCS11Provider"),
            ("knownhostscommand", "KnownHostsCommand"),
            ("bindaddress", "BindAddress"),
            ("bindinterface", "BindInterface"),
        ];
        let found = KEYWORDS.iter().find_map(|(key, name)| Some((name, self.first(key)?)));
        found.map(|(name, value)| format!("ssh's configuration says {name} {value}"))
    }
}

/// Keys that ssh would offer: those that the target names, or those at the default names.
fn identities(target: &Target, defaults: &[PathBuf]) -> Vec<PathBuf> {
    if !target.identity_files.is_empty() {
        return target.identity_files.clone();
    }
    // libssh2 is never given these two.
    let tokens = ["id_ecdsa_sk", "id_ed25519_sk"];
    let tokens = defaults.first().into_iter().flat_map(|file| tokens.map(|name| file.with_file_name(name)));
    defaults.iter().cloned().chain(tokens).collect()
}

/// Certificates and hardware keys, which libssh2 cannot use.
fn certified(target: &Target, defaults: &[PathBuf]) -> Option<String> {
    let beside = |file: &Path, end: &str| {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    for file in &identities(target, defaults) {
        let certificate = beside(file, "-cert.pub");
        if certificate.exists() {
            return Some(format!("{} is a certificate", certificate.display()));
        }
        if std::fs::read_to_string(beside(file, ".pub")).is_ok_and(|text| text.starts_with("sk-")) {
            return Some(format!("{} is a key on a security token", file.display()));
        }
    }
    if target.host_key.is_some() {
        return None;
    }
    let known = KnownHosts::read(&target.known_hosts).ok()?;
    let name = known_hosts::name(super::dial::bare(&target.address), target.port);
    let authority = known.authority(&name)?;
    Some(format!("{}:{} names a certificate authority for it", authority.file.display(), authority.number))
}

/// What to do without OpenSSH's client.
pub(super) const INSTALL: &str = "install OpenSSH's client: apt-get install openssh-client";

/// What ssh says, as one clause: its lines without control characters, bounded.
pub(super) fn sentence(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_matches(|c: char| c.is_control() || c.is_whitespace() || c == '@'))
        .filter(|line| !line.is_empty() && !line.starts_with("debug"))
        .collect();
    // When the way is barred, what ssh says of its own end of the pipe tells nothing.
    let echo = |line: &&&str| {
        line.starts_with("kex_exchange_identification:") || line.starts_with("Connection closed by UNKNOWN")
    };
    let telling: Vec<&str> = lines.iter().filter(|line| !echo(line)).copied().collect();
    let lines = if telling.is_empty() { lines } else { telling };
    let clean: String = lines.join("; ").chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim_end_matches('.').to_owned();
    match clean.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &clean[..at]),
        None if clean.is_empty() => "it says nothing".to_owned(),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Client, Settings, Target, Way, sentence, way};

    /// Who speaks with a host for which no key is named, if this file lies beside the default key.
    fn check(name: &str, text: &str, reason: Option<&str>) {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(name), text).unwrap();
        let target = Target {
            name: "hs1".to_owned(),
            address: "192.0.2.1".to_owned(),
            port: 22,
            user: "root".to_owned(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            host_key: None,
            accept_new: false,
            connect_timeout: Duration::from_secs(1),
            client: Client::default(),
        };
        let defaults = ["id_ed25519", "id_rsa"].map(|file| home.path().join(file));
        let said = match way(&target, &defaults).unwrap() {
            Way::OpenSsh(_, reason) => Some(reason),
            Way::Ssh2(_) => None,
        };
        let reason = reason.map(|reason| format!("{}/{reason}", home.path().display()));
        assert_eq!(said, reason, "{name}");
        // Keys that are named are all that is offered.
        let named = Target { identity_files: vec![home.path().join("another")], ..target };
        assert!(matches!(way(&named, &defaults).unwrap(), Way::Ssh2(_)), "{name}");
    }

    #[test]
    fn what_lies_beside_the_default_keys_counts() {
        check("id_ed25519.pub", "ssh-ed25519 AAAA", None);
        check("id_ed25519-cert.pub", "", Some("id_ed25519-cert.pub is a certificate"));
        let token = "sk-ssh-ed25519@openssh.com AAAA";
        check("id_ed25519_sk.pub", token, Some("id_ed25519_sk is a key on a security token"));
        check("id_ecdsa_sk-cert.pub", "", Some("id_ecdsa_sk-cert.pub is a certificate"));
    }

    #[test]
    fn what_libssh2_cannot_do_has_a_name() {
        let plain = "user root\nhostname 10.0.0.1\nport 22\nproxycommand none\nidentityagent SSH_AUTH_SOCK\n";
        let plain = plain.replace("identityagent SSH_AUTH_SOCK\n", "");
        assert_eq!(Settings::parse(&plain).beyond_libssh2(), None);
        let jump = Settings::parse(&format!("{plain}proxyjump bastion\n"));
        assert_eq!(jump.beyond_libssh2().as_deref(), Some("ssh's configuration says ProxyJump bastion"));
    }

    #[test]
    fn what_ssh_says_is_one_bounded_clause() {
        assert_eq!(
            sentence(b"@@@@\r\n@ WARNING @\nHost key verification failed.\n"),
            "WARNING; Host key verification failed"
        );
        assert_eq!(sentence(b"\x1b[31m\n"), "[31m");
        assert!(sentence("ä".repeat(5000).as_bytes()).chars().count() < 500);
        assert_eq!(sentence(b""), "it says nothing");
        let barred = "ssh: connect to host b port 1: Connection refused\nkex_exchange_identification: Connection closed\n\
                      Connection closed by UNKNOWN port 65535\n";
        assert_eq!(sentence(barred.as_bytes()), "ssh: connect to host b port 1: Connection refused");
    }
}
