//! Text as it travels: in gzip, which every Debian has. Scripts and what hosts keep shrink to a quarter and less.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The same text gives the same bytes.
pub fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = packed.write_all(text.as_bytes());
    packed.finish().unwrap_or_default()
}

/// The text of what a host packed, of no more bytes than `most`; else what is wrong with it.
pub fn unpacked(bytes: &[u8], most: usize) -> Result<String, String> {
    let mut text = String::new();
    let mut unpacked = GzDecoder::new(bytes).take(most as u64 + 1);
    unpacked.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > most { Err(format!("it is longer than {most} bytes")) } else { Ok(text) }
}
