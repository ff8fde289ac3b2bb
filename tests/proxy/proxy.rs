//! Real proxies with the files that the modules make of a topology.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use synprov::inventory::{ProxyKind, Tls};
use synprov::modules::{Modules, expand};
use synprov::resource::Body;
use synprov::topology::Topology;

use crate::client::Client;
use crate::ports;

/// A running proxy. `port` stands for 80, the next for 443, the one after for 8448.
pub struct Proxy {
    pub port: u16,
    _folder: tempfile::TempDir,
    child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Proxy {
    pub fn client(&self) -> Client {
        Client::new(self.port)
    }
}

/// Whether the program is on this machine.
pub fn has(kind: ProxyKind) -> bool {
    let (program, package) = program(kind);
    let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: no {program} on this machine (apt-get install {package})");
    }
    found
}

fn program(kind: ProxyKind) -> (&'static str, &'static str) {
    match kind {
        ProxyKind::Haproxy => ("haproxy", "haproxy"),
        ProxyKind::Nginx | ProxyKind::Includes => ("nginx", "nginx-light"),
    }
}

impl Proxy {
    /// HAProxy with this text, `PORT` in it replaced.
    pub fn haproxy(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free(3);
        let conf = folder.path().join("haproxy.cfg");
        std::fs::write(&conf, text.replace("PORT", &port.to_string())).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&conf);
        Self::spawn(command, port, folder)
    }

    /// nginx with this site, `PORT` in it replaced.
    pub fn nginx(site: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free(3);
        let conf = framed(&site.replace("PORT", &port.to_string()), folder.path(), port);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(conf);
        Self::spawn(command, port, folder)
    }

    fn spawn(mut command: Command, port: u16, folder: tempfile::TempDir) -> Self {
        let said = folder.path().join("said");
        let child = command.stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
        let proxy = Self { child, port, _folder: folder };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let late = since.elapsed() > Duration::from_secs(10);
            assert!(!late, "{command:?} does not listen: {}", std::fs::read_to_string(&said).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy
    }
}

/// Starts a proxy of this kind for the topology.
pub fn start(kind: ProxyKind, mut topology: Topology) -> Proxy {
    topology.proxy.as_mut().unwrap().kind = kind;
    let folder = tempfile::tempdir().unwrap();
    let port = ports::free(3);
    let mut command = Command::new(program(kind).0);
    match kind {
        ProxyKind::Haproxy => command.arg("-f").arg(haproxy(&topology, folder.path(), port)),
        ProxyKind::Nginx | ProxyKind::Includes => {
            let conf = nginx(&mut topology, folder.path(), port);
            command.arg("-p").arg(folder.path()).arg("-c").arg(conf)
        }
    };
    Proxy::spawn(command, port, folder)
}

/// Path and text of each file of the topology's proxies; `token-NAME` is the value of the secret NAME.
pub fn files(topology: &Topology) -> Vec<(String, String)> {
    let resources = expand(&Modules::builtin(), topology).unwrap();
    let file = |body| match body {
        Body::File { path, content, .. } => Some((path, with_values(&content.redacted()))),
        _ => None,
    };
    resources.into_iter().filter_map(|resource| file(resource.body)).collect()
}

fn with_values(text: &str) -> String {
    let mut parts = text.split("<secret ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "token-" + &part.replacen('>', "", 1))
}

fn local(line: &str, keyword: &str, port: u16) -> String {
    [("80", 0), ("443", 1), ("8448", 2)].iter().fold(line.to_owned(), |line, (public, more)| {
        line.replace(&format!("{keyword}{public}"), &format!("{keyword}127.0.0.1:{}", port + more))
    })
}

/// Writes HAProxy's file below `folder`, for any user and without what only a unit makes.
fn haproxy(topology: &Topology, folder: &Path, port: u16) -> PathBuf {
    let path = format!("/etc/haproxy/{}.cfg", topology.prefix);
    let (_, text) = files(topology).into_iter().find(|(file, _)| *file == path).unwrap();
    let run = format!("/run/{}_haproxy", topology.prefix);
    let unprivileged = |line: &&str| {
        !["bind ipv6@", "user ", "group ", "log /dev/log"].iter().any(|start| line.trim().starts_with(start))
    };
    let mut out = String::new();
    for line in text.lines().filter(unprivileged) {
        let line = if line.trim().starts_with("bind") {
            local(line, "ipv4@:", port).replace("ipv4@:127", "ipv4@127")
        } else {
            line.to_owned()
        };
        out += &format!("{}\n", line.replace(&run, folder.to_str().unwrap()));
    }
    if let Tls::Files { certificate, key } = &topology.proxy.as_ref().unwrap().tls {
        std::os::unix::fs::symlink(&certificate.value, folder.join("site.pem")).ok();
        std::os::unix::fs::symlink(&key.value, folder.join("site.pem.key")).ok();
    }
    let conf = folder.join("haproxy.cfg");
    std::fs::write(&conf, out).unwrap();
    conf
}

/// Writes nginx' files below `folder`; the path of the one to start with.
pub fn nginx(topology: &mut Topology, folder: &Path, port: u16) -> PathBuf {
    topology.root = folder.to_str().unwrap().to_owned();
    std::fs::create_dir_all(folder.join("nginx/worker")).unwrap();
    let mut site = String::new();
    for (path, text) in files(topology) {
        if path.starts_with("/etc/nginx/conf.d/") {
            for line in text.lines().filter(|line| !line.contains("listen [::]")) {
                site += &format!("{}\n", local(line, "listen ", port));
            }
        } else if path.starts_with(topology.root.as_str()) && path.contains("/nginx/") {
            std::fs::write(path, text).unwrap();
        }
    }
    framed(&site, folder, port)
}

/// A site in a frame with a default server that says 418.
fn framed(site: &str, folder: &Path, port: u16) -> PathBuf {
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    std::fs::write(folder.join("site.conf"), site).unwrap();
    let conf = folder.join("nginx.conf");
    let frame = format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/logs/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
         include {dir}/site.conf;\n\
         server {{ listen 127.0.0.1:{port} default_server; return 418; }} }}\n",
        dir = folder.display()
    );
    std::fs::write(&conf, frame).unwrap();
    conf
}
