//! The only place that sleeps: poll with a deadline, and an ssh2 call repeated until it no longer blocks.
//!
//! Must never be here: a wait without an end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::BlockDirections;

/// `LIBSSH2_ERROR_EAGAIN`.
pub(super) const EAGAIN: i32 = -37;
/// libssh2 would not say what it waits for, or cannot be relied on to: look again after this long.
const SHORT: Duration = Duration::from_millis(50);

/// Why [`until_done`] gave up.
pub(super) enum Halt {
    /// The deadline passed.
    Deadline,
    /// libssh2 said no.
    Ssh(ssh2::Error),
}

/// libssh2's number for an error, 0 if it is none of the session's.
pub(super) fn code(error: &ssh2::Error) -> i32 {
    match error.code() {
        ssh2::ErrorCode::Session(code) => code,
        ssh2::ErrorCode::SFTP(_) => 0,
    }
}

/// Polls `fds` for at most `wait`. A signal counts as nothing having happened, so that the caller looks around.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], wait: Duration) {
    // An hour at a time cannot overflow anything, and every caller loops.
    let wait = wait.min(Duration::from_secs(3600));
    let timeout = Timespec::try_from(wait).ok();
    // An error is EINTR, or out of memory: in both cases going round the loop again is right.
    let _ = poll(fds, timeout.as_ref());
}

/// Whether a small write would go through at once.
pub(super) fn writable(socket: &TcpStream) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::OUT)];
    wait_for(&mut fds, Duration::ZERO);
    fds[0].revents().contains(PollFlags::OUT)
}

/// The poll flags for what a session waits for; `None` if it does not say.
pub(super) fn flags(session: &ssh2::Session) -> Option<PollFlags> {
    match session.block_directions() {
        BlockDirections::None => None,
        BlockDirections::Inbound => Some(PollFlags::IN),
        BlockDirections::Outbound => Some(PollFlags::OUT),
        BlockDirections::Both => Some(PollFlags::IN | PollFlags::OUT),
    }
}

/// Repeats `call` on a non-blocking session, with a poll between, until it succeeds, fails or `deadline` passes.
pub(super) fn until_done<T>(
    session: &ssh2::Session,
    socket: &TcpStream,
    deadline: Instant,
    mut call: impl FnMut() -> Result<T, ssh2::Error>,
) -> Result<T, Halt> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if code(&error) != EAGAIN => return Err(Halt::Ssh(error)),
            Err(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Halt::Deadline);
        }
        let flags = flags(session);
        let wait = if flags.is_some() { left } else { left.min(SHORT) };
        wait_for(&mut [PollFd::new(socket, flags.unwrap_or(PollFlags::IN))], wait);
    }
}
