//! Exit codes, in one table.

/// How a run ended. Several at once: the first in [`Exit::RANK`] wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// An error, also a declined prompt.
    Error,
    /// Changes: `plan --detailed-exitcode`, `drift`.
    Changes,
    /// A host's facts could not be had: the answer is incomplete.
    Incomplete,
    /// Refused: the plan is stale.
    Stale,
    /// Another run holds a host's lock.
    Locked,
    /// Failed, and rolled back.
    RolledBack,
    /// Failed, and the way back failed too.
    Broken,
    /// Wrong usage.
    Usage,
    /// Interrupted by this signal.
    Interrupted(u8),
    /// The status of a program that was run for the person (`lab ssh`).
    Status(u8),
}

impl Exit {
    /// The process' exit status.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Changes => 2,
            Exit::Incomplete => 3,
            Exit::Stale => 4,
            Exit::Locked => 5,
            Exit::RolledBack => 6,
            Exit::Broken => 7,
            Exit::Usage => 64,
            Exit::Status(status) => status,
            Exit::Interrupted(signal) => 128_u8.saturating_add(signal),
        }
    }

    /// The worse of two: 130 > 7 > 6 > 1 > 5 > 4 > 3 > 2 > 0.
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Exit::Usage => 9,
            Exit::Interrupted(_) => 8,
            Exit::Broken => 7,
            Exit::RolledBack => 6,
            Exit::Error | Exit::Status(_) => 5,
            Exit::Locked => 4,
            Exit::Stale => 3,
            Exit::Incomplete => 2,
            Exit::Changes => 1,
            Exit::Done => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What `--help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
  0    done, or nothing to do
  1    error, also a declined prompt
  2    changes (plan --detailed-exitcode), drift (drift)
  3    a host could not be asked; the answer is incomplete, and apply changed nothing
  4    refused: something changed since the plan was shown or saved
  5    another run holds a host's lock
  6    failed and rolled back
  7    failed, and the way back failed too
  64   wrong usage
  129, 130, 143  interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_wins() {
        let order = [
            Exit::Done,
            Exit::Changes,
            Exit::Incomplete,
            Exit::Stale,
            Exit::Locked,
            Exit::Error,
            Exit::RolledBack,
            Exit::Broken,
            Exit::Interrupted(2),
        ];
        for (index, better) in order.iter().enumerate() {
            for worse in &order[index..] {
                assert_eq!(better.worse(*worse), *worse);
                assert_eq!(worse.worse(*better), *worse);
            }
        }
        assert_eq!(order.map(Exit::code), [0, 2, 3, 4, 5, 1, 6, 7, 130]);
    }
}
