//! HTTP digest authentication (RFC 7616): reads challenges, makes the answer. MD5 and SHA-256, `qop` auth or none.

use egress::HttpAnswer;
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// Challenges of one answer that are looked at.
const CHALLENGES_MAX: usize = 16;

/// The value of `Authorization` that answers the best challenge; none when no challenge can be answered.
pub(super) fn answer(
    challenged: &HttpAnswer,
    method: &str,
    username: &str,
    password: &str,
) -> Option<String> {
    let mut nonce = [0u8; 16];
    getrandom::fill(&mut nonce).ok()?;
    let headers = challenged.headers.iter().filter(|(name, _)| name == "www-authenticate");
    let mut challenges: Vec<Challenge> =
        headers.flat_map(|(_, value)| challenges(value)).take(CHALLENGES_MAX).collect();
    // The stronger one first; those that cannot be answered are not there.
    challenges.sort_by_key(|challenge| challenge.hash);
    let url = url::Url::parse(&challenged.uri).ok()?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    challenges.first().map(|challenge| {
        let given = Given { method, target, username, password };
        challenge.answer(&given, &hex::encode(nonce))
    })
}

/// In the order in which they are liked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Hash {
    Sha256,
    Md5,
}

impl Hash {
    fn of(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex::encode(Sha256::digest(text.as_bytes())),
            Self::Md5 => hex::encode(Md5::digest(text.as_bytes())),
        }
    }
}

#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As it was written, to be sent back.
    algorithm: Option<String>,
    hash: Hash,
    session: bool,
    qop: bool,
    userhash: bool,
}

struct Given<'a> {
    method: &'a str,
    target: &'a str,
    username: &'a str,
    password: &'a str,
}

impl Challenge {
    fn of(parameters: &[(String, String)]) -> Option<Self> {
        let get =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let algorithm = get("algorithm");
        let word = algorithm.as_deref().unwrap_or("MD5").to_ascii_lowercase();
        let (hash, session) = match word.as_str() {
            "md5" => (Hash::Md5, false),
            "md5-sess" => (Hash::Md5, true),
            "sha-256" => (Hash::Sha256, false),
            "sha-256-sess" => (Hash::Sha256, true),
            _ => return None,
        };
        let qop = match get("qop") {
            None => false,
            Some(list) if list.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")) => true,
            // Only `auth-int`.
            Some(_) => return None,
        };
        let userhash = get("userhash").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        Some(Self {
            realm: get("realm")?,
            nonce: get("nonce")?,
            opaque: get("opaque"),
            algorithm,
            hash,
            session,
            qop,
            userhash,
        })
    }

    fn answer(&self, given: &Given<'_>, cnonce: &str) -> String {
        let Self { realm, nonce, hash, .. } = self;
        let mut first = hash.of(&format!("{}:{realm}:{}", given.username, given.password));
        if self.session {
            first = hash.of(&format!("{first}:{nonce}:{cnonce}"));
        }
        let second = hash.of(&format!("{}:{}", given.method, given.target));
        let response = match self.qop {
            true => hash.of(&format!("{first}:{nonce}:00000001:{cnonce}:auth:{second}")),
            false => hash.of(&format!("{first}:{nonce}:{second}")),
        };
        let mut parts = vec![match (self.userhash, given.username.is_ascii()) {
            (true, _) => format!("username=\"{}\"", hash.of(&format!("{}:{realm}", given.username))),
            (false, true) => format!("username={}", quoted(given.username)),
            (false, false) => format!("username*=UTF-8''{}", escaped(given.username)),
        }];
        parts.push(format!("realm={}", quoted(realm)));
        parts.push(format!("nonce={}", quoted(nonce)));
        parts.push(format!("uri={}", quoted(given.target)));
        parts.push(format!("response=\"{response}\""));
        parts.extend(self.algorithm.as_ref().map(|algorithm| format!("algorithm={algorithm}")));
        parts.extend(self.opaque.as_ref().map(|opaque| format!("opaque={}", quoted(opaque))));
        if self.qop || self.session {
            parts.push(format!("cnonce=\"{cnonce}\""));
        }
        if self.qop {
            parts.push("qop=auth".to_owned());
            parts.push("nc=00000001".to_owned());
        }
        if self.userhash {
            parts.push("userhash=true".to_owned());
        }
        format!("Digest {}", parts.join(", "))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The digest challenges of one header, which may hold challenges of several schemes.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header;
    let mut current: Option<(bool, Vec<(String, String)>)> = None;
    let end = |current: Option<(bool, Vec<(String, String)>)>, found: &mut Vec<Challenge>| {
        if let Some((true, parameters)) = current {
            found.extend(Challenge::of(&parameters));
        }
    };
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(word);
        if name.is_empty() {
            break;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            // A word without a value begins another scheme.
            end(current.replace((name.eq_ignore_ascii_case("digest"), Vec::new())), &mut found);
            rest = after;
            continue;
        };
        let (value, after) = value_of(value.trim_start());
        rest = after;
        if let Some((_, parameters)) = &mut current {
            parameters.push((name.to_ascii_lowercase(), value));
        }
    }
    end(current, &mut found);
    found
}

/// A token or a quoted text, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &inner[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616, section 3.9.1.
    const RFC: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    fn response(header: &str, cnonce: &str) -> String {
        let given = Given {
            method: "GET",
            target: "/dir/index.html",
            username: "Mufasa",
            password: "Circle of Life",
        };
        let answer = challenges(header).first().expect("a challenge").answer(&given, cnonce);
        let after = answer.split("response=\"").nth(1).expect("a response");
        after.split('"').next().expect("its end").to_owned()
    }

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(response(RFC, cnonce), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        let md5 = RFC.replace("SHA-256", "MD5");
        assert_eq!(response(&md5, cnonce), "8ca523f5e9506fed4657c9700eebdbec");
    }

    #[test]
    fn challenges_of_many_schemes_are_told_apart() {
        let table = [
            (format!("Basic realm=\"a, b\", {RFC}"), 1),
            (format!("{RFC}, Basic realm=\"x\", Digest realm=\"y\", nonce=\"1\""), 2),
            ("Negotiate".to_owned(), 0),
            ("Digest realm=\"x\"".to_owned(), 0),
            ("Digest realm=\"x\", nonce=\"1\", qop=\"auth-int\"".to_owned(), 0),
            ("Digest realm=\"x\", nonce=\"1\", algorithm=SHA-512-256".to_owned(), 0),
            ("Digest realm=\"un\\\"closed, nonce=1".to_owned(), 0),
            (String::new(), 0),
        ];
        for (header, count) in table {
            assert_eq!(challenges(&header).len(), count, "{header}");
        }
    }

    #[test]
    fn the_stronger_hash_is_taken_and_the_name_cannot_leave_its_quotes() {
        let challenged = HttpAnswer {
            status: 401,
            headers: vec![
                ("www-authenticate".to_owned(), "Digest realm=\"x\", nonce=\"1\", qop=auth".to_owned()),
                (
                    "www-authenticate".to_owned(),
                    "Digest realm=\"x\", nonce=\"2\", algorithm=SHA-256".to_owned(),
                ),
            ],
            body: bytes::Bytes::new(),
            uri: "http://h.test/a?b=1#c".to_owned(),
        };
        let value = answer(&challenged, "GET", "a\"b", "p").expect("an answer");
        assert!(value.contains("algorithm=SHA-256") && value.contains("uri=\"/a?b=1\""), "{value}");
        assert!(value.starts_with("Digest username=\"a\\\"b\""), "{value}");
    }
}
