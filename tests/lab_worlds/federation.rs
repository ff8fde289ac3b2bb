//! Two real homeservers that federate through their proxies: joining, messages, media, and a
//! transaction that is under way while the worker that takes it in restarts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use synprov::lab::Lab;
use synprov::lab::client::{Ask, Client};

use crate::world::{User, World, arrive, must};

const INVENTORY: &str = include_str!("../data/labs/federation.yaml");
/// What a process logs of a transaction that it took in.
const TAKEN_IN: &str = "Processed request.*PUT /_matrix/federation/v1/send/";
const PNG: &[u8] = include_bytes!("../../src/lab/picture.png");

/// A homeserver and a user of it.
struct Side {
    world: World,
    client: Client,
    user: User,
}

pub fn two_homeservers() {
    let inventory = |here: &str, there: &str| {
        INVENTORY
            .replace("ONE_SIDE", &format!("{here}.example"))
            .replace("OTHER_SIDE", &format!("{there}.example"))
    };
    let (north, south) = (inventory("north", "south"), inventory("south", "north"));
    let (north_lab, south_lab) = (World::boot("north", &north), World::boot("south", &south));
    let names = |side: &'static str| [format!("{side}.example"), format!("matrix.{side}.example")];
    let (north_names, south_names) = (names("north"), names("south"));
    north_lab
        .lab
        .meet(
            &north_names.each_ref().map(String::as_str),
            &south_lab.lab,
            &south_names.each_ref().map(String::as_str),
        )
        .unwrap();
    let north = Side::begin(north_lab, &north, "north");
    let south = Side::begin(south_lab, &south, "south");

    let room = joined_over_federation(&north, &south);
    messages_both_ways(&north, &south, &room);
    media_from_the_other_side(&north, &south);
    a_transaction_while_its_worker_restarts(&north, &south, &room);
    a_transaction_that_is_refused_comes_again(&north, &south, &room);
    who_did_it(&north, "south.example");
    who_did_it(&south, "north.example");
}

impl Side {
    fn begin(world: World, inventory: &str, name: &str) -> Self {
        world.apply(inventory);
        let client = world.client(&format!("matrix.{name}.example"), &format!("federation-{name}"));
        let user = arrive(&client, name);
        Self { world, client, user }
    }

    fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        must(&self.client, Some(&self.user), method, path, body)
    }

    fn say(&self, room: &str, text: &str) {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        self.must("PUT", &path, &json!({"msgtype": "m.text", "body": text}));
    }

    /// Bodies of the room's last hundred messages, oldest first.
    fn hears(&self, room: &str) -> Vec<String> {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
        let seen = self.must("GET", &path, &Value::Null);
        let bodies = seen["chunk"].as_array().unwrap().iter().rev();
        bodies.filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until these messages are there, each once and in this order.
    #[track_caller]
    fn hears_in_time(&self, room: &str, wanted: &[String]) {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let heard: Vec<String> =
                self.hears(room).into_iter().filter(|text| wanted.contains(text)).collect();
            if heard == wanted {
                return;
            }
            assert!(Instant::now() < until, "heard {heard:?}, wanted {wanted:?}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Journal lines of the units that match, as `UNIT MESSAGE`.
    fn journal(&self, containing: &str) -> Vec<String> {
        let script = format!(
            "journalctl --quiet --no-pager --output=json --output-fields=MESSAGE,_SYSTEMD_UNIT -u 'matrix*' --grep '{containing}' || true"
        );
        let text = sh(&self.world.lab, &script);
        text.lines()
            .filter_map(|line| {
                let entry: Value = serde_json::from_str(line).ok()?;
                let unit = entry["_SYSTEMD_UNIT"].as_str()?;
                let unit = unit.trim_start_matches("matrix_generic_worker@").trim_end_matches(".service");
                Some(format!("{unit} {}", entry["MESSAGE"].as_str()?))
            })
            .collect()
    }

    /// Short names of the units that logged such lines, a line each, oldest first.
    fn units_of(&self, containing: &str) -> Vec<String> {
        let lines = self.journal(containing);
        lines.iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
    }

    /// Numbers of the transactions of which the senders logged this, oldest first.
    fn transactions(&self, how: &str) -> Vec<String> {
        let number =
            |line: &String| Some(line.rsplit_once("/v1/send/")?.1.split([':', ' ']).next()?.to_owned());
        let lines = self.journal("v1/send/");
        lines
            .iter()
            .filter(|line| line.starts_with("sender") && line.contains(how))
            .filter_map(number)
            .collect()
    }
}

fn sh(lab: &Lab, script: &str) -> String {
    let output = lab.exec("hs1", &["bash", "-c", script]).unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// South finds north's room by its alias and joins it.
fn joined_over_federation(north: &Side, south: &Side) -> String {
    // Worlds that are kept have seen others of this name.
    let name = format!("both-{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let wish = json!({"preset": "public_chat", "name": "both", "room_alias_name": name});
    let room = north.must("POST", "/_matrix/client/v3/createRoom", &wish);
    let room = room["room_id"].as_str().unwrap().to_owned();
    let joined = south.must(
        "POST",
        &format!("/_matrix/client/v3/join/#{name}:north.example?via=north.example"),
        &json!({}),
    );
    assert_eq!(joined["room_id"], room.as_str());
    let members = south.must("GET", &format!("/_matrix/client/v3/rooms/{room}/joined_members"), &Value::Null);
    assert!(members["joined"].get("@north:north.example").is_some(), "{members}");
    eprintln!("seen   joined over federation");
    room
}

fn messages_both_ways(north: &Side, south: &Side, room: &str) {
    for n in 0..5 {
        north.say(room, &format!("north{n}"));
        south.say(room, &format!("south{n}"));
    }
    let texts = |side: &str| (0..5).map(|n| format!("{side}{n}")).collect::<Vec<_>>();
    south.hears_in_time(room, &texts("north"));
    north.hears_in_time(room, &texts("south"));
    eprintln!("seen   messages both ways");
}

fn media_from_the_other_side(north: &Side, south: &Side) {
    for (from, to) in [(north, south), (south, north)] {
        let ask = |client: &Client, token: &str, method: &str, path: &str, query: &str, body| {
            client.ask(Ask { method, path, query, token: Some(token), body })
        };
        let body = Some(("image/png", PNG));
        let up =
            ask(&from.client, &from.user.token, "POST", "/_matrix/media/v3/upload", "filename=p.png", body);
        let uri = up.json()["content_uri"].as_str().unwrap().trim_start_matches("mxc://").to_owned();
        let path = format!("/_matrix/client/v1/media/download/{uri}");
        let down = ask(&to.client, &to.user.token, "GET", &path, "", None);
        assert_eq!((down.status, down.body == PNG), (200, true), "{}", String::from_utf8_lossy(&down.body));
        let path = format!("/_matrix/client/v1/media/thumbnail/{uri}");
        let small = ask(&to.client, &to.user.token, "GET", &path, "width=32&height=32&method=scale", None);
        assert_eq!(small.status, 200, "{}", String::from_utf8_lossy(&small.body));
    }
    eprintln!("seen   media fetched from the other side, both ways");
}

/// The worker that takes north's transactions in restarts with one in its hands: the proxy hands it to
/// the other worker of the pool, and the sender hears of nothing.
fn a_transaction_while_its_worker_restarts(north: &Side, south: &Side, room: &str) {
    let inbound = |side: &Side| side.units_of(TAKEN_IN);
    let before = inbound(north);
    let worker = before.last().unwrap().clone();
    let unit = format!("'matrix_generic_worker@{worker}.service'");
    sh(&north.world.lab, &format!("systemctl kill --signal=STOP {unit}"));
    let texts: Vec<String> = (0..5).map(|n| format!("handed{n}")).collect();
    for text in &texts {
        south.say(room, text);
    }
    // It is under way, and nobody but the frozen one has it.
    sh(&north.world.lab, &format!("until {}; do sleep 0.1; done", request_waits(&unit)));
    assert!(!north.hears(room).contains(&texts[0]), "somebody else took it in at once");
    sh(&north.world.lab, &format!("systemctl kill --signal=KILL {unit}; systemctl restart {unit}"));
    north.hears_in_time(room, &texts);
    let after = inbound(north);
    let others: Vec<&String> = after[before.len()..].iter().filter(|name| **name != worker).collect();
    assert!(!others.is_empty(), "after {worker} died: {:?}", &after[before.len()..]);
    eprintln!("seen   a transaction in the hands of {worker} when it died went to {}", others[0]);
}

/// All of north that takes transactions in is away for a moment: the sender is refused and tries the same
/// one again.
fn a_transaction_that_is_refused_comes_again(north: &Side, south: &Side, room: &str) {
    let units = "'matrix_generic_worker@inbound*.service'";
    let before = south.transactions("Request failed").len();
    sh(&north.world.lab, &format!("systemctl kill --signal=STOP {units}"));
    let texts: Vec<String> = (0..10).map(|n| format!("retried{n}")).collect();
    for text in &texts {
        south.say(room, text);
    }
    sh(&north.world.lab, &format!("systemctl stop nginx; systemctl kill --signal=KILL {units}"));
    let until = Instant::now() + Duration::from_secs(60);
    while south.transactions("Request failed").len() == before {
        assert!(Instant::now() < until, "nothing was refused");
        std::thread::sleep(Duration::from_millis(300));
    }
    sh(&north.world.lab, &format!("systemctl start {units}; systemctl start nginx"));
    north.hears_in_time(room, &texts);
    let refused = south.transactions("Request failed").split_off(before);
    let taken = south.transactions("200 OK");
    let retried = refused.iter().find(|number| taken.contains(number));
    assert!(retried.is_some(), "refused {refused:?}, taken in {taken:?}");
    eprintln!(
        "seen   a transaction refused {} times while its workers restart, then taken in; no message lost or doubled",
        refused.len()
    );
}

/// A condition in the shell: a request waits at a listener of a unit's process, which does not read it.
fn request_waits(unit: &str) -> String {
    format!(
        "pid=$(systemctl show --property=MainPID --value {unit}) \
         && ports=$(ss -Hltnp | grep \"pid=$pid,\" | awk '{{n = split($4, at, \":\"); print at[n]}}') \
         && for port in $ports; do ss -Hatn \"sport = :$port\"; done | awk '$2 > 0 {{found = 1}} END {{exit !found}}'"
    )
}

/// Transactions were taken in by the inbound pool alone, and sent by the senders alone.
fn who_did_it(side: &Side, other: &str) {
    let taken = side.units_of(TAKEN_IN);
    let sent = side.units_of(&format!("\\[{other}\\] .*v1/send/"));
    assert!(!taken.is_empty() && taken.iter().all(|unit| unit.starts_with("inbound")), "{taken:?}");
    assert!(!sent.is_empty() && sent.iter().all(|unit| unit.starts_with("sender")), "{sent:?}");
    eprintln!(
        "seen   {other}: {} transactions in by the inbound pool, {} out by senders",
        taken.len(),
        sent.len()
    );
}
