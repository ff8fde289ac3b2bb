//! The fixed command every exec runs, and the framing that makes a cut-off script harmless.
//!
//! A shell runs a truncated last line, so the script comes on standard input, in gzip, behind its length
//! and digest, and is evaluated only when both are right. A random sentinel precedes the answer, because
//! start-up files of login shells print. Nothing of a script or of a request is ever in argv.

use super::packed::packed;
use super::privilege::Privilege;
use crate::secret::sha256_hex;

/// The bash one-liner that reads, checks and evaluates a script. No single quotes, no `!`.
const LOADER: &str = "read -r n d s; p=$(set -o pipefail; head -c \"$n\" | gzip -dc) && \
    [ \"$(printf %s \"$p\" | sha256sum)\" = \"$d  -\" ] || exit 96; eval \"$p\"; synprov_main \"$s\"";

/// Exit status of the loader when the script did not arrive whole.
pub const TRUNCATED: i32 = 96;

/// The command line to execute on a host.
pub fn command(privilege: &Privilege) -> String {
    format!("exec {}bash --noprofile --norc -c '{LOADER}'", privilege.prefix())
}

/// What goes to standard input first: header line, then the script, then `request` as its `$synprov_request`.
///
/// The request is under the same digest, and bash has it in one piece: it would read lines of a pipe byte by byte.
pub fn envelope(script: &str, request: &str, sentinel: &str) -> Vec<u8> {
    let script = format!("{script}\nsynprov_request='{}'", request.replace('\'', r"'\''"));
    let packed = packed(&script);
    let mut envelope =
        format!("{} {} {sentinel}\n", packed.len(), sha256_hex(script.as_bytes())).into_bytes();
    envelope.extend_from_slice(&packed);
    envelope
}

/// 128 random bits in hex: sentinel or nonce of one run.
pub fn random_token() -> String {
    let mut bytes = [0_u8; 16];
    // The operating system's generator failing means nothing below is safe either.
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn run(input: &[u8]) -> (Option<i32>, String) {
        let mut child = Command::new("sh")
            .args(["-c", &command(&Privilege::default())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    const SCRIPT: &str =
        "synprov_main() { echo \"$1\"; printf %s \"$synprov_request\"; read -r line; echo \"got $line\"; }\n";

    #[test]
    fn a_whole_script_runs_and_reads_what_follows_it() {
        let request = "it's\ta 'request'\n\n$(false) `false` \\ \"\n";
        let mut input = envelope(SCRIPT, request, "abc");
        input.extend_from_slice(b"next\n");
        assert_eq!(run(&input), (Some(0), format!("abc\n{request}got next\n")));
    }

    #[test]
    fn a_script_cut_anywhere_runs_not_at_all() {
        let whole = envelope(SCRIPT, "a request", "abc");
        for cut in 0..whole.len() {
            let (status, output) = run(&whole[..cut]);
            assert_ne!(status, Some(0), "cut at {cut}");
            assert_eq!(output, "", "cut at {cut}");
        }
    }
}
