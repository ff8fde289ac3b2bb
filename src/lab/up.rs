//! Starting and removing a lab, step by step.

use std::path::Path;
use std::time::Duration;

use super::host::{self, Content};
use super::image;
use super::indexes::{self, Indexes};
use super::network::{self, Networks};
use super::process::{failure, missing, output, run};
use super::state::{self, Claim, LABEL, LabHost, LabState};
use super::{HostSpec, LabError, LabSpec, Outward, outward, spec, tls};

const SHORT: Duration = Duration::from_secs(60);
const PROGRAMS: &[&str] = &["podman", "mmdebstrap", "nft", "ip", "ssh-keygen", "openssl"];

/// See [`super::Lab::up`].
pub(super) fn up(spec: &LabSpec) -> Result<LabState, LabError> {
    spec.check()?;
    check_machine()?;
    let claim = Claim::take(&spec.name)?;
    if state::exists(&claim.folder) {
        return Err(LabError::Exists { lab: spec.name.clone() });
    }
    // What a killed `up` left is nobody's; the lock says that nobody is at it.
    sweep(&spec.name)?;
    claim.empty()?;
    let started = start(spec, &claim.folder);
    if started.is_err() {
        // The first error is the one to tell; a second one here would hide it.
        let _ = sweep(&spec.name);
        let _ = claim.remove();
    }
    started
}

/// See [`super::Lab::remove`].
pub(super) fn remove(lab: &str) -> Result<(), LabError> {
    spec::check_lab_name(lab)?;
    check_machine()?;
    let known = state::root()?.join(lab).exists();
    let claim = Claim::take(lab)?;
    let swept = sweep(lab);
    claim.remove()?;
    match swept? {
        0 if !known => Err(LabError::NotFound { lab: lab.to_owned() }),
        _ => Ok(()),
    }
}

/// See [`super::Lab::names`].
pub(super) fn names() -> Result<Vec<String>, LabError> {
    check_machine()?;
    let mut names = state::traces()?;
    let filter = format!("label={LABEL}");
    let what = "list labs";
    let text = run(what, "podman", &["ps", "--all", "--filter", &filter, "--format", "json"], b"", SHORT)?;
    let containers: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| LabError::io(what)(error.into()))?;
    names.extend(
        containers.iter().filter_map(|container| container["Labels"][LABEL].as_str().map(str::to_owned)),
    );
    names.sort();
    names.dedup();
    Ok(names)
}

/// Programs and rights, in one error each.
fn check_machine() -> Result<(), LabError> {
    let programs = missing(PROGRAMS);
    if !programs.is_empty() {
        return Err(LabError::Missing { programs });
    }
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    Ok(())
}

/// The first runtime that starts a container here: crun refuses hybrid cgroups, runc does not.
/// With it what the image answers to [`indexes::ASK_IMAGE`].
pub(super) fn runtime(image: &str) -> Result<(String, String), LabError> {
    let limits = host::limits();
    let mut reasons = Vec::new();
    // On a busy machine podman now and then fails to start one, and then does ("write child: broken pipe").
    for runtime in ["crun", "runc", "runc"] {
        let mut args = vec!["--runtime", runtime, "run", "--rm", "--network", "none"];
        args.extend(limits.iter().map(String::as_str));
        args.extend([image, "/bin/sh", "-ec", indexes::ASK_IMAGE]);
        let tried = output("try a container runtime", "podman", &args, b"", SHORT)?;
        if tried.status.success() {
            return Ok((runtime.to_owned(), String::from_utf8_lossy(&tried.stdout).into_owned()));
        }
        reasons.push(format!("{runtime}: {}", failure(&tried, 1)));
    }
    reasons.dedup();
    Err(LabError::Runtime { reason: reasons.join("; ") })
}

/// Images, networks, filter, hosts, `lab.json`. Leaves its traces to the caller when it fails.
fn start(spec: &LabSpec, folder: &Path) -> Result<LabState, LabError> {
    let root = state::root()?;
    let mut images = Vec::new();
    for host in &spec.hosts {
        images.push(image::ensure(host.distro, spec.flavour, &root)?);
    }
    let mut kinds = images.clone();
    kinds.sort();
    kinds.dedup();
    let tried: Vec<(String, String)> = kinds.iter().map(|image| runtime(image)).collect::<Result<_, _>>()?;
    let runtime = &tried[0].0;
    let public_key = create_key(folder)?;
    tls::create_ca(folder, &spec.name)?;
    let indexes = indexes::of_this_machine(tried.iter().map(|(_, answer)| answer.as_str()))?;
    outward::tidy()?;
    let networks = network::create(&spec.name)?;
    if spec.outward == Outward::Indexes {
        outward::limit(&spec.name, &networks, &indexes)?;
    }
    let common = common_files(spec, &networks, &indexes)?;
    let boot = |spec_of: &HostSpec, image: &str| -> Result<LabHost, LabError> {
        let files = [&common[..], &tls_files(folder, spec_of)?].concat();
        host::start(runtime, &spec.name, spec_of, &networks, image)?;
        host::wait_for_systemd(&spec.name, &spec_of.name)?;
        let host_key = host::prepare(&spec.name, spec_of, &public_key, &files)?;
        host::wait_for_sshd(&spec_of.name, networks.public_address(spec_of.index))?;
        Ok(LabHost {
            name: spec_of.name.clone(),
            address: networks.public_address(spec_of.index).to_string(),
            internal_address: networks.internal_address(spec_of.index).to_string(),
            user: spec_of.user.clone(),
            key: folder.join("id_ed25519"),
            known_hosts: folder.join("known_hosts"),
            host_key,
            container: host::container(&spec.name, &spec_of.name),
            image: image.to_owned(),
        })
    };
    let hosts: Result<Vec<LabHost>, LabError> = std::thread::scope(|scope| {
        let boots: Vec<_> =
            spec.hosts.iter().zip(&images).map(|(host, image)| scope.spawn(|| boot(host, image))).collect();
        // Every thread is joined before the first error is looked at: nothing starts behind a clean-up.
        let ended: Vec<_> = boots.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ended
            .into_iter()
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let hosts = hosts?;
    let lines = |host: &LabHost| format!("{},{} {}\n", host.address, host.name, host.host_key);
    let known_hosts: String = hosts.iter().map(lines).collect();
    let path = folder.join("known_hosts");
    std::fs::write(&path, known_hosts).map_err(LabError::io(format!("write {}", path.display())))?;
    let state = LabState {
        format: LabState::FORMAT,
        name: spec.name.clone(),
        flavour: spec.flavour,
        outward: spec.outward,
        public_network: networks.public.clone(),
        ca: folder.join("ca.pem"),
        hosts,
    };
    state::write(folder, &state)?;
    Ok(state)
}

/// The lab's client key; gives its public half.
fn create_key(folder: &Path) -> Result<String, LabError> {
    let path = folder.join("id_ed25519");
    let text = path.display().to_string();
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "synprov-lab", "-f", &text];
    run("make the lab's SSH key", "ssh-keygen", &args, b"", SHORT)?;
    let public = path.with_extension("pub");
    let read =
        std::fs::read_to_string(&public).map_err(LabError::io(format!("read {}", public.display())))?;
    Ok(read.trim().to_owned())
}

/// Names, name servers, pip settings and CAs, the same on every host.
fn common_files(spec: &LabSpec, networks: &Networks, indexes: &Indexes) -> Result<Vec<Content>, LabError> {
    let mut hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for host in &spec.hosts {
        let names = [&[host.name.clone()][..], &host.tls_names].concat().join(" ");
        hosts.push_str(&format!("{} {names}\n", networks.public_address(host.index)));
    }
    let mut resolvers = Vec::new();
    match spec.outward {
        Outward::Indexes => {
            for (name, addresses) in &indexes.names {
                hosts.extend(addresses.iter().map(|address| format!("{address} {name}\n")));
            }
        }
        Outward::All => resolvers = machine_resolvers()?,
    }
    // An index URL may hold a password, which is then root's alone.
    let pip_mode = if indexes.pip_conf.contains('@') { "0600" } else { "0644" };
    let mut files = vec![
        Content { path: "/etc/hosts", mode: "0644", bytes: hosts.into_bytes() },
        Content { path: "/etc/resolv.conf", mode: "0644", bytes: resolvers },
        Content { path: "/etc/pip.conf", mode: pip_mode, bytes: indexes.pip_conf.clone().into_bytes() },
    ];
    files.extend(indexes.ca_bundle.iter().map(|bytes| Content {
        path: "/etc/ssl/certs/ca-certificates.crt",
        mode: "0644",
        bytes: bytes.clone(),
    }));
    Ok(files)
}

/// resolv.conf as a container can use it: systemd-resolved's stub listens on the machine's loopback only.
fn machine_resolvers() -> Result<Vec<u8>, LabError> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(LabError::io(format!("read {path}")));
    let text = read("/etc/resolv.conf")?;
    let stub = text.lines().any(|line| line.trim_start().starts_with("nameserver 127."));
    let text = if stub { read("/run/systemd/resolve/resolv.conf")? } else { text };
    Ok(text.into_bytes())
}

/// The host's certificate and key, if its spec wants one.
fn tls_files(folder: &Path, spec: &HostSpec) -> Result<Vec<Content>, LabError> {
    if spec.tls_names.is_empty() {
        return Ok(Vec::new());
    }
    let (chain, key) = tls::certify(folder, &spec.tls_names)?;
    Ok(vec![
        Content { path: tls::CERTIFICATE, mode: "0644", bytes: chain },
        Content { path: tls::KEY, mode: "0600", bytes: key },
    ])
}

/// Removes containers, networks and the packet filter of a lab; gives how many containers and networks.
fn sweep(lab: &str) -> Result<usize, LabError> {
    let what = format!("remove lab {lab:?}");
    let filter = format!("label={LABEL}={lab}");
    let list = |args: &[&str]| -> Result<Vec<String>, LabError> {
        let text = run(&what, "podman", args, b"", SHORT)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let mut first = Ok(());
    let containers = list(&["ps", "--all", "--quiet", "--filter", &filter])?;
    for id in &containers {
        let args = ["rm", "--force", "--volumes", "--time", "0", id];
        first = first.and(run(&what, "podman", &args, b"", SHORT).map(drop));
    }
    let networks = list(&["network", "ls", "--quiet", "--filter", &filter])?;
    for name in &networks {
        first = first.and(run(&what, "podman", &["network", "rm", name], b"", SHORT).map(drop));
    }
    first = first.and(outward::unlimit(lab));
    first.map(|()| containers.len() + networks.len())
}
