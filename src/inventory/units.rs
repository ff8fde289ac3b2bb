//! `units:` under synapse: names that the units of an existing set-up have, and keep.

use super::decode::{Found, Section};
use super::taken;
use crate::diagnostic::{Diagnostic, Spanned};

/// Names of units, without `.service`; `None`: as they follow from the prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// The main process.
    pub main: Option<Spanned<String>>,
    /// Workers: a template, which ends in `@`.
    pub worker: Option<Spanned<String>>,
    /// The first media worker, if it has a unit without a number.
    pub media: Option<Spanned<String>>,
}

const KEYS: &[&str] = &["main", "worker", "media"];

/// Longest name: systemd's limit is 255 with the ending and a worker's name.
const LONGEST: usize = 100;

/// The section; nothing if it is absent.
pub(super) fn units(section: &Section<'_>, found: &mut Found) -> Units {
    let Some((at, node)) = section.entry("units") else { return Units::default() };
    let Some(units) = Section::open(node, "units in synapse", "synapse.units", at, KEYS, found) else {
        return Units::default();
    };
    let name = |key: &str, template: bool, found: &mut Found| {
        units.text(key, found).filter(|value| is_name(value, key, template, found))
    };
    let units = Units {
        main: name("main", false, found),
        worker: name("worker", true, found),
        media: name("media", false, found),
    };
    if let (Some(main), Some(media)) = (&units.main, &units.media)
        && main.value == media.value
    {
        found.push(
            Diagnostic::error(media.span, format!("main and media have the same unit {}", media.value))
                .related(main.span, "main's")
                .help("each process has a unit of its own"),
        );
    }
    units
}

/// The name of a unit file without its ending, `matrix-synapse`; of a template with its `@`.
fn is_name(value: &Spanned<String>, key: &str, template: bool, found: &mut Found) -> bool {
    let text = value.value.as_str();
    let stem = if template { text.strip_suffix('@').unwrap_or("") } else { text };
    let good = (1..=LONGEST).contains(&stem.len())
        && stem.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stem.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !good {
        let help = match (text.strip_suffix(".service"), template) {
            (Some(stem), _) => format!("write it without its ending: {stem}"),
            (None, true) => "write the name of a template: matrix-synapse-worker@".to_owned(),
            (None, false) => "letters, digits, _ and -: matrix-synapse".to_owned(),
        };
        found.push(
            Diagnostic::error(value.span, format!("\"{key}\" in units of synapse is no name of a unit"))
                .help(help),
        );
    } else if taken::unit(stem) {
        found.push(
            Diagnostic::error(
                value.span,
                format!("\"{key}\" in units of synapse is {text}, another program's"),
            )
            .help("write the unit that Synapse has, or leave it out"),
        );
        return false;
    }
    good
}
