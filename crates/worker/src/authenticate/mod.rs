//! Proving who we are: secrets put in place, challenges answered, tokens asked for; and sending with the proof.

mod assertion;
mod digest;
mod oauth;

use std::time::Instant;

use base64::Engine as _;
use egress::{Credentials, Door, Grant, HttpAnswer, Limits, Reading, SendError};
use model::call::OAuth;
use model::effect::{Authentication, HttpRequest, SecretScheme};
use serde_json::Value as Json;

pub use oauth::Tokens;

/// Secrets shorter than this are not looked for in answers: they would be found everywhere.
const SECRET_BYTES_MIN: usize = 6;
/// What stands where an answer held a secret.
const MASK: &str = "[secret]";

/// Whether something may be sent to this host and port now.
pub type May<'a> = dyn Fn(&str, u16) -> bool + Send + Sync + 'a;

/// How an effect proves who it is for. Debug output would show secrets, so there is none.
pub enum Proof {
    /// It is said with the request.
    Plain(Credentials),
    /// The server's challenge is answered.
    Digest {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// An authority gives out a token.
    Token {
        /// True when the authority tells where its token endpoint is.
        discover: bool,
        /// The way to the token.
        with: Box<OAuth>,
    },
}

/// What a proof cannot be made from. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The authority said no, or something that cannot be used.
    #[error("{0}")]
    NoToken(String),
    /// The authority could not be asked now.
    #[error("{0}")]
    Later(String),
    /// The guard said no to the authority.
    #[error("{0}")]
    Guarded(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// Nothing was sent: there is no proof.
    #[error(transparent)]
    Proof(ProofError),
    /// The door says how far it got.
    #[error(transparent)]
    Door(SendError),
}

/// The way out of one effect.
pub struct Way<'a> {
    /// The door.
    pub door: &'a Door,
    /// What may be reached.
    pub grant: &'a Grant,
    /// Limits of the whole effect.
    pub limits: Limits,
    /// When the effect began; the limits hold from here.
    pub began: Instant,
    /// Asked before the first byte of the act itself leaves.
    pub may_go: &'a May<'a>,
    /// Asked before the first byte of what only prepares it.
    pub may_look: &'a May<'a>,
    /// Tokens that are still good.
    pub tokens: &'a Tokens,
}

impl Way<'_> {
    /// The limits, with the time that is left.
    pub fn limits_left(&self) -> Limits {
        Limits { whole: self.limits.whole.saturating_sub(self.began.elapsed()), ..self.limits }
    }
}

/// Makes a proof from what the task says and the secret that it names.
pub fn proof_of(authentication: &Authentication, secret: Option<&Json>) -> Result<Proof, String> {
    Ok(match authentication {
        Authentication::Basic { username, password } => {
            Proof::Plain(Credentials::Basic { username: username.clone(), password: password.clone() })
        }
        Authentication::Bearer { token } => Proof::Plain(Credentials::Bearer { token: token.clone() }),
        Authentication::Digest { username, password } => {
            Proof::Digest { username: username.clone(), password: password.clone() }
        }
        Authentication::OAuth { discover, with } => Proof::Token { discover: *discover, with: with.clone() },
        Authentication::Secret { name, with } => {
            let secret = secret.ok_or_else(|| {
                format!("there is no secret `{name}`: put it with `omnihub secrets put {name}`")
            })?;
            let member = |member: &str| {
                secret[member]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| format!("the secret `{name}` has no `{member}`"))
            };
            match with {
                SecretScheme::Basic => Proof::Plain(Credentials::Basic {
                    username: member("username")?,
                    password: member("password")?,
                }),
                SecretScheme::Digest => {
                    Proof::Digest { username: member("username")?, password: member("password")? }
                }
                SecretScheme::Bearer => Proof::Plain(Credentials::Bearer { token: member("token")? }),
                SecretScheme::OAuth2 | SecretScheme::Oidc => {
                    let discover = *with == SecretScheme::Oidc;
                    let oauth: OAuth = serde_json::from_value(secret.clone()).map_err(|_| {
                        format!("the secret `{name}` does not hold what `oauth2` and `oidc` are made of")
                    })?;
                    if let Some((message, hint)) = oauth.misfit() {
                        return Err(format!("the secret `{name}` cannot be used: {message}; {hint}"));
                    }
                    Proof::Token { discover, with: Box::new(oauth) }
                }
            }
        }
    })
}

/// Sends with a proof: challenges are answered once, and a kept token that is not taken any more is replaced once.
/// `secrets` gathers the texts by which an answer could tell a secret back.
pub async fn send(
    way: &Way<'_>,
    request: &HttpRequest,
    proof: Option<&Proof>,
    may: &May<'_>,
    reading: Reading<'_>,
    secrets: &mut Vec<String>,
) -> Result<HttpAnswer, Unsent> {
    let with = async |credentials: Option<Credentials>| {
        let mut bare = request.clone();
        bare.authentication = None;
        way.door.send_reading(&bare, way.grant, credentials, way.limits_left(), may, reading).await
    };
    let sent = match proof {
        None => with(None).await,
        Some(Proof::Plain(credentials)) => {
            secrets.extend(secret_texts(credentials));
            with(Some(credentials.clone())).await
        }
        Some(Proof::Digest { username, password }) => {
            remember(secrets, password);
            let mut answer = with(None).await;
            // A second challenge can only say that the first number was too old.
            for _ in 0..2 {
                let Ok(challenged) = &answer else { break };
                if challenged.status != 401
                    || challenged.uri.split('#').next() != request.uri.split('#').next()
                {
                    break;
                }
                let Some(value) = digest::answer(challenged, &request.method, username, password) else {
                    break;
                };
                answer = with(Some(Credentials::Ready { value })).await;
            }
            answer
        }
        Some(Proof::Token { discover, with: oauth }) => {
            let (token, kept) =
                way.tokens.token(way, *discover, oauth, secrets).await.map_err(Unsent::Proof)?;
            remember(secrets, &token);
            let answer = with(Some(Credentials::Bearer { token: token.clone() })).await;
            match answer {
                // It was taken back before its time: nothing was done with it.
                Ok(answer) if answer.status == 401 && kept => {
                    way.tokens.forget(&way.grant.tenant, *discover, oauth, &token);
                    let fresh = way.tokens.token(way, *discover, oauth, secrets).await;
                    let (token, _) = fresh.map_err(Unsent::Proof)?;
                    remember(secrets, &token);
                    with(Some(Credentials::Bearer { token })).await
                }
                answer => answer,
            }
        }
    };
    let mut answer = sent.map_err(Unsent::Door)?;
    mask(&mut answer, secrets);
    Ok(answer)
}

/// A value of `Authorization`, and whether a kept token is in it.
#[derive(Default)]
pub struct Shown {
    /// The value; none without a proof.
    pub value: Option<String>,
    /// True when a newer token could be had.
    pub kept: bool,
}

impl Way<'_> {
    /// Forgets the token that was shown.
    pub fn forget_token(&self, proof: Option<&Proof>, value: Option<&str>) {
        if let (Some(Proof::Token { discover, with }), Some(token)) =
            (proof, value.and_then(|value| value.strip_prefix("Bearer ")))
        {
            self.tokens.forget(&self.grant.tenant, *discover, with, token);
        }
    }
}

/// The value of `Authorization` for a protocol that the door only connects.
pub async fn authorization(
    way: &Way<'_>,
    proof: Option<&Proof>,
    secrets: &mut Vec<String>,
) -> Result<Shown, Unsent> {
    let text = |credentials: &Credentials| egress::authorization_text(credentials).map_err(Unsent::Door);
    match proof {
        None => Ok(Shown::default()),
        Some(Proof::Plain(credentials)) => {
            secrets.extend(secret_texts(credentials));
            Ok(Shown { value: Some(text(credentials)?), kept: false })
        }
        Some(Proof::Digest { .. }) => {
            let told = "digest authentication answers a challenge, and this protocol has none";
            Err(Unsent::Door(SendError::Invalid(told.to_owned())))
        }
        Some(Proof::Token { discover, with }) => {
            let (token, kept) =
                way.tokens.token(way, *discover, with, secrets).await.map_err(Unsent::Proof)?;
            remember(secrets, &token);
            Ok(Shown { value: Some(text(&Credentials::Bearer { token })?), kept })
        }
    }
}

/// The texts by which an answer could tell a secret back.
pub fn secret_texts(credentials: &Credentials) -> Vec<String> {
    let mut all = Vec::new();
    match credentials {
        Credentials::Bearer { token } => remember(&mut all, token),
        Credentials::Ready { value } => remember(&mut all, value),
        Credentials::Basic { username, password } => {
            let pair = format!("{username}:{password}");
            remember(&mut all, &base64::engine::general_purpose::STANDARD.encode(pair));
            remember(&mut all, password);
        }
    }
    all
}

/// A text as it is, as JSON writes it, and as a URI or a form does.
fn remember(all: &mut Vec<String>, text: &str) {
    if text.len() < SECRET_BYTES_MIN {
        return;
    }
    let json = Json::from(text).to_string();
    let form = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let json = json.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default();
    for form in [json.to_owned(), form.replace('+', "%20"), form, text.to_owned()] {
        if !all.contains(&form) {
            all.push(form);
        }
    }
}

/// Takes secrets out of an answer: values never enter the history, not even when the outside sends them back.
fn mask(answer: &mut HttpAnswer, secrets: &[String]) {
    answer.uri = masked(&answer.uri, secrets);
    for secret in secrets {
        if let Some(masked) = without(&answer.body, secret.as_bytes()) {
            answer.body = masked.into();
        }
        for (_, value) in &mut answer.headers {
            if value.contains(secret.as_str()) {
                *value = value.replace(secret.as_str(), MASK);
            }
        }
    }
}

/// The text with every secret replaced.
pub fn masked(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
}

/// The bytes with every `needle` replaced; none when it is not in them.
pub fn without(bytes: &[u8], needle: &[u8]) -> Option<Vec<u8>> {
    let first = *needle.first()?;
    let mut out = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(step) = bytes.get(at..)?.iter().position(|byte| *byte == first) {
        at += step;
        if bytes[at..].starts_with(needle) {
            out.extend_from_slice(&bytes[kept..at]);
            out.extend_from_slice(MASK.as_bytes());
            at += needle.len();
            kept = at;
        } else {
            at += 1;
        }
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[kept..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_come_back_are_taken_out() {
        let table = [
            ("a hush-hush b", "a [secret] b"),
            ("hush-hushhush-hush", "[secret][secret]"),
            ("hush-hus hush-hush", "hush-hus [secret]"),
            ("hush-hhush-hush", "hush-h[secret]"),
        ];
        for (body, expected) in table {
            let found = without(body.as_bytes(), b"hush-hush");
            assert_eq!(found.as_deref(), Some(expected.as_bytes()), "{body}");
        }
        assert_eq!((without(b"hush", b"hush-hush"), without(b"", b"hush-hush")), (None, None));
        assert!(secret_texts(&Credentials::Bearer { token: "short".to_owned() }).is_empty());
        let secrets = secret_texts(&Credentials::Bearer { token: "a\"b c/d".to_owned() });
        let told = "x a\"b c/d y a\\\"b c/d z a%22b%20c%2Fd w a%22b+c%2Fd";
        assert_eq!(masked(told, &secrets), "x [secret] y [secret] z [secret] w [secret]");
    }
}
