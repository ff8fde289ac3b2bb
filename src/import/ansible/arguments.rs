//! Arguments of ssh that a variable holds (`ansible_ssh_common_args` and the like): the way through jump hosts.
//!
//! Read as OpenSSH's client reads them. Never here: what else they say.

use super::ini::words;
use crate::inventory::is_jump_host;

/// Variables that hold arguments of ssh, in the order in which Ansible gives them to ssh, where the first one wins.
pub(super) const NAMES: &[&str] = &["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];

/// What arguments say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Jump hosts, the first one first.
    pub jump: Vec<String>,
    /// There is something besides them.
    pub more: bool,
}

/// Reads `-J HOSTS` and `-o ProxyJump=HOSTS`, each with a space or without.
pub(super) fn read(text: &str) -> Arguments {
    let mut read = Arguments::default();
    let Some(words) = words(text).filter(|_| !text.contains("{{")) else {
        return Arguments { more: true, ..read };
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let value = |rest: &str, words: &mut dyn Iterator<Item = String>| {
            if rest.is_empty() { words.next().unwrap_or_default() } else { rest.to_owned() }
        };
        let hosts = if let Some(rest) = word.strip_prefix("-J") {
            Some(value(rest, &mut words))
        } else if let Some(rest) = word.strip_prefix("-o") {
            proxy_jump(&value(rest, &mut words))
        } else {
            None
        };
        let hosts: Option<Vec<String>> = hosts.map(|hosts| hosts.split(',').map(str::to_owned).collect());
        match hosts.filter(|hosts| read.jump.is_empty() && hosts.iter().all(|host| is_jump_host(host))) {
            Some(hosts) => read.jump = hosts,
            None => read.more = true,
        }
    }
    read
}

/// HOSTS of `ProxyJump=HOSTS`, as in ssh_config(5): `=`, spaces or both, the name in any case.
fn proxy_jump(option: &str) -> Option<String> {
    let (name, hosts) = option.trim().split_once(|c: char| c == '=' || c.is_whitespace())?;
    name.eq_ignore_ascii_case("ProxyJump").then(|| hosts.trim_start_matches(['=', ' ', '\t']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Arguments, read};

    fn check(text: &str, jump: &[&str], more: bool) {
        let jump = jump.iter().map(|host| (*host).to_owned()).collect();
        assert_eq!(read(text), Arguments { jump, more }, "{text}");
    }

    #[test]
    fn jump_hosts_and_the_rest() {
        check("-J bastion", &["bastion"], false);
        check("-Jadmin@a:2222,b", &["admin@a:2222", "b"], false);
        check("-o ProxyJump=bastion", &["bastion"], false);
        check("-oproxyjump=bastion", &["bastion"], false);
        check("-o 'ProxyJump = bastion' -o Compression=yes", &["bastion"], true);
        check("-o ProxyCommand=\"ssh -W %h:%p bastion\"", &[], true);
        check("-J {{ bastion }}", &[], true);
        check("-J 'a b'", &[], true);
        check("-J", &[], true);
        check("-J a -J b", &["a"], true);
        check("-J 'a", &[], true);
        check("", &[], false);
    }
}
