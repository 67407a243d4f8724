//! Assertions by which a client proves to an authority who it is (RFC 7523): a short-lived token that it signs itself.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::call::{OAuth, OAuthClient};
use serde_json::json;

use super::ProofError;

/// How long an assertion is good: it is used at once, by clocks that may differ a little.
const LIFETIME: Duration = Duration::from_secs(120);
/// Largest key, in bytes of its PEM.
const KEY_BYTES_MAX: usize = 16 * 1024;
/// Random bytes of an assertion's id.
const ID_BYTES: usize = 16;
/// Smallest secret that a keyed hash takes: RFC 7518 section 3.2 asks for as many bytes as the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// What signs.
enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Box<hmac::Key>),
}

/// The assertion for a token endpoint; none when the client proves itself in another way or brings one.
pub(super) fn made(with: &OAuth, endpoint: &str, now: SystemTime) -> Result<Option<String>, ProofError> {
    let none = OAuthClient::default();
    let client = with.client.as_ref().unwrap_or(&none);
    if client.assertion.is_some() {
        return Ok(None);
    }
    let signer = match with.client_authentication() {
        "private_key_jwt" => of_key(client.key.as_deref().unwrap_or_default()),
        "client_secret_jwt" => of_secret(client.secret.as_deref().unwrap_or_default()),
        _ => return Ok(None),
    };
    let signer = signer.map_err(|why| ProofError::NoToken(format!("no assertion can be signed: {why}")))?;
    let id = client.id.as_deref().unwrap_or_default();
    let failed = || ProofError::NoToken("no assertion can be signed: the signing failed".to_owned());
    let mut random = [0; ID_BYTES];
    getrandom::fill(&mut random).map_err(|_| failed())?;
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| failed())?.as_secs();
    let mut header = json!({"alg": signer.algorithm(), "typ": "JWT"});
    if let Some(name) = &client.key_id {
        header["kid"] = json!(name);
    }
    let claims = json!({
        "iss": id, "sub": id, "aud": endpoint, "jti": hex::encode(random),
        "iat": seconds, "nbf": seconds, "exp": seconds + LIFETIME.as_secs(),
    });
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = signer.sign(signed.as_bytes()).ok_or_else(failed)?;
    Ok(Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

impl Signer {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Secret(_) => "HS256",
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(key) | Self::P384(key) => Some(key.sign(&random, text).ok()?.as_ref().to_vec()),
            Self::Ed25519(key) => Some(key.sign(text).as_ref().to_vec()),
            Self::Secret(key) => Some(hmac::sign(key, text).as_ref().to_vec()),
        }
    }
}

fn of_secret(secret: &str) -> Result<Signer, String> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("`client.secret` has fewer than {SECRET_BYTES_MIN} bytes"));
    }
    Ok(Signer::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))))
}

/// The key says itself what it is: nobody chooses an algorithm that does not belong to it.
fn of_key(pem: &str) -> Result<Signer, String> {
    let der = der_of(pem)?;
    if let Ok(key) = RsaKeyPair::from_pkcs8(&der) {
        return match key.public_modulus_len() * 8 >= KeySize::Rsa2048.len() * 8 {
            true => Ok(Signer::Rsa(key)),
            false => Err("the RSA key has fewer than 2048 bits".to_owned()),
        };
    }
    if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
        return Ok(Signer::P256(key));
    }
    if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der) {
        return Ok(Signer::P384(key));
    }
    match Ed25519KeyPair::from_pkcs8(&der) {
        Ok(key) if !key.public_key().as_ref().is_empty() => Ok(Signer::Ed25519(key)),
        Ok(_) | Err(_) => Err("`client.key` is no RSA, P-256, P-384 or Ed25519 key".to_owned()),
    }
}

/// The bytes of a PEM block. Never a part of them in an error.
fn der_of(pem: &str) -> Result<Vec<u8>, String> {
    if pem.len() > KEY_BYTES_MAX {
        return Err(format!("`client.key` has more than {KEY_BYTES_MAX} bytes"));
    }
    let odd = || "`client.key` is no PKCS#8 key in PEM (`-----BEGIN PRIVATE KEY-----`)".to_owned();
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----").ok_or_else(odd)?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----").ok_or_else(odd)?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).map_err(|_| odd())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::KeyPair as RsaPair;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    fn client(way: &str, member: &str, value: &str) -> OAuth {
        let with = json!({"authority": "https://a.test", "client": {"id": "me", "keyId": "k1", "authentication": way, member: value}});
        let with: OAuth = serde_json::from_value(with).expect("a configuration");
        assert_eq!(with.misfit(), None);
        with
    }

    fn assertion(with: &OAuth) -> (String, Vec<u8>) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let made = made(with, "https://a.test/token", now).expect("it is signed").expect("an assertion");
        let (signed, signature) = made.rsplit_once('.').expect("a signature");
        let part = |at: usize| {
            let bytes = URL_SAFE_NO_PAD.decode(signed.split('.').nth(at).expect("a part")).expect("base64");
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("json")
        };
        let claims = part(1);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("me"), &json!("me")));
        assert_eq!((&claims["aud"], &claims["iat"]), (&json!("https://a.test/token"), &json!(1000)));
        assert_eq!((&claims["exp"], part(0)["kid"].as_str()), (&json!(1120), Some("k1")));
        assert_eq!(claims["jti"].as_str().map(str::len), Some(2 * ID_BYTES));
        (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).expect("base64"))
    }

    /// Whoever has the public key, and only that, finds the signature good.
    fn check(der: &[u8], algorithm: &'static dyn VerificationAlgorithm, public: &[u8]) {
        let (signed, signature) = assertion(&client("private_key_jwt", "key", &pem(der)));
        let key = UnparsedPublicKey::new(algorithm, public);
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        assert!(key.verify(format!("{signed}x").as_bytes(), &signature).is_err());
    }

    #[test]
    fn every_kind_of_key_signs_what_its_public_key_verifies() {
        let rsa = RsaPair::generate(KeySize::Rsa2048).expect("a key");
        let der = rsa.as_der().expect("bytes");
        check(der.as_ref(), &RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref());
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let der = p256.to_pkcs8v1().expect("bytes");
        check(der.as_ref(), &ECDSA_P256_SHA256_FIXED, p256.public_key().as_ref());
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        let der = p384.to_pkcs8v1().expect("bytes");
        check(der.as_ref(), &ECDSA_P384_SHA384_FIXED, p384.public_key().as_ref());
        let ed25519 = Ed25519KeyPair::generate().expect("a key");
        let der = ed25519.to_pkcs8v1().expect("bytes");
        check(der.as_ref(), &ED25519, ed25519.public_key().as_ref());
    }

    #[test]
    fn a_shared_secret_signs_and_every_assertion_is_another() {
        let secret = "0123456789abcdef0123456789abcdef";
        let with = client("client_secret_jwt", "secret", secret);
        let (signed, signature) = assertion(&with);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        assert!(hmac::verify(&key, signed.as_bytes(), &signature).is_ok());
        assert_ne!(assertion(&with).0, signed);
        let given = client("client_secret_jwt", "assertion", "theirs");
        assert_eq!(made(&given, "e", SystemTime::now()).expect("nothing to do"), None);
    }

    #[test]
    fn what_cannot_sign_says_so_without_telling_the_key() {
        let broken = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----";
        let rows = [("key", "canary"), ("key", broken), ("secret", "canary")];
        for (member, value) in rows {
            let way = if member == "key" { "private_key_jwt" } else { "client_secret_jwt" };
            let told = made(&client(way, member, value), "e", SystemTime::now()).expect_err("no signature");
            assert!(!told.to_string().contains("canary"), "{told}");
        }
    }
}
