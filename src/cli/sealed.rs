//! The file of `synprov secrets export`: values of a deployment's secrets, encrypted with age
//! (age-encryption.org/v1). It can be opened with `age` or `rage`, too.
//!
//! Never here: where secrets come from or go to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::terminal;
use crate::secret::Secret;

/// Version of the layout inside.
const FORMAT_VERSION: u32 = 1;
/// Largest file that is read, bytes.
const MOST: u64 = 1 << 20;

/// What is inside.
#[derive(Serialize, Deserialize)]
struct Inside {
    format_version: u32,
    server_name: String,
    /// Name to base64.
    secrets: BTreeMap<String, String>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.secrets.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

/// Secrets of one deployment.
pub struct Unsealed {
    /// Whose they are.
    pub server_name: String,
    /// Name to value.
    pub secrets: BTreeMap<String, Secret>,
}

/// Encrypts, as text: to recipients, or, if there are none, with a passphrase that is asked for.
pub fn seal(unsealed: &Unsealed, recipients: &[String]) -> Result<String, String> {
    let encode = |(name, secret): (&String, &Secret)| (name.clone(), STANDARD.encode(secret.expose()));
    let inside = Inside {
        format_version: FORMAT_VERSION,
        server_name: unsealed.server_name.clone(),
        secrets: unsealed.secrets.iter().map(encode).collect(),
    };
    let plain = Zeroizing::new(serde_json::to_vec(&inside).map_err(|error| error.to_string())?);
    let parsed = recipients.iter().map(|text| {
        age::x25519::Recipient::from_str(text).map_err(|why| format!("{text:?} is no age recipient: {why}"))
    });
    let parsed: Vec<age::x25519::Recipient> = parsed.collect::<Result<_, _>>()?;
    let encryptor = if parsed.is_empty() {
        age::Encryptor::with_user_passphrase(new_passphrase()?)
    } else {
        let recipients = parsed.iter().map(|recipient| recipient as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?
    };
    let sealed = || -> std::io::Result<Vec<u8>> {
        let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armored)?;
        writer.write_all(&plain)?;
        writer.finish()?.finish()
    };
    let bytes = sealed().map_err(|error| format!("cannot encrypt: {error}"))?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Decrypts a file: with identities, or, if it was made with a passphrase, with one that is asked for.
pub fn unseal(path: &Path, identities: &[PathBuf]) -> Result<Unsealed, String> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let reader = ArmoredReader::new(BufReader::new(file.take(MOST)));
    let decryptor =
        age::Decryptor::new_buffered(reader).map_err(|error| format!("{name} is no age file: {error}"))?;
    let keys: Vec<Box<dyn age::Identity>> = if decryptor.is_scrypt() {
        vec![Box::new(age::scrypt::Identity::new(asked("Passphrase: ")?))]
    } else if identities.is_empty() {
        return Err(format!("{name} is encrypted to recipients; name the identity with --identity FILE"));
    } else {
        let all = identities.iter().map(|path| read_identities(path));
        all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
    };
    let mut plain = Zeroizing::new(Vec::new());
    decryptor
        .decrypt(keys.iter().map(|key| key.as_ref()))
        .map_err(|error| format!("cannot open {name}: {error}"))?
        .take(MOST)
        .read_to_end(&mut plain)
        .map_err(|error| format!("cannot open {name}: {error}"))?;
    let inside: Inside = serde_json::from_slice(&plain)
        .map_err(|error| format!("{name} holds no secrets of synprov (line {})", error.line()))?;
    if inside.format_version > FORMAT_VERSION {
        return Err(format!("{name} has format {}: use the newer synprov", inside.format_version));
    }
    let mut secrets = BTreeMap::new();
    for (secret, text) in &inside.secrets {
        let value = STANDARD.decode(text).map_err(|_| format!("secret {secret} in {name} is not base64"))?;
        secrets.insert(secret.clone(), Secret::new(value));
    }
    Ok(Unsealed { server_name: inside.server_name.clone(), secrets })
}

/// Identities of a file as `age-keygen` writes it.
fn read_identities(path: &Path) -> Result<Vec<Box<dyn age::Identity>>, String> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let mut found: Vec<Box<dyn age::Identity>> = Vec::new();
    for line in BufReader::new(file.take(MOST)).lines() {
        let line = Zeroizing::new(line.map_err(|error| format!("cannot read {name}: {error}"))?);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = age::x25519::Identity::from_str(line)
            .map_err(|why| format!("{name} has a line that is no age identity: {why}"))?;
        found.push(Box::new(identity));
    }
    Ok(found)
}

fn new_passphrase() -> Result<SecretString, String> {
    use age::secrecy::ExposeSecret as _;
    let first = asked("New passphrase: ")?;
    if first.expose_secret().chars().count() < 12 {
        return Err("a passphrase has 12 characters or more; or encrypt to a key with --recipient".to_owned());
    }
    let second = asked("The same again: ")?;
    if first.expose_secret() != second.expose_secret() {
        return Err("the two differ".to_owned());
    }
    Ok(first)
}

/// Asks on the terminal.
fn asked(question: &str) -> Result<SecretString, String> {
    let typed = terminal::ask(question).map_err(|why| format!("{why}; use --recipient or --identity"))?;
    Ok(SecretString::from(typed.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_recipient_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let key = age::x25519::Identity::generate();
        std::fs::write(path("key"), format!("# a comment\n{}\n", key.to_string().expose_secret())).unwrap();
        let other = age::x25519::Identity::generate();
        std::fs::write(path("other"), other.to_string().expose_secret()).unwrap();
        let secrets = BTreeMap::from([("form".to_owned(), Secret::new(b"canary\0\xff".to_vec()))]);
        let unsealed = Unsealed { server_name: "a.example".to_owned(), secrets };
        let sealed = seal(&unsealed, &[key.to_public().to_string()]).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !sealed.contains("canary"));
        std::fs::write(path("sealed"), &sealed).unwrap();
        let again = unseal(&path("sealed"), &[path("other"), path("key")]).unwrap();
        assert_eq!(again.server_name, "a.example");
        assert_eq!(again.secrets["form"].expose(), b"canary\0\xff");
        let refused = |identities: &[PathBuf]| unseal(&path("sealed"), identities).err().unwrap();
        assert!(refused(&[path("other")]).contains("cannot open"));
        assert!(refused(&[]).contains("--identity FILE"));
        std::fs::write(path("sealed"), sealed.replacen('A', "B", 5)).unwrap();
        refused(&[path("key")]);
        assert!(seal(&unsealed, &["age1nonsense".to_owned()]).is_err());
    }
}
