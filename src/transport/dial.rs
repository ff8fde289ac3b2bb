//! A TCP connection to a target: resolve, try every address, all under one deadline.
//!
//! Must never be here: anything of SSH.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Error, Target};

/// No address but the last may take more than this, so that a dead IPv6 route does not eat the whole deadline.
const SHARE: Duration = Duration::from_secs(5);
/// When the peer has not acknowledged anything for so long, the kernel ends the connection.
const DEAD: Duration = Duration::from_secs(60);

/// `ADDRESS:PORT`, with brackets around an IPv6 address.
pub(super) fn address(target: &Target) -> String {
    let host = bare(&target.address);
    if host.contains(':') { format!("[{host}]:{}", target.port) } else { format!("{host}:{}", target.port) }
}

/// The address without brackets: `[::1]` and `::1` are the same.
pub(super) fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address)
}

/// Connects to the first address that answers before `deadline`.
pub(super) fn dial(target: &Target, deadline: Instant) -> Result<TcpStream, Error> {
    let addresses = resolve(target, deadline)?;
    let mut failures: Vec<(SocketAddr, std::io::Error)> = Vec::new();
    for (tried, socket_address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = if tried + 1 == addresses.len() { left } else { left.min(SHARE) };
        if wait.is_zero() {
            failures.push((*socket_address, ErrorKind::TimedOut.into()));
            continue;
        }
        match TcpStream::connect_timeout(socket_address, wait) {
            Ok(stream) => {
                return prepare(stream).map_err(|error| failure(target, &[(*socket_address, error)]));
            }
            Err(error) => failures.push((*socket_address, error)),
        }
    }
    Err(failure(target, &failures))
}

/// A connection that does not wait with small packets, does not block, and notices a dead peer.
fn prepare(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    // libssh2's keepalive only sends, it never reports; the kernel reports unanswered bytes as a lost connection.
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_user_timeout(&stream, DEAD.as_millis() as u32)?;
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

fn resolve(target: &Target, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    let host = bare(&target.address).to_owned();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    // getaddrinfo knows no deadline; a thread of its own may outlive ours by the resolver's time-out, no longer.
    let (sender, receiver) = mpsc::channel();
    let port = target.port;
    let started = std::thread::Builder::new().name("resolve".into()).spawn(move || {
        let _ = sender.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    });
    let answer = started.map_err(|error| error.to_string()).and_then(|_| {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no address".into()),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(format!("the name is not known ({})", gai_text(&error))),
            Err(_) => Err(format!("no answer from DNS within {}", seconds(target))),
        }
    });
    answer.map_err(|reason| Error::Connect {
        address: address(target),
        reason,
        help: format!("check the spelling of {:?}, or write the IP address", target.address),
    })
}

/// The deadline as a person says it: `10 s`, `0.5 s`.
pub(super) fn seconds(target: &Target) -> String {
    format!("{} s", target.connect_timeout.as_secs_f32())
}

/// `failed to lookup address information: X` is X.
fn gai_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(": ").map_or(text.clone(), |(_, last)| last.to_lowercase())
}

fn failure(target: &Target, failures: &[(SocketAddr, std::io::Error)]) -> Error {
    // A refusal or a missing route says more than silence does.
    let best = failures.iter().find(|(_, error)| error.kind() != ErrorKind::TimedOut).or(failures.first());
    let kind = best.map_or(ErrorKind::TimedOut, |(_, error)| error.kind());
    let Target { user, port, .. } = target;
    let (reason, help) = match kind {
        ErrorKind::ConnectionRefused => (
            "connection refused".to_owned(),
            format!(
                "is sshd running there, and is {port} its port? compare: ssh -p {port} {user}@{}",
                bare(&target.address)
            ),
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (
            format!("no answer within {}", seconds(target)),
            format!("is the host up, the address right, and port {port} open in its firewall?"),
        ),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => (
            "no route to the host".to_owned(),
            "check the address, and this machine's routes and VPN".to_owned(),
        ),
        _ => (
            best.map_or_else(String::new, |(_, error)| error.to_string()),
            "check the address and this machine's network".to_owned(),
        ),
    };
    let tried: Vec<String> =
        failures.iter().map(|(socket_address, _)| socket_address.ip().to_string()).collect();
    let reason = if tried.len() > 1 { format!("{reason} (tried {})", tried.join(", ")) } else { reason };
    Error::Connect { address: address(target), reason, help }
}
