//! Secrets at rest: XChaCha20-Poly1305 under the key of the data directory.
//!
//! A sealed secret is a version byte (1), a 24-byte random nonce, and the sealed JSON text. The tenant and the name
//! are authenticated with it, so that a secret cannot be moved to another owner or name.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use model::TenantId;

use crate::codec::corrupt;
use crate::query::StoreError;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets.
pub(crate) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    pub(crate) fn seal(
        &self,
        tenant: &TenantId,
        name: &str,
        document: &serde_json::Value,
    ) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|error| StoreError::Failed(format!("no random numbers: {error}")))?;
        let text = serde_json::to_vec(document).map_err(|error| StoreError::Failed(error.to_string()))?;
        let payload = Payload { msg: &text, aad: &owner(tenant, name) };
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| StoreError::Failed(format!("secret `{name}` is too long to seal")))?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(
        &self,
        tenant: &TenantId,
        name: &str,
        sealed: &[u8],
    ) -> Result<serde_json::Value, StoreError> {
        let wrong = |what: &str| corrupt("secrets", format_args!("{tenant}/{name}"), what);
        let (version, rest) = sealed.split_first().ok_or_else(|| wrong("no bytes"))?;
        if *version != VERSION {
            return Err(wrong("sealed by a version that is not known"));
        }
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or_else(|| wrong("too short"))?;
        let payload = Payload { msg: text, aad: &owner(tenant, name) };
        let text = self
            .0
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| wrong("does not open with the key of this data directory"))?;
        serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Tenant ids hold no slash, so the two cannot be read another way.
fn owner(tenant: &TenantId, name: &str) -> Vec<u8> {
    format!("{tenant}/{name}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_for_its_owner_name_and_key() {
        let sealer = Sealer::new(&[1; 32]);
        let tenant = TenantId::new("acme").expect("an id");
        let document = serde_json::json!({"token": "t0p"});
        let sealed = sealer.seal(&tenant, "shop", &document).expect("seals");
        assert_eq!(sealer.open(&tenant, "shop", &sealed), Ok(document.clone()));
        assert_ne!(sealer.seal(&tenant, "shop", &document).expect("seals"), sealed);
        assert!(sealer.open(&tenant, "bank", &sealed).is_err());
        assert!(sealer.open(&TenantId::new("other").expect("an id"), "shop", &sealed).is_err());
        assert!(Sealer::new(&[2; 32]).open(&tenant, "shop", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(sealer.open(&tenant, "shop", &bent).is_err(), "byte {at}");
            assert!(sealer.open(&tenant, "shop", &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
