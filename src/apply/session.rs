//! One host's side of an apply: a thread that owns the conversation and turns it into events.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::news::{News, Tails, understand};
use super::script;
use crate::facts::HostErrorKind;
use crate::facts::conversation::{Conversation, Heard};
use crate::facts::gather::{self, Connection, HostError, fit, hear_facts};
use crate::secret::Secret;

/// How often a quiet controller tells the host that it is still there (the host waits 60 s).
const BEAT: Duration = Duration::from_secs(10);
/// How long the words of a busy host are listened to before a look at the orders: others may be for it, too.
const BUSY: Duration = Duration::from_millis(20);
/// How long a host that does nothing waits for orders before a look at whether it is still there.
const IDLE: Duration = Duration::from_millis(200);
/// What the controller asks of a host.
pub enum Order {
    /// Do this frame.
    Frame {
        /// Number or name the answers carry.
        id: String,
        /// Header, code, payload.
        bytes: Secret,
    },
    /// Ask again, under the same lock: a whole request.
    Probe(String),
    /// End the session once the frames sent so far are done.
    Quit,
    /// Leave at once; the host ends the step it is in by itself.
    Leave,
}

/// Runs the session of the host `name` until it is told to quit, over `open` or a connection of its own.
/// `request` is the facts request in mode apply.
///
/// Nobody serves an open connection while a person reads the plan, and an sshd that asks whether somebody is there
/// (ClientAliveInterval) ends it: where it is lost before the script speaks, `connect` makes another, once.
pub fn serve(
    name: &str,
    open: Option<Connection>,
    request: &str,
    connect: &dyn Fn(&str) -> Result<Connection, HostError>,
    orders: &Receiver<Order>,
    news: &Sender<(String, News)>,
) {
    let _witness = Witness { name, news };
    // A receiver that is gone means the apply is over; there is nobody left to tell.
    let tell = |item: News| drop(news.send((name.to_owned(), item)));
    let anew = || converse(connect(name)?, request, orders, &tell);
    let outcome = match open {
        None => anew(),
        Some(connection) => match converse(connection, request, orders, &tell) {
            Err(failure) if failure.unheard && failure.error.kind == HostErrorKind::Lost => {
                tracing::info!("{name}: logging in once more, the connection was lost before it was used");
                anew()
            }
            outcome => outcome,
        },
    };
    match outcome {
        Ok(()) => tell(News::Ended),
        Err(failure) => tell(News::Failed(failure.error)),
    }
}

/// Tells of a session that ends in a panic: nobody waits for ever for what it will not say.
struct Witness<'a> {
    name: &'a str,
    news: &'a Sender<(String, News)>,
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = HostError::unreachable("its session ended by a bug in synprov", None);
            drop(self.news.send((self.name.to_owned(), News::Failed(error))));
        }
    }
}

/// Why a conversation ended early.
struct Failure {
    error: HostError,
    /// The script had not spoken yet.
    unheard: bool,
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self { error, unheard: false }
    }
}

fn converse(
    mut connection: Connection,
    request: &str,
    orders: &Receiver<Order>,
    tell: &dyn Fn(News),
) -> Result<(), Failure> {
    let script = format!("{}\n{}", gather::SCRIPT, script::SCRIPT);
    let privilege = connection.privilege.clone();
    let mut conversation = Conversation::start(connection.session.as_mut(), &privilege, &script, request)
        .map_err(|error| Failure { error, unheard: true })?;
    let facts = hear_facts(&mut conversation)
        .map_err(|error| Failure { error, unheard: !conversation.has_spoken() })?;
    fit(&facts)?;
    tell(News::Locked(Box::new(facts)));
    let mut beat = Instant::now();
    let mut tails = Tails::new();
    let mut quitting = false;
    loop {
        // Whoever listens to one side while the other speaks loses that time with each step.
        let idle = tails.is_empty() && !quitting;
        let (for_orders, for_words) = if idle { (IDLE, Duration::ZERO) } else { (Duration::ZERO, BUSY) };
        match orders.recv_timeout(for_orders) {
            Ok(Order::Frame { id, bytes }) => {
                tails.insert(id.clone(), VecDeque::new());
                tracing::debug!(host = connection.name, frame = id, bytes = bytes.expose().len(), "frame");
                conversation.send(bytes.expose())?;
                beat = Instant::now();
            }
            Ok(Order::Probe(request)) => {
                conversation.send(format!("probe {}\n{request}", request.len()).as_bytes())?;
                let facts = hear_facts(&mut conversation)?;
                tell(News::Probed(Box::new(facts)));
                beat = Instant::now();
            }
            Ok(Order::Leave) => return Ok(()),
            Ok(Order::Quit) | Err(RecvTimeoutError::Disconnected) if !quitting => {
                quitting = true;
                conversation.send(b"quit\n")?;
                conversation.close()?;
            }
            _ => {}
        }
        if !quitting && beat.elapsed() > BEAT {
            conversation.send(b"beat\n")?;
            beat = Instant::now();
        }
        match conversation.hear(for_words)? {
            Heard::Nothing => {}
            Heard::Line(line) => {
                if let Some(item) = understand(&line, &mut tails)? {
                    tell(item);
                }
            }
            Heard::End(_) if quitting => return Ok(()),
            Heard::End(status) => {
                let said = conversation.complaints();
                return Err(HostError {
                    summary: format!("its apply script ended early (status {status:?}) {said}")
                        .trim_end()
                        .to_owned(),
                    help: Some("run `synprov plan` to see what remains".to_owned()),
                    kind: HostErrorKind::Unreachable,
                }
                .into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::transport::{Error, Exec, Session};

    struct Buggy;

    impl Session for Buggy {
        fn exec(&mut self, _: &str) -> Result<Box<dyn Exec + '_>, Error> {
            unreachable!("a bug")
        }
    }

    #[test]
    fn a_session_that_panics_is_told_of() {
        let (news_in, news) = channel();
        let (_orders_in, orders) = channel();
        let thread = std::thread::spawn(move || {
            let buggy = |name: &str| {
                let session = Box::new(Buggy);
                Ok(Connection { name: name.to_owned(), session, privilege: Default::default() })
            };
            serve("hs1", None, "", &buggy, &orders, &news_in);
        });
        assert!(thread.join().is_err());
        let (host, told) = news.recv().unwrap();
        assert!(host == "hs1" && matches!(told, News::Failed(_)), "{told:?}");
    }
}
