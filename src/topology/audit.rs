//! The routes held against what an installed Synapse serves: no request that a lone main process
//! would serve may go to a process that answers 404 or raises.
//!
//! Every pattern that Synapse registers gives sample requests, every sample follows the routes as
//! the proxy would. Never in it: how the patterns were come by.

use std::collections::{BTreeSet, HashMap};

use regex::bytes::{Regex, RegexBuilder};

use super::registered::{Answer, Patterns, Registered, SCRIPT};
use super::routes::MAIN;
use super::types::{App, Instance, Route, Topology};
use crate::secret::sha256_hex;

/// More sentences than this help nobody.
const SENTENCES: usize = 20;

const HELP: &str = "keep such a class on main: take its word out of the pool's `handles:`; \
                    and report it, with the version of Synapse: synprov's table of endpoints is wrong for it";

/// Requests that would not be served where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misrouted {
    /// Methods that go wrong.
    pub methods: Vec<String>,
    /// One of the paths.
    pub path: String,
    /// Synapse's pattern behind it.
    pub pattern: String,
    /// Class of the route that takes it; `main`: none does.
    pub class: String,
    /// Regular expression of that route; empty: none.
    pub regex: String,
    /// Pool it goes to.
    pub pool: String,
    /// First process there that does not serve it.
    pub process: String,
    /// What that process does.
    pub answer: Answer,
}

impl Topology {
    /// Follows a sample of every request that Synapse serves through the routes.
    ///
    /// `registered`: what each kind of process on one host serves, main included, and a lone main.
    /// Processes of other hosts are not asked about: their own hosts are.
    pub fn audit(&self, registered: &[Registered]) -> Vec<Misrouted> {
        let audit = Audit::new(self, registered);
        let mut seen = BTreeSet::new();
        let mut found: Vec<Misrouted> = Vec::new();
        for kind in registered.iter().filter(|kind| audit.counts(kind)) {
            for served in &kind.served {
                for path in served.samples() {
                    for handled in &served.methods {
                        let method = handled.method.as_str();
                        if kind.answer(method, &path) == Answer::Served
                            && seen.insert((method.to_owned(), path.clone()))
                        {
                            audit.follow(method, &path, &served.pattern, &mut found);
                        }
                    }
                }
            }
        }
        found
    }

    /// What is wrong with the routes, in sentences, given what one host's Synapse said it serves: the
    /// lines of the script ([`SCRIPT`]). Empty: nothing.
    pub fn complaints(&self, lines: &[String]) -> Vec<String> {
        let mut patterns = Patterns::default();
        let read: Result<Vec<Registered>, String> =
            lines.iter().map(|line| Registered::read(line, &mut patterns)).collect();
        let registered = match read {
            Ok(registered) if registered.len() > 1 => registered,
            Ok(_) => return vec!["Synapse did not say what it serves".to_owned()],
            Err(error) => return vec![format!("Synapse could not be asked what it serves: {error}")],
        };
        let found = self.audit(&registered);
        let mut lines: Vec<String> = found.iter().map(|one| one.sentence(self.version.as_str())).collect();
        if lines.len() > SENTENCES {
            let more = lines.len() - SENTENCES;
            lines.truncate(SENTENCES);
            lines.push(format!("… and {more} more"));
        }
        if !lines.is_empty() {
            lines.push(HELP.to_owned());
        }
        lines
    }

    /// Digest of all that an audit depends on in the topology, short. Processes may come and go in it.
    pub fn audited(&self) -> String {
        let apps: HashMap<&str, App> =
            self.instances.iter().map(|instance| (instance.name.as_str(), instance.app)).collect();
        let kinds: HashMap<&str, BTreeSet<String>> = self
            .upstreams
            .iter()
            .map(|(name, upstream)| {
                let apps = upstream.servers.iter().filter_map(|server| apps.get(server.instance.as_str()));
                (name.as_str(), apps.map(|app| format!("{app:?}")).collect())
            })
            .collect();
        let none = BTreeSet::new();
        let routes: Vec<_> = self
            .routes
            .iter()
            .map(|route| {
                let kinds = kinds.get(route.upstream.as_str()).unwrap_or(&none);
                (&route.class, &route.regex, &route.methods, &route.conditions, kinds)
            })
            .collect();
        let digest = sha256_hex(format!("{SCRIPT}{routes:?}").as_bytes());
        digest.chars().take(16).collect()
    }

    fn instance(&self, name: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.name == name)
    }
}

struct Audit<'a> {
    topology: &'a Topology,
    registered: &'a [Registered],
    routes: Vec<(Regex, &'a Route)>,
}

/// A route's regular expression for paths as they are on the wire.
fn ascii(regex: &str) -> Option<Regex> {
    RegexBuilder::new(regex).unicode(false).dfa_size_limit(0).build().ok()
}

impl<'a> Audit<'a> {
    fn new(topology: &'a Topology, registered: &'a [Registered]) -> Self {
        let compiled = topology.routes.iter().filter_map(|route| Some((ascii(&route.regex)?, route)));
        Self { topology, registered, routes: compiled.collect() }
    }

    /// Whether requests that this kind serves have to be served. A lone main handles media; without
    /// media processes it is up to main's configuration whether anybody does.
    fn counts(&self, kind: &Registered) -> bool {
        let media = |instance: &Instance| instance.app == App::MediaRepository;
        !kind.processes.is_empty() || self.topology.instances.iter().any(media)
    }

    fn follow(&self, method: &str, path: &str, pattern: &str, found: &mut Vec<Misrouted>) {
        for route in self.routes_of(method, path) {
            let upstream = route.map_or(MAIN, |route| &route.upstream);
            let Some(upstream) = self.topology.upstreams.get(upstream) else { continue };
            for server in &upstream.servers {
                let Some(answer) = self.answer(&server.instance, route, method, path) else { continue };
                let class = route.map_or(MAIN, |route| &route.class);
                let alike = found.iter_mut().find(|known| {
                    known.pattern == pattern && known.class == class && known.pool == upstream.pool
                });
                match alike {
                    Some(known) if known.methods.iter().any(|known| known == method) => {}
                    Some(known) => known.methods.push(method.to_owned()),
                    None => found.push(Misrouted {
                        methods: vec![method.to_owned()],
                        path: path.to_owned(),
                        pattern: pattern.to_owned(),
                        class: class.to_owned(),
                        regex: route.map(|route| route.regex.clone()).unwrap_or_default(),
                        pool: upstream.pool.clone(),
                        process: server.instance.clone(),
                        answer,
                    }),
                }
            }
        }
    }

    /// Every route that may take such a request, depending on its query and on who asks; `None`: main,
    /// because no route takes it.
    fn routes_of(&self, method: &str, path: &str) -> Vec<Option<&'a Route>> {
        let mut routes = Vec::new();
        for (regex, route) in &self.routes {
            let methods = &route.methods;
            if (methods.is_empty() || methods.iter().any(|known| known == method))
                && regex.is_match(path.as_bytes())
            {
                routes.push(Some(*route));
                if route.conditions.is_empty() {
                    return routes;
                }
            }
        }
        routes.push(None);
        routes
    }

    /// What is wrong with this process for the request. `None`: it serves it, or is on another host.
    fn answer(&self, process: &str, route: Option<&Route>, method: &str, path: &str) -> Option<Answer> {
        let kind = self.registered.iter().find(|kind| kind.processes.iter().any(|name| name == process))?;
        let answer = kind.answer(method, path);
        let stream = route.and_then(|route| route.class.strip_prefix("stream:"));
        let writes = |stream: &str| {
            self.topology
                .instance(process)
                .is_some_and(|instance| instance.writes.iter().any(|written| written == stream))
        };
        match answer {
            Answer::Served => None,
            Answer::Refused if stream.is_some_and(writes) => None,
            answer => Some(answer),
        }
    }
}

impl Misrouted {
    /// One sentence: `POST /path goes to pool "client" (class login), whose processes answer 404 …`.
    pub fn sentence(&self, version: &str) -> String {
        let (methods, path, pool, class) = (self.methods.join(", "), &self.path, &self.pool, &self.class);
        let goes =
            if self.pool == MAIN { "main".to_owned() } else { format!("pool {pool:?} (class {class})") };
        format!("{methods} {path} goes to {goes}, where processes of Synapse {version} {}", self.answer)
    }
}
