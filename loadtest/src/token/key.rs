//! The key that signs: a secret, or a private key in PEM. The crate `jsonwebtoken` has the
//! algorithms.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TokenError;

/// Every algorithm, by the name that tokens have for it.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];
/// Default algorithms of a private key; the first one that fits is used.
const USUAL: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
];
/// Longest file of a key, in bytes; the private key of the largest RSA keys has 13 KB.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Start of a PEM text, which no secret has.
const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// A key as it is handed to the client processes.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Key {
    algorithm: Algorithm,
    /// A PEM text, or a secret.
    material: Vec<u8>,
}

/// A key at work.
pub(crate) struct Signer {
    signer: Box<dyn JwtSigner>,
    /// The first part of every token, with the dot behind it.
    head: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A secret, for HS256 by default.
    pub(crate) fn secret(
        flag: &'static str,
        secret: &[u8],
        algorithm: Option<Algorithm>,
    ) -> Result<Self, TokenError> {
        if secret.is_empty() {
            return Err(TokenError::Empty(flag));
        }
        let key = Self {
            algorithm: algorithm.unwrap_or(Algorithm::HS256),
            material: secret.to_vec(),
        };
        key.signer().map(|_| key)
    }

    /// The key in a file: a private key in PEM, which decides the algorithm (an RSA key: RS256)
    /// unless one is given, or a secret.
    pub(crate) fn file(path: &Path, algorithm: Option<Algorithm>) -> Result<Self, TokenError> {
        let material = read(path).map_err(|error| TokenError::File {
            path: path.to_owned(),
            error,
        })?;
        if !material.starts_with(PEM_BEGIN) {
            // Editors end a file with a line end, which is no part of the secret.
            return Self::secret("--token-key", material.trim_ascii_end(), algorithm);
        }
        let mut key = Self {
            algorithm: Algorithm::ES256,
            material,
        };
        for usual in algorithm.as_slice().iter().chain(&USUAL) {
            key.algorithm = *usual;
            match (key.signer(), algorithm) {
                (Ok(_), _) => return Ok(key),
                (Err(error), Some(_)) => return Err(error),
                (Err(_), None) => {}
            }
        }
        Err(TokenError::Pem(path.to_owned()))
    }

    /// The key, ready to sign.
    pub(crate) fn signer(&self) -> Result<Signer, TokenError> {
        let unfit = || TokenError::Unfit(format!("{:?}", self.algorithm));
        let pem = self.material.starts_with(PEM_BEGIN);
        let key = match self.algorithm.family() {
            AlgorithmFamily::Hmac if pem => return Err(unfit()),
            AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(&self.material)),
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&self.material),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(&self.material),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(&self.material),
        };
        let key = key.map_err(|_| unfit())?;
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &key);
        let head = format!(r#"{{"alg":"{:?}","typ":"JWT"}}"#, self.algorithm);
        let signer = Signer {
            signer: signer.map_err(|_| unfit())?,
            head: URL_SAFE_NO_PAD.encode(head) + ".",
        };
        // A key of another kind may only be found out by its first signature.
        signer
            .append(&Map::new(), &mut String::new())
            .ok_or_else(unfit)?;
        Ok(signer)
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> Result<String, TokenError> {
        let mut token = String::new();
        self.append(&self.signer()?, claims, &mut token)?;
        Ok(token)
    }

    /// The same at the end of a text, with a signer of this key.
    pub(super) fn append(
        &self,
        signer: &Signer,
        claims: &Map<String, Value>,
        out: &mut String,
    ) -> Result<(), TokenError> {
        let signed = signer.append(claims, out);
        signed.ok_or_else(|| TokenError::Unfit(format!("{:?}", self.algorithm)))
    }
}

/// The file, if it is no longer than keys are.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut material = Vec::new();
    let file = File::open(path)?;
    file.take(KEY_BYTES_MAX + 1).read_to_end(&mut material)?;
    if material.len() as u64 > KEY_BYTES_MAX {
        let text = format!("longer than {KEY_BYTES_MAX} bytes, so this is no key");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(material)
}

impl Signer {
    /// `None` if the key cannot sign.
    fn append(&self, claims: &Map<String, Value>, out: &mut String) -> Option<()> {
        let start = out.len();
        out.push_str(&self.head);
        // An object of JSON values can always be written as JSON.
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).ok()?, out);
        let signature = self.signer.try_sign(&out.as_bytes()[start..]).ok()?;
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, out);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::json;

    use super::*;

    fn claims() -> Map<String, Value> {
        serde_json::from_str(r#"{"sub": "u1"}"#).expect("an object")
    }

    /// The key of a file with this in it.
    fn file(text: &str, algorithm: Option<Algorithm>) -> Result<Key, TokenError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, text).expect("a file");
        Key::file(&path, algorithm)
    }

    fn check(token: &str, key: &DecodingKey, algorithm: Algorithm) {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        let decoded = decode::<Value>(token, key, &validation).expect("a token that holds");
        assert_eq!(decoded.claims, json!({"sub": "u1"}));
    }

    #[test]
    fn a_token_of_a_secret_holds_for_every_algorithm() {
        for (given, algorithm) in [
            (None, Algorithm::HS256),
            (Some(Algorithm::HS384), Algorithm::HS384),
            (Some(Algorithm::HS512), Algorithm::HS512),
        ] {
            let key = Key::secret("--token-secret", b"secret", given).expect("a key");
            let token = key.sign(&claims()).expect("a token");
            check(&token, &DecodingKey::from_secret(b"secret"), algorithm);
            let read = file("secret\n", given).expect("a key");
            check(
                &read.sign(&claims()).expect("a token"),
                &DecodingKey::from_secret(b"secret"),
                algorithm,
            );
        }
    }

    #[test]
    fn a_private_key_says_itself_what_it_signs_with() {
        for (made, algorithm) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
        ] {
            let pair = rcgen::KeyPair::generate_for(made).expect("a key");
            let key = file(&pair.serialize_pem(), None).expect("a key");
            let token = key.sign(&claims()).expect("a token");
            let public = pair.public_key_pem();
            let public = match algorithm {
                Algorithm::EdDSA => DecodingKey::from_ed_pem(public.as_bytes()),
                _ => DecodingKey::from_ec_pem(public.as_bytes()),
            };
            check(&token, &public.expect("a public key"), algorithm);
        }
    }

    #[test]
    fn an_rsa_key_signs_with_rs256_unless_told_otherwise() {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("a document");
        let text = STANDARD.encode(pkcs8.as_ref());
        let text = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let public = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        for (given, algorithm) in [
            (None, Algorithm::RS256),
            (Some(Algorithm::RS512), Algorithm::RS512),
            (Some(Algorithm::PS256), Algorithm::PS256),
        ] {
            let key = file(&text, given).expect("a key");
            check(&key.sign(&claims()).expect("a token"), &public, algorithm);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused_with_a_way_out() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        for algorithm in [Algorithm::ES384, Algorithm::RS256, Algorithm::HS256] {
            let error = file(&pair.serialize_pem(), Some(algorithm)).expect_err("another kind");
            assert_eq!(
                error.to_string(),
                format!("--token-algorithm {algorithm:?}: the key cannot sign with it")
            );
        }
        assert!(Key::secret("--token-secret", b"x", Some(Algorithm::ES256)).is_err());
        assert!(Key::secret("--token-secret", b"", None).is_err());
        let error = file(&"x".repeat(1 << 20), None).expect_err("no key");
        assert!(
            error.to_string().contains("longer than 65536 bytes"),
            "{error}"
        );
        let error = file(&pair.public_key_pem(), None).expect_err("no private key");
        assert!(error.to_string().contains("openssl pkcs8"), "{error}");
    }

    #[test]
    fn a_key_is_handed_on_whole_and_never_shown() {
        let key = Key::secret("--token-secret", b"hush", None).expect("a key");
        let line = serde_json::to_string(&key).expect("JSON");
        let read: Key = serde_json::from_str(&line).expect("a key");
        assert_eq!(read.sign(&claims()).ok(), key.sign(&claims()).ok());
        assert_eq!(format!("{key:?}"), "Key { algorithm: HS256, .. }");
    }
}
