//! The lab's own CA, and certificates by it: what a rehearsal has in place of an admin's TLS files.
//!
//! Keys live in the lab's folder and on its hosts, for as long as the lab does.

use std::path::Path;
use std::time::Duration;

use super::LabError;
use super::process::run;

/// Where a host of the lab has its certificate chain, PEM.
pub const CERTIFICATE: &str = "/etc/ssl/synprov-lab/fullchain.pem";
/// Where a host of the lab has its private key, PEM.
pub const KEY: &str = "/etc/ssl/synprov-lab/privkey.pem";

const DAYS: &str = "365";
const NEW_KEY: [&str; 6] = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Makes `ca.pem` and `ca.key` in `folder`.
pub(super) fn create_ca(folder: &Path, lab: &str) -> Result<(), LabError> {
    let (key, certificate) = (text(folder, "ca.key"), text(folder, "ca.pem"));
    let subject = format!("/CN=synprov lab {lab}");
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    let files = ["-nodes", "-keyout", &key, "-out", &certificate, "-days", DAYS];
    let rest = ["-subj", &subject, "-addext", usage];
    openssl(&[&NEW_KEY[..], &files, &rest].concat())
}

/// A chain and its private key for `names`, both PEM.
pub(super) fn certify(folder: &Path, names: &[String]) -> Result<(Vec<u8>, Vec<u8>), LabError> {
    let (ca, ca_key) = (text(folder, "ca.pem"), text(folder, "ca.key"));
    let own = tempfile::tempdir_in(folder).map_err(LabError::io("create a folder for a certificate"))?;
    let (key, certificate) = (text(own.path(), "key.pem"), text(own.path(), "certificate.pem"));
    let list: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let names = format!("subjectAltName={}", list.join(","));
    let files =
        ["-nodes", "-keyout", &key, "-out", &certificate, "-days", DAYS, "-CA", &ca, "-CAkey", &ca_key];
    // The subject stays free of names: a common name may have no more than 64 characters.
    let rest =
        ["-subj", "/O=synprov lab", "-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(&[&NEW_KEY[..], &files, &rest].concat())?;
    let read = |path: &str| std::fs::read(path).map_err(LabError::io(format!("read {path}")));
    let chain = [read(&certificate)?, read(&ca)?].concat();
    Ok((chain, read(&key)?))
}

fn openssl(args: &[&str]) -> Result<(), LabError> {
    run("make a certificate", "openssl", args, b"", Duration::from_secs(60)).map(drop)
}

fn text(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}
