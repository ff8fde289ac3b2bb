//! The sessions of an apply: a thread for each host, and another one where the first was lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::news::News;
use super::session::{self, Order};
use super::{Interrupts, Observer};
use crate::facts::generation::Wanted;
use crate::facts::request::{Also, Mode, request};
use crate::facts::{Connection, HostError, HostErrorKind, HostFacts};
use crate::resource::Resource;

/// How long hosts that were lost are tried: a script that hears nothing for 60 s ends once its step has,
/// and only then lets go of the lock.
const PATIENCE: Duration = Duration::from_secs(100);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Logs in to a host of the run.
pub type Connect = Arc<dyn Fn(&str) -> Result<Connection, HostError> + Send + Sync>;

/// How hosts are called.
pub struct Calling<'a> {
    /// Of the deployment.
    pub server_name: &'a str,
    /// Of this run.
    pub nonce: &'a str,
    /// Names this run to others that find a lock taken.
    pub who: &'a str,
    /// Logs in.
    pub connect: Connect,
}

/// Takes locks, and gives orders to those who hold them. Dropped, it ends all sessions and waits for them.
pub struct Sessions {
    /// What each host is asked first, in mode apply.
    requests: BTreeMap<String, String>,
    /// What a host is asked that is to have nothing.
    nothing: String,
    connect: Connect,
    news_in: Sender<(String, News)>,
    threads: Vec<JoinHandle<()>>,
    /// Where they all tell their news.
    pub(super) news: Receiver<(String, News)>,
    /// The way to order more of each host.
    pub(super) hosts: IndexMap<String, Sender<Order>>,
}

/// What hosts said under their locks, and who could not be locked.
pub type Locked = (IndexMap<String, HostFacts>, Vec<(String, HostError)>);

impl Sessions {
    /// For these resources; nobody is called yet.
    pub fn new(resources: &[Resource], calling: &Calling<'_>) -> Self {
        let Calling { server_name, nonce, who, connect } = calling;
        let also = Also { generations: Some(Wanted::Current), ..Also::default() };
        let mut here: BTreeMap<String, Vec<&Resource>> = BTreeMap::new();
        for resource in resources {
            here.entry(resource.address.host.clone()).or_default().push(resource);
        }
        let asked = |host: &[&Resource]| request(Mode::Apply, server_name, nonce, who, host, also);
        let requests = here.into_iter().map(|(host, here)| (host, asked(&here))).collect();
        let (nothing, connect) = (asked(&[]), Arc::clone(connect));
        let (news_in, news) = channel();
        Self { requests, nothing, connect, news_in, threads: Vec::new(), news, hosts: IndexMap::new() }
    }

    /// Takes the locks of these hosts, at most `forks` at a time, over connections that are open or over new ones.
    /// Who holds one goes on doing so until this is dropped.
    pub fn lock(&mut self, hosts: Vec<(String, Option<Connection>)>, forks: usize) -> Locked {
        let (mut found, mut errors) = (BTreeMap::new(), Vec::new());
        let count = hosts.len();
        let mut turns = hosts.into_iter();
        for (host, open) in turns.by_ref().take(forks.max(1)) {
            self.open(host, open);
        }
        while found.len() + errors.len() < count {
            match self.news.recv() {
                Ok((host, News::Locked(facts))) => drop(found.insert(host, *facts)),
                Ok((host, News::Failed(error))) => {
                    // It may have been locked, and lost while others were waited for.
                    found.remove(&host);
                    errors.push((host, error));
                }
                Ok(_) => continue,
                Err(_) => break,
            }
            if let Some((host, open)) = turns.next() {
                self.open(host, open);
            }
        }
        errors.sort_by_key(|(host, _)| self.hosts.get_index_of(host));
        let facts = self.hosts.keys().filter_map(|host| Some((host.clone(), found.remove(host)?))).collect();
        (facts, errors)
    }

    /// Begins a session, which takes the lock and asks for the facts under it.
    fn open(&mut self, host: String, open: Option<Connection>) {
        let request = self.requests.get(&host).unwrap_or(&self.nothing).clone();
        let (orders_in, orders) = channel();
        let (connect, news) = (Arc::clone(&self.connect), self.news_in.clone());
        let name = host.clone();
        let serve = move || session::serve(&name, open, &request, &*connect, &orders, &news);
        self.threads.push(std::thread::spawn(serve));
        self.hosts.insert(host, orders_in);
    }

    /// The last word: end once what was begun is done, or at once.
    pub(super) fn dismiss(&self, leave: bool) {
        for orders in self.hosts.values() {
            // A session that has ended already needs no order to.
            drop(orders.send(if leave { Order::Leave } else { Order::Quit }));
        }
    }

    /// Logs in once more to hosts whose sessions were lost, and waits until what still runs there has let go
    /// of the lock. `before`: facts from before they were lost.
    ///
    /// Errors: a line for each host that was not to be had in time, or where somebody else applied meanwhile.
    pub(super) fn reopen(
        &mut self,
        lost: &[String],
        before: &IndexMap<String, HostFacts>,
        interrupts: &Interrupts,
        observer: &mut dyn Observer,
    ) -> Result<(), Vec<String>> {
        let until = Instant::now() + PATIENCE;
        // What was said last by sessions that are no more.
        while self.news.try_recv().is_ok() {}
        let mut errors = Vec::new();
        for host in lost {
            observer.reconnects(host);
            match self.reopened(host, until, interrupts) {
                Ok(now) if before.get(host).map(HostFacts::generation_number) != Some(now) => {
                    errors
                        .push(format!("{host} is in generation {now} now: somebody else applied meanwhile"));
                }
                Ok(_) => {}
                Err(error) => errors.push(format!("{host} could not be had again: {error}")),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The number of the generation that the host is in.
    fn reopened(&mut self, host: &str, until: Instant, interrupts: &Interrupts) -> Result<u64, HostError> {
        loop {
            self.open(host.to_owned(), None);
            let error = match self.locked(host, interrupts) {
                Ok(generation) => return Ok(generation),
                Err(error) => error,
            };
            if error.kind == HostErrorKind::Unfit || Instant::now() > until || pause(interrupts) {
                return Err(error);
            }
        }
    }

    /// Until the host says that it holds the lock, or why not; the number of its generation.
    fn locked(&self, host: &str, interrupts: &Interrupts) -> Result<u64, HostError> {
        loop {
            match self.news.recv_timeout(Duration::from_millis(50)) {
                Ok((from, News::Locked(facts))) if from == host => return Ok(facts.generation_number()),
                Ok((from, News::Failed(error))) if from == host => return Err(error),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)
                    if interrupted(interrupts) =>
                {
                    return Err(HostError::unreachable("interrupted", None));
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        // Without anybody to order, each of them quits.
        self.hosts.clear();
        for thread in self.threads.drain(..) {
            // What ended in a panic has told of it.
            drop(thread.join());
        }
    }
}

/// A moment; whether the operator wants it to end.
fn pause(interrupts: &Interrupts) -> bool {
    let until = Instant::now() + PAUSE;
    while Instant::now() < until && !interrupted(interrupts) {
        std::thread::sleep(Duration::from_millis(50));
    }
    interrupted(interrupts)
}

fn interrupted(interrupts: &Interrupts) -> bool {
    interrupts.count.load(Ordering::Relaxed) > 0
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::transport::{Error, Event, Exec, Session};

    /// A host that answers; `lost`: and is gone then, `slow`: half a second later.
    #[derive(Clone, Default)]
    struct Host {
        lost: bool,
        slow: bool,
        heard: Vec<u8>,
        said: usize,
    }

    impl Session for Host {
        fn exec(&mut self, _: &str) -> Result<Box<dyn Exec + '_>, Error> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Exec for Host {
        fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
            self.heard.extend_from_slice(bytes);
            Ok(())
        }

        fn close_stdin(&mut self) -> Result<(), Error> {
            self.said = 9;
            Ok(())
        }

        fn next(&mut self, wait: Duration) -> Result<Event, Error> {
            self.said += 1;
            let heard = String::from_utf8_lossy(&self.heard);
            let sentinel = heard.lines().next().and_then(|line| line.split(' ').nth(2)).unwrap();
            match self.said {
                1 => {
                    std::thread::sleep(Duration::from_millis(if self.slow { 500 } else { 0 }));
                    let facts = "euid\t0\nsystemd\nos\tID\tdebian\nos\tVERSION_ID\t12\nend\tfacts\n";
                    Ok(Event::Stdout(format!("\n{sentinel}\n{facts}").into_bytes()))
                }
                _ if self.lost => Err(Error::Lost { address: "hs".to_owned(), reason: "gone".to_owned() }),
                ..9 => {
                    std::thread::sleep(wait);
                    self.said = 2;
                    Ok(Event::Idle)
                }
                _ => Ok(Event::Exit(Some(0))),
            }
        }

        fn unsent(&self) -> usize {
            0
        }
    }

    #[test]
    fn who_was_locked_and_is_lost_while_others_are_waited_for_is_lost_and_they_are_waited_for() {
        let connect = |host: &str| {
            let session = Host { lost: host == "lost", slow: host == "slow", ..Host::default() };
            let (name, privilege) = (host.to_owned(), Default::default());
            Ok(Connection { name, session: Box::new(session), privilege })
        };
        let calling =
            Calling { server_name: "example.org", nonce: "", who: "a test", connect: Arc::new(connect) };
        let mut sessions = Sessions::new(&[], &calling);
        let hosts = ["lost", "slow"].map(|name| (name.to_owned(), None));
        let (facts, errors) = sessions.lock(hosts.into(), 2);
        assert_eq!(facts.keys().collect::<Vec<_>>(), ["slow"]);
        assert_eq!(errors.iter().map(|(host, _)| host).collect::<Vec<_>>(), ["lost"]);
    }

    #[test]
    fn no_more_hosts_than_forks_are_called_at_a_time_and_each_answers_for_itself() {
        let (now, most) = (Mutex::new(0_usize), Mutex::new(0_usize));
        let connect = move |host: &str| {
            let calling = {
                let mut now = now.lock().unwrap();
                *now += 1;
                *now
            };
            let mut most = most.lock().unwrap();
            *most = calling.max(*most);
            let said = HostError::unreachable(format!("{host} is away, {most} at most"), None);
            drop(most);
            std::thread::sleep(Duration::from_millis(20));
            *now.lock().unwrap() -= 1;
            Err(said)
        };
        let calling =
            Calling { server_name: "example.org", nonce: "", who: "a test", connect: Arc::new(connect) };
        let mut sessions = Sessions::new(&[], &calling);
        let names: Vec<String> = (0..9).map(|number| format!("hs{number}")).collect();
        let (facts, errors) = sessions.lock(names.iter().map(|name| (name.clone(), None)).collect(), 3);
        assert!(facts.is_empty());
        assert_eq!(errors.iter().map(|(host, _)| host.clone()).collect::<Vec<_>>(), names);
        let said = errors.last().unwrap().1.to_string();
        assert!(said == "hs8 is away, 3 at most", "{said}");
    }
}
