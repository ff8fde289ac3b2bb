//! More log-ins at a time than an sshd, or a jump host, admits.

use std::time::Duration;

use synprov::transport::{Client, Error, OpenSsh, Session, Ssh2, Target, Transport};

use crate::run;
use crate::sshd::{Sshd, client_config, public};

/// As many threads log in at once; all must be let in, each once.
fn crowd(transport: &dyn Transport, target: &Target, last: &Sshd, count: usize) {
    std::thread::scope(|scope| {
        for number in 0..count {
            scope.spawn(move || {
                let word = number.to_string();
                let mut session: Box<dyn Session> = transport
                    .connect(target)
                    .unwrap_or_else(|error: Error| panic!("{error}\n{:?}\n{}", error.help(), last.log()));
                assert_eq!(run(&mut *session, "cat", word.as_bytes()).stdout, word.as_bytes());
            });
        }
    });
    assert_eq!(last.log().matches("Accepted publickey").count(), count, "{}", last.log());
}

/// Lets go of everybody beyond the first.
const MEAN: [&str; 1] = ["MaxStartups 1:100:1"];

#[test]
fn who_is_turned_away_comes_back() {
    let sshd = Sshd::start(&MEAN);
    let target = Target { connect_timeout: Duration::from_secs(60), ..sshd.target() };
    crowd(&Ssh2::default(), &target, &sshd, 8);
    assert!(sshd.log().contains("MaxStartups") || sshd.log().contains("drop connection"), "{}", sshd.log());
}

#[test]
fn a_jump_host_that_admits_one_at_a_time() {
    let (jump, last) = (Sshd::start(&MEAN), Sshd::start(&[]));
    let mut known = String::new();
    let mut config = String::new();
    for (name, sshd) in [("bastion", &jump), ("last", &last)] {
        known += &format!("[127.0.0.1]:{} {}\n", sshd.port, public(&sshd.path("host_ed25519")));
        config += &format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User root\n  IdentityFile {}\n",
            sshd.port,
            sshd.path("id").display()
        );
    }
    std::fs::write(last.path("known"), &known).unwrap();
    config += &format!("Host *\n  UserKnownHostsFile {}\n", last.path("known").display());
    let client = Client {
        config: client_config(last.directory.path(), &config),
        jump: vec!["bastion".to_owned()],
        ..Client::default()
    };
    let target = Target { client, connect_timeout: Duration::from_secs(90), ..last.target() };
    crowd(&OpenSsh, &target, &last, 5);
    assert_eq!(jump.log().matches("Accepted publickey").count(), 5, "{}", jump.log());
}
