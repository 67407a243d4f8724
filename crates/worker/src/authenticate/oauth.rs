//! Access tokens by OAuth 2: asked of an authority through the door, kept in memory until they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use egress::{Credentials, HttpAnswer, Limits, SendError};
use model::call::{OAuth, OAuthClient, TOKEN_EXCHANGE};
use model::effect::{HttpOutput, HttpRequest};
use model::{Label, TenantId, Value};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use super::{ProofError, Way, assertion, masked, remember};

/// Tokens that are kept at the most.
const TOKENS_MAX: usize = 1024;
/// How long a token is kept when the authority does not say how long it lives.
const LIFETIME: Duration = Duration::from_secs(60);
/// The longest time a token is kept, whatever the authority says.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// A token is not used this shortly before its end.
const MARGIN: Duration = Duration::from_secs(10);
/// Largest answer of an authority, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The tenant and a digest of everything that the token was asked for with.
type Key = (TenantId, [u8; 32]);

/// Tokens that are still good. A hint: any may be forgotten.
#[derive(Default)]
pub struct Tokens(Mutex<BTreeMap<Key, Kept>>);

struct Kept {
    token: String,
    until: Instant,
}

impl Tokens {
    /// A token, and whether it was kept from before.
    pub(super) async fn token(
        &self,
        way: &Way<'_>,
        discover: bool,
        with: &OAuth,
        secrets: &mut Vec<String>,
    ) -> Result<(String, bool), ProofError> {
        let key = key_of(&way.grant.tenant, discover, with);
        let kept =
            self.0.lock().get(&key).filter(|kept| kept.until > Instant::now()).map(|k| k.token.clone());
        if let Some(token) = kept {
            return Ok((token, true));
        }
        for secret in secrets_of(with) {
            remember(secrets, secret);
        }
        let (token, lifetime) = fetch(way, discover, with, secrets).await?;
        if lifetime > MARGIN {
            self.keep(key, Kept { token: token.clone(), until: Instant::now() + (lifetime - MARGIN) });
        }
        Ok((token, false))
    }

    /// Forgets a token that is not taken any more; a newer one is kept.
    pub(super) fn forget(&self, tenant: &TenantId, discover: bool, with: &OAuth, token: &str) {
        let key = key_of(tenant, discover, with);
        let mut kept = self.0.lock();
        if kept.get(&key).is_some_and(|kept| kept.token == token) {
            kept.remove(&key);
        }
    }

    fn keep(&self, key: Key, token: Kept) {
        let mut kept = self.0.lock();
        if kept.len() >= TOKENS_MAX && !kept.contains_key(&key) {
            let now = Instant::now();
            kept.retain(|_, kept| kept.until > now);
            let soonest = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone());
            if let Some(soonest) = soonest.filter(|_| kept.len() >= TOKENS_MAX) {
                kept.remove(&soonest);
            }
        }
        kept.insert(key, token);
    }
}

fn key_of(tenant: &TenantId, discover: bool, with: &OAuth) -> Key {
    // Members of a struct have one order; nothing here fails to be written.
    let text = serde_json::to_string(&(discover, with)).unwrap_or_default();
    (tenant.clone(), Sha256::digest(text.as_bytes()).into())
}

fn secrets_of(with: &OAuth) -> impl Iterator<Item = &str> {
    let client = with.client.as_ref();
    let client = client
        .into_iter()
        .flat_map(|client| [client.secret.as_deref(), client.assertion.as_deref(), client.key.as_deref()]);
    let tokens =
        [with.subject.as_ref(), with.actor.as_ref()].map(|token| token.map(|token| token.token.as_str()));
    client.chain([with.password.as_deref()]).chain(tokens).flatten()
}

async fn fetch(
    way: &Way<'_>,
    discover: bool,
    with: &OAuth,
    secrets: &[String],
) -> Result<(String, Duration), ProofError> {
    let endpoint = endpoint(way, discover, with, secrets).await?;
    let made;
    let with = match assertion::made(with, &endpoint, SystemTime::now())? {
        Some(assertion) => {
            made = with_assertion(with, assertion);
            &made
        }
        None => with,
    };
    let (request, credentials) = token_request(&endpoint, with);
    let answer = ask(way, &request, credentials, secrets).await?;
    let json: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
    if answer.status != 200 {
        return Err(refused(&answer, &json, secrets));
    }
    let token = json["access_token"]
        .as_str()
        .filter(|token| !token.is_empty())
        .ok_or_else(|| ProofError::NoToken("the authority's answer holds no `access_token`".to_owned()))?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ProofError::NoToken(format!("the token has more than {TOKEN_BYTES_MAX} bytes")));
    }
    if let Some(kind) = json["token_type"].as_str().filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let kind: String = kind.chars().take(40).collect();
        return Err(ProofError::NoToken(format!("the token is of type `{kind}`, and only `Bearer` is used")));
    }
    if !with.issuers.is_empty() && !issuer_of(token).is_some_and(|issuer| with.issuers.contains(&issuer)) {
        return Err(ProofError::NoToken("the token is not from one of `issuers`".to_owned()));
    }
    // Some authorities write the number as text.
    let seconds = json["expires_in"].as_u64().or_else(|| json["expires_in"].as_str()?.parse().ok());
    Ok((token.to_owned(), seconds.map_or(LIFETIME, Duration::from_secs).min(LIFETIME_MAX)))
}

fn with_assertion(with: &OAuth, assertion: String) -> OAuth {
    let mut with = with.clone();
    with.client.get_or_insert_default().assertion = Some(assertion);
    with
}

/// Where tokens are given out.
async fn endpoint(
    way: &Way<'_>,
    discover: bool,
    with: &OAuth,
    secrets: &[String],
) -> Result<String, ProofError> {
    let authority = with.authority.as_deref().unwrap_or_default().trim_end_matches('/');
    if !discover {
        let path = with.endpoints.as_ref().and_then(|endpoints| endpoints.token.as_deref());
        let path = path.unwrap_or("/oauth2/token");
        return Ok(match path.contains("://") {
            true => path.to_owned(),
            false => format!("{authority}/{}", path.trim_start_matches('/')),
        });
    }
    let request = HttpRequest {
        method: "GET".to_owned(),
        uri: format!("{authority}/.well-known/openid-configuration"),
        headers: vec![("Accept".to_owned(), "application/json".to_owned())],
        body: None,
        authentication: None,
        output: HttpOutput::Raw,
        redirect: false,
    };
    let answer = ask(way, &request, None, secrets).await?;
    let json: Json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
    if answer.status != 200 {
        return Err(refused(&answer, &json, secrets));
    }
    // Who answers for another issuer could hand out that one's token endpoint.
    let issuer = json["issuer"].as_str().unwrap_or_default().trim_end_matches('/');
    if issuer != authority {
        return Err(ProofError::NoToken("the authority's configuration is of another issuer".to_owned()));
    }
    let endpoint = json["token_endpoint"].as_str().unwrap_or_default();
    if authority.starts_with("https://") && !endpoint.starts_with("https://") {
        return Err(ProofError::NoToken("the authority names no token endpoint with `https`".to_owned()));
    }
    Ok(endpoint.to_owned())
}

fn token_request(endpoint: &str, with: &OAuth) -> (HttpRequest, Option<Credentials>) {
    let none = OAuthClient::default();
    let client = with.client.as_ref().unwrap_or(&none);
    let mut fields: Vec<(&str, String)> = vec![("grant_type", with.grant().to_owned())];
    if !with.scopes.is_empty() {
        fields.push(("scope", with.scopes.join(" ")));
    }
    fields.extend(with.audiences.iter().map(|audience| ("audience", audience.clone())));
    match with.grant() {
        "password" => {
            fields.extend(with.username.clone().map(|name| ("username", name)));
            fields.extend(with.password.clone().map(|password| ("password", password)));
        }
        TOKEN_EXCHANGE => {
            let parties = [
                ("subject_token", "subject_token_type", &with.subject),
                ("actor_token", "actor_token_type", &with.actor),
            ];
            for (token, kind, party) in parties {
                let Some(party) = party else { continue };
                fields.push((token, party.token.clone()));
                fields.push((kind, party.kind.clone()));
            }
        }
        _ => {}
    }
    let mut credentials = None;
    match with.client_authentication() {
        "client_secret_basic" => {
            // RFC 6749 section 2.3.1: both are written as in a form first.
            let form = |text: &Option<String>| {
                let text = text.as_deref().unwrap_or_default();
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let pair = STANDARD.encode(format!("{}:{}", form(&client.id), form(&client.secret)));
            credentials = Some(Credentials::Ready { value: format!("Basic {pair}") });
        }
        "private_key_jwt" | "client_secret_jwt" => {
            fields.extend(client.id.clone().map(|id| ("client_id", id)));
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            fields.push(("client_assertion_type", kind.to_owned()));
            fields.extend(client.assertion.clone().map(|assertion| ("client_assertion", assertion)));
        }
        "client_secret_post" => {
            fields.extend(client.id.clone().map(|id| ("client_id", id)));
            fields.extend(client.secret.clone().map(|secret| ("client_secret", secret)));
        }
        _ => fields.extend(client.id.clone().map(|id| ("client_id", id))),
    }
    let json =
        with.request.as_ref().and_then(|request| request.encoding.as_deref()) == Some("application/json");
    let (kind, body) = match json {
        true => ("application/json", Value::from_json(&as_json(fields), Label::DEFINITION)),
        false => {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            ("application/x-www-form-urlencoded", Value::string(form))
        }
    };
    let request = HttpRequest {
        method: "POST".to_owned(),
        uri: endpoint.to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), kind.to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ],
        body: Some(body),
        authentication: None,
        output: HttpOutput::Raw,
        redirect: false,
    };
    (request, credentials)
}

/// One member for each name; several of one name become a list.
fn as_json(fields: Vec<(&str, String)>) -> Json {
    let mut members = Map::new();
    for (name, value) in fields {
        match members.get_mut(name) {
            None => {
                members.insert(name.to_owned(), Json::from(value));
            }
            Some(Json::Array(several)) => several.push(Json::from(value)),
            Some(one) => *one = Json::from(vec![one.take(), Json::from(value)]),
        }
    }
    Json::Object(members)
}

async fn ask(
    way: &Way<'_>,
    request: &HttpRequest,
    credentials: Option<Credentials>,
    secrets: &[String],
) -> Result<HttpAnswer, ProofError> {
    let limits = way.limits_left();
    let limits = Limits { body_bytes: limits.body_bytes.min(ANSWER_BYTES_MAX), ..limits };
    let sent = way.door.send_while(request, way.grant, credentials, limits, way.may_look).await;
    sent.map_err(|error| {
        let told = format!("no token: {}", masked(&error.to_string(), secrets));
        match error {
            SendError::Refused(_) => ProofError::Guarded(told),
            SendError::Unreachable(_) | SendError::Lost(_) => ProofError::Later(told),
            SendError::Invalid(_) | SendError::BadAnswer(_) => ProofError::NoToken(told),
        }
    })
}

/// What an authority said, in the words that RFC 6749 gives it; bounded, without secrets.
fn refused(answer: &HttpAnswer, json: &Json, secrets: &[String]) -> ProofError {
    let words = [&json["error"], &json["error_description"]];
    let words: Vec<&str> = words.into_iter().filter_map(Json::as_str).collect();
    let words: String = masked(&words.join(", "), secrets).chars().take(200).collect();
    let told = match words.is_empty() {
        true => format!("no token: the authority answered {}", answer.status),
        false => format!("no token: the authority answered {}: {words}", answer.status),
    };
    match answer.status {
        408 | 425 | 429 | 500..=599 => ProofError::Later(told),
        _ => ProofError::NoToken(told),
    }
}

/// Who a token says that it is from. Its signature is checked by who takes it.
fn issuer_of(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Json = serde_json::from_slice(&payload).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(with: Json) -> (String, bool) {
        let with: OAuth = serde_json::from_value(with).expect("a configuration");
        assert_eq!(with.misfit(), None);
        let (request, credentials) = token_request("https://a.test/token", &with);
        let body = request.body.expect("a body");
        (body.as_str().map_or_else(|| body.to_string(), str::to_owned), credentials.is_some())
    }

    #[test]
    fn every_grant_and_client_is_written_as_the_rfc_says() {
        let table = [
            (
                serde_json::json!({"authority": "https://a.test", "client": {"id": "i d", "secret": "s&"}, "scopes": ["a", "b"]}),
                "grant_type=client_credentials&scope=a+b&client_id=i+d&client_secret=s%26",
                false,
            ),
            (
                serde_json::json!({"authority": "https://a.test", "client": {"id": "i", "secret": "s", "authentication": "client_secret_basic"}, "audiences": ["x", "y"]}),
                "grant_type=client_credentials&audience=x&audience=y",
                true,
            ),
            (
                serde_json::json!({"authority": "https://a.test", "grant": "password", "username": "u", "password": "p", "client": {"id": "i", "authentication": "none"}}),
                "grant_type=password&username=u&password=p&client_id=i",
                false,
            ),
            (
                serde_json::json!({"authority": "https://a.test", "grant": TOKEN_EXCHANGE, "subject": {"token": "t", "type": "k"}, "client": {"authentication": "none"}}),
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=t&subject_token_type=k",
                false,
            ),
            (
                serde_json::json!({"authority": "https://a.test", "client": {"id": "i", "secret": "s"}, "audiences": ["x", "y"], "request": {"encoding": "application/json"}}),
                "{\"grant_type\":\"client_credentials\",\"audience\":[\"x\",\"y\"],\"client_id\":\"i\",\"client_secret\":\"s\"}",
                false,
            ),
        ];
        for (with, expected, basic) in table {
            assert_eq!(body(with), (expected.to_owned(), basic));
        }
    }

    #[test]
    fn tokens_are_kept_within_a_limit_and_never_for_another_tenant() {
        let tokens = Tokens::default();
        let with = OAuth { authority: Some("https://a.test".to_owned()), ..OAuth::default() };
        let tenants: Vec<TenantId> =
            (0..=TOKENS_MAX).map(|n| TenantId::new(format!("t{n}")).expect("an id")).collect();
        for (n, tenant) in tenants.iter().enumerate() {
            let until = Instant::now() + Duration::from_secs(1000 + n as u64);
            tokens.keep(key_of(tenant, false, &with), Kept { token: format!("token-{n}"), until });
        }
        let kept = tokens.0.lock();
        assert_eq!(kept.len(), TOKENS_MAX);
        assert!(!kept.contains_key(&key_of(&tenants[0], false, &with)), "the one that ends first has gone");
        assert_eq!(kept[&key_of(&tenants[1], false, &with)].token, "token-1");
        assert!(!kept.contains_key(&key_of(&tenants[1], true, &with)));
    }

    #[test]
    fn issuers_are_read_from_the_token() {
        let claims = URL_SAFE_NO_PAD.encode("{\"iss\":\"https://a.test\"}");
        assert_eq!(issuer_of(&format!("h.{claims}.s")).as_deref(), Some("https://a.test"));
        assert_eq!((issuer_of("opaque"), issuer_of("a.b.c")), (None, None));
    }
}
