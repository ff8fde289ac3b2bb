//! Values of secrets out of a host's files, into memory and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;

use crate::facts::conversation::{Conversation, Heard};
use crate::facts::{HostError, Privilege};
use crate::secret::Secret;
use crate::transport::Session;

/// The script; functions only, like the facts script.
const SCRIPT: &str = include_str!("fetch.sh");

/// Asks a host for secrets: name to path. Those whose file is not there are left out.
pub fn fetch(
    session: &mut dyn Session,
    privilege: &Privilege,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Secret>, HostError> {
    let mut request: String = wanted.iter().map(|(name, path)| format!("{name}\t{path}\n")).collect();
    request.push_str("end\n");
    let mut conversation = Conversation::start(session, privilege, SCRIPT, &request)?;
    let mut values = BTreeMap::new();
    loop {
        match conversation.hear(Duration::from_secs(1))? {
            Heard::Nothing => {}
            Heard::Line(line) if line == "end" => return Ok(values),
            Heard::Line(line) => {
                let fields: Vec<&str> = line.split('\t').collect();
                // A name that was not asked for is no name here.
                if let ["secret", name, text] = fields.as_slice()
                    && let Some((name, _)) = wanted.get_key_value(*name)
                {
                    let value = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| {
                        HostError::unfit(
                            format!("it sent secret {name} in a form that is not base64"),
                            "try again",
                        )
                    })?;
                    values.insert(name.clone(), Secret::new(value));
                }
            }
            Heard::End(_) => {
                let said = conversation.complaints();
                return Err(HostError::unreachable(format!("it stopped early {said}").trim_end(), None));
            }
        }
    }
}
