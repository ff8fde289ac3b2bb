//! `synapse:`: what is installed, under which name, with which configuration.

use indexmap::IndexMap;

use super::config::{Owner, config};
use super::decode::{Found, Section, entries};
use super::install::{extras, install, version};
use super::{
    ConfigMap, DeliveredFile, Install, Installer, MediaStore, Metrics, SecretSource, Units, Wheelhouse,
    listeners, media_store, names, packages, secrets, taken, units, wheels,
};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::yaml::Node;

/// `synapse:`.
#[derive(Debug, Clone)]
pub struct Synapse {
    /// Where the section stands.
    pub span: Span,
    /// Name after the colon in Matrix ids.
    pub server_name: Spanned<String>,
    /// PyPI version, e.g. `1.163.2`.
    pub version: Spanned<String>,
    /// How Synapse gets onto the hosts.
    pub install: Install,
    /// Extras of the PyPI package besides `postgres` and `redis`, e.g. `oidc`, `url-preview`.
    pub extras: Vec<Spanned<String>>,
    /// Which program fills the Python environment.
    pub installer: Installer,
    /// Where hosts that reach no package index have their packages from.
    pub wheelhouse: Option<Wheelhouse>,
    /// URL clients use; `https://SERVER_NAME/` by default.
    pub public_baseurl: Option<Spanned<String>>,
    /// Base directory; `/opt/matrix` by default.
    pub root: Option<Spanned<String>>,
    /// Unprivileged user and group that runs Synapse; `matrix` by default.
    pub user: Option<Spanned<String>>,
    /// Prefix of unit, nginx and Redis instance names; `matrix` by default.
    pub prefix: Option<Spanned<String>>,
    /// Names of units that were there before.
    pub units: Units,
    /// Keys of homeserver.yaml. `{secret: NAME}` may stand for any scalar; see [`ConfigMap`].
    pub config: ConfigMap,
    /// Where the values of `{secret: NAME}` come from.
    pub secrets: IndexMap<String, Spanned<SecretSource>>,
    /// Application services by name.
    pub appservices: IndexMap<String, Spanned<Appservice>>,
    /// Further requirements for pip: `NAME==VERSION`.
    pub packages: Vec<Spanned<String>>,
    /// Files for every host with Synapse by their path below ROOT/modules.
    pub files: IndexMap<String, Spanned<DeliveredFile>>,
    /// Where media are kept, if not in ROOT/data/media_store.
    pub media_store: Option<Spanned<MediaStore>>,
    /// Each process has a listener for Prometheus.
    pub metrics: Option<Spanned<Metrics>>,
}

/// One entry of `appservices:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appservice {
    /// Registration file on the controller, relative to the inventory.
    pub file: String,
}

const KEYS: &[&str] = &[
    "server_name",
    "version",
    "install",
    "extras",
    "installer",
    "wheelhouse",
    "public_baseurl",
    "root",
    "user",
    "prefix",
    "units",
    "config",
    "secrets",
    "appservices",
    "packages",
    "files",
    "media_store",
    "metrics",
];

/// Directories that cannot become `root:`, because they hold other things.
const TAKEN: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/var", "/var/lib",
];

/// The section, and of its secrets what can be checked even where the rest is not understood.
pub(super) struct Read {
    pub synapse: Option<Synapse>,
    /// Where the declarations stand; line 0 if there are none.
    pub declared_at: Span,
    pub declared: IndexMap<String, Spanned<SecretSource>>,
    /// References in `config`.
    pub used: Vec<Spanned<String>>,
}

/// Reads the section.
pub(super) fn synapse(node: &Node, at: Span, found: &mut Found) -> Option<Read> {
    let section = Section::open(node, "synapse", "synapse", at, KEYS, found)?;
    let server_name = section
        .required("server_name", "server_name: example.org", found)
        .filter(|value| is_server_name(value, found));
    let version = version(&section, found);
    let install = install(&section, found);
    let extras = extras(&section, install.as_ref(), found);
    let installer = wheels::installer(&section, install.as_ref(), found);
    let wheelhouse = wheels::wheelhouse(&section, install.as_ref(), found);
    let path = |key: &str, found: &mut Found| {
        section.text(key, found).filter(|value| names::path(value, &format!("\"{key}\" in synapse"), found))
    };
    let root = path("root", found).filter(|value| {
        let free = !TAKEN.contains(&value.value.as_str());
        if !free {
            found.push(
                Diagnostic::error(
                    value.span,
                    format!("\"root\" in synapse is {}, which holds other things", value.value),
                )
                .help("write a directory of its own: /opt/matrix"),
            );
        }
        free
    });
    let plain =
        |key: &str, found: &mut Found| section.text(key, found).filter(|value| account(value, key, found));
    let user = plain("user", found);
    let prefix = plain("prefix", found);
    let units = units::units(&section, found);
    let config = match section.entry("config") {
        Some((_, node)) => config(node, "synapse.config", Owner::Shared, found),
        None => ConfigMap::default(),
    };
    let declared_at = section.entry("secrets").map(|(span, _)| span).unwrap_or_default();
    let declared =
        section.entry("secrets").map(|(_, node)| secrets::secrets(node, found)).unwrap_or_default();
    let appservices =
        section.entry("appservices").map(|(_, node)| appservices(node, found)).unwrap_or_default();
    let packages = packages::packages(&section, install.as_ref(), found);
    let files = packages::files(&section, found);
    let media_store = media_store::media_store(&section, found);
    let metrics = listeners::metrics(&section, found);
    let public_baseurl = section.text("public_baseurl", found).filter(|value| base_url(value, found));
    let used = config.secrets.clone();
    let synapse = server_name.zip(version).map(|(server_name, version)| Synapse {
        span: at,
        server_name,
        version,
        install: install.unwrap_or(Install::Managed),
        extras,
        installer,
        wheelhouse,
        public_baseurl,
        root,
        user,
        prefix,
        units,
        config,
        secrets: declared.clone(),
        appservices,
        packages,
        files,
        media_store,
        metrics,
    });
    Some(Read { synapse, declared_at, declared, used })
}

/// Matrix specification, appendices, server name: DNS name, IPv4 or `[IPv6]`, and maybe a port.
fn is_server_name(value: &Spanned<String>, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let (host, port) = match text.rfind(']') {
        Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port_ok = port.is_none_or(|port| {
        (1..=5).contains(&port.len())
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    }) && text.rfind(']').is_none_or(|end| text.len() == end + 1 || port.is_some());
    let host_ok = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => names::is_dns_name(host),
    };
    if !(host_ok && port_ok) || text.len() > 230 {
        let help = match text.split_once("://") {
            Some((_, rest)) => format!("write only the name: {}", rest.split('/').next().unwrap_or("")),
            None => "write the part of Matrix ids behind the colon: example.org".to_owned(),
        };
        found.push(
            Diagnostic::error(value.span, format!("server_name \"{text}\" is no Matrix server name"))
                .help(help),
        );
        return false;
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        found.push(
            Diagnostic::warning(value.span, format!("server_name \"{text}\" has capital letters")).help(
                "Matrix compares names letter by letter; keep it only if the server already runs under it",
            ),
        );
    }
    true
}

/// A user name that is also fit for file and unit names, and is not root.
fn account(value: &Spanned<String>, key: &str, found: &mut Found) -> bool {
    let text = value.value.as_str();
    if key == "user" && text == "root" {
        found.push(
            Diagnostic::error(value.span, "\"user\" in synapse is root")
                .help("write an unprivileged user, which synprov creates: matrix"),
        );
        return false;
    }
    let good = (1..=31).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if !good {
        found.push(
            Diagnostic::error(value.span, format!("\"{key}\" in synapse is not a plain name"))
                .help("a-z, 0-9, _ and -, at most 31, beginning with a letter: matrix"),
        );
        return false;
    }
    let others = match key {
        "user" => {
            taken::account(text).then_some("an account or group of this name belongs to other software")
        }
        _ => taken::prefix(text),
    };
    if let Some(others) = others {
        found.push(
            Diagnostic::error(value.span, format!("\"{key}\" in synapse is {text}, and {others}"))
                .help("write a name that nothing else has: matrix"),
        );
    }
    others.is_none()
}

fn base_url(value: &Spanned<String>, found: &mut Found) -> bool {
    let rest = value.value.strip_prefix("https://").or_else(|| value.value.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or("");
        let host = host
            .rsplit_once(':')
            .map_or(host, |(host, port)| if port.bytes().all(|b| b.is_ascii_digit()) { host } else { "?" });
        (names::is_dns_name(host) || host.starts_with('['))
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"'<>\\{}".contains(&b))
    });
    if !good {
        found.push(
            Diagnostic::error(value.span, "public_baseurl is no URL of a server")
                .help("write it with its scheme: https://matrix.example.org/"),
        );
    }
    good
}

fn appservices(node: &Node, found: &mut Found) -> IndexMap<String, Spanned<Appservice>> {
    let mut appservices = IndexMap::new();
    for (key, node) in entries(node, "synapse.appservices", "appservices", found).unwrap_or(&[]) {
        let named = names::name(key, "appservice", found);
        let what = format!("appservice \"{}\"", key.value);
        let Some(section) = Section::open(node, &what, "appservices.*", key.span, &["file"], found) else {
            continue;
        };
        let file = section.required("file", "file: registrations/NAME.yaml", found);
        if let Some(file) = file.filter(|file| named && !file.value.is_empty()) {
            appservices.insert(key.value.clone(), Spanned::new(Appservice { file: file.value }, key.span));
        }
    }
    appservices
}
