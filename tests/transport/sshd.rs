//! A private sshd with keys and configuration of its own; it ends with its test.

use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use synprov::transport::{Client, Config, Error, Session, Ssh2, Target, Transport as _};

use crate::ports;

pub struct Sshd {
    pub directory: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

/// A client configuration with these lines, in `directory`.
pub fn client_config(directory: &Path, text: &str) -> Config {
    let file = directory.join("ssh_config");
    std::fs::write(&file, text).unwrap();
    Config::File(file)
}

/// Makes a key pair without passphrase unless one is given; the path of the private half.
pub fn keygen(directory: &Path, name: &str, key_type: &str, passphrase: &str) -> PathBuf {
    let path = directory.join(name);
    ssh_keygen(&["-q", "-t", key_type, "-N", passphrase, "-C", name, "-f", path.to_str().unwrap()]);
    path
}

/// Runs ssh-keygen; its stdout.
pub fn ssh_keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `ssh-ed25519 AAAA…` of a private key's public half, without comment.
pub fn public(private: &Path) -> String {
    let text = std::fs::read_to_string(format!("{}.pub", private.display())).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

impl Sshd {
    /// Starts with an ed25519 host key, an authorized ed25519 user key `id`, and these lines of sshd_config.
    pub fn start(extra: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host_key = keygen(directory.path(), "host_ed25519", "ed25519", "");
        let user_key = keygen(directory.path(), "id", "ed25519", "");
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("authorized_keys"), public(&user_key) + "\n").unwrap();
        let port = ports::free(1);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            host_key.display(),
            path("authorized_keys"),
        );
        let extra: String = extra.iter().map(|line| line.replace("DIR", &path("")) + "\n").collect();
        std::fs::write(path("sshd_config"), config + &extra + "LogLevel VERBOSE\n").unwrap();
        // Where sshd locks its unprivileged half in; a service manager would have made it.
        std::fs::create_dir_all("/run/sshd").expect("these tests run as root");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("sshd_config"), "-E", &path("log")])
            .spawn()
            .expect("sshd is missing: apt-get install openssh-server");
        let sshd = Self { directory, port, child };
        sshd.await_banner();
        sshd
    }

    fn await_banner(&self) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
                && stream.read_exact(&mut [0; 4]).is_ok()
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("sshd does not answer: {}", self.log());
    }

    /// Reads configuration and host keys again.
    pub fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let starts = || self.log().matches("Server listening").count();
        let before = starts();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        let start = Instant::now();
        while starts() == before {
            assert!(start.elapsed() < Duration::from_secs(20), "sshd does not reload: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.await_banner();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Writes a known_hosts file; `HOST` and `KEY` stand for this sshd's name and true key.
    pub fn known_hosts(&self, text: &str) -> PathBuf {
        let path = self.path("known_hosts");
        let name = format!("[127.0.0.1]:{}", self.port);
        std::fs::write(
            &path,
            text.replace("HOST", &name).replace("KEY", &public(&self.path("host_ed25519"))),
        )
        .unwrap();
        path
    }

    /// A target that this sshd accepts.
    pub fn target(&self) -> Target {
        Target {
            name: "h".into(),
            address: "127.0.0.1".into(),
            port: self.port,
            user: "root".into(),
            identity_files: vec![self.path("id")],
            known_hosts: vec![self.known_hosts("HOST KEY\n")],
            host_key: None,
            accept_new: false,
            connect_timeout: Duration::from_secs(20),
            client: Client::default(),
        }
    }

    /// A session, without agent and without the keys of whoever runs the tests.
    pub fn session(&self) -> Box<dyn Session> {
        connect(&self.target()).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }
}

/// Connects without agent and without default keys.
pub fn connect(target: &Target) -> Result<Box<dyn Session>, Error> {
    Ssh2::default().connect(target)
}

/// The text that a person sees: the sentence, and the help if there is one.
pub fn refusal(target: &Target) -> (Error, String) {
    let error = connect(target).err().expect("the connection is refused");
    let text = format!("{error}\nhelp: {}", error.help().unwrap_or_default());
    assert!(!error.to_string().ends_with('.') && !error.to_string().contains('\n'), "{text}");
    (error, text)
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
