//! How a story is told: sends what a user asks, and keeps each request with what became of it.
//!
//! Methods give `None` where an answer was no success; the list says why. Never in this file: what
//! is asked, and in which order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Ask, Client};
use super::verify::Told;

/// How long something may take to arrive at the other user.
pub(super) const ARRIVES: Duration = Duration::from_secs(30);

/// How long the processes that read may take to hear over replication what another has written.
const HEARD: Duration = Duration::from_secs(10);

/// A user that is logged in.
pub(super) struct User {
    pub(super) id: String,
    pub(super) device: String,
    pub(super) token: String,
    /// Position of the next /sync.
    pub(super) since: String,
}

/// Collects what is asked.
pub(super) struct Story<'a> {
    pub(super) client: &'a Client,
    pub(super) told: Vec<Told>,
}

impl Story<'_> {
    /// Registers and logs in.
    pub(super) fn arrive(&mut self, name: &str, password: &str) -> Option<User> {
        let auth = json!({"type": "m.login.dummy"});
        let wish = json!({"username": name, "password": password, "auth": auth, "inhibit_login": true});
        self.post(None, "register", "/_matrix/client/v3/register", wish)?;
        let mut user = self.log_in(name, password)?;
        self.sync(&mut user, 0)?;
        Some(user)
    }

    /// Logs in, by the whole id or what stands before the colon: a new device.
    pub(super) fn log_in(&mut self, name: &str, password: &str) -> Option<User> {
        let identifier = json!({"type": "m.id.user", "user": name});
        let wish = json!({"type": "m.login.password", "identifier": identifier, "password": password});
        let user = self.post(None, "log in", "/_matrix/client/v3/login", wish)?;
        let text = |key: &str| user[key].as_str().map(str::to_owned);
        let (id, device, token) = (text("user_id")?, text("device_id")?, text("access_token")?);
        Some(User { id, device, token, since: String::new() })
    }

    /// Reads. What is not there yet for the process that is asked is asked for again for a while: only
    /// the last answer is told.
    pub(super) fn get(&mut self, user: Option<&User>, what: &str, path: &str) -> Option<Value> {
        let until = Instant::now() + HEARD;
        loop {
            let before = self.told.len();
            let answer = self.ask(what, "GET", path, user, None);
            let unheard = self.told.last().is_some_and(|told| matches!(told.status, 403 | 404));
            if answer.is_some() || !unheard || Instant::now() >= until {
                return answer.map(|answer| answer.json());
            }
            self.told.truncate(before);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn put(&mut self, user: &User, what: &str, path: &str, body: Value) -> Option<Value> {
        let bytes = body.to_string().into_bytes();
        self.ask(what, "PUT", path, Some(user), Some(("application/json", &bytes)))
            .map(|answer| answer.json())
    }

    pub(super) fn post(&mut self, user: Option<&User>, what: &str, path: &str, body: Value) -> Option<Value> {
        let bytes = body.to_string().into_bytes();
        self.ask(what, "POST", path, user, Some(("application/json", &bytes))).map(|answer| answer.json())
    }

    pub(super) fn delete(&mut self, user: &User, what: &str, path: &str) -> Option<Value> {
        self.ask(what, "DELETE", path, Some(user), None).map(|answer| answer.json())
    }

    /// Asks with a token that is worth nothing any more, until it is refused.
    pub(super) fn refused(&mut self, user: &User, what: &str) {
        let until = Instant::now() + ARRIVES;
        let whoami = "/_matrix/client/v3/account/whoami";
        loop {
            let ask = Ask { method: "GET", path: whoami, query: "", token: Some(&user.token), body: None };
            let answer = self.client.ask(ask);
            if answer.status == 401 || Instant::now() >= until {
                let problem = (answer.status != 401).then(|| "the token still works".to_owned());
                return self.note(what, "GET", whoami, &answer, problem);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// One /sync from where the user stands; the very first is an initial one.
    pub(super) fn sync(&mut self, user: &mut User, timeout_ms: u32) -> Option<Value> {
        let (what, query) = match user.since.as_str() {
            "" => ("sync for the first time", format!("timeout={timeout_ms}")),
            since => ("sync", format!("timeout={timeout_ms}&since={since}")),
        };
        let sync = self.get(Some(user), what, &format!("/_matrix/client/v3/sync?{query}"))?;
        user.since = sync["next_batch"].as_str()?.to_owned();
        Some(sync)
    }

    /// Syncs until `there` sees what it looks for.
    pub(super) fn arrives(&mut self, user: &mut User, what: &str, there: impl Fn(&Value) -> bool) {
        let name = format!("receive {what}");
        self.until(ARRIVES, &name, |story| {
            let sync = story.sync(user, 3000)?;
            there(&sync).then_some(())
        });
    }

    /// Repeats until it works; only the last attempt is told, under this name.
    pub(super) fn until(
        &mut self,
        deadline: Duration,
        what: &str,
        mut attempt: impl FnMut(&mut Self) -> Option<()>,
    ) {
        let until = Instant::now() + deadline;
        let before = self.told.len();
        loop {
            self.told.truncate(before);
            let done = attempt(self).is_some();
            let late = Instant::now() >= until;
            if let Some(last) = self.told.last_mut().filter(|_| done || late) {
                what.clone_into(&mut last.what);
            }
            if done {
                return;
            }
            if late {
                self.expect(false, &format!("nothing within {} s", deadline.as_secs()));
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends one request; `path` may have a query. `None` unless the answer is a success.
    pub(super) fn ask(
        &mut self,
        what: &str,
        method: &str,
        path: &str,
        user: Option<&User>,
        body: Option<(&str, &[u8])>,
    ) -> Option<Answer> {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let token = user.map(|user| user.token.as_str());
        let answer = self.client.ask(Ask { method, path: bare, query, token, body });
        let problem = problem(&answer);
        let failed = problem.is_some();
        self.note(what, method, path, &answer, problem);
        (!failed).then_some(answer)
    }

    /// Tells of an answer that was had elsewhere.
    pub(super) fn record(&mut self, what: &str, method: &str, path: &str, answer: &Answer) -> Option<Value> {
        let problem = problem(answer);
        let failed = problem.is_some();
        self.note(what, method, path, answer, problem);
        (!failed).then(|| answer.json())
    }

    pub(super) fn note(
        &mut self,
        what: &str,
        method: &str,
        path: &str,
        answer: &Answer,
        problem: Option<String>,
    ) {
        self.told.push(Told {
            what: what.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            mark: answer.mark.clone(),
            status: answer.status,
            problem,
        });
    }

    /// Holds a wrong content against the request told last.
    pub(super) fn expect(&mut self, right: bool, problem: &str) {
        if let Some(last) = self.told.last_mut().filter(|last| !right && last.problem.is_none()) {
            last.problem = Some(problem.to_owned());
        }
    }
}

/// Why an answer is no success, with what the homeserver says about it.
fn problem(answer: &Answer) -> Option<String> {
    if let Some(problem) = &answer.problem {
        return Some(problem.clone());
    }
    if (200..300).contains(&answer.status) {
        return None;
    }
    let json = answer.json();
    let said = json["error"].as_str().or(json["errcode"].as_str()).unwrap_or("no Matrix error");
    Some(format!("status {}: {said}", answer.status))
}
