//! Facts about this build that `synprov --version` tells: commit, target, libssh2.
//!
//! The same sources give the same answers: no clock, no host name, no program is run. Outside a
//! checkout there is no commit to tell, and nothing fails for it.
// This is how a build script speaks to Cargo.
#![allow(clippy::print_stdout)]

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SYNPROV_COMMIT");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // Who packages a tarball knows the commit it was made from. Set to nothing there is none, and no commit
    // of a developer's makes Cargo build again.
    let commit = match env::var("SYNPROV_COMMIT") {
        Ok(commit) => Some(commit).filter(|commit| !commit.is_empty()),
        Err(_) => checkout(&root).or_else(|| package(&root)),
    };
    if let Some(commit) = commit {
        println!("cargo:rustc-env=SYNPROV_COMMIT={commit}");
    }
    println!("cargo:rustc-env=SYNPROV_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo:rustc-env=SYNPROV_LIBSSH2={}", libssh2());
}

/// Commit of the checkout that these sources are; `None` if they are none, even if a folder above is one.
fn checkout(root: &Path) -> Option<String> {
    let dot_git = root.join(".git");
    // In a linked worktree it is a file that names the directory.
    let git = match std::fs::read_to_string(&dot_git) {
        Ok(text) => root.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let head = read(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return Some(head).filter(|text| is_commit(text)) };
    // Branches of a linked worktree are in the directory of the main one.
    let common = std::fs::read_to_string(git.join("commondir"));
    let common = common.map_or(git.clone(), |path| git.join(path.trim()));
    read(&common.join(name)).or_else(|| packed(&common, name)).filter(|text| is_commit(text))
}

/// Commit of a branch that git has put into the one file of all; its next commit makes a file of its own.
fn packed(common: &Path, name: &str) -> Option<String> {
    // A path that is not there would have Cargo run this every time: the nearest folder that is.
    let folder = common.join(name).ancestors().skip(1).find(|path| path.is_dir())?.to_owned();
    println!("cargo:rerun-if-changed={}", folder.display());
    let all = read(&common.join("packed-refs"))?;
    all.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ')).map(str::to_owned)
}

/// Commit that `cargo package` wrote down for a crate from a registry.
fn package(root: &Path) -> Option<String> {
    let text = read(&root.join(".cargo_vcs_info.json"))?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).filter(|text| is_commit(text)).map(str::to_owned)
}

/// A file's text; if it changes, this runs again.
fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}

/// SHA-1 or SHA-256 in hexadecimal digits.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `1.11.1, built in`: from the header that libssh2-sys compiled against.
fn libssh2() -> String {
    let header = PathBuf::from(env::var_os("DEP_SSH2_INCLUDE").unwrap_or_default()).join("libssh2.h");
    let text = std::fs::read_to_string(header).unwrap_or_default();
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("#define LIBSSH2_VERSION ")?.split('"').nth(1))
        .unwrap_or("of unknown version");
    // It names a root only for the copy that it has built itself.
    let whose = if env::var_os("DEP_SSH2_ROOT").is_some() { "built in" } else { "the system's" };
    format!("{version}, {whose}")
}
