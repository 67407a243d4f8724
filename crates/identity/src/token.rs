//! API tokens: `omh_<id>_<secret>`. Only a digest of the secret is kept.
//!
//! The secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, and a slow hash
//! would only slow down every request.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::TokenId;
use model::principal::{PrincipalKind, Role};
use model::{Principal, PrincipalId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 256;

/// The machine has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the machine gave no random bytes: {0}")]
pub struct NoRandomness(String);

/// A token as its holder has it.
pub struct Token {
    /// Its public part.
    pub id: TokenId,
    secret: String,
}

/// A token as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenDocument {
    /// Its public part.
    pub id: TokenId,
    /// Whom it stands for.
    pub principal: PrincipalId,
    /// What sort of actor that is.
    pub kind: PrincipalKind,
    /// The person who answers for a service or an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PrincipalId>,
    /// In which tenant.
    pub tenant: TenantId,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Makes a token with a fresh secret of 32 random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0u8; 42];
        getrandom::fill(&mut bytes).map_err(|e| NoRandomness(e.to_string()))?;
        let id = TokenId::new(hex::encode(&bytes[..10])).map_err(|e| NoRandomness(e.to_string()))?;
        Ok(Self { id, secret: URL_SAFE_NO_PAD.encode(&bytes[10..]) })
    }

    /// Reads a token; none when it is not of the form.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (id, secret) = text.strip_prefix("omh_")?.split_once('_')?;
        let fine = !secret.is_empty()
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fine.then_some(())?;
        Some(Self { id: TokenId::new(id).ok()?, secret: secret.to_owned() })
    }

    /// The whole token, to be shown once.
    pub fn reveal(&self) -> String {
        format!("omh_{}_{}", self.id, self.secret)
    }

    /// What is kept of the secret.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.secret.as_bytes()))
    }
}

impl TokenDocument {
    /// The principal, when the token is the one that was handed out and has not run out.
    pub fn accept(&self, token: &Token, now: Timestamp) -> Option<Principal> {
        let same = self.hash.as_bytes().ct_eq(token.hash().as_bytes());
        let fresh = self.expires_at.is_none_or(|at| now < at);
        (bool::from(same) && fresh && self.id == token.id).then(|| Principal {
            id: self.principal.clone(),
            tenant: self.tenant.clone(),
            kind: self.kind,
            roles: self.roles.clone(),
        })
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(token: &Token, expires_at: Option<Timestamp>) -> TokenDocument {
        TokenDocument {
            id: token.id.clone(),
            principal: PrincipalId::new("user:alice").expect("an identifier"),
            kind: PrincipalKind::User,
            owner: None,
            tenant: TenantId::new("acme").expect("an identifier"),
            roles: BTreeSet::from([Role::Operator]),
            hash: token.hash(),
            created_at: Timestamp(0),
            expires_at,
        }
    }

    #[test]
    fn a_token_is_accepted_until_it_runs_out() {
        let token = Token::generate().expect("randomness");
        let read = Token::parse(&token.reveal()).expect("its own form");
        assert!(document(&token, None).accept(&read, Timestamp(5)).is_some());
        assert!(document(&token, Some(Timestamp(6))).accept(&read, Timestamp(5)).is_some());
        assert!(document(&token, Some(Timestamp(5))).accept(&read, Timestamp(5)).is_none());
    }

    #[test]
    fn another_secret_is_refused() {
        let (a, b) = (Token::generate().expect("randomness"), Token::generate().expect("randomness"));
        let forged = Token::parse(&format!("omh_{}_{}", a.id, b.secret)).expect("the form");
        assert!(document(&a, None).accept(&forged, Timestamp(0)).is_none());
    }

    #[test]
    fn what_is_not_of_the_form_is_no_token() {
        for text in
            ["", "omh_", "omh_x", "omh_x_", "Bearer omh_a_b", "omh_a_b c", "omh_a b_c", &"omh_a_b".repeat(99)]
        {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
