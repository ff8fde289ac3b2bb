//! Wheels on their way to hosts that reach no package index: a few hosts at a time, and only what each lacks.
//!
//! What a host says is only ever looked up among the names of the wheelhouse; no path comes from it.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::frame::Frame;
use crate::inventory::WheelName;
use crate::secret::Sha256;

/// Bytes of one frame. A host keeps a frame on tmpfs while it does it.
const PART: usize = 4 << 20;
/// Hosts that get wheels at the same time: what is on its way is in memory, and the line here is the narrow place.
pub(super) const AT_ONCE: usize = 6;

/// A wheelhouse on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Wheelhouse<'a> {
    /// The directory.
    pub directory: &'a Path,
    /// File names of its wheels.
    pub names: &'a [String],
}

/// One of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wheel {
    name: String,
    sha256: String,
    size: u64,
}

/// SHA-256 and size.
fn digest(mut file: std::fs::File) -> std::io::Result<(String, u64)> {
    let mut digest = Sha256::default();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((digest.hex(), size)),
            count => {
                digest.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// What installs the others, and stands in no lock.
fn is_tool(name: &str) -> bool {
    WheelName::parse(name).is_some_and(|wheel| ["pip", "uv"].contains(&wheel.name.as_str()))
}

/// A wheelhouse whose files have been read once.
#[derive(Debug)]
pub(super) struct Stock<'a> {
    directory: &'a Path,
    wheels: Vec<Wheel>,
}

impl<'a> Stock<'a> {
    /// Reads every wheel. Errors: one that cannot be read.
    pub(super) fn take(house: Wheelhouse<'a>) -> Result<Self, String> {
        let wheels = house.names.iter().map(|name| {
            let path = house.directory.join(name);
            let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
            let (sha256, size) = std::fs::File::open(&path).and_then(digest).map_err(failed)?;
            Ok(Wheel { name: name.clone(), sha256, size })
        });
        Ok(Self { directory: house.directory, wheels: wheels.collect::<Result<_, String>>()? })
    }

    /// What a host needs: the files of a set with hashes, or all of them.
    pub(super) fn shipment(&self, set: Option<&Vec<String>>) -> Shipment {
        let named = |wheel: &&Wheel| {
            let listed = |line: &String| line.ends_with(&format!(":{}", wheel.sha256));
            is_tool(&wheel.name) || set.is_none_or(|lines| lines.iter().any(listed))
        };
        let wheels: Vec<Wheel> = self.wheels.iter().filter(named).cloned().collect();
        Shipment { wheels, lacking: BTreeSet::new(), open: None, sent: (0, 0) }
    }
}

/// What one host gets before a step.
#[derive(Debug)]
pub(super) struct Shipment {
    wheels: Vec<Wheel>,
    lacking: BTreeSet<String>,
    /// Wheels that are still to be sent, the first from this byte on. `None`: it has not said what it lacks.
    open: Option<(VecDeque<Wheel>, u64)>,
    /// Files and bytes.
    sent: (usize, u64),
}

impl Shipment {
    /// Asks what of it the host lacks.
    pub(super) fn ask(&self) -> Frame {
        let lines = self.wheels.iter().map(|wheel| format!("{} {}\n", wheel.sha256, wheel.name));
        let mut frame = Frame::default();
        frame.want_wheels(&lines.collect::<String>());
        frame
    }

    /// The host lacks one.
    pub(super) fn lacks(&mut self, name: String) {
        if self.wheels.iter().any(|wheel| wheel.name == name) {
            self.lacking.insert(name);
        }
    }

    /// The next part once the host has done the one before; `None`: it has everything.
    pub(super) fn next(&mut self, stock: &Stock<'_>) -> Result<Option<Frame>, String> {
        let lacking = &self.lacking;
        let (queue, at) = self.open.get_or_insert_with(|| {
            (self.wheels.iter().filter(|wheel| lacking.contains(&wheel.name)).cloned().collect(), 0)
        });
        let Some(wheel) = queue.front() else { return Ok(None) };
        let path = stock.directory.join(&wheel.name);
        let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(*at)).map_err(failed)?;
        let mut part = Vec::new();
        file.take(PART as u64).read_to_end(&mut part).map_err(failed)?;
        let last = part.len() < PART || *at + part.len() as u64 == wheel.size;
        let mut frame = Frame::default();
        frame.take_wheel(&wheel.name, &wheel.sha256, *at == 0, last, &part);
        self.sent.1 += part.len() as u64;
        if last {
            self.sent.0 += 1;
            queue.pop_front();
            *at = 0;
        } else {
            *at += part.len() as u64;
        }
        Ok(Some(frame))
    }

    /// How far it is, for people.
    pub(super) fn progress(&self) -> String {
        let (files, bytes) = self.sent;
        format!("sent {files} of {} wheels it lacks, {:.1} MB", self.lacking.len(), bytes as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_what_it_lacks_in_parts_and_nothing_it_makes_up() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl", "c-1-py3-none-any.whl"]
            .map(str::to_owned)
            .to_vec();
        std::fs::write(directory.path().join(&names[0]), vec![7; PART + 1]).unwrap();
        std::fs::write(directory.path().join(&names[1]), b"").unwrap();
        std::fs::write(directory.path().join(&names[2]), b"c").unwrap();
        let stock = Stock::take(Wheelhouse { directory: directory.path(), names: &names }).unwrap();
        let mut shipment = stock.shipment(None);
        for lacking in [&names[0], &names[1], "../../etc/passwd"] {
            shipment.lacks(lacking.to_owned());
        }
        let mut frames = Vec::new();
        while let Some(frame) = shipment.next(&stock).unwrap() {
            frames.push(String::from_utf8_lossy(frame.bytes("x").expose()).into_owned());
        }
        let heads: Vec<String> =
            frames.iter().map(|frame| frame.lines().nth(1).unwrap().to_owned()).collect();
        assert_eq!(heads.len(), 3, "{heads:?}");
        assert!(heads[0].contains(" first more "), "{heads:?}");
        assert!(heads[1].contains(" next last "), "{heads:?}");
        assert!(heads[2].contains(&names[1]) && heads[2].contains(" first last "), "{heads:?}");
        assert!(shipment.progress().starts_with("sent 2 of 2 wheels"), "{}", shipment.progress());
        let set = vec![format!("c==1 --hash=sha256:{}", crate::secret::sha256_hex(b"c"))];
        let only = stock.shipment(Some(&set));
        assert_eq!(only.wheels.iter().map(|wheel| wheel.name.as_str()).collect::<Vec<_>>(), [&names[2]]);
    }
}
