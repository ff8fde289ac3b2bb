//! A bug of ours, as people see it: where it happened, and nothing of what was at hand.
//!
//! What a panic says may hold what it stumbled over: a value, a line of a file, a host's answer. None of it is
//! printed; place and version are enough to find it.

use std::panic::{PanicHookInfo, UnwindSafe};

use super::Exit;

/// Runs the program; a panic anywhere in it, also in a thread that it waits for, ends it with exit code 1.
pub fn guarded(program: impl FnOnce() -> Exit + UnwindSafe) -> Exit {
    std::panic::set_hook(Box::new(tell));
    std::panic::catch_unwind(program).unwrap_or(Exit::Error)
}

fn tell(panic: &PanicHookInfo<'_>) {
    use std::io::Write as _;
    let place =
        panic.location().map_or("an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
    let thread = std::thread::current().name().unwrap_or("another thread").to_owned();
    let text = format!(
        "error: this is a bug in synprov {}: it stopped at {place} ({thread})\n  \
         help: report this line; an apply that was under way is finished by the next one, `synprov plan` shows what is left\n",
        env!("CARGO_PKG_VERSION")
    );
    // Where standard error is gone, nobody can be told.
    drop(std::io::stderr().write_all(text.as_bytes()));
}
