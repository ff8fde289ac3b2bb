//! `--rotate`: new random values for secrets of the deployment, made here and kept in memory for this run only.
//!
//! An apply brings them to every host that holds them, as it does with secrets that come from here; afterwards
//! they are the hosts' own again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::load::Loaded;
use super::{Exit, Output};
use crate::secret::Secret;
use crate::topology::SecretShape;

/// A new value for each of `names`; no host need be asked for that.
pub fn rotated(loaded: &Loaded, names: &[String], output: &Output) -> Result<BTreeMap<String, Secret>, Exit> {
    let secrets = &loaded.topology.secrets;
    let mut values = BTreeMap::new();
    for name in names {
        let node = secrets.get(name);
        let Some(node) = node.filter(|node| node.source.is_on_hosts()) else {
            let what = match node {
                Some(_) => format!("secret {name} comes from outside"),
                None => format!("there is no secret {name:?}"),
            };
            let ours = secrets.iter().filter(|(_, node)| node.source.is_on_hosts());
            let ours: Vec<&str> = ours.map(|(name, _)| name.as_str()).collect();
            let help =
                format!("change it where the inventory takes it from; --rotate is for: {}", ours.join(", "));
            output.error(&what, Some(&help));
            return Err(Exit::Usage);
        };
        let Ok(value) = random(node.shape) else {
            output.error("this machine gives no random numbers", None);
            return Err(Exit::Error);
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// What `generate_secret` on a host makes, made here.
fn random(shape: SecretShape) -> Result<Secret, getrandom::Error> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut bytes[..])?;
    Ok(Secret::new(match shape {
        SecretShape::Token => URL_SAFE_NO_PAD.encode(&bytes[..]).into_bytes(),
        SecretShape::SigningKey => {
            let mut id = [0_u8; 4];
            getrandom::fill(&mut id)?;
            let id: String = id.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
            format!("ed25519 a_{id} {}\n", STANDARD_NO_PAD.encode(&bytes[..])).into_bytes()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_shape_that_synapse_reads() {
        let text = |shape| String::from_utf8(random(shape).unwrap().expose().to_vec()).unwrap();
        assert_eq!(text(SecretShape::Token).len(), 43);
        assert_ne!(text(SecretShape::Token), text(SecretShape::Token));
        let key = text(SecretShape::SigningKey);
        let words: Vec<&str> = key.split_whitespace().collect();
        assert!(
            matches!(words.as_slice(), ["ed25519", id, seed] if id.len() == 6 && seed.len() == 43),
            "{key}"
        );
        assert!(key.ends_with('\n'));
    }
}
