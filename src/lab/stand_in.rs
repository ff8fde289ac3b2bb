//! An inventory that reaches nothing real: the same hosts, pools and options, on throwaway hosts.
//!
//! Pure, and every change it makes is in the list it gives, to be shown to a person. Values that a
//! person wrote never are, only that they were set: one of them may be a password.

use indexmap::IndexMap;

use super::{LAB_CERTIFICATE, LAB_KEY, LabHost};
use super::{rehearsal, stand_in_config};
use crate::diagnostic::Spanned;
use crate::inventory::{
    Datastore, Host, Http2, Install, Inventory, Means, Proxy, ProxyKind, SecretSource, Tls, WellKnown,
};

/// One thing that is different in the lab.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Substitution {
    /// `address of hs1`
    pub what: String,
    /// `192.0.2.10`, `set`, `unset`
    pub was: String,
    /// `10.89.40.11`, `removed`
    pub now: String,
}

/// The inventory for the lab's hosts, and everything that is different in it.
///
/// A host of the inventory that the lab does not have (it is lost) gets an address that never resolves.
pub fn stand_in(inventory: &Inventory, hosts: &[LabHost]) -> (Inventory, Vec<Substitution>) {
    let mut list = Listed(Vec::new());
    let mut lab = inventory.clone();
    let several = lab.hosts.values().filter(|host| !host.lost).count() > 1;
    for (name, host) in &mut lab.hosts {
        match hosts.iter().find(|other| other.name == *name) {
            Some(real) => self::host(name, host, real, several, &mut list),
            None => {
                list.swap(
                    format!("address of {name}"),
                    &mut host.address.value,
                    "no-host-in-the-lab.invalid",
                );
                (host.identity_files, host.host_key, host.internal_address) = (Vec::new(), None, None);
                (host.jump, host.transport) = (Vec::new(), Means::Ssh2);
            }
        }
    }
    let referenced = secrets_in_use(&lab);
    install(&mut lab, &mut list);
    datastores(&mut lab, &mut list);
    proxy(&mut lab, &mut list);
    appservices(&mut lab, &mut list);
    if let Some(mas) = lab.mas.take() {
        list.add(
            "Matrix Authentication Service",
            mas.endpoint.value,
            "removed: Synapse logs people in itself",
        );
    }
    stand_in_config::remove(&mut lab.synapse.config, "", &mut list);
    for (name, pool) in &mut lab.workers {
        stand_in_config::remove(&mut pool.config, &format!(" of worker {name}"), &mut list);
    }
    stand_in_config::set_all(&mut lab.synapse.config, &mut list);
    let outward = Substitution {
        what: "push gateways, URL previews and everything else outside".to_owned(),
        was: "as the hosts reach them".to_owned(),
        now: "unreachable: only package and pip indexes are let through".to_owned(),
    };
    list.0.push(outward);
    secrets(&mut lab, &referenced, &mut list);
    (lab, list.0)
}

/// The list in the making.
pub(super) struct Listed(Vec<Substitution>);

impl Listed {
    pub(super) fn add(&mut self, what: impl Into<String>, was: impl Into<String>, now: impl Into<String>) {
        self.0.push(Substitution { what: what.into(), was: was.into(), now: now.into() });
    }

    /// Replaces a text and lists it, unless it is the same.
    fn swap(&mut self, what: impl Into<String>, place: &mut String, now: &str) {
        if place != now {
            self.add(what, std::mem::replace(place, now.to_owned()), now);
        }
    }
}

fn host(name: &str, host: &mut Host, lab: &LabHost, several: bool, list: &mut Listed) {
    let user = rehearsal::user(host);
    list.swap(format!("address of {name}"), &mut host.address.value, &lab.address);
    let internal = (several || host.internal_address.is_some()).then(|| lab.internal_address.clone());
    let written = host.internal_address.as_ref().map(|address| address.value.clone());
    if written != internal {
        let now = internal.clone().unwrap_or_default();
        list.add(format!("internal_address of {name}"), written.unwrap_or("unset".to_owned()), now);
    }
    let span = host.internal_address.as_ref().map_or(host.span, |address| address.span);
    host.internal_address = internal.map(|address| Spanned::new(address, span));
    if let Some(port) = host.port.replace(22).filter(|port| *port != 22) {
        list.add(format!("port of {name}"), port.to_string(), "22");
    }
    if !host.jump.is_empty() {
        let jumps: Vec<&str> = host.jump.iter().map(|jump| jump.value.as_str()).collect();
        list.add(format!("way to {name}"), format!("through {}", jumps.join(", ")), "direct");
        host.jump.clear();
    }
    // The configuration of this person's ssh is about real hosts.
    host.transport = Means::Ssh2;
    if host.user.as_ref() != Some(&user) {
        list.add(format!("user of {name}"), "whoever runs synprov", &user);
        host.user = Some(user);
    }
    let was = if host.identity_files.is_empty() {
        "the agent's".to_owned()
    } else {
        host.identity_files.join(", ")
    };
    list.add(format!("SSH key for {name}"), was, "the lab's own");
    host.identity_files = vec![lab.key.display().to_string()];
    list.add(
        format!("host key of {name}"),
        if host.host_key.is_some() { "pinned" } else { "known_hosts" },
        "the lab's, pinned",
    );
    host.host_key = Some(Spanned::new(lab.host_key.clone(), host.span));
    host.accept_new = false;
}

fn install(lab: &mut Inventory, list: &mut Listed) {
    let was = match &lab.synapse.install {
        Install::Managed => return,
        Install::Venv(path) => format!("the venv {}", path.value),
        Install::Debian => "Debian's package".to_owned(),
    };
    list.add("Synapse's installation", was, "a venv of synprov's, same version");
    lab.synapse.install = Install::Managed;
}

fn datastores(lab: &mut Inventory, list: &mut Listed) {
    let main = lab.main.host.value.clone();
    let stores = [("PostgreSQL", Some(&mut lab.postgresql)), ("Redis", lab.redis.as_mut())];
    for (name, store) in stores {
        let Some(store) = store else { continue };
        if let Datastore::External(external) = &store.value {
            list.add(name, format!("external, {}", external.host.value), format!("an empty one on {main}"));
            store.value = Datastore::Host(Spanned::new(main.clone(), store.span));
        }
    }
}

fn proxy(lab: &mut Inventory, list: &mut Listed) {
    let files = |span| Tls::Files {
        certificate: Spanned::new(LAB_CERTIFICATE.to_owned(), span),
        key: Spanned::new(LAB_KEY.to_owned(), span),
    };
    let certificate = "one by the lab's own CA";
    match &mut lab.proxy {
        Some(proxy) => {
            if proxy.kind.value == ProxyKind::Includes {
                list.add("proxy", "snippets for a vhost of your own", "a complete nginx site");
                proxy.kind.value = ProxyKind::Nginx;
            }
            if let Tls::Files { certificate: was, .. } = &proxy.tls {
                list.add("TLS certificate and key", was.value.clone(), certificate);
                proxy.tls = files(was.span);
            }
        }
        None => {
            let host = lab.main.host.clone();
            let span = host.span;
            list.add("proxy", "unset", format!("nginx on {}", host.value));
            list.add("TLS certificate and key", "unset", certificate);
            lab.proxy = Some(Proxy {
                span,
                hosts: vec![host],
                kind: Spanned::new(ProxyKind::Nginx, span),
                tls: files(span),
                tls_at: None,
                trusted_proxies: Vec::new(),
                admin: Vec::new(),
                server_names: Vec::new(),
                acme_root: None,
                well_known: WellKnown::default(),
                routes: Vec::new(),
                http2: Http2::default(),
            });
        }
    }
}

fn appservices(lab: &mut Inventory, list: &mut Listed) {
    for (name, appservice) in std::mem::take(&mut lab.synapse.appservices) {
        list.add(format!("appservice {name}"), appservice.value.file, "removed");
    }
    for (name, pool) in &mut lab.workers {
        let Some(select) = &mut pool.select else { continue };
        if select.appservices.is_empty() {
            continue;
        }
        select.appservices.clear();
        list.add(format!("select of worker {name}"), "an appservice", "without appservices");
        // What selects by nothing is a common pool.
        pool.select.take_if(|select| select.is_empty());
    }
}

/// Every secret is made anew; those that only things removed above have used are not needed.
fn secrets(lab: &mut Inventory, referenced: &[String], list: &mut Listed) {
    let still = secrets_in_use(lab);
    let mut kept = IndexMap::new();
    for (name, mut source) in std::mem::take(&mut lab.synapse.secrets) {
        let was = match &source.value {
            SecretSource::Generate => "generate".to_owned(),
            SecretSource::Env(variable) => format!("env:{variable}"),
            SecretSource::File(path) => format!("file:{path}"),
            SecretSource::Field { file, key } => format!("{key} in {file}"),
            SecretSource::Found(found) => format!("host_file: {}", found.path),
            // Its arguments are the admin's business.
            SecretSource::Command(argv) => format!("command {}", argv.first().map_or("", String::as_str)),
        };
        if referenced.contains(&name) && !still.contains(&name) {
            list.add(format!("secret {name}"), was, "removed with what used it");
            continue;
        }
        if source.value != SecretSource::Generate {
            list.add(format!("secret {name}"), was, "generate");
            source.value = SecretSource::Generate;
        }
        kept.insert(name, source);
    }
    lab.synapse.secrets = kept;
}

/// Names of secrets that configuration and external datastores refer to.
fn secrets_in_use(inventory: &Inventory) -> Vec<String> {
    let configs = inventory.workers.values().map(|pool| &pool.config).chain([&inventory.synapse.config]);
    let mut names: Vec<String> =
        configs.flat_map(|config| &config.secrets).map(|name| name.value.clone()).collect();
    names.extend(inventory.mas.as_ref().map(|mas| mas.secret.value.clone()));
    for store in [Some(&inventory.postgresql), inventory.redis.as_ref()].into_iter().flatten() {
        if let Datastore::External(external) = &store.value {
            names.extend(external.password.as_ref().map(|name| name.value.clone()));
        }
    }
    names
}
