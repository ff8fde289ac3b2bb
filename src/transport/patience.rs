//! A server that turns a newcomer away before it has said who it is: it is busy, and is asked again.
//!
//! sshd admits ten that have not logged in yet (MaxStartups) and lets go of others at random; a jump host in front of
//! many hosts soon has so many. Nothing but our greeting was sent by then, so asking again repeats nothing.
//! Must never be here: anything that is asked again after a log-in has begun.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::Error;

/// The first pause, and the longest. Each is up to twice as long as the one before, and none is like another
/// host's, so that those who were turned away together do not come back together.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Why somebody was not let in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is busy.
    Busy(Error),
    /// The deadline passed before it had answered. Why it was busy before that tells more.
    Late(Error),
    /// Asking again would change nothing.
    Final(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Final(error)
    }
}

/// Asks until it is let in, refused for good, or another pause would end after `deadline`.
pub(super) fn patiently<T>(
    deadline: Instant,
    mut ask: impl FnMut() -> Result<T, Refusal>,
) -> Result<T, Error> {
    let mut longest = FIRST;
    let mut before = None;
    loop {
        let busy = match ask() {
            Ok(let_in) => return Ok(let_in),
            Err(Refusal::Final(error)) => return Err(error),
            Err(Refusal::Late(error)) => return Err(before.unwrap_or(error)),
            Err(Refusal::Busy(error)) => error,
        };
        let pause = longest.mul_f64(0.5 + 0.5 * fraction());
        if Instant::now() + pause >= deadline {
            return Err(busy);
        }
        before = Some(busy);
        std::thread::sleep(pause);
        longest = (longest * 2).min(LONGEST);
    }
}

/// Between 0 and 1, another at every call.
fn fraction() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        because("")
    }

    fn because(reason: &str) -> Error {
        Error::Lost { address: String::new(), reason: reason.to_owned() }
    }

    #[test]
    fn only_who_is_busy_is_asked_again_and_not_after_the_deadline() {
        let soon = || Instant::now() + Duration::from_secs(20);
        let mut asked = 0;
        let outcome = patiently(soon(), || {
            asked += 1;
            if asked < 4 { Err(Refusal::Busy(error())) } else { Ok(asked) }
        });
        assert_eq!(outcome.unwrap(), 4);
        let mut asked = 0;
        let outcome: Result<(), Error> = patiently(soon(), || {
            asked += 1;
            Err(Refusal::Final(error()))
        });
        assert!(outcome.is_err() && asked == 1);
        let began = Instant::now();
        let outcome: Result<(), Error> =
            patiently(began + Duration::from_millis(400), || Err(Refusal::Busy(error())));
        assert!(outcome.is_err() && began.elapsed() < Duration::from_millis(400));
        let mut asked = 0;
        let outcome: Result<(), Error> = patiently(soon(), || {
            asked += 1;
            if asked == 1 { Err(Refusal::Busy(because("busy"))) } else { Err(Refusal::Late(because("late"))) }
        });
        assert!(outcome.unwrap_err().to_string().contains("busy"));
    }
}
