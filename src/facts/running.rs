//! Asks a host that no inventory names yet what runs there, in one exec that only reads (`import.sh`).
//!
//! Never here: what the answer means (`crate::import`).

use std::time::{Duration, Instant};

use base64::Engine as _;

use super::conversation::{Conversation, Heard, HostError, clean};
use super::privilege::Privilege;
use crate::transport::{Target, Transport};

const SCRIPT: &str = concat!(include_str!("say.sh"), include_str!("import.sh"));
const PROGRAM: &str = include_str!("import.py");

/// A host that takes longer than this to answer is given up.
const DEADLINE: Duration = Duration::from_secs(120);
/// No host's answer has more bytes, or more lines.
const LONGEST: usize = 32 << 20;
const MOST: usize = 50_000;

/// The lines of its answer, the last one (`end import`) included.
pub fn ask(
    target: &Target,
    privilege: &Privilege,
    transport: &dyn Transport,
) -> Result<Vec<String>, HostError> {
    let mut session = transport.connect(target)?;
    let request = format!("{}\n", base64::engine::general_purpose::STANDARD.encode(PROGRAM));
    let mut conversation = Conversation::start(session.as_mut(), privilege, SCRIPT, &request)?;
    let until = Instant::now() + DEADLINE;
    let (mut lines, mut bytes) = (Vec::new(), 0_usize);
    loop {
        match conversation.hear(Duration::from_secs(1))? {
            Heard::Line(line) if line == "euid\t0" => {}
            Heard::Line(line) if line.starts_with("euid\t") => {
                return Err(HostError::unfit(
                    "the log-in user is not root",
                    "log in as root, or add --become (sudo without a password)",
                ));
            }
            Heard::Line(line) => {
                bytes += line.len();
                if bytes > LONGEST || lines.len() >= MOST {
                    return Err(HostError::unfit("its answer has no end", "look what prints there"));
                }
                let last = line == "end\timport";
                lines.push(line);
                if last {
                    return Ok(lines);
                }
            }
            Heard::Nothing if Instant::now() > until => {
                let summary = format!("its answer did not come within {} seconds", DEADLINE.as_secs());
                return Err(HostError::unreachable(summary, None));
            }
            Heard::Nothing => {}
            Heard::End(_) => {
                let said = clean(&conversation.complaints());
                return Err(HostError::unfit(
                    format!("the script ended early{}{said}", if said.is_empty() { "" } else { ": " }),
                    "see whether bash, coreutils, util-linux and sed are whole there",
                ));
            }
        }
    }
}
