//! Seals: signatures of documents, by the key that signs tree heads.
//!
//! What is signed is this text, in UTF-8, each line ended by one line feed (0x0A), nothing before or after:
//!
//! ```text
//! omnihub sealed document v1
//! <kind, for example `stop-report`>
//! <key id: the first 16 hexadecimal digits of the SHA-256 of the 32-byte public key>
//! <digest of the document's canonical JSON, `sha256:` and 64 hexadecimal digits>
//! ```

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::head::{SigningKey, VerifyingKey, hexadecimal};

const DOMAIN: &str = "omnihub sealed document v1";

/// A signature of a document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// What sort of document.
    pub kind: String,
    /// Digest of its canonical JSON.
    pub digest: Digest,
    /// Which key signed: 16 hexadecimal digits.
    pub key_id: String,
    /// Ed25519 signature over [`Seal::text`].
    #[serde(with = "hexadecimal")]
    pub signature: [u8; 64],
}

impl Seal {
    /// The exact text that is signed (see the module).
    pub fn text(&self) -> String {
        format!("{DOMAIN}\n{}\n{}\n{}\n", self.kind, self.key_id, self.digest)
    }
}

impl SigningKey {
    /// Signs a document.
    pub fn seal_document(&self, kind: &str, document: &serde_json::Value) -> Seal {
        let mut seal = Seal {
            kind: kind.to_owned(),
            digest: model::digest_of(document),
            key_id: self.verifying_key().id(),
            signature: [0; 64],
        };
        seal.signature = self.sign_text(&seal.text());
        seal
    }
}

impl VerifyingKey {
    /// True when this key sealed exactly this document as this kind.
    pub fn accepts_document(&self, kind: &str, document: &serde_json::Value, seal: &Seal) -> bool {
        seal.kind == kind
            && seal.digest == model::digest_of(document)
            && seal.key_id == self.id()
            && self.accepts_text(&seal.text(), &seal.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_seal_holds_for_its_document_its_kind_and_its_key_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let document = json!({"b": 1, "a": [1.5, "x"]});
        let seal = key.seal_document("stop-report", &document);
        let public = key.verifying_key();
        // Written and read again, with the members in another order.
        let again: serde_json::Value = serde_json::from_str("{\"a\":[1.5,\"x\"],\"b\":1}").expect("json");
        let read: Seal = serde_json::from_value(serde_json::to_value(&seal).expect("json")).expect("a seal");
        assert!(public.accepts_document("stop-report", &again, &read));
        assert!(!public.accepts_document("drill", &document, &seal));
        assert!(!public.accepts_document("drill", &document, &Seal { kind: "drill".into(), ..seal.clone() }));
        let other = json!({"b": 2, "a": [1.5, "x"]});
        assert!(!public.accepts_document("stop-report", &other, &seal));
        let moved = Seal { digest: model::digest_of(&other), ..seal.clone() };
        assert!(!public.accepts_document("stop-report", &other, &moved));
        let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(!stranger.accepts_document("stop-report", &document, &seal));
    }
}
