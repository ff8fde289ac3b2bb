//! `media_store:` of `synapse:`: where media are kept, and what has to be mounted for it.
//!
//! Never in this file: which hosts use it.

use super::decode::{Found, Section};
use super::names;
use crate::diagnostic::{Diagnostic, Spanned};

/// `media_store:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaStore {
    /// Absolute path, the same on every host.
    pub path: Spanned<String>,
    /// systemd mount unit that has to be active.
    pub mount_unit: Option<Spanned<String>>,
    /// Several hosts see the same files there.
    pub shared: bool,
}

/// The section.
pub(super) fn media_store(section: &Section<'_>, found: &mut Found) -> Option<Spanned<MediaStore>> {
    let (span, _) = section.entry("media_store")?;
    let node = section.node("media_store", found)?;
    let keys = &["path", "mount_unit", "shared"];
    let section = Section::open(node, "synapse.media_store", "synapse.media_store", span, keys, found)?;
    let path = section
        .required("path", "path: /srv/media", found)
        .filter(|path| names::path(path, "\"path\" in synapse.media_store", found))
        .filter(|path| {
            // Of the directory above, root must be the owner; of these, others are.
            let parts = path.value.split('/').filter(|part| !part.is_empty()).count();
            let taken = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"]
                .iter()
                .any(|taken| path.value == *taken || path.value.starts_with(&format!("{taken}/")));
            let free = parts > 1 && !taken;
            if !free {
                found.push(
                    Diagnostic::error(path.span, format!("media cannot be kept in {}", path.value))
                        .help("write a directory of its own that lasts: /srv/media"),
                );
            }
            free
        });
    let mount_unit = section.text("mount_unit", found).filter(|unit| is_mount(unit, found));
    let shared = section.boolean("shared", found);
    Some(Spanned::new(
        MediaStore { path: path?, shared: shared.unwrap_or(mount_unit.is_some()), mount_unit },
        span,
    ))
}

fn is_mount(unit: &Spanned<String>, found: &mut Found) -> bool {
    let stem = unit.value.strip_suffix(".mount").unwrap_or_default();
    let good = !stem.is_empty()
        && unit.value.len() <= 255
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-\\:@".contains(&byte));
    if !good {
        found.push(
            Diagnostic::error(
                unit.span,
                format!("\"{}\" is no mount unit", unit.value.chars().take(80).collect::<String>()),
            )
            .help("write its name as `systemctl list-units --type mount` shows it: srv-media.mount"),
        );
    }
    good
}
