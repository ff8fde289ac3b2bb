//! Users who sync, send, read and upload, in threads of their own, and what became of every request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use synprov::lab::client::{Ask, Client};

use crate::world::{User, arrive, must};

const PNG: &[u8] = include_bytes!("../../src/lab/picture.png");
/// Long polls are this long, milliseconds.
const POLL: u32 = 8000;
/// How long everything may take to arrive once nobody sends any more.
const ARRIVES: Duration = Duration::from_secs(60);
/// Everything in one go: no gap in a timeline that would have to be filled by other requests.
const FILTER: &str = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A1000%7D%7D%7D";

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Pool that should serve it.
    pub pool: &'static str,
    /// Since the load began.
    pub at: Duration,
    pub took: Duration,
    pub status: u16,
    pub what: String,
}

impl Request {
    pub fn failed(&self) -> bool {
        !(200..300).contains(&self.status)
    }
}

/// A load on one homeserver.
pub struct Load {
    client: Client,
    users: Vec<User>,
    room: String,
    began: Instant,
    sending: AtomicBool,
    /// Nobody sends any more: what was sent is all that has to arrive.
    complete: AtomicBool,
    /// Messages that were taken in.
    sent: Mutex<Vec<String>>,
    /// Every request, in the order in which they ended.
    pub requests: Mutex<Vec<Request>>,
    number: AtomicUsize,
}

impl Load {
    /// Users in a room of theirs.
    pub fn new(client: Client, users: usize) -> Self {
        let users: Vec<User> = (0..users).map(|n| arrive(&client, &format!("user{n}"))).collect();
        let wish = json!({"preset": "public_chat", "name": "load"});
        let room = must(&client, Some(&users[0]), "POST", "/_matrix/client/v3/createRoom", &wish);
        let room = room["room_id"].as_str().unwrap().to_owned();
        for user in &users[1..] {
            must(&client, Some(user), "POST", &format!("/_matrix/client/v3/join/{room}"), &json!({}));
        }
        Self {
            client,
            users,
            room,
            began: Instant::now(),
            sending: AtomicBool::new(true),
            complete: AtomicBool::new(false),
            sent: Mutex::default(),
            requests: Mutex::default(),
            number: AtomicUsize::new(0),
        }
    }

    /// Runs the load while `during` runs, at least `at_least`, and until everybody has seen every message.
    /// Gives back what `during` gives, and what each user saw.
    pub fn run<T>(&self, at_least: Duration, during: impl FnOnce() -> T) -> (T, Vec<Vec<String>>) {
        std::thread::scope(|scope| {
            let syncing: Vec<_> = self.users.iter().map(|user| scope.spawn(|| self.syncs(user))).collect();
            let sending: Vec<_> =
                self.users.iter().take(2).map(|user| scope.spawn(|| self.sends(user))).collect();
            for user in self.users.iter().take(2) {
                scope.spawn(|| self.reads(user));
            }
            scope.spawn(|| self.uploads(&self.users[0]));
            // However it ends, the others end too.
            let stop = Stop(self);
            let done = during();
            while self.began.elapsed() < at_least {
                std::thread::sleep(Duration::from_millis(100));
            }
            self.sending.store(false, Ordering::Relaxed);
            sending.into_iter().for_each(|thread| thread.join().unwrap());
            drop(stop);
            let seen = syncing.into_iter().map(|thread| thread.join().unwrap()).collect();
            (done, seen)
        })
    }

    /// Messages that were taken in.
    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }

    /// A line of figures.
    pub fn figures(&self) -> String {
        let requests = self.requests.lock().unwrap();
        let seconds = requests.iter().map(|one| one.at + one.took).max().unwrap_or_default().as_secs_f32();
        let mut pools: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for one in requests.iter() {
            let (all, failed) = pools.entry(one.pool).or_default();
            *all += 1;
            *failed += usize::from(one.failed());
        }
        let failed = requests.iter().filter(|one| one.failed()).count();
        let pools: Vec<String> =
            pools.iter().map(|(pool, (all, failed))| format!("{pool} {all} ({failed} failed)")).collect();
        let slow = requests.iter().filter(|one| one.pool != "sync").map(|one| one.took).max();
        format!(
            "{} requests in {seconds:.0} s ({:.1} a second), {failed} failed: {}; slowest but for long polls {:.1} s",
            requests.len(),
            requests.len() as f32 / seconds,
            pools.join(", "),
            slow.unwrap_or_default().as_secs_f32(),
        )
    }

    fn goes_on(&self) -> bool {
        self.sending.load(Ordering::Relaxed)
    }

    fn ask(&self, pool: &'static str, ask: Ask<'_>) -> Option<Value> {
        let at = self.began.elapsed();
        let began = Instant::now();
        let answer = self.client.ask(ask);
        let what = match answer.status {
            200..300 => String::new(),
            status => format!(
                "{} {}: {status} {} {}",
                ask.method,
                ask.path,
                answer.problem.clone().unwrap_or_default(),
                String::from_utf8_lossy(&answer.body).chars().take(200).collect::<String>()
            ),
        };
        let request = Request { pool, at, took: began.elapsed(), status: answer.status, what };
        let failed = request.failed();
        self.requests.lock().unwrap().push(request);
        if failed {
            // Nobody hammers.
            std::thread::sleep(Duration::from_millis(200));
        }
        (!failed).then(|| answer.json())
    }

    /// Bodies of all messages, as /sync brings them, until every one that was sent has come.
    fn syncs(&self, user: &User) -> Vec<String> {
        let (mut since, mut seen) = (String::new(), Vec::new());
        let mut until = None;
        loop {
            let query = if since.is_empty() {
                format!("timeout=0&filter={FILTER}")
            } else {
                format!("timeout={POLL}&since={since}&filter={FILTER}")
            };
            let path = "/_matrix/client/v3/sync";
            let token = Some(user.token.as_str());
            let answer = self.ask("sync", Ask { method: "GET", path, query: &query, token, body: None });
            if let Some(answer) = answer {
                since = answer["next_batch"].as_str().unwrap().to_owned();
                let timeline = &answer["rooms"]["join"][&self.room]["timeline"];
                let events = timeline["events"].as_array().map_or(&[][..], Vec::as_slice);
                let bodies = events.iter().filter_map(|event| event["content"]["body"].as_str());
                seen.extend(bodies.map(str::to_owned));
            }
            if self.complete.load(Ordering::Relaxed) {
                let until = *until.get_or_insert_with(|| Instant::now() + ARRIVES);
                let sent = self.sent();
                if sent.iter().all(|text| seen.contains(text)) || Instant::now() > until {
                    return seen;
                }
            }
        }
    }

    fn sends(&self, user: &User) {
        while self.goes_on() {
            let text = format!("message {}", self.number.fetch_add(1, Ordering::Relaxed));
            let transaction = text.replace(' ', "-");
            let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{transaction}", self.room);
            let body = json!({"msgtype": "m.text", "body": text}).to_string();
            let body = Some(("application/json", body.as_bytes()));
            let token = Some(user.token.as_str());
            let ask = Ask { method: "PUT", path: &path, query: "", token, body };
            if self.ask("sending", ask).is_some() {
                self.sent.lock().unwrap().push(text);
            }
            std::thread::sleep(Duration::from_millis(800));
        }
    }

    fn reads(&self, user: &User) {
        let paths = [
            "/_matrix/client/v3/joined_rooms".to_owned(),
            format!("/_matrix/client/v3/rooms/{}/members", self.room),
            "/_matrix/client/v3/account/whoami".to_owned(),
            "/_matrix/client/versions".to_owned(),
        ];
        for path in paths.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let token = Some(user.token.as_str());
            self.ask("client", Ask { method: "GET", path, query: "", token, body: None });
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn uploads(&self, user: &User) {
        while self.goes_on() {
            let token = Some(user.token.as_str());
            let body = Some(("image/png", PNG));
            let path = "/_matrix/media/v3/upload";
            let up = self.ask("media", Ask { method: "POST", path, query: "filename=p.png", token, body });
            if let Some(uri) = up.as_ref().and_then(|up| up["content_uri"].as_str()?.strip_prefix("mxc://")) {
                let path = format!("/_matrix/client/v1/media/download/{uri}");
                self.ask("media", Ask { method: "GET", path: &path, query: "", token, body: None });
            }
            std::thread::sleep(Duration::from_millis(700));
        }
    }
}

struct Stop<'l>(&'l Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.sending.store(false, Ordering::Relaxed);
        self.0.complete.store(true, Ordering::Relaxed);
    }
}
