//! Which keys are offered, in which order, and what is said when none fits.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use synprov::secret::Secret;
use synprov::transport::{Error, Passphrases, Ssh2, Target, Transport as _};

use crate::run;
use crate::sshd::{Sshd, keygen, public, refusal};

/// An agent of the test's own; it ends with it.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(directory: &Path, keys: &[&Path]) -> Self {
        let socket = directory.join("agent");
        let child =
            Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(10), "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        for key in keys {
            let added =
                Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
            assert!(added.success());
        }
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(ssh: &Ssh2, target: &Target) -> String {
    match ssh.connect(target) {
        Ok(_) => "in".into(),
        Err(error) => {
            assert!(matches!(error, Error::Auth { .. }), "{error:?}");
            format!("{error}\nhelp: {}", error.help().unwrap())
        }
    }
}

#[test]
fn every_usual_kind_of_key() {
    let sshd = Sshd::start(&[]);
    let mut authorized = String::new();
    let mut keys = Vec::new();
    for key_type in ["ed25519", "rsa", "ecdsa"] {
        keys.push(keygen(sshd.directory.path(), &format!("user_{key_type}"), key_type, ""));
        authorized += &(public(keys.last().unwrap()) + "\n");
    }
    // The older file format, too.
    let pem = sshd.path("user_pem");
    std::fs::copy(&keys[1], &pem).unwrap();
    crate::sshd::ssh_keygen(&["-q", "-p", "-m", "PEM", "-N", "", "-f", pem.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&pem).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    keys.push(pem);
    std::fs::write(sshd.path("authorized_keys"), authorized).unwrap();
    for key in keys {
        let target = Target { identity_files: vec![key.clone()], ..sshd.target() };
        assert_eq!(check(&Ssh2::default(), &target), "in", "{}", key.display());
    }
}

#[test]
fn what_was_tried_is_listed() {
    let sshd = Sshd::start(&[]);
    let wrong = keygen(sshd.directory.path(), "wrong", "ed25519", "");
    let locked = keygen(sshd.directory.path(), "locked", "ed25519", "secret");
    let broken = sshd.path("broken");
    std::fs::write(&broken, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
        .unwrap();
    let missing = sshd.path("missing");
    let agent = Agent::start(sshd.directory.path(), &[&wrong]);
    let ssh = Ssh2 {
        agent: Some(agent.socket.clone()),
        default_identities: vec![sshd.path("id")],
        passphrases: None,
    };
    let mut target = sshd.target();
    target.identity_files = vec![wrong.clone(), broken.clone(), missing.clone()];
    let text = check(&ssh, &target);
    let start =
        format!("root@127.0.0.1:{} accepted none of the keys offered: {}, ", sshd.port, wrong.display());
    assert!(text.starts_with(&start), "{text}");
    for part in [
        format!("{} (not usable: ", broken.display()),
        format!("{} (no such file)", missing.display()),
        "agent (1 key)".into(),
        "~root/.ssh/authorized_keys".into(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    target.identity_files = vec![locked.clone()];
    let text = check(&Ssh2::default(), &target);
    assert!(
        text.contains("it has a passphrase") && text.ends_with(&format!("ssh-add {}", locked.display())),
        "{text}"
    );
    target.identity_files = vec![];
    assert!(check(&Ssh2::default(), &target).contains("there is no agent and no key file"));
}

#[test]
fn passphrases_are_never_asked_for() {
    // OpenSSL would prompt on the terminal, and wait there.
    let sshd = Sshd::start(&[]);
    for (format, key_type) in [("RFC4716", "rsa"), ("PEM", "rsa"), ("PKCS8", "rsa"), ("RFC4716", "ed25519")] {
        let name = format!("locked-{format}-{key_type}");
        let path = sshd.path(&name);
        let path_text = path.to_str().unwrap();
        crate::sshd::ssh_keygen(&["-q", "-t", key_type, "-m", format, "-N", "secret", "-f", path_text]);
        let target = Target { identity_files: vec![path.clone()], ..sshd.target() };
        let text = refusal(&target).1;
        assert!(text.contains(&format!("{} (not offered: it has a passphrase)", path.display())), "{text}");
    }
}

/// Who is asked for passphrases of keys here, and how often somebody was.
static ASKED: AtomicUsize = AtomicUsize::new(0);
static TYPED: Passphrases = Passphrases::asked_by(|file| {
    ASKED.fetch_add(1, SeqCst);
    // Others have been refused meanwhile, and want to know it too.
    std::thread::sleep(Duration::from_secs(2));
    let right = !file.ends_with("mistyped");
    Some(Secret::new(if right { b"secret".to_vec() } else { b"sceret".to_vec() }))
});

#[test]
fn a_passphrase_is_asked_for_once_for_all_hosts() {
    let hosts = [Sshd::start(&[]), Sshd::start(&[])];
    let directory = hosts[0].directory.path();
    let locked = keygen(directory, "typed", "ed25519", "secret");
    for sshd in &hosts {
        std::fs::write(sshd.path("authorized_keys"), crate::sshd::public(&locked) + "\n").unwrap();
    }
    let transport = Ssh2 { passphrases: Some(&TYPED), ..Ssh2::default() };
    std::thread::scope(|scope| {
        for sshd in hosts.iter().chain(&hosts) {
            let target = Target { identity_files: vec![locked.clone()], ..sshd.target() };
            let transport = &transport;
            scope.spawn(move || {
                let mut session = transport.connect(&target).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(run(&mut *session, "cat", b"in").stdout, b"in");
            });
        }
    });
    assert_eq!(ASKED.load(SeqCst), 1);
    // A host that takes another key than the first: that one's is asked for, too.
    let other = keygen(directory, "other", "ed25519", "secret");
    let target = Target { identity_files: vec![other, locked.clone()], ..hosts[0].target() };
    drop(transport.connect(&target).unwrap_or_else(|error| panic!("{error}")));
    let another = keygen(directory, "another", "ed25519", "secret");
    let target = Target {
        identity_files: vec![keygen(directory, "third", "ed25519", "secret"), another.clone()],
        ..hosts[0].target()
    };
    std::fs::write(hosts[0].path("authorized_keys"), crate::sshd::public(&another) + "\n").unwrap();
    drop(transport.connect(&target).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(ASKED.swap(1, SeqCst), 3, "the third and another");
    // A wrong one is said, and nobody is asked again for every host.
    let mistyped = keygen(directory, "mistyped", "ed25519", "secret");
    for sshd in &hosts {
        let target = Target { identity_files: vec![mistyped.clone()], ..sshd.target() };
        let text = transport.connect(&target).err().unwrap().to_string();
        assert!(text.contains("mistyped (the passphrase that was typed does not open it)"), "{text}");
    }
    assert_eq!(ASKED.load(SeqCst), 2);
}

#[test]
fn agent_then_default_files() {
    let sshd = Sshd::start(&[]);
    let wrong = keygen(sshd.directory.path(), "wrong", "ed25519", "");
    let target = Target { identity_files: vec![], ..sshd.target() };
    let agent = Agent::start(sshd.directory.path(), &[&wrong, &sshd.path("id")]);
    let with_agent =
        Ssh2 { agent: Some(agent.socket.clone()), default_identities: vec![], passphrases: None };
    assert_eq!(check(&with_agent, &target), "in");
    drop(agent);
    assert!(check(&with_agent, &target).contains("agent ("), "a socket without agent is no agent");
    let defaults = vec![sshd.path("missing"), wrong, sshd.path("id")];
    let ssh = Ssh2 { agent: None, default_identities: defaults, passphrases: None };
    assert_eq!(check(&ssh, &target), "in");
}

#[test]
fn many_agent_keys_do_not_use_up_the_attempts() {
    let sshd = Sshd::start(&["MaxAuthTries 3"]);
    let directory = sshd.directory.path();
    let mut keys: Vec<PathBuf> =
        (0..4).map(|n| keygen(directory, &format!("wrong{n}"), "ed25519", "")).collect();
    let locked = keygen(directory, "locked", "ed25519", "");
    keys.push(locked.clone());
    std::fs::write(
        sshd.path("authorized_keys"),
        format!("{}\n{}\n", public(&sshd.path("id")), public(&locked)),
    )
    .unwrap();
    let keys: Vec<&Path> = keys.iter().map(PathBuf::as_path).collect();
    let agent = Agent::start(directory, &keys);
    let ssh = Ssh2 { agent: Some(agent.socket.clone()), default_identities: vec![], passphrases: None };
    assert_eq!(check(&ssh, &sshd.target()), "in", "the named file comes first");
    let text = check(&ssh, &Target { identity_files: vec![], ..sshd.target() });
    assert!(text.contains("agent (3 of 5 keys)") && text.contains("MaxAuthTries"), "{text}");
    // A named file with a passphrase whose key the agent holds: that key first.
    crate::sshd::ssh_keygen(&["-q", "-p", "-N", "secret", "-f", locked.to_str().unwrap()]);
    assert_eq!(check(&ssh, &Target { identity_files: vec![locked.clone()], ..sshd.target() }), "in");
    let public_half = sshd.path("locked.pub");
    assert_eq!(check(&ssh, &Target { identity_files: vec![public_half], ..sshd.target() }), "in");
}

#[test]
fn an_agent_that_hangs_is_given_up() {
    let sshd = Sshd::start(&[]);
    let socket = sshd.path("silent");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let ssh = Ssh2 { agent: Some(socket), default_identities: vec![], passphrases: None };
    let target = Target { identity_files: vec![], connect_timeout: Duration::from_secs(2), ..sshd.target() };
    let start = Instant::now();
    assert!(check(&ssh, &target).contains("agent (it does not answer)"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_wrong_user() {
    let sshd = Sshd::start(&["AllowUsers somebody-else"]);
    let text = refusal(&sshd.target()).1;
    assert!(text.contains("root@127.0.0.1") && text.contains("accepted none of the keys"), "{text}");
}
