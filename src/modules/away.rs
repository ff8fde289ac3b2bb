//! Which processes a proxy's file routes to, and the same file without some of them.
//!
//! What routes while an apply runs is the file as it stands on the host, which may be an older one than
//! is desired and may have been edited. So this reads lines, as the writers here write them, and leaves
//! every other byte alone: taking a mark away again gives back exactly what was there.

use std::collections::BTreeSet;

use crate::resource::FileSet;

/// Addresses (`ADDRESS:PORT`, `unix:/PATH`) of each upstream or backend, in the order of the file. A
/// stand-in that is only asked when nobody else answers is none of them.
pub fn upstreams(set: FileSet, text: &str) -> Vec<Vec<String>> {
    let mut upstreams: Vec<Vec<String>> = Vec::new();
    walk(set, text, |line, group| {
        if let Some((group, address)) = group.zip(address(set, line)) {
            upstreams.resize_with(upstreams.len().max(group + 1), Vec::new);
            upstreams[group].push(address);
        }
    });
    upstreams
}

/// The text with the servers of these addresses taken out of service, and all others in service. An
/// upstream that would have none left keeps its own.
pub fn around(set: FileSet, text: &str, away: &BTreeSet<String>) -> String {
    let upstreams = upstreams(set, text);
    let spared: Vec<bool> =
        upstreams.iter().map(|servers| servers.iter().all(|server| away.contains(server))).collect();
    let mut out = String::with_capacity(text.len() + 64);
    walk(set, text, |line, group| {
        let Some((group, address)) = group.zip(address(set, line)) else { return out.push_str(line) };
        let (mark, end) = marks(set);
        let bare = line.trim_end();
        let rest = &line[bare.len()..];
        let bare = bare.strip_suffix(end).unwrap_or(bare);
        let bare = bare.strip_suffix(mark).unwrap_or(bare);
        out.push_str(bare);
        if away.contains(&address) && !spared[group] {
            out.push_str(mark);
        }
        out.push_str(end);
        out.push_str(rest);
    });
    out
}

/// What takes a server out of service, and what ends its line.
fn marks(set: FileSet) -> (&'static str, &'static str) {
    if set == FileSet::Haproxy { (" disabled", "") } else { (" down", ";") }
}

/// Every line with its end, and the number of the upstream it is in.
fn walk<'t>(set: FileSet, text: &'t str, mut visit: impl FnMut(&'t str, Option<usize>)) {
    let (mut count, mut inside) = (0, None);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        let (begins, ends) = match set {
            // Sections of HAProxy begin in the first column, and end where the next one begins.
            FileSet::Haproxy => {
                (line.starts_with("backend "), !line.starts_with([' ', '\t', '#']) && !bare.is_empty())
            }
            _ => (bare.starts_with("upstream ") && bare.ends_with('{'), bare == "}"),
        };
        if ends {
            inside = None;
        }
        if begins {
            inside = Some(count);
            count += 1;
        }
        visit(line, inside);
    }
}

/// Where the server of this line listens.
fn address(set: FileSet, line: &str) -> Option<String> {
    let line = line.trim();
    let mut words = line.strip_suffix(';').unwrap_or(line).split_ascii_whitespace();
    if words.next() != Some("server") {
        return None;
    }
    if set == FileSet::Haproxy {
        let address = words.nth(1)?;
        let stands_in = words.any(|word| word == "backup");
        return (!stands_in).then(|| address.replacen("unix@", "unix:", 1));
    }
    words.next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX: &str = "upstream m_sync {
    hash $m_user consistent;
    server 127.0.0.1:8081 max_fails=0;
    server 10.8.0.2:8082 max_fails=0 weight=2;
    keepalive 32;
}

upstream m_sync.single {
    server 127.0.0.1:8081 max_fails=0;
}

server {
    listen 80;
    server_name example.org;
}
";

    const HAPROXY: &str = "frontend m
    bind :80
    default_backend m_sync

backend m_sync
    # two of them
    server sync unix@/run/m/sync check
    server sync2 10.8.0.2:8082 weight 2 check
    server main 127.0.0.1:8008 backup
";

    fn set(addresses: &[&str]) -> BTreeSet<String> {
        addresses.iter().map(|address| (*address).to_owned()).collect()
    }

    #[test]
    fn servers_are_found_by_upstream() {
        let (one, two) = ("127.0.0.1:8081".to_owned(), "10.8.0.2:8082".to_owned());
        assert_eq!(upstreams(FileSet::Nginx, NGINX), [vec![one.clone(), two.clone()], vec![one]]);
        assert_eq!(upstreams(FileSet::Haproxy, HAPROXY), [vec!["unix:/run/m/sync".to_owned(), two]]);
    }

    #[test]
    fn a_mark_comes_and_goes_and_leaves_no_trace() {
        for (which, text, marked) in [
            (FileSet::Nginx, NGINX, "server 10.8.0.2:8082 max_fails=0 weight=2 down;\n"),
            (FileSet::Haproxy, HAPROXY, "server sync2 10.8.0.2:8082 weight 2 check disabled\n"),
        ] {
            let away = around(which, text, &set(&["10.8.0.2:8082"]));
            assert!(away.contains(marked), "{away}");
            assert_eq!(around(which, &away, &set(&[])), text);
            assert_eq!(around(which, &away, &set(&["10.8.0.2:8082"])), away);
            assert_eq!(around(which, text, &set(&["192.0.2.1:1"])), text);
        }
    }

    #[test]
    fn an_upstream_is_never_left_without_a_server() {
        let away = around(FileSet::Nginx, NGINX, &set(&["127.0.0.1:8081"]));
        assert_eq!(away.matches(" down;").count(), 1, "{away}");
        let none = around(FileSet::Nginx, NGINX, &set(&["127.0.0.1:8081", "10.8.0.2:8082"]));
        assert_eq!(none, NGINX);
    }
}
