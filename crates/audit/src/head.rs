//! Signed tree heads, and the keys that sign and check them.
//!
//! What is signed is this text, in UTF-8, each line ended by one line feed (0x0A), nothing before or after:
//!
//! ```text
//! omnihub audit tree head v1
//! <key id: the first 16 hexadecimal digits of the SHA-256 of the 32-byte public key>
//! <number of leaves, decimal>
//! <root, 64 lower-case hexadecimal digits>
//! <moment in milliseconds since 1970 UTC, decimal>
//! ```
//!
//! The signature is Ed25519 (RFC 8032) over these bytes. The first line keeps the key from being used for anything else.

use std::fmt;

use ed25519_dalek::Signer as _;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A statement, signed, that the log had this root at this size.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedHead {
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree.
    #[serde(with = "hexadecimal")]
    pub root: [u8; 32],
    /// When it was signed.
    pub at: Timestamp,
    /// Which key signed: 16 hexadecimal digits.
    pub key_id: String,
    /// Ed25519 signature over [`SignedHead::text`].
    #[serde(with = "hexadecimal")]
    pub signature: [u8; 64],
}

impl SignedHead {
    /// The exact text that is signed (see the module).
    pub fn text(&self) -> String {
        format!("{DOMAIN}\n{}\n{}\n{}\n{}\n", self.key_id, self.size, hex::encode(self.root), self.at.0)
    }
}

const DOMAIN: &str = "omnihub audit tree head v1";

/// Signs tree heads. Its bytes are shown to nobody.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Takes a secret key of 32 random bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The key that checks what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs the head of a tree.
    pub fn sign(&self, size: u64, root: [u8; 32], at: Timestamp) -> SignedHead {
        let mut head = SignedHead { size, root, at, key_id: self.verifying_key().id(), signature: [0; 64] };
        head.signature = self.sign_text(&head.text());
        head
    }

    /// Every text has a first line of its own that says what it is, so that no signature serves for something else.
    pub(crate) fn sign_text(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key().id())
    }
}

/// Checks tree heads.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

/// Text or bytes that are no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key: give 64 hexadecimal digits")]
pub struct InvalidKey;

impl VerifyingKey {
    /// Takes a public key of 32 bytes.
    pub fn from_bytes(public: &[u8; 32]) -> Result<Self, InvalidKey> {
        ed25519_dalek::VerifyingKey::from_bytes(public).map(Self).map_err(|_| InvalidKey)
    }

    /// Reads 64 hexadecimal digits; white space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| InvalidKey)?;
        Self::from_bytes(&bytes)
    }

    /// Its short name: the first 16 hexadecimal digits of the SHA-256 of its bytes.
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0.as_bytes())[..8])
    }

    /// True when this key signed the head.
    pub fn accepts(&self, head: &SignedHead) -> bool {
        head.key_id == self.id() && self.accepts_text(&head.text(), &head.signature)
    }

    pub(crate) fn accepts_text(&self, text: &str, signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// Bytes of fixed length as lower-case hexadecimal text.
pub(crate) mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let mut bytes = [0; N];
        hex::decode_to_slice(String::deserialize(deserializer)?, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}
