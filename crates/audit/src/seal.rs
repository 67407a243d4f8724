//! Seals of approved plans: the installation's word that these people approved this plan at that moment.
//!
//! What is signed is this text, in UTF-8, each line ended by one line feed (0x0A), nothing before or after:
//!
//! ```text
//! omnihub plan seal v1
//! <key id: the first 16 hexadecimal digits of the SHA-256 of the 32-byte public key>
//! <tenant>
//! <digest of the plan, as the API writes it>
//! <moment in milliseconds since 1970 UTC, decimal>
//! <approver, one line each>
//! ```
//!
//! The signature is Ed25519 (RFC 8032) over these bytes. Identifiers hold no line feeds, so no two seals share a text.

use model::{Digest, PrincipalId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::head::{SigningKey, VerifyingKey, hexadecimal};

/// A plan's approval, signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanSeal {
    /// Whose plan.
    pub tenant: TenantId,
    /// Digest of the plan's content.
    pub digest: Digest,
    /// Who approved, in the order of their votes.
    pub approvers: Vec<PrincipalId>,
    /// When the last of them did.
    pub at: Timestamp,
    /// Which key signed: 16 hexadecimal digits.
    pub key_id: String,
    /// Ed25519 signature over [`PlanSeal::text`].
    #[serde(with = "hexadecimal")]
    pub signature: [u8; 64],
}

impl PlanSeal {
    /// The exact text that is signed (see the module).
    pub fn text(&self) -> String {
        let approvers: String = self.approvers.iter().map(|approver| format!("{approver}\n")).collect();
        format!("{DOMAIN}\n{}\n{}\n{}\n{}\n{approvers}", self.key_id, self.tenant, self.digest, self.at.0)
    }
}

const DOMAIN: &str = "omnihub plan seal v1";

impl SigningKey {
    /// Seals a plan that these people approved.
    pub fn seal(
        &self,
        tenant: TenantId,
        digest: Digest,
        approvers: Vec<PrincipalId>,
        at: Timestamp,
    ) -> PlanSeal {
        let key_id = self.verifying_key().id();
        let mut seal = PlanSeal { tenant, digest, approvers, at, key_id, signature: [0; 64] };
        seal.signature = self.sign_text(&seal.text());
        seal
    }
}

impl VerifyingKey {
    /// True when this key made the seal.
    pub fn accepts_seal(&self, seal: &PlanSeal) -> bool {
        seal.key_id == self.id() && self.accepts_text(&seal.text(), &seal.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).expect("an identifier")
    }

    #[test]
    fn a_seal_holds_for_exactly_what_was_sealed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let tenant = TenantId::new("acme").expect("an identifier");
        let by = vec![principal("user:bob"), principal("user:carol")];
        let seal = key.seal(tenant, Digest::of(b"plan"), by, Timestamp(5));
        let public = key.verifying_key();
        assert!(public.accepts_seal(&seal));
        let changes: [fn(&mut PlanSeal); 7] = [
            |seal| seal.tenant = TenantId::new("other").expect("an identifier"),
            |seal| seal.digest = Digest::of(b"another plan"),
            |seal| seal.approvers.truncate(1),
            |seal| seal.approvers.swap(0, 1),
            |seal| seal.at = Timestamp(6),
            |seal| seal.key_id = "0123456789abcdef".to_owned(),
            |seal| seal.signature[9] ^= 1,
        ];
        for change in changes {
            let mut forged = seal.clone();
            change(&mut forged);
            assert!(!public.accepts_seal(&forged), "{forged:?}");
        }
        assert!(
            !SigningKey::from_bytes(&[8; 32]).verifying_key().accepts_seal(&seal),
            "another installation"
        );
    }

    #[test]
    fn a_tree_head_is_no_seal_and_a_seal_comes_back_from_json() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let head = key.sign(0, [0; 32], Timestamp(5));
        let tenant = TenantId::new("acme").expect("an identifier");
        let mut seal = key.seal(tenant, Digest::of(b"plan"), vec![principal("user:bob")], Timestamp(5));
        let text = serde_json::to_string(&seal).expect("plain data");
        assert_eq!(serde_json::from_str::<PlanSeal>(&text).expect("its own form"), seal);
        seal.signature = head.signature;
        assert!(!key.verifying_key().accepts_seal(&seal));
    }
}
