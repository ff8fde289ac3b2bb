//! Exit codes, in one table.

/// How a run ended. Several at once: [`Exit::worse`].
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

    /// The worse of two: 64 > 130 > 7 > 6 > 1 > 5 > 4 > 3 > 2 > 0.
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

/// Every exit code, what it means, and what the table adds to that.
const MEANINGS: [(&str, &str, &str); 10] = [
    ("0", "done, or nothing to do", ""),
    ("1", "error", ", also a declined prompt"),
    ("2", "changes", " (plan --detailed-exitcode, drift), a process is not well (status)"),
    ("3", "a host could not be asked", ": the answer is incomplete, nothing was applied"),
    ("4", "refused: something changed since the plan was shown or saved", ""),
    ("5", "another run holds a host's lock", ""),
    ("6", "failed and rolled back", ""),
    ("7", "failed, and the way back failed too", ""),
    ("64", "wrong usage", ""),
    ("129, 130, 143", "interrupted", ""),
];

/// What a command that asks hosts may exit with besides what all do.
pub const ASKS: &[Exit] = &[Exit::Incomplete];
/// Likewise one that does steps on hosts.
pub const ACTS: &[Exit] = &[Exit::Incomplete, Exit::Stale, Exit::Locked];
/// Likewise one that goes back if they fail.
pub const APPLIES: &[Exit] = &[Exit::Incomplete, Exit::Stale, Exit::Locked, Exit::RolledBack, Exit::Broken];

/// What `synprov --help` says about exit codes.
pub fn table() -> String {
    let lines = MEANINGS.map(|(code, meaning, more)| format!("\n  {code:<4} {meaning}{more}"));
    format!("Exit codes:{}", lines.concat())
}

/// What `--help` of a command says below its options: `text`, and the codes that it may exit with: those of
/// every command, `further` ones, and those that mean something of their own `here`.
pub fn below(text: &str, further: &[Exit], here: &[(Exit, &str)]) -> String {
    let every = [Exit::Done, Exit::Error, Exit::Usage];
    let is = |exit: &Exit, code: &str| exit.code().to_string() == code;
    let said = MEANINGS.iter().filter_map(|(code, meaning, _)| {
        let own = here.iter().find(|(exit, _)| is(exit, code)).map(|(_, meaning)| *meaning);
        let common = every.iter().chain(further).any(|exit| is(exit, code));
        own.or(common.then_some(*meaning)).map(|meaning| format!("{code} {meaning}"))
    });
    format!("{text}\n\nExit codes: {}.", said.collect::<Vec<_>>().join("; "))
}

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
            Exit::Usage,
        ];
        for (index, better) in order.iter().enumerate() {
            for worse in &order[index..] {
                assert_eq!(better.worse(*worse), *worse);
                assert_eq!(worse.worse(*better), *worse);
            }
        }
        assert_eq!(order.map(Exit::code), [0, 2, 3, 4, 5, 1, 6, 7, 130, 64]);
    }
}
