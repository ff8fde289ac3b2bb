//! Names that other software has on every host, or on those that we set up: accounts, prefixes, units.
//!
//! Short lists of what does harm, not all that there is; what is really there is looked at on the host.

/// Accounts of Debian's base-passwd and of what runs beside Synapse, and groups that bring rights: our
/// account gets a group of its name.
const ACCOUNTS: &[&str] = &[
    "_apt",
    "adm",
    "backup",
    "bin",
    "daemon",
    "disk",
    "docker",
    "games",
    "haproxy",
    "irc",
    "kmem",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "mysql",
    "news",
    "nginx",
    "nobody",
    "nogroup",
    "ntp",
    "operator",
    "polkitd",
    "postfix",
    "postgres",
    "prometheus",
    "proxy",
    "redis",
    "root",
    "shadow",
    "sshd",
    "ssl-cert",
    "staff",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "tty",
    "users",
    "uucp",
    "wheel",
    "www-data",
];

/// systemd.special(7), without what no prefix can be called.
const TARGETS: &[&str] = &[
    "basic",
    "bluetooth",
    "cryptsetup",
    "default",
    "emergency",
    "exit",
    "final",
    "getty",
    "graphical",
    "halt",
    "hibernate",
    "initrd",
    "integritysetup",
    "kexec",
    "local-fs",
    "local-fs-pre",
    "machines",
    "multi-user",
    "network",
    "network-online",
    "network-pre",
    "nss-lookup",
    "nss-user-lookup",
    "paths",
    "poweroff",
    "printer",
    "reboot",
    "remote-fs",
    "remote-fs-pre",
    "rescue",
    "rpcbind",
    "shutdown",
    "sigpwr",
    "sleep",
    "slices",
    "smartcard",
    "sockets",
    "sound",
    "suspend",
    "swap",
    "sysinit",
    "system-update",
    "time-set",
    "time-sync",
    "timers",
    "umount",
    "veritysetup",
];

/// Programs with units and a directory in /run.
const PROGRAMS: &[&str] = &[
    "apache2",
    "caddy",
    "cron",
    "dbus",
    "docker",
    "haproxy",
    "networking",
    "nginx",
    "php",
    "polkit",
    "postgresql",
    "prometheus",
    "redis",
    "redis-server",
    "rsyslog",
    "ssh",
    "sshd",
    "synprov",
    "systemd",
    "udev",
    "user",
];

/// Whether `name` is an account or group of others.
pub(super) fn account(name: &str) -> bool {
    ACCOUNTS.contains(&name) || name.starts_with("systemd-")
}

/// What has the name already that a prefix becomes: role, database, target, directory in /run.
pub(super) fn prefix(name: &str) -> Option<&'static str> {
    if matches!(name, "postgres" | "template0" | "template1") || name.starts_with("pg_") {
        Some("PostgreSQL has a role or a database of this name")
    } else if TARGETS.contains(&name) {
        Some("systemd has a target of this name")
    } else if unit(name) {
        Some("another program has units of this name")
    } else {
        None
    }
}

/// Whether units of others are called so; `name` is without `@` and ending.
pub(super) fn unit(name: &str) -> bool {
    PROGRAMS.contains(&name) || name.starts_with("systemd-")
}
