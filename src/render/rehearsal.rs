//! A rehearsal as people read it: what was stood in for, what a client saw, which ports are open.

use std::fmt::Write as _;

use super::paint::Paint;
use crate::facts::conversation::clean;
use crate::lab::stand_in::Substitution;
use crate::lab::verify::Check;

/// What is not as in the real inventory.
pub fn substitutions(list: &[Substitution], color: bool) -> String {
    let paint = Paint(color);
    let mut out = format!("{}\n", paint.bold("Nothing real is touched; these stand in"));
    for one in list {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {}: {} {}",
            clean(&one.what),
            clean(&one.now),
            paint.dim(&format!("(was {})", clean(&one.was)))
        );
    }
    out.push('\n');
    out
}

/// The table of a client's requests.
pub fn checks(checks: &[Check], color: bool) -> String {
    let paint = Paint(color);
    let mut out = format!("{}\n", paint.bold("A client, through the proxy"));
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or(0);
    for check in checks {
        let mark = if check.ok { paint.green("✓") } else { paint.red("✗") };
        let served = check.served_by.as_deref().unwrap_or("nobody");
        let _ = writeln!(out, "  {mark} {:width$}  {}  {}", clean(&check.what), check.status, clean(served));
        if let Some(problem) = &check.problem {
            let _ = writeln!(out, "      {}\n      {}", clean(&check.request), paint.red(&clean(problem)));
        }
    }
    let good = checks.iter().filter(|check| check.ok).count();
    let line = format!("{good} of {} requests answered rightly, by the process that should", checks.len());
    let _ = writeln!(out, "{}\n", paint.bold(&line));
    out
}

/// Open ports of a host, seen from outside.
pub fn ports(host: &str, open: &[u16], ok: bool, color: bool) -> String {
    let paint = Paint(color);
    let mark = if ok { paint.green("✓") } else { paint.red("✗") };
    let open = open.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    format!("  {mark} {host}: open from outside: {open}\n")
}
