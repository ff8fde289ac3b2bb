//! Hosts that cannot be reached, and servers that are not what they should be.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use synprov::transport::{Client, Error, Target};

use crate::ports;
use crate::run;
use crate::sshd::{Sshd, connect, refusal};

fn target(address: &str, port: u16) -> Target {
    Target {
        name: "h".into(),
        address: address.into(),
        port,
        user: "root".into(),
        identity_files: vec![],
        known_hosts: vec![],
        host_key: None,
        accept_new: false,
        connect_timeout: Duration::from_secs(2),
        client: Client::default(),
    }
}

/// Connects to what cannot be; its text, which comes soon after the deadline at the latest.
fn check(target: &Target) -> String {
    let start = Instant::now();
    let (error, text) = refusal(target);
    assert!(matches!(error, Error::Connect { .. }), "{text}");
    assert!(start.elapsed() < target.connect_timeout + Duration::from_secs(15), "{:?}", start.elapsed());
    text
}

/// A server that does this with its first connection.
fn serve(speak: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || speak(listener.accept().unwrap().0));
    port
}

/// Says no more, until the other side hangs up.
fn listen(mut stream: TcpStream) {
    while stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
}

#[test]
fn refused() {
    let port = ports::free(1);
    assert_eq!(
        check(&target("127.0.0.1", port)),
        format!(
            "cannot connect to 127.0.0.1:{port}: connection refused\n\
             help: is sshd running there, and is {port} its port? compare: ssh -p {port} root@127.0.0.1"
        )
    );
    for address in ["::1", "[::1]"] {
        assert!(check(&target(address, port)).starts_with(&format!("cannot connect to [::1]:{port}: ")));
    }
}

#[test]
fn unknown_name() {
    let text = check(&target("no-such-host.invalid", 22));
    assert!(text.starts_with("cannot connect to no-such-host.invalid:22: "), "{text}");
    assert!(
        text.ends_with("check the spelling of \"no-such-host.invalid\", or write the IP address"),
        "{text}"
    );
}

#[test]
fn silent_host() {
    // A listener whose queue is full drops what comes, as a firewall does.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let _held: Vec<_> =
        (0..3).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200))).collect();
    let text = check(&target("127.0.0.1", address.port()));
    assert!(text.contains("no answer within 2 s\nhelp: is the host up"), "{text}");
}

#[test]
fn stalled_banner() {
    let text = check(&target("127.0.0.1", serve(listen)));
    assert!(
        text.contains("connected, but no SSH banner came within 2 s") && text.contains("MaxStartups"),
        "{text}"
    );
}

#[test]
fn stalled_key_exchange() {
    let port = serve(|mut stream| {
        stream.write_all(b"SSH-2.0-stalled\r\n").unwrap();
        listen(stream);
    });
    assert!(check(&target("127.0.0.1", port)).contains("the key exchange was not done within 2 s"));
}

#[test]
fn a_banner_letter_by_letter() {
    let port = serve(|mut stream| {
        while stream.write_all(b"S").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    assert!(check(&target("127.0.0.1", port)).contains("is not SSH"), "the deadline is for all of it");
}

#[test]
fn not_ssh() {
    let port = serve(|mut stream| {
        stream.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
        listen(stream);
    });
    let text = check(&target("127.0.0.1", port));
    assert!(text.contains("what answers is not SSH, it says \"220 mail.example.org ESMTP\""), "{text}");
    let port = serve(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    assert!(check(&target("127.0.0.1", port)).contains("it says \"HTTP/1.1 400 Bad Request\""));
    let port = serve(|mut stream| {
        let _ = stream.write_all(&crate::noise(1 << 20));
    });
    assert!(check(&target("127.0.0.1", port)).contains("is not SSH"));
}

#[test]
fn closed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked_in, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || listener.incoming().for_each(|one| drop((one, asked_in.send(())))));
    let text = check(&target("127.0.0.1", port));
    assert!(text.contains("closed before an SSH banner came") && text.contains("fail2ban"), "{text}");
    let asked = asked.try_iter().count();
    assert!((3..10).contains(&asked), "asked again, with pauses: {asked} times");
}

#[test]
fn garbage_after_the_banner() {
    let port = serve(|mut stream| {
        stream.write_all(b"SSH-2.0-garbage\r\n").unwrap();
        let _ = stream.write_all(&crate::noise(1 << 16));
        listen(stream);
    });
    assert!(check(&target("127.0.0.1", port)).contains("cannot connect to"));
}

#[test]
fn no_common_algorithm() {
    let sshd = Sshd::start(&["KexAlgorithms sntrup761x25519-sha512@openssh.com"]);
    let text = check(&sshd.target());
    assert!(
        text.contains("no key exchange with SSH-2.0-OpenSSH") && text.contains("KexAlgorithms"),
        "{text}"
    );
}

#[test]
fn every_address_of_a_name_is_tried() {
    // localhost is often ::1 first; sshd listens on 127.0.0.1 only.
    let sshd = Sshd::start(&[]);
    let mut by_name = sshd.target();
    by_name.address = "LocalHost".into();
    let key = crate::sshd::public(&sshd.path("host_ed25519"));
    by_name.known_hosts = vec![sshd.known_hosts(&format!("[localhost]:{} {key}\n", sshd.port))];
    assert_eq!(run(&mut *connect(&by_name).unwrap(), "echo in", b"").stdout, b"in\n");
}
