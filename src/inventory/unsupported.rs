//! What people will look for and not find: not supported yet, or written elsewhere.
//!
//! Tables only. An entry leaves when the thing arrives.

/// Section path, key, the thing with its verb, what to do now.
const NOT_YET: &[(&str, &str, &str, &str)] = &[
    ("hosts.*", "password", "password logins are", "log in with a key: identity_files, or an SSH agent"),
    ("hosts.*", "ssh_password", "password logins are", "log in with a key: identity_files, or an SSH agent"),
    ("", "turn", "TURN servers are", "install one yourself and write turn_uris under synapse.config"),
    ("", "coturn", "TURN servers are", "install one yourself and write turn_uris under synapse.config"),
    ("", "element", "web clients are", "serve it from a site of your own"),
    (
        "",
        "monitoring",
        "monitoring is",
        "write metrics: true under synapse and let your Prometheus read ROOT/prometheus",
    ),
    ("", "backup", "backups are", "back up the database, the media store and the signing key yourself"),
    ("", "groups", "host groups are", "name the hosts of each pool under its hosts"),
    ("synapse", "index_url", "choosing a package index is", "set it in pip's own configuration on the hosts"),
    (
        "synapse",
        "modules",
        "installing Synapse modules is",
        "write packages: [NAME==VERSION] or files: {NAME.py: {source: PATH}}, and modules under synapse.config",
    ),
    (
        "synapse.install",
        "docker",
        "installing as a container is",
        "write install: managed, or {venv: /path}, or debian",
    ),
    (
        "synapse.install",
        "git",
        "installing from a git checkout is",
        "adopt a venv that has it: install: {venv: /path}",
    ),
    (
        "workers.*",
        "port",
        "choosing ports is",
        "leave the key out: ports are chosen once and kept in inventory.lock",
    ),
    (
        "proxy",
        "acme",
        "fetching certificates is",
        "use certbot or the like and write tls: {certificate: …, key: …}",
    ),
    ("proxy", "ports", "choosing the proxy's ports is", "use kind: includes and a vhost of your own"),
    (
        "postgresql",
        "version",
        "choosing the version of PostgreSQL is",
        "the distribution's is used; for another write external",
    ),
    ("postgresql", "replica", "PostgreSQL replicas are", "run the servers yourself and write external"),
    ("redis", "sentinel", "Redis Sentinel is", "run it yourself and write external"),
];

const PASSWORD: &str = "a password never stands in an inventory: give it with --ask-become-password, or in SYNPROV_BECOME_PASSWORD";

/// Section path, key, what to write instead: things of another place or of Ansible's and Synapse's words.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("", "postgres", "did you mean \"postgresql\"?"),
    ("", "database", "did you mean \"postgresql\"?"),
    ("", "nginx", "did you mean \"proxy\"? write proxy: {host: …, kind: nginx, …}"),
    ("", "worker", "did you mean \"workers\"?"),
    ("", "server_name", "write it under synapse"),
    ("", "version", "write it under synapse"),
    ("", "secrets", "write it under synapse"),
    ("", "config", "write it under synapse"),
    ("", "appservices", "write it under synapse"),
    ("synapse.install", "wheelhouse", "write it beside install, under synapse"),
    ("synapse.install", "uv", "write installer: uv beside install, under synapse"),
    ("synapse", "mas", "write it at the top, beside synapse"),
    ("mas", "url", "did you mean \"endpoint\"?"),
    ("mas", "secret_path", "did you mean \"secret\"? write secret: {secret: NAME}"),
    ("mas", "enabled", "leave it out: mas: is there or not"),
    ("hosts.*", "ansible_host", "did you mean \"address\"?"),
    ("hosts.*", "host", "did you mean \"address\"?"),
    ("hosts.*", "ip", "did you mean \"address\"?"),
    ("hosts.*", "proxy_jump", "did you mean \"jump\"?"),
    ("hosts.*", "proxy_command", "write ProxyCommand in your ssh configuration; synprov reads it"),
    ("hosts.*", "ssh_config", "synprov reads ~/.ssh/config; for another file: --ssh-config FILE"),
    ("hosts.*", "become_password", PASSWORD),
    ("hosts.*", "sudo_password", PASSWORD),
    ("hosts.*", "ansible_become_password", PASSWORD),
    ("hosts.*", "become_method", "write it as become: sudo or become: doas"),
    ("hosts.*", "ansible_user", "did you mean \"user\"?"),
    ("hosts.*", "sudo", "did you mean \"become\"?"),
    ("hosts.*", "private_key", "did you mean \"identity_files\"?"),
    ("hosts.*", "key_file", "did you mean \"identity_files\"?"),
    ("workers.*", "unix_socket", "did you mean \"listen\"? write listen: unix"),
    ("workers.*", "replicas", "did you mean \"count\"?"),
    ("workers.*", "instances", "did you mean \"count\"?"),
    ("workers.*", "endpoints", "did you mean \"handles\"?"),
    ("workers.*", "routes", "did you mean \"handles\"?"),
    ("workers.*", "stream_writers", "did you mean \"writes\"?"),
    ("workers.*", "streams", "did you mean \"writes\"?"),
    ("workers.*", "jobs", "did you mean \"runs\"?"),
    ("workers.*", "type", "say what the pool does with handles, writes and runs"),
    ("workers.*", "worker_app", "leave it out: it follows from handles, writes and runs"),
    ("redis.external", "database", "a number: write args: {dbid: 1}"),
    ("redis.external", "user", "Synapse has no user name for Redis"),
    ("redis.external", "sslmode", "write args: {use_tls: true}"),
];

/// The thing with its verb and what to do now, for a key that is not supported yet.
pub(super) fn key(path: &str, key: &str) -> Option<(&'static str, &'static str)> {
    NOT_YET.iter().find(|(at, name, ..)| *at == path && *name == key).map(|(_, _, thing, now)| (*thing, *now))
}

/// What to write for a key that belongs elsewhere or has another name here.
pub(super) fn elsewhere(path: &str, key: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(at, name, _)| *at == path && *name == key).map(|(_, _, instead)| *instead)
}
