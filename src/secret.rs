//! A secret value that cannot be printed, serialised or compared by accident.

use zeroize::Zeroizing;

/// Stands where a value is not shown that looks like a secret.
pub const CONCEALED: &str = "<not shown>";

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

/// A text without the values of secrets: each is replaced by its name, the longest value first.
///
/// Values of several lines are looked for line by line; what is shorter than four bytes is left alone, since it
/// stands in every text.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> String {
    let mut values: Vec<(String, &str)> = Vec::new();
    for (name, secret) in secrets {
        let value = String::from_utf8_lossy(secret.expose()).into_owned();
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= 4);
        values.extend(lines.map(|line| (line.to_owned(), name)));
    }
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for (value, name) in values {
        if text.contains(&value) {
            text = text.replace(&value, &format!("<secret {name}>"));
        }
    }
    text
}

/// SHA-256 in lower-case hex, as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut digest = Sha256::default();
    digest.update(bytes);
    digest.hex()
}

/// The same of what comes in pieces.
#[derive(Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// Of all pieces.
    pub fn hex(self) -> String {
        sha2::Digest::finalize(self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_by_their_names() {
        let secrets = [("a", "hunter2"), ("b", "hunter22"), ("key", "x\nlong line of a key\n"), ("e", "")];
        let secrets = secrets.map(|(name, value)| (name, Secret::new(value.into())));
        let all = || secrets.iter().map(|(name, secret)| (*name, secret));
        assert_eq!(redact("p=hunter2 q=hunter22 x", all()), "p=<secret a> q=<secret b> x");
        assert_eq!(redact("> long line of a key", all()), "> <secret key>");
        assert_eq!(format!("{:?}", secrets[0].1), "<secret>");
    }
}
