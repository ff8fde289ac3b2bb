//! Hosts of an Ansible inventory: names, addresses, users, ports, keys, groups.
//!
//! Read as Ansible reads it (docs.ansible.com, "How to build your inventory"): ranges in names, groups of
//! groups, variables of a child group over those of its parents, those of the host over all. Never here:
//! `group_vars/` and `host_vars/` (other files), templates, values that are passwords.

mod arguments;
mod groups;
mod ini;
mod yaml;

use indexmap::IndexMap;

use super::{Note, name_like, shown};
use crate::diagnostic::Diagnostic;
use crate::yaml::scalar;
use arguments::Arguments;
pub use groups::{Group, Groups};

/// The hosts part of an inventory, and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// `hosts:` with one line a host.
    pub text: String,
    /// Number of hosts.
    pub count: usize,
    /// What was not understood.
    pub notes: Vec<Note>,
}

/// Reads an inventory of Ansible, INI or YAML; `name` is the file's, whose ending may tell which.
///
/// Errors: YAML that is none, or no host at all.
pub fn read(text: &str, name: &str) -> Result<Hosts, Vec<Diagnostic>> {
    let mut notes = Vec::new();
    let groups =
        if is_yaml(text, name) { yaml::read(text, &mut notes)? } else { ini::read(text, &mut notes) };
    Ok(hosts(&groups, notes))
}

/// By the file's ending, else by what its first line looks like.
fn is_yaml(text: &str, name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default();
    if matches!(ending, "yml" | "yaml" | "json") {
        return true;
    }
    if matches!(ending, "ini" | "cfg") {
        return false;
    }
    let lines = text.lines().map(str::trim);
    let first =
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])).find(|line| *line != "---");
    first.is_some_and(|line| line.starts_with('{') || (line.ends_with(':') && !line.contains([' ', '='])))
}

fn hosts(groups: &Groups, mut notes: Vec<Note>) -> Hosts {
    let mut names: Vec<String> = Vec::new();
    let mut text = "hosts:\n".to_owned();
    for host in groups.hosts() {
        let variables = groups.variables(&host);
        let first =
            if host.parse::<std::net::IpAddr>().is_ok() { "" } else { host.split('.').next().unwrap_or("") };
        let name = name_like(first, "host", |name| names.iter().any(|known| known == name));
        let keys = keys(&host, &variables, &mut notes);
        let keys: Vec<String> = keys.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let of = groups.of(&host).join(", ");
        let comment = match (of.is_empty(), name == host) {
            (true, true) => String::new(),
            (false, true) => format!("   # {}", shown(&of)),
            (true, false) => format!("   # {}", shown(&host)),
            (false, false) => format!("   # {}: {}", shown(&host), shown(&of)),
        };
        text.push_str(&format!("  {name}: {{{}}}{comment}\n", keys.join(", ")));
        names.push(name);
    }
    if names.is_empty() {
        text = "hosts: {}\n".to_owned();
    }
    Hosts { text, count: names.len(), notes }
}

/// Variables that mean nothing to SSH: read, and of no consequence.
const IDLE: &[&str] = &[
    "ansible_python_interpreter",
    "ansible_ssh_pipelining",
    "ansible_pipelining",
    "ansible_shell_type",
    "ansible_remote_tmp",
];

/// What to do about arguments of ssh.
const ARGUMENTS: &str =
    "jump hosts: write jump: [USER@]HOST[:PORT]; the rest: in ~/.ssh/config, which synprov reads";

/// What a host's entry says: keys with their values as YAML.
fn keys(
    host: &str,
    variables: &IndexMap<String, String>,
    notes: &mut Vec<Note>,
) -> Vec<(&'static str, String)> {
    let at = format!("host {}", shown(host));
    let mut known: Vec<&str> = Vec::new();
    let mut first = |names: &[&'static str]| {
        known.extend(names);
        names.iter().find_map(|name| variables.get(*name)).filter(|value| !value.contains("{{"))
    };
    let address = first(&["ansible_host", "ansible_ssh_host"]).map_or(host, String::as_str);
    let port = first(&["ansible_port", "ansible_ssh_port"]);
    let user = first(&["ansible_user", "ansible_ssh_user"]);
    let key = first(&["ansible_ssh_private_key_file", "ansible_private_key_file"]);
    let connection = first(&["ansible_connection"]);
    let r#become = first(&["ansible_become", "ansible_ssh_become", "ansible_sudo"]);
    let become_method = first(&["ansible_become_method"]).map_or("sudo", String::as_str);
    let become_user = first(&["ansible_become_user", "ansible_sudo_user"]);
    let local = connection.is_some_and(|connection| connection == "local");
    let mut keys = vec![("address", scalar(if local { "local" } else { address }))];
    let mut strange = |what: String, help: &str| notes.push(Note::new(&at, what, help));
    match port.map(|port| port.parse::<u16>()) {
        Some(Ok(port)) if port > 0 && port != 22 && !local => keys.push(("port", port.to_string())),
        Some(Err(_) | Ok(0)) => strange("its port is no number of a port".to_owned(), "write port: NUMBER"),
        _ => {}
    }
    if let Some(user) = user.filter(|_| !local) {
        keys.push(("user", scalar(user)));
    }
    if r#become.is_some_and(|word| truthy(word)) && user.is_none_or(|user| user != "root") {
        match become_method.rsplit('.').next() {
            Some("sudo") => keys.push(("become", "true".to_owned())),
            Some("doas") => keys.push(("become", "doas".to_owned())),
            _ => strange(
                format!("it becomes root by {}", shown(become_method)),
                "synprov becomes root by sudo or doas: write become: sudo or become: doas",
            ),
        }
    }
    if let Some(key) = key.filter(|_| !local) {
        keys.push(("identity_files", format!("[{}]", scalar(key))));
    }
    let jump = if local { Vec::new() } else { jump(variables, &mut strange) };
    if !jump.is_empty() {
        let hosts: Vec<String> = jump.iter().map(|host| scalar(host)).collect();
        keys.push(("jump", format!("[{}]", hosts.join(", "))));
    }
    if become_user.is_some_and(|user| user != "root") {
        strange("it becomes another user than root".to_owned(), "synprov works as root: allow sudo to root");
    }
    if connection
        .is_some_and(|word| !matches!(word.as_str(), "local" | "ssh" | "smart" | "paramiko" | "paramiko_ssh"))
    {
        strange(
            "it is not reached over SSH (ansible_connection)".to_owned(),
            "synprov speaks SSH, or works on this machine",
        );
    }
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("ansible_")) {
        if arguments::NAMES.contains(&name.as_str()) {
            continue;
        }
        if known.contains(&name.as_str()) {
            if value.contains("{{") {
                strange(format!("{} is a template", shown(name)), "write the value that it has");
            }
            continue;
        }
        let words = ["pass", "password", "secret", "token"];
        if words.iter().any(|word| name.contains(word)) {
            let becomes = name.contains("become") || name.contains("sudo");
            let help = if becomes {
                "give it with --ask-become-password (-K), or in SYNPROV_BECOME_PASSWORD"
            } else {
                "log in with a key: identity_files, or an SSH agent"
            };
            strange(format!("{} is not carried over", shown(name)), help);
        } else if name.contains("extra_args") || name.contains("proxy") {
            strange(format!("{} is not carried over", shown(name)), ARGUMENTS);
        } else if !IDLE.contains(&name.as_str()) {
            strange(format!("{} is not understood", shown(name)), "see docs/inventory.md, hosts");
        }
    }
    keys
}

/// Jump hosts of the variables that hold arguments of ssh, which takes the first way that is named. What else these
/// say is `strange`.
fn jump(variables: &IndexMap<String, String>, mut strange: impl FnMut(String, &str)) -> Vec<String> {
    let mut jump = Vec::new();
    for name in arguments::NAMES {
        let Some(value) = variables.get(*name) else { continue };
        let Arguments { jump: hosts, more } = arguments::read(value);
        let carried = jump.is_empty() && !hosts.is_empty();
        if carried && more {
            strange(format!("only the jump hosts of {name} are carried over"), ARGUMENTS);
        } else if !carried && (more || !hosts.is_empty()) {
            strange(format!("{name} is not carried over"), ARGUMENTS);
        }
        if carried {
            jump = hosts;
        }
    }
    jump
}

/// Ansible's words for true.
fn truthy(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1" | "y" | "t")
}

#[cfg(test)]
mod tests {
    use super::read;

    /// Reads `text` as the file `name`: what is written, and the notes in short.
    fn check(name: &str, text: &str, expected: &str, notes: &[&str]) {
        let hosts = read(text, name).unwrap();
        assert_eq!(hosts.text, expected);
        let said: Vec<String> =
            hosts.notes.iter().map(|note| format!("{}: {}", note.at, note.what)).collect();
        assert_eq!(said, notes);
        crate::yaml::parse(&hosts.text).unwrap();
    }

    #[test]
    fn ini_with_ranges_groups_and_variables() {
        check(
            "hosts",
            "# production\nlone ansible_host=192.0.2.1\n\n[matrix]\nhs[1:2].example.org ansible_port=2222 # a comment\n\
             hs3.example.org:2200 ansible_user=\"other user\"\n\n[db]\ndb-[a:b]\n[matrix:vars]\nansible_user = deploy\n\
             ansible_become=yes\n[all:vars]\nansible_user=everybody\nansible_ssh_private_key_file='~/.ssh/ops'\n\
             [site:children]\nmatrix\ndb\n",
            "hosts:\n  lone: {address: 192.0.2.1, user: everybody, identity_files: [\"~/.ssh/ops\"]}\n\
             \x20 hs1: {address: hs1.example.org, port: 2222, user: deploy, become: true, identity_files: [\"~/.ssh/ops\"]}   # hs1.example.org: matrix, site\n\
             \x20 hs2: {address: hs2.example.org, port: 2222, user: deploy, become: true, identity_files: [\"~/.ssh/ops\"]}   # hs2.example.org: matrix, site\n\
             \x20 hs3: {address: hs3.example.org, port: 2200, user: \"other user\", become: true, identity_files: [\"~/.ssh/ops\"]}   # hs3.example.org: matrix, site\n\
             \x20 db-a: {address: db-a, user: everybody, identity_files: [\"~/.ssh/ops\"]}   # db, site\n\
             \x20 db-b: {address: db-b, user: everybody, identity_files: [\"~/.ssh/ops\"]}   # db, site\n",
            &[],
        );
    }

    #[test]
    fn yaml_with_nested_groups() {
        check(
            "hosts.yml",
            "all:\n  vars: {ansible_user: root}\n  hosts:\n    edge: {ansible_connection: local}\n  children:\n    matrix:\n      vars:\n        ansible_user: deploy\n        ansible_become: yes\n      hosts:\n        hs1.example.org:\n          ansible_host: 192.0.2.10\n          ansible_port: 2222\n        hs2.example.org:\n      children:\n        workers:\n          hosts:\n            \"w[01:02]\": {ansible_user: w}\n",
            "hosts:\n  edge: {address: local}\n\
             \x20 hs1: {address: 192.0.2.10, port: 2222, user: deploy, become: true}   # hs1.example.org: matrix\n\
             \x20 hs2: {address: hs2.example.org, user: deploy, become: true}   # hs2.example.org: matrix\n\
             \x20 w01: {address: w01, user: w, become: true}   # matrix, workers\n\
             \x20 w02: {address: w02, user: w, become: true}   # matrix, workers\n",
            &[],
        );
    }

    #[test]
    fn what_is_not_carried_over_is_named_without_its_value() {
        let text = "hs1 ansible_password=hunter2 ansible_ssh_common_args='-J jump' ansible_host={{ ip }} ansible_become=1 ansible_become_user=synapse\n[broken\nx=[1:\n";
        let hosts = read(text, "hosts").unwrap();
        let said: Vec<String> = hosts.notes.iter().map(|note| note.what.clone()).collect();
        assert!(!format!("{hosts:?}").contains("hunter2"), "{hosts:?}");
        for words in ["ansible_password is not", "ansible_host is a template", "another user than root"] {
            assert!(said.iter().any(|what| what.contains(words)), "{words}: {said:?}");
        }
    }

    #[test]
    fn hostile_names_and_values_stay_values() {
        let text = "\"a}, evil: {address: b\" ansible_user=\"x}\\n  evil: {address\" \nHS1 ansible_host=\"1.2.3.4, user: root\"\nhs1\n";
        let hosts = read(text, "hosts").unwrap();
        let tree = crate::yaml::parse(&hosts.text).unwrap();
        let crate::yaml::Kind::Map(entries) = &tree.get("hosts").unwrap().kind else { panic!("{tree:?}") };
        assert_eq!(entries.len(), 3, "{}", hosts.text);
        assert_eq!(entries[1].1.get("address").unwrap().as_str(), Some("1.2.3.4, user: root"));
        assert_eq!([entries[1].0.value.as_str(), entries[2].0.value.as_str()], ["hs1", "hs1_2"]);
    }

    #[test]
    fn groups_that_contain_each_other_and_endless_ranges_end() {
        let hosts =
            read("[a:children]\nb\n[b:children]\na\n[a]\nx\n[b]\nh[1:4000000000]\n", "hosts").unwrap();
        assert_eq!(hosts.count, 1);
        assert_eq!(hosts.notes.len(), 1);
    }
}
