//! The sessions of an apply: a thread for each host, and another one where the first was lost.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::news::News;
use super::session::{self, Order};
use super::{Job, Observer, Reconnect};
use crate::facts::generation::Wanted;
use crate::facts::request::{Also, Mode, request};
use crate::facts::{Connection, HostError, HostErrorKind, HostFacts};
use crate::resource::Resource;

/// How long hosts that were lost are tried: a script that hears nothing for 60 s ends once its step has,
/// and only then lets go of the lock.
const PATIENCE: Duration = Duration::from_secs(100);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Opens sessions in the threads of a scope.
pub(super) struct Sessions<'scope, 'env, 'a> {
    pub scope: &'scope Scope<'scope, 'env>,
    pub job: &'a Job<'a>,
    /// The job's, which the threads have, too.
    pub reconnect: &'scope Reconnect<'scope>,
    /// Where they all tell their news.
    pub news: Sender<(String, News)>,
}

impl Sessions<'_, '_, '_> {
    /// Takes the lock over this connection and asks for the facts under it; the way to order more.
    pub fn open(&self, mut connection: Connection) -> Sender<Order> {
        let job = self.job;
        let here = |resource: &&Resource| resource.address.host == connection.name;
        let resources: Vec<&Resource> = job.resources.iter().filter(here).collect();
        let also = Also { generations: Some(Wanted::Current), ..Also::default() };
        let request = request(Mode::Apply, &job.topology.server_name, job.nonce, job.who, &resources, also);
        let (orders_in, orders) = channel();
        let news = self.news.clone();
        let reconnect = self.reconnect;
        self.scope.spawn(move || session::serve(&mut connection, &request, reconnect, &orders, &news));
        orders_in
    }

    /// Logs in once more to hosts whose sessions were lost, and waits until what still runs there has let go
    /// of the lock. `before`: facts from before they were lost.
    ///
    /// Errors: a line for each host that was not to be had in time, or where somebody else applied meanwhile.
    pub fn reopen(
        &self,
        lost: &[String],
        before: &IndexMap<String, HostFacts>,
        news: &Receiver<(String, News)>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<(String, Sender<Order>)>, Vec<String>> {
        let until = Instant::now() + PATIENCE;
        // What was said last by sessions that are no more.
        while news.try_recv().is_ok() {}
        let (mut opened, mut errors) = (Vec::new(), Vec::new());
        for host in lost {
            observer.reconnects(host);
            match self.reopened(host, until, news) {
                Ok((_, now)) if before.get(host).map(HostFacts::generation_number) != Some(now) => {
                    errors
                        .push(format!("{host} is in generation {now} now: somebody else applied meanwhile"));
                }
                Ok((orders, _)) => opened.push((host.clone(), orders)),
                Err(error) => errors.push(format!("{host} could not be had again: {error}")),
            }
        }
        if errors.is_empty() { Ok(opened) } else { Err(errors) }
    }

    fn reopened(
        &self,
        host: &str,
        until: Instant,
        news: &Receiver<(String, News)>,
    ) -> Result<(Sender<Order>, u64), HostError> {
        loop {
            let error = match (self.job.reconnect)(host) {
                Ok(connection) => {
                    let orders = self.open(connection);
                    match self.locked(host, news) {
                        Ok(generation) => return Ok((orders, generation)),
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if error.kind == HostErrorKind::Unfit || Instant::now() > until || self.pause() {
                return Err(error);
            }
        }
    }

    /// Until the host says that it holds the lock, or why not; the number of its generation.
    fn locked(&self, host: &str, news: &Receiver<(String, News)>) -> Result<u64, HostError> {
        loop {
            match news.recv_timeout(Duration::from_millis(50)) {
                Ok((from, News::Locked(facts))) if from == host => return Ok(facts.generation_number()),
                Ok((from, News::Failed(error))) if from == host => return Err(error),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) if self.interrupted() => {
                    return Err(HostError::unreachable("interrupted", None));
                }
                Err(_) => {}
            }
        }
    }

    /// A moment; whether the operator wants it to end.
    fn pause(&self) -> bool {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until && !self.interrupted() {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.interrupted()
    }

    fn interrupted(&self) -> bool {
        self.job.interrupts.count.load(Ordering::Relaxed) > 0
    }
}
