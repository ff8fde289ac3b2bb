//! A lone main and the same homeserver with everything on workers, asked the same: `requests.txt`.
//!
//! Both must answer with the same status and the same Matrix error code: no 404 and no 5xx on workers
//! for anything that a lone main would have served.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use synprov::lab::client::Client;
use synprov::lab::verify::{Process, served_by};
use synprov::topology::{Instance, Request as Call};

use crate::world::{User, World, arrive, must, send};

const REQUESTS: &str = include_str!("requests.txt");

/// One request with its words still to be filled in.
struct Request {
    who: String,
    method: String,
    path: String,
    body: String,
}

/// Status and Matrix error code.
#[derive(Debug, PartialEq, Eq)]
struct Seen(u16, String);

/// A homeserver that is asked, and what its words stand for.
struct Asked<'a> {
    client: &'a Client,
    users: BTreeMap<&'static str, User>,
    words: BTreeMap<&'static str, String>,
}

/// Asks both; says how many requests were compared, by answer. Panics with every difference, and with every
/// request that another process than the topology's served.
pub fn compare(lone: &World, workers: &World) -> String {
    let door = "matrix.worlds.example";
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let run = format!("table{began}");
    let (one, other) = (lone.client(door, &run), workers.client(door, &run));
    let (one, other) = (Asked::new(&one, lone), Asked::new(&other, workers));
    let requests = requests();
    let (mut differences, mut marks) = (Vec::new(), Vec::new());
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for request in &requests {
        let (right, _) = one.ask(request);
        *answers.entry(right.0).or_default() += 1;
        let (mut seen, mut asked) = other.ask(request);
        // What one process wrote, another reads a moment later.
        for _ in 0..20 {
            if seen == right || request.method != "GET" {
                break;
            }
            std::thread::sleep(Duration::from_millis(250));
            (seen, asked) = other.ask(request);
        }
        marks.push(asked);
        if seen != right || (seen.0 >= 500 && right.0 < 500) {
            let Request { who, method, path, .. } = request;
            differences.push(format!("{who} {method} {path}: lone main {right:?}, workers {seen:?}"));
        }
    }
    let (served, strangers) = who_served(workers, began, &run, &requests, &marks);
    differences.extend(strangers);
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        requests.len(),
        differences.join("\n")
    );
    let answers: Vec<String> =
        answers.iter().map(|(status, number)| format!("{number} with {status}")).collect();
    format!(
        "{} requests: {}; {served} of them are in a log, each in that of a process the topology names",
        requests.len(),
        answers.join(", ")
    )
}

/// How many requests a process logged, and those that another than the topology's did. What the proxy
/// answers itself is in no log of Synapse's, nor is `/health`.
fn who_served(
    world: &World,
    since: u64,
    run: &str,
    requests: &[Request],
    marks: &[(String, String)],
) -> (usize, Vec<String>) {
    let topology = world.topology();
    let process = |one: &Instance| Process {
        instance: one.name.clone(),
        host: one.host.clone(),
        unit: one.unit.clone(),
        log: None,
    };
    let processes: Vec<Process> = topology.instances.iter().map(process).collect();
    // A media worker's and main's answers are logged like all others; the last one is waited for.
    let last: Vec<&str> = marks.iter().rev().take(1).map(|(_, mark)| mark.as_str()).collect();
    let served = served_by(&world.lab, &processes, since, run, &last).unwrap();
    let router = topology.router();
    let mut strangers = Vec::new();
    for (request, (path, mark)) in requests.iter().zip(marks) {
        let expected = router.route(&Call::new(&request.method, path)).instances;
        if let Some(by) = served.get(mark).filter(|by| !expected.contains(by)) {
            strangers.push(format!(
                "{} {path}: served by {by}, not by {}",
                request.method,
                expected.join(" or ")
            ));
        }
    }
    (marks.iter().filter(|(_, mark)| served.contains_key(mark)).count(), strangers)
}

impl<'a> Asked<'a> {
    /// Users, rooms and whatever else the words stand for.
    fn new(client: &'a Client, world: &World) -> Self {
        // Worlds that are kept have seen others of these names.
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        world.make_admin(&format!("root-{run}"));
        let users: BTreeMap<_, _> = ["alice", "bob", "carol", "root"]
            .into_iter()
            .map(|name| (name, arrive(client, &format!("{name}-{run}"))))
            .collect();
        let (alice, bob) = (&users["alice"], &users["bob"]);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let wish = json!({"preset": "private_chat", "name": "table", "room_alias_name": format!("table-{run}"), "invite": [bob.id]});
        let room =
            text(&must(client, Some(alice), "POST", "/_matrix/client/v3/createRoom", &wish), "room_id");
        must(client, Some(bob), "POST", &format!("/_matrix/client/v3/join/{room}"), &json!({}));
        let wish = json!({"preset": "public_chat", "name": "public"});
        let public =
            text(&must(client, Some(alice), "POST", "/_matrix/client/v3/createRoom", &wish), "room_id");
        let say = |transaction: &str| {
            let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}");
            must(client, Some(alice), "PUT", &path, &json!({"msgtype": "m.text", "body": "hello"}))
        };
        let event = text(&say("first"), "event_id");
        let redacted = text(&say("second"), "event_id");
        let delay = text(&say("third?org.matrix.msc4140.delay=3600000"), "delay_id");
        let filter = format!("/_matrix/client/v3/user/{}/filter", alice.id);
        let filter = text(&must(client, Some(alice), "POST", &filter, &json!({"room": {}})), "filter_id");
        let wish = json!({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "abc"}});
        let backup = text(
            &must(client, Some(alice), "POST", "/_matrix/client/v3/room_keys/version", &wish),
            "version",
        );
        let media = client.ask(synprov::lab::client::Ask {
            method: "POST",
            path: "/_matrix/media/v3/upload",
            query: "filename=p.png",
            token: Some(&alice.token),
            body: Some(("image/png", include_bytes!("../../src/lab/picture.png"))),
        });
        let media = text(&media.json(), "content_uri").trim_start_matches("mxc://").to_owned();
        let since =
            text(&must(client, Some(alice), "GET", "/_matrix/client/v3/sync", &Value::Null), "next_batch");
        let mut words = BTreeMap::from([
            ("<here>", "worlds.example".to_owned()),
            ("<alias>", format!("#table-{run}:worlds.example")),
            ("<name>", format!("alice-{run}")),
            ("<device>", alice.device.clone()),
            ("<room>", room),
            ("<public>", public),
            ("<event>", event),
            ("<redacted>", redacted),
            ("<delay>", delay),
            ("<filter>", filter),
            ("<backup>", backup),
            ("<id>", media.rsplit('/').next().unwrap().to_owned()),
            ("<media>", media),
            ("<since>", since),
        ]);
        for (word, name) in [("<alice>", "alice"), ("<bob>", "bob"), ("<carol>", "carol")] {
            words.insert(word, users[name].id.clone());
        }
        for (word, value) in &words {
            assert!(!value.is_empty(), "{word} is empty in {}", world.lab.state().name);
        }
        Self { client, users, words }
    }

    /// The answer, and the path that was asked with its mark.
    fn ask(&self, request: &Request) -> (Seen, (String, String)) {
        let fill = |text: &str| {
            self.words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
        };
        let user = (request.who != "-").then(|| &self.users[request.who.as_str()]);
        let body: Value = match request.body.as_str() {
            "" => Value::Null,
            body => serde_json::from_str(&fill(body)).unwrap(),
        };
        let path = fill(&request.path);
        let reply = send(self.client, user, &request.method, &path, &body);
        let code = reply.json()["errcode"].as_str().unwrap_or_default().to_owned();
        (Seen(reply.status, code), (path, reply.mark))
    }
}

/// The table, its alternatives written out.
fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for line in REQUESTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let (who, method, path, body) = (next(), next(), next(), next());
        for path in alternatives(&path) {
            let path = path.replace("<n>", &requests.len().to_string());
            requests.push(Request { who: who.clone(), method: method.clone(), path, body: body.clone() });
        }
    }
    requests
}

/// `a{b,c}d` is `abd` and `acd`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (inside, after) = rest.split_once('}').unwrap();
    inside.split(',').flat_map(|word| alternatives(&format!("{before}{word}{after}"))).collect()
}

#[test]
fn the_table_is_broad() {
    let requests = requests();
    assert!(requests.len() >= 400, "{} requests", requests.len());
    for request in &requests {
        assert!(request.path.starts_with('/') && !request.path.contains(['{', '}']), "{}", request.path);
    }
}
