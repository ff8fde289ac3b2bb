//! Links that are slow, cut, or silently dead, made by a proxy between us and a real sshd.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use synprov::transport::{Error, Event, Target};

use crate::sshd::{Sshd, connect};
use crate::{noise, run, thread_cpu};

/// What a link does, changeable while it is in use.
#[derive(Default)]
struct Link {
    /// Nothing passes any more, and nobody is told.
    frozen: AtomicBool,
    /// Nothing passes from us to the host; the other way is open.
    deaf: AtomicBool,
    /// After so many bytes (0: never) both ends are closed.
    cut_after: AtomicUsize,
    passed: AtomicUsize,
}

/// A narrow link to `sshd`: 2 KiB at a time, with the smallest buffers that the kernel gives.
fn link(sshd: &Sshd) -> (Target, Arc<Link>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 1).unwrap();
    // Loopback's segments of 64 KiB would give us a send buffer that takes everything; real networks do not.
    socket2::SockRef::from(&listener).set_tcp_mss(536).unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), sshd.port);
    let link = Arc::new(Link::default());
    let shared = link.clone();
    std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
        let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        for (from, to, ours) in [(near, far, true), (far_too, near_too, false)] {
            let link = shared.clone();
            std::thread::spawn(move || pass(&link, from, to, ours));
        }
    });
    let key = crate::sshd::public(&sshd.path("host_ed25519"));
    let target = Target { port, host_key: Some(key), ..sshd.target() };
    (target, link)
}

fn pass(link: &Link, mut from: TcpStream, mut to: TcpStream, ours: bool) {
    let mut buffer = [0; 2048];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while link.frozen.load(SeqCst) || (ours && link.deaf.load(SeqCst)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let passed = link.passed.fetch_add(count, SeqCst) + count;
        let limit = link.cut_after.load(SeqCst);
        if (limit > 0 && passed > limit) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_narrow_link_loses_nothing_and_costs_little() {
    let sshd = Sshd::start(&["RekeyLimit 1M"]);
    let (target, _link) = link(&sshd);
    let mut session = connect(&target).unwrap();
    let big = noise(4 << 20);
    let (wall, cpu) = (Instant::now(), thread_cpu());
    assert!(run(&mut *session, "cat", &big).stdout == big);
    println!("{:?} of {:?}", thread_cpu() - cpu, wall.elapsed());
    assert_eq!(run(&mut *session, "echo next", b"").stdout, b"next\n");
}

#[test]
fn a_cut_is_a_loss_wherever_it_comes() {
    let sshd = Sshd::start(&[]);
    // Where a log-in ends on this link, to have cuts before and after it.
    let (target, whole) = link(&sshd);
    run(&mut *connect(&target).unwrap(), "cat", b"x");
    let one = whole.passed.load(SeqCst);
    for limit in [1, one / 8, one / 3, one / 2, one * 3 / 4, one * 7 / 8, one + 40_000, one + 3_000_000] {
        let (target, link) = link(&sshd);
        link.cut_after.store(limit, SeqCst);
        let start = Instant::now();
        let outcome = connect(&target).and_then(|mut session| {
            let mut exec = session.exec("cat")?;
            exec.send(&noise(4 << 20))?;
            exec.close_stdin()?;
            loop {
                if let Event::Exit(status) = exec.next(Duration::from_secs(5))? {
                    return Ok(status);
                }
            }
        });
        let error = outcome.expect_err("the link was cut");
        assert!(
            matches!(error, Error::Connect { .. } | Error::Auth { .. } | Error::Lost { .. }),
            "{limit}: {error:?}"
        );
        assert!(limit < one || matches!(error, Error::Lost { .. }), "{limit} of {one}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{limit}");
    }
}

#[test]
fn a_dead_link_is_silence_and_is_left_at_once() {
    let sshd = Sshd::start(&[]);
    let (target, link) = link(&sshd);
    let mut session = connect(&target).unwrap();
    let mut exec = session.exec("cat").unwrap();
    link.frozen.store(true, SeqCst);
    exec.send(&noise(8 << 20)).unwrap();
    let cpu = thread_cpu();
    assert_eq!(exec.next(Duration::from_millis(1500)).unwrap(), Event::Idle);
    assert!(exec.unsent() > 0);
    assert!(thread_cpu() - cpu < Duration::from_millis(500), "waiting is not looping");
    let start = Instant::now();
    drop(exec);
    // A packet is half sent and its command is gone: nothing can follow it on this connection.
    assert!(matches!(session.exec("true"), Err(Error::Lost { .. })));
    drop(session);
    assert!(start.elapsed() < Duration::from_secs(5), "nothing waits for a dead peer");
    link.frozen.store(false, SeqCst);
}

#[test]
fn a_flood_towards_us_while_we_cannot_send() {
    let sshd = Sshd::start(&[]);
    let (target, link) = link(&sshd);
    let mut session = connect(&target).unwrap();
    let flood = 3_000_000;
    let mut exec = session.exec(&format!("head -c 4; head -c {flood} /dev/zero; cat | wc -c")).unwrap();
    exec.send(b"now ").unwrap();
    let Event::Stdout(first) = exec.next(Duration::from_secs(20)).unwrap() else { panic!("no output") };
    assert!(first.starts_with(b"now "));
    link.deaf.store(true, SeqCst);
    exec.send(&noise(1 << 20)).unwrap();
    exec.close_stdin().unwrap();
    // On a busy machine the flood has begun by the first look.
    let mut got = first.len() - b"now ".len();
    while let Event::Stdout(bytes) = exec.next(Duration::from_millis(500)).unwrap() {
        got += bytes.len();
    }
    // The socket stays readable, but libssh2 reads no more before it could widen the window.
    assert!((100_000..flood).contains(&got), "{got}");
    let cpu = thread_cpu();
    assert_eq!(exec.next(Duration::from_millis(1500)).unwrap(), Event::Idle);
    assert!(
        thread_cpu() - cpu < Duration::from_millis(150),
        "{:?}: waiting is not looping",
        thread_cpu() - cpu
    );
    link.deaf.store(false, SeqCst);
    let mut rest = Vec::new();
    loop {
        match exec.next(Duration::from_secs(20)).unwrap() {
            Event::Stdout(bytes) => rest.extend(bytes),
            event => {
                assert_eq!(event, Event::Exit(Some(0)));
                break;
            }
        }
    }
    assert_eq!(got + rest.len(), flood + "1048576\n".len());
    assert!(rest.ends_with(b"1048576\n"));
}
