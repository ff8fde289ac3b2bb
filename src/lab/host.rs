//! One throwaway host: a container with systemd as its first process, sshd, and two addresses.
//!
//! Never in this file: what synprov would provision on it.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::network::Networks;
use super::process::{failure, output, run};
use super::state::LABEL;
use super::{HostSpec, LabError, Sudo};

const BOOT: Duration = Duration::from_secs(90);
const SHORT: Duration = Duration::from_secs(60);

/// A file for a host.
#[derive(Clone)]
pub(super) struct Content {
    /// Absolute path without characters special to a shell.
    pub(super) path: &'static str,
    /// Octal, e.g. `0644`.
    pub(super) mode: &'static str,
    /// Content.
    pub(super) bytes: Vec<u8>,
}

/// Podman's name of a host's container. Lab names hold no dot, so two labs never share one.
pub(super) fn container(lab: &str, host: &str) -> String {
    format!("synprov-lab-{lab}.{host}")
}

/// Starts the container; it boots on its own from here.
///
/// The capabilities and the unmasked paths are for units with `ProtectSystem=` and the like, which
/// otherwise fail with 226/NAMESPACE; limits must not be above this machine's own.
pub(super) fn start(
    runtime: &str,
    lab: &str,
    spec: &HostSpec,
    networks: &Networks,
    image: &str,
) -> Result<(), LabError> {
    let container = container(lab, &spec.name);
    let label = format!("{LABEL}={lab}");
    let on = |network: &str, address, interface| format!("{network}:ip={address},interface_name={interface}");
    let public = on(&networks.public, networks.public_address(spec.index), "eth0");
    let internal = on(&networks.internal, networks.internal_address(spec.index), "eth1");
    let limits = limits();
    let mut args = vec![
        "--runtime",
        runtime,
        "run",
        "--replace",
        "--detach",
        "--name",
        &container,
        "--hostname",
        &spec.name,
    ];
    args.extend(["--label", &label, "--systemd=always", "--no-hosts", "--dns", "none"]);
    args.extend(["--network", &public, "--network", &internal]);
    args.extend(["--cap-add=all", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL"]);
    args.extend(limits.iter().map(String::as_str));
    args.extend([image, "/sbin/init"]);
    run(&format!("start host {:?}", spec.name), "podman", &args, b"", SHORT).map(drop)
}

/// `--ulimit` arguments: roomy, and not above what this process may hand on.
pub(super) fn limits() -> [String; 2] {
    use rustix::process::{Resource, getrlimit};
    let hard = |resource, roomy: u64| getrlimit(resource).maximum.map_or(roomy, |hard| hard.min(roomy));
    let files = hard(Resource::Nofile, 65_536);
    // Under cgroups of its own podman may hand on far less than the machine allows; this much it did.
    let processes = hard(Resource::Nproc, 4096);
    [
        format!("--ulimit=nofile={}:{files}", files.min(1024)),
        format!("--ulimit=nproc={processes}:{processes}"),
    ]
}

/// Waits until systemd has booted. `degraded` is enough: a container lacks what some units want.
pub(super) fn wait_for_systemd(lab: &str, host: &str) -> Result<(), LabError> {
    let until = Instant::now() + BOOT;
    loop {
        let output = exec(lab, host, &["systemctl", "is-system-running"], b"")?;
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if matches!(state.as_str(), "running" | "degraded") {
            return Ok(());
        }
        if Instant::now() >= until {
            let last = if state.is_empty() { failure(&output, 1) } else { state };
            return Err(LabError::Deadline {
                what: format!("boot of host {host:?}"),
                seconds: BOOT.as_secs(),
                detail: format!(", last state {last:?}"),
            });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until sshd greets on port 22.
pub(super) fn wait_for_sshd(host: &str, address: std::net::Ipv4Addr) -> Result<(), LabError> {
    let until = Instant::now() + BOOT;
    let address = SocketAddr::from((address, 22));
    loop {
        let greeted = TcpStream::connect_timeout(&address, Duration::from_secs(2)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting)?;
            Ok(greeting == *b"SSH-")
        });
        match greeted {
            Ok(true) => return Ok(()),
            other if Instant::now() >= until => {
                let detail = match other {
                    Err(error) => format!(", {error}"),
                    Ok(_) => ", it speaks something else".to_owned(),
                };
                let what = format!("sshd of host {host:?} at {address}");
                return Err(LabError::Deadline { what, seconds: BOOT.as_secs(), detail });
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Writes files, creates the user with its key and sudo rights, and gives the host's public key.
///
/// Everything goes through the script's input, nothing through arguments: a TLS key is among it.
pub(super) fn prepare(
    lab: &str,
    spec: &HostSpec,
    public_key: &str,
    files: &[Content],
) -> Result<String, LabError> {
    let mut script = String::from("set -euo pipefail\numask 077\n");
    for Content { path, mode, bytes } in files {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        script.push_str(&format!(
            "install -D -m {mode} /dev/null {path}\nbase64 -d > {path} <<'END'\n{text}\nEND\n"
        ));
    }
    let user = &spec.user;
    if user != "root" {
        script.push_str(&format!("useradd --create-home --shell /bin/bash {user}\n"));
    }
    script.push_str(&format!(
        "home=$(getent passwd {user} | cut -d: -f6)\n\
         install -d -m 0700 -o {user} -g {user} \"$home/.ssh\"\n\
         install -m 0600 -o {user} -g {user} /dev/null \"$home/.ssh/authorized_keys\"\n\
         cat > \"$home/.ssh/authorized_keys\" <<'END'\n{public_key}\nEND\n"
    ));
    let rule = match spec.sudo {
        Sudo::No => None,
        Sudo::NoPassword => Some("NOPASSWD: ALL"),
        Sudo::Password => Some("ALL"),
    };
    if let Some(rule) = rule {
        script.push_str(&format!(
            "install -m 0440 /dev/null /etc/sudoers.d/synprov-lab\n\
             echo '{user} ALL=(ALL:ALL) {rule}' > /etc/sudoers.d/synprov-lab\n"
        ));
    }
    script.push_str("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub\n");
    let output = exec(lab, &spec.name, &["bash", "-s"], script.as_bytes())?;
    let key = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && key.starts_with("ssh-ed25519 ") {
        return Ok(key);
    }
    Err(LabError::Command { what: format!("prepare host {:?}", spec.name), reason: failure(&output, 1) })
}

/// Runs a command as root on a host, whatever its exit status; ten minutes at most.
pub(super) fn exec(lab: &str, host: &str, argv: &[&str], input: &[u8]) -> Result<Output, LabError> {
    let container = container(lab, host);
    let args = [&["exec", "--interactive", &container][..], argv].concat();
    output(&format!("command on host {host:?}"), "podman", &args, input, Duration::from_secs(600))
}
