//! What can be wrong with an inventory as a whole: references between its parts and Synapse's rules.
//!
//! Each check looks at the inventory alone and reports with places. Single values (spelling, types,
//! ranges) are the parser's business, addresses are `placement`'s, ports are `ports`'.

use indexmap::IndexMap;

use super::catalogue::Catalogue;
use super::instances::{MOST, Seat};
use super::roles::Role;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::inventory::{Datastore, Inventory, Pool, Proxy, ProxyKind, Tls};
use crate::version::Version;

/// All checks that need no placement.
pub(super) fn check(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
    roles: &IndexMap<String, Role>,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    hosts(inventory, &mut diagnostics);
    proxy(inventory, &mut diagnostics);
    renames(inventory, &mut diagnostics);
    for (name, pool) in &inventory.workers {
        if let Some((host, count)) = pool.hosts.iter().find(|(_, count)| *count > MOST) {
            let summary = format!("worker {name:?} has {count} processes on host {:?}", host.value);
            diagnostics.push(Diagnostic::error(host.span, summary).help(format!("at most {MOST}")));
        }
        if let Some(role) = roles.get(name) {
            words(name, pool, role, catalogue, &mut diagnostics);
            media(name, pool, role, catalogue, &mut diagnostics);
        }
    }
    streams(inventory, catalogue, version, &mut diagnostics);
    jobs(inventory, catalogue, &mut diagnostics);
    super::media::check(inventory, roles, &mut diagnostics);
    diagnostics
}

/// Two processes with one name: pool `sync` with two processes beside a pool `sync2`.
pub(super) fn names(inventory: &Inventory, seats: &[Seat]) -> Vec<Diagnostic> {
    let mut owners: IndexMap<&str, &str> = IndexMap::new();
    let mut diagnostics = Vec::new();
    for seat in seats {
        let Some(owner) = owners.insert(&seat.name, &seat.pool) else { continue };
        let summary =
            format!("pools {owner:?} and {:?} both have a process named {:?}", seat.pool, seat.name);
        diagnostics.push(
            Diagnostic::error(span_of(inventory, &seat.pool), summary)
                .help("rename one of them: process n of a pool is called NAMEn")
                .related(span_of(inventory, owner), format!("{owner:?} is here")),
        );
    }
    diagnostics
}

/// Where a pool, or main, stands.
pub(super) fn span_of(inventory: &Inventory, pool: &str) -> Span {
    inventory.workers.get(pool).map_or(inventory.main.host.span, |pool| pool.span)
}

fn hosts(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let mut used: Vec<(&Spanned<String>, String)> = vec![(&inventory.main.host, "main".to_owned())];
    for (store, what) in [(Some(&inventory.postgresql), "postgresql"), (inventory.redis.as_ref(), "redis")] {
        if let Some(Datastore::Host(host)) = store.map(|store| &store.value) {
            used.push((host, what.to_owned()));
        }
    }
    if let Some(proxy) = &inventory.proxy {
        used.extend(proxy.hosts.iter().map(|host| (host, "proxy".to_owned())));
    }
    for (name, pool) in &inventory.workers {
        used.extend(pool.hosts.iter().map(|(host, _)| (host, format!("worker {name:?}"))));
    }
    for (name, user) in used {
        match inventory.hosts.get(&name.value) {
            None => {
                let summary = format!("{user} is on host {:?}, which is not in hosts", name.value);
                let help = did_you_mean(&name.value, inventory.hosts.keys())
                    .unwrap_or_else(|| "add it to hosts, or name one that is there".to_owned());
                diagnostics.push(Diagnostic::error(name.span, summary).help(help));
            }
            Some(host) if host.retired || host.lost => {
                let state = if host.lost { "lost" } else { "retired" };
                let summary = format!("{user} is on host {:?}, which is {state}", name.value);
                diagnostics.push(
                    Diagnostic::error(name.span, summary)
                        .help(format!("move it to another host, or drop `{state}: true`"))
                        .related(host.span, format!("marked as {state} here")),
                );
            }
            Some(_) => {}
        }
    }
}

fn proxy(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let Some(proxy) = &inventory.proxy else { return };
    if proxy.hosts.is_empty() {
        diagnostics.push(Diagnostic::error(proxy.span, "proxy has no host").help("write `host: NAME`"));
    }
    for (at, host) in proxy.hosts.iter().enumerate() {
        if let Some(first) = proxy.hosts[..at].iter().find(|other| other.value == host.value) {
            diagnostics.push(
                Diagnostic::error(host.span, format!("proxy names host {:?} twice", host.value))
                    .related(first.span, "first here"),
            );
        }
    }
    front(proxy, diagnostics);
}

/// `tls: none` is for a proxy behind another one. If that is not believed, Synapse hears of http and of
/// one client: it redirects log-ins by SSO to https for ever (rest/client/login.py,
/// `SsoRedirectServlet`) and limits the rate of all clients together. With `includes` the vhost is not
/// ours, and may know better.
fn front(proxy: &Proxy, diagnostics: &mut Vec<Diagnostic>) {
    let plain = proxy.tls == Tls::None && proxy.kind.value != ProxyKind::Includes;
    if let Some(span) = proxy.tls_at.filter(|_| plain && proxy.trusted_proxies.is_empty()) {
        diagnostics.push(
            Diagnostic::warning(
                span,
                "tls: none without trusted_proxies: Synapse takes all requests for http from one client",
            )
            .help(
                "add trusted_proxies: [IP] with the addresses of the proxy in front, so that its \
                 X-Forwarded-For and X-Forwarded-Proto are believed",
            ),
        );
    }
}

fn renames(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    let mut claimed: IndexMap<&str, (&str, Span)> = IndexMap::new();
    for (name, pool) in &inventory.workers {
        let Some(was) = &pool.was else { continue };
        if let Some(other) = inventory.workers.get(&was.value) {
            diagnostics.push(
                Diagnostic::error(
                    was.span,
                    format!("worker {name:?} was {:?}, but that still exists", was.value),
                )
                .help("drop `was`, or the old pool")
                .related(other.span, "the old pool is here"),
            );
        }
        if let Some((other, span)) = claimed.insert(&was.value, (name, was.span)) {
            let summary = format!("workers {other:?} and {name:?} both were {:?}", was.value);
            diagnostics.push(Diagnostic::error(was.span, summary).related(span, "first said here"));
        }
    }
}

fn words(name: &str, pool: &Pool, role: &Role, catalogue: &Catalogue, diagnostics: &mut Vec<Diagnostic>) {
    let known = catalogue.words();
    for word in &pool.handles {
        if !known.contains(&word.value.as_str()) {
            let summary = format!("worker {name:?} handles {:?}, which is no class of endpoints", word.value);
            let help =
                did_you_mean(&word.value, &known).unwrap_or_else(|| format!("known: {}", known.join(", ")));
            diagnostics.push(Diagnostic::error(word.span, summary).help(help));
        }
        let writer_only =
            catalogue.classes.iter().find(|class| class.writer_only && class.words.contains(&word.value));
        if let Some(stream) = writer_only.and_then(|class| class.stream.as_ref())
            && !role.writes.contains(stream)
        {
            let summary = format!("worker {name:?} handles {:?} without writing that stream", word.value);
            diagnostics.push(Diagnostic::error(word.span, summary).help(format!(
                "write `writes: [{stream}]`: only the writer can serve it, and its endpoints follow"
            )));
        }
    }
    if pool.handles.is_empty() && pool.writes.is_empty() && pool.runs.is_empty() {
        diagnostics.push(
            Diagnostic::warning(pool.span, format!("worker {name:?} does nothing"))
                .help("say what it is for: `handles:`, `writes:` or `runs:`"),
        );
    }
}

fn media(name: &str, pool: &Pool, role: &Role, catalogue: &Catalogue, diagnostics: &mut Vec<Diagnostic>) {
    if role.media
        && let Some(other) = pool.handles.iter().find(|word| word.value != "media")
    {
        diagnostics.push(
            Diagnostic::error(other.span, format!("worker {name:?} handles media and {:?}", other.value))
                .help("media processes do nothing else: give the rest a pool of its own"),
        );
    }
    if role.media {
        return;
    }
    let alone = "only processes that handle media can: add it to the pool with `handles: [media]`";
    for word in pool.writes.iter().filter(|word| catalogue.stream(&word.value).is_some_and(|s| s.with_media))
    {
        let summary = format!("worker {name:?} writes {:?} but handles no media", word.value);
        diagnostics.push(Diagnostic::error(word.span, summary).help(alone));
    }
    for word in pool.runs.iter().filter(|word| catalogue.job(&word.value).is_some_and(|job| job.with_media)) {
        let summary = format!("worker {name:?} runs {:?} but handles no media", word.value);
        diagnostics.push(Diagnostic::error(word.span, summary).help(alone));
    }
}

fn streams(
    inventory: &Inventory,
    catalogue: &Catalogue,
    version: &Version,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, word) in said(inventory, |pool| &pool.writes) {
        let summary = match catalogue.stream(&word.value) {
            None => format!("worker {name:?} writes {:?}, which is no stream", word.value),
            Some(stream) if !stream.known(version) => {
                let since = stream.since();
                format!("worker {name:?} writes {:?}, which Synapse {version} does not have", word.value)
                    + &format!(" (since {since})")
            }
            Some(_) => continue,
        };
        let known: Vec<&str> =
            catalogue.streams.iter().filter(|s| s.known(version)).map(|s| s.name.as_str()).collect();
        let help =
            did_you_mean(&word.value, &known).unwrap_or_else(|| format!("known: {}", known.join(", ")));
        diagnostics.push(Diagnostic::error(word.span, summary).help(help));
    }
    for stream in catalogue.streams.iter().filter(|stream| !stream.shared(version)) {
        let what = format!("stream {:?} can have only one writer", stream.name);
        single(inventory, |pool| &pool.writes, &stream.name, &what, diagnostics);
    }
}

fn jobs(inventory: &Inventory, catalogue: &Catalogue, diagnostics: &mut Vec<Diagnostic>) {
    for (name, word) in said(inventory, |pool| &pool.runs) {
        if catalogue.job(&word.value).is_none() {
            let known: Vec<&str> = catalogue.jobs.iter().map(|job| job.name.as_str()).collect();
            let summary = format!("worker {name:?} runs {:?}, which is no job", word.value);
            let help =
                did_you_mean(&word.value, &known).unwrap_or_else(|| format!("known: {}", known.join(", ")));
            diagnostics.push(Diagnostic::error(word.span, summary).help(help));
        }
    }
    for job in catalogue.jobs.iter().filter(|job| !job.shared()) {
        let what = format!("job {:?} can be run by only one process", job.name);
        single(inventory, |pool| &pool.runs, &job.name, &what, diagnostics);
    }
}

/// Reports when all pools that say `word` have more than one process together.
fn single(
    inventory: &Inventory,
    list: impl Fn(&Pool) -> &Vec<Spanned<String>>,
    word: &str,
    what: &str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let sayings = said(inventory, list).filter(|(_, said)| said.value == word);
    let sayings: Vec<(&str, Span, u32)> =
        sayings.map(|(name, said)| (name, said.span, processes(&inventory.workers[name]))).collect();
    let total = sayings.iter().fold(0, |sum: u32, (_, _, count)| sum.saturating_add(*count));
    let Some((name, span, _)) = sayings.iter().rev().find(|(_, _, count)| *count > 0 && total > 1) else {
        return;
    };
    let mut diagnostic = Diagnostic::error(*span, format!("{what}, here are {total}"));
    diagnostic = match sayings.iter().find(|(other, ..)| other != name) {
        None => diagnostic
            .help(format!("give it a pool of its own with one process, or set `count: 1` for {name:?}")),
        Some((other, first, _)) => diagnostic
            .help(format!("take {word:?} from {name:?} or from {other:?}"))
            .related(*first, "first said here"),
    };
    diagnostics.push(diagnostic);
}

fn said(
    inventory: &Inventory,
    list: impl Fn(&Pool) -> &Vec<Spanned<String>>,
) -> impl Iterator<Item = (&str, &Spanned<String>)> {
    inventory
        .workers
        .iter()
        .flat_map(move |(name, pool)| list(pool).iter().map(move |word| (name.as_str(), word)))
}

fn processes(pool: &Pool) -> u32 {
    pool.hosts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// `did you mean "x"?` for the nearest of the known words, if one is near.
pub(super) fn did_you_mean<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>) -> Option<String> {
    nearest(word, known).map(|other| format!("did you mean {:?}?", other.as_ref()))
}

/// The nearest of the known words, if one is near.
pub(super) fn nearest<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let near = word.chars().count() / 3 + 1;
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(word, other.as_ref()), other))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}
