//! Files that others read: whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Readable by nobody else.
pub const PRIVATE: u32 = 0o600;

/// Puts a whole file in place of what is there, so that a reader sees the old or the new one. The temporary
/// file is private from its first byte and takes `mode` when it is whole.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".synprov-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
