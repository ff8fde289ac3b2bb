//! Two homeservers, messages from one to the other, and the list of its federation senders changes
//! meanwhile: from one to three and back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use synprov::lab::client::Client;

use crate::world::{User, World, arrive, must, send};

const INVENTORY: &str = include_str!("../data/labs/federation.yaml");
/// How long everything may take to arrive.
const ARRIVES: Duration = Duration::from_secs(120);

struct Side {
    world: World,
    client: Client,
    user: User,
}

fn inventory(here: &str, there: &str, senders: usize) -> String {
    INVENTORY
        .replace("ONE_SIDE", &format!("{here}.example"))
        .replace("OTHER_SIDE", &format!("{there}.example"))
        .replace("sender: {host: hs1, count: 2", &format!("sender: {{host: hs1, count: {senders}"))
}

impl Side {
    fn begin(world: World, directory: &std::path::Path, inventory: &str, name: &str) -> Self {
        world.apply_in(directory, inventory).exits(0);
        let client = world.client(&format!("matrix.{name}.example"), &format!("senders-{name}"));
        let user = arrive(&client, name);
        Self { world, client, user }
    }

    /// All bodies of the room, oldest first.
    fn hears(&self, room: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        let mut from = String::new();
        loop {
            let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=500{from}");
            let page = must(&self.client, Some(&self.user), "GET", &path, &Value::Null);
            let chunk = page["chunk"].as_array().unwrap();
            bodies.extend(
                chunk.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)),
            );
            match page["end"].as_str().filter(|_| !chunk.is_empty()) {
                Some(end) => from = format!("&from={end}"),
                None => break,
            }
        }
        bodies.reverse();
        bodies
    }
}

pub fn one_three_one() {
    let (north, south) =
        (inventory("senders-north", "senders-south", 1), inventory("senders-south", "senders-north", 1));
    let (north_lab, south_lab) = (World::boot("senders-north", &north), World::boot("senders-south", &south));
    let names = |side: &str| [format!("{side}.example"), format!("matrix.{side}.example")];
    let (north_names, south_names) = (names("senders-north"), names("senders-south"));
    let (north_names, south_names) =
        (north_names.each_ref().map(String::as_str), south_names.each_ref().map(String::as_str));
    north_lab.lab.meet(&north_names, &south_lab.lab, &south_names).unwrap();
    let directories = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let north = Side::begin(north_lab, directories.0.path(), &north, "senders-north");
    let south = Side::begin(south_lab, directories.1.path(), &south, "senders-south");
    let wish = json!({"preset": "public_chat", "name": "senders", "room_alias_name": "senders"});
    let room = must(&north.client, Some(&north.user), "POST", "/_matrix/client/v3/createRoom", &wish);
    let room = room["room_id"].as_str().unwrap().to_owned();
    let path = "/_matrix/client/v3/join/#senders:senders-north.example?via=senders-north.example";
    must(&south.client, Some(&south.user), "POST", path, &json!({}));

    let goes_on = AtomicBool::new(true);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = Vec::new();
            while goes_on.load(Ordering::Relaxed) {
                let text = format!("message-{}", sent.len());
                let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
                // While main is away nothing is taken in: the same one is sent again, as clients do.
                let body = json!({"msgtype": "m.text", "body": text});
                let answer = send(&north.client, Some(&north.user), "PUT", &path, &body);
                if answer.status == 200 {
                    sent.push(text);
                }
                std::thread::sleep(Duration::from_millis(150));
            }
            sent
        });
        struct Stop<'g>(&'g AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        let stop = Stop(&goes_on);
        for senders in [3, 1] {
            std::thread::sleep(Duration::from_secs(3));
            let began = Instant::now();
            let text = inventory("senders-north", "senders-south", senders);
            let answer = north.world.apply_in(directories.0.path(), &text).exits(0);
            let stops =
                answer.text.lines().filter(|line| line.starts_with('[') && line.contains(": stop ")).count();
            eprintln!(
                "seen   {senders} senders after {:.0} s and {stops} stops",
                began.elapsed().as_secs_f32()
            );
        }
        std::thread::sleep(Duration::from_secs(3));
        drop(stop);
        sending.join().unwrap()
    });
    assert!(sent.len() > 50, "only {} messages were sent", sent.len());
    let until = Instant::now() + ARRIVES;
    loop {
        let heard: Vec<String> =
            south.hears(&room).into_iter().filter(|text| text.starts_with("message-")).collect();
        let missing = sent.iter().filter(|text| !heard.contains(text)).count();
        let twice =
            heard.iter().filter(|text| heard.iter().filter(|other| other == text).count() > 1).count();
        assert_eq!(twice, 0, "some came twice: {heard:?}");
        if missing == 0 {
            eprintln!(
                "seen   {} messages sent meanwhile, each once in the other side's timeline",
                sent.len()
            );
            break;
        }
        assert!(Instant::now() < until, "{missing} of {} messages have not arrived", sent.len());
        std::thread::sleep(Duration::from_millis(500));
    }
    crate::settled(directories.0.path());
}
