//! The catalogue held against what the processes of twelve Synapses registered (tests/data/registered).

use std::collections::{BTreeMap, BTreeSet};

use synprov::topology::audit::Misrouted;
use synprov::topology::catalogue::Catalogue;
use synprov::topology::registered::{Answer, Patterns, Registered};
use synprov::topology::{Request, Route, Topology};
use synprov::version::Version;

use crate::fresh;
use crate::site::Site;

/// Kinds of process by the letter that registered.txt has for them, with the processes of [`sites`].
const KINDS: [(char, &[&str]); 4] =
    [('l', &[]), ('m', &["main"]), ('g', &["all", "writer"]), ('x', &["media"])];

/// Release to what its kinds of process serve.
fn releases() -> Vec<(String, Vec<Registered>)> {
    let text = include_str!("../data/registered/registered.txt");
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let releases: Vec<&str> = lines.next().unwrap().split(' ').skip(1).collect();
    let lines: Vec<[&str; 6]> =
        lines.map(|line| line.splitn(6, ' ').collect::<Vec<_>>().try_into().unwrap()).collect();
    let position = |name: &str| releases.iter().position(|release| *release == name).unwrap();
    let mut patterns = Patterns::default();
    let mut kind = |at: usize, letter: char, processes: &[&str]| {
        let here = lines.iter().filter(|[first, last, kinds, ..]| {
            (position(first)..=position(last)).contains(&at) && kinds.contains(letter)
        });
        let served = here.map(|[_, _, _, methods, at, pattern]| {
            ((*at).to_owned(), methods.replace(',', " "), (*pattern).to_owned())
        });
        let processes = processes.iter().map(|name| (*name).to_owned()).collect();
        Registered::new(processes, served.collect(), &mut patterns).unwrap()
    };
    (0..releases.len())
        .map(|at| (releases[at].to_owned(), KINDS.map(|(letter, names)| kind(at, letter, names)).into()))
        .collect()
}

/// `1.163.2+mas` is Synapse 1.163.2.
fn version(release: &str) -> Version {
    Version::parse(release.trim_end_matches("+mas")).unwrap()
}

/// Every word on a worker, and what only handles it; without writers and with a writer of every stream.
fn sites(release: &str) -> [Site; 2] {
    let (catalogue, version) = (Catalogue::builtin().unwrap(), version(release));
    let streams: Vec<_> = catalogue.streams.iter().filter(|stream| stream.known(&version)).collect();
    // Words that are streams too are for their writers; wider words take the reading.
    let plain = |word: &&str| *word != "media" && catalogue.stream(word).is_none();
    let handled: Vec<&str> = catalogue.words().into_iter().filter(plain).collect();
    let written: Vec<&str> =
        streams.iter().filter(|stream| !stream.with_media).map(|stream| stream.name.as_str()).collect();
    let site = Site::new()
        .version(version.as_str())
        .pool(&format!("all on hs1 handles {}", handled.join(" ")))
        .pool("media on hs1 handles media");
    [site.clone(), site.pool(&format!("writer on hs1 writes {}", written.join(" ")))]
}

fn describe(found: &[Misrouted]) -> Vec<String> {
    found.iter().map(|one| format!("{} [{}] {}", one.sentence("X"), one.pattern, one.regex)).collect()
}

#[test]
fn no_route_of_the_catalogue_leads_to_a_404_in_any_release() {
    for (release, registered) in releases() {
        for site in sites(&release) {
            let found = fresh(&site).audit(&registered);
            assert_eq!(describe(&found), [] as [&str; 0], "{release}");
        }
    }
}

/// What a worker could serve and no class covers stays on main on purpose: each pattern has a reason.
#[test]
fn what_workers_could_serve_and_main_does_is_listed() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (release, registered) in releases() {
        let [_, site] = sites(&release);
        for (method, pattern) in unrouted(&fresh(&site), &registered) {
            found.entry(pattern).or_default().insert(method);
        }
    }
    let found: Vec<String> = found
        .into_iter()
        .map(|(pattern, methods)| format!("{} {pattern}", Vec::from_iter(methods).join(",")))
        .collect();
    let listed: Vec<&str> = include_str!("../data/registered/on-main.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let missing: Vec<_> = found.iter().filter(|line| !listed.contains(&line.as_str())).collect();
    assert!(missing.is_empty(), "not in on-main.txt: {missing:#?}");
    let gone: Vec<_> = listed.iter().filter(|line| !found.iter().any(|known| known == *line)).collect();
    assert!(gone.is_empty(), "in on-main.txt, and a class covers it: {gone:#?}");
}

/// Method and pattern of what a worker serves and none of whose paths is routed to a worker.
fn unrouted(topology: &Topology, registered: &[Registered]) -> Vec<(String, String)> {
    let router = topology.router();
    let mut found = Vec::new();
    for kind in registered.iter().filter(|kind| kind.processes.iter().any(|name| name != "main")) {
        for served in &kind.served {
            let samples = served.samples();
            for handled in served.methods.iter().filter(|handled| !handled.refused) {
                let method = handled.method.as_str();
                let mut asked =
                    samples.iter().filter(|path| kind.answer(method, path) == Answer::Served).peekable();
                let some = asked.peek().is_some();
                if some && asked.all(|path| router.route(&Request::new(method, path)).class == "main") {
                    // Releases before 1.158 leave the end of some patterns open.
                    found.push((method.to_owned(), served.pattern.trim_end_matches('$').to_owned()));
                }
            }
        }
    }
    found
}

/// Every endpoint of the catalogue exists on workers in some release that it is for, with each of its methods.
#[test]
fn no_endpoint_of_the_catalogue_is_unknown_to_synapse() {
    let releases = releases();
    let known = |registered: &[Registered], regex: &regex::Regex, method: &str| {
        let workers = registered.iter().filter(|kind| kind.processes.iter().any(|name| name != "main"));
        let served = workers.flat_map(|kind| &kind.served);
        let mut handled = served.filter(|served| served.methods.iter().any(|known| known.method == method));
        handled.any(|served| served.samples().iter().any(|path| regex.is_match(path)))
    };
    let mut unknown = Vec::new();
    for endpoint in Catalogue::builtin().unwrap().classes.iter().flat_map(|class| &class.endpoints) {
        let regex = regex::Regex::new(&endpoint.path).unwrap();
        for method in &endpoint.methods {
            let mut active = releases.iter().filter(|(release, _)| endpoint.active(&version(release)));
            if !active.any(|(_, registered)| known(registered, &regex, method)) {
                unknown.push(format!("{method} {}", endpoint.path));
            }
        }
    }
    assert_eq!(unknown, [] as [&str; 0]);
}

/// What an edited or outdated catalogue would do.
#[test]
fn a_route_to_a_404_and_a_route_past_a_worker_are_found() {
    let releases = releases();
    let (_, registered) = releases.iter().find(|(release, _)| release == "1.163.2").unwrap();
    let [_, site] = sites("1.163.2");
    let mut topology = fresh(&site);
    let reader = topology.routes.iter().find(|route| route.class == "client_reader").unwrap().clone();
    topology.routes.insert(0, Route { regex: "^/_matrix/client/v3/pushers".to_owned(), ..reader.clone() });
    topology.routes.insert(0, Route { regex: "^/_matrix/client/v3/pushrules/".to_owned(), ..reader });
    // Without its routes, media goes to main, which has handed it over.
    topology.routes.retain(|route| !route.regex.starts_with("^/_matrix/media/"));
    let found: Vec<String> = topology.audit(registered).iter().map(|one| one.sentence("1.163.2")).collect();
    insta::assert_snapshot!(found.join("\n"));
}
