//! A secret value that cannot be printed, serialised or compared by accident.

use zeroize::Zeroizing;

/// Bytes that must never reach a screen, a log, an argument list, a plan or a record.
///
/// There is no `Display`, no `Serialize`, and `Debug` shows `<secret>`.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that writes them to a host.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Whether the value of a configuration key of this name is a secret, going by the name.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "password",
        "passwd",
        "passphrase",
        "smtp_pass",
        "secret",
        "secret_key",
        "access_token",
        "api_key",
        "private_key",
    ]
    .iter()
    .any(|word| key.ends_with(word))
        && key != "secret"
}

/// SHA-256 in lower-case hex, as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
