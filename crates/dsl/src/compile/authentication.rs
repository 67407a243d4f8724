//! Compiles `authentication`: who we are to the outside, by values or by a secret's name.

use model::call::OAuth;
use model::effect::{Authentication, SecretScheme};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::Node;
use crate::document::report::nearest;
use crate::plan::AuthenticationWork;
use crate::template::Template;

impl Compiler<'_, '_> {
    /// `authentication`, or an entry of `use.authentications`.
    pub fn authentication(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<AuthenticationWork> {
        if let Some(name) = node.get("use") {
            let found = self.referred("authentications", name)?;
            return self.authentication(found, place, scope);
        }
        for (word, discover, with) in
            [("oauth2", false, SecretScheme::OAuth2), ("oidc", true, SecretScheme::Oidc)]
        {
            if let Some(body) = node.get(word) {
                return match body.get("use") {
                    Some(name) => self.secret(name, body, with),
                    None => self.oauth(body, discover, place, scope),
                };
            }
        }
        for (word, with) in [("basic", SecretScheme::Basic), ("digest", SecretScheme::Digest)] {
            if let Some(body) = node.get(word) {
                return match body.get("use") {
                    Some(name) => self.secret(name, body, with),
                    None => self.password(word, body, place, scope),
                };
            }
        }
        let bearer = node.get("bearer")?;
        if let Some(name) = bearer.get("use") {
            return self.secret(name, bearer, SecretScheme::Bearer);
        }
        Some(AuthenticationWork::Bearer { token: bearer.get("token").map(|n| self.data(n, place, scope))? })
    }

    /// `basic` and `digest` with values.
    fn password(
        &mut self,
        word: &str,
        body: &Node,
        place: Place,
        scope: &Scope,
    ) -> Option<AuthenticationWork> {
        for name in ["username", "password"].into_iter().filter(|n| body.get(n).is_none()) {
            self.report
                .node(codes::MISSING_KEY, body, format!("`{word}` needs `{name}`"))
                .hint("write `username` and `password`, or `use` with the name of a secret");
        }
        let mut part = |name: &str| body.get(name).map(|n| self.data(n, place, scope));
        let (username, password) = (part("username"), part("password"));
        let (username, password) = (username?, password?);
        Some(match word {
            "digest" => AuthenticationWork::Digest { username, password },
            _ => AuthenticationWork::Basic { username, password },
        })
    }

    /// `oauth2` and `oidc` with values. What is known at publish is checked at publish.
    fn oauth(
        &mut self,
        body: &Node,
        discover: bool,
        place: Place,
        scope: &Scope,
    ) -> Option<AuthenticationWork> {
        let with = self.data(body, place, scope);
        for secret in [body.get("password"), body.get("client").and_then(|client| client.get("secret"))] {
            if let Some(node) = secret.filter(|node| node.text().is_some_and(|text| !text.starts_with("${")))
            {
                self.report
                    .node(codes::WRITTEN_SECRET, node, "a secret is written in the document")
                    .hint("put the whole configuration into a secret and name it with `use`");
            }
        }
        let authority =
            body.get("authority").filter(|node| node.text().is_some_and(|t| !t.starts_with("${")));
        if let Some(node) = authority
            && let Some(text) = node.text()
            && !is_plain_address(text)
        {
            self.report
                .node(codes::ENDPOINT, node, format!("`{text}` is not the address of an authority"))
                .hint("write for example `https://login.example/realms/shop`, without `{name}` places");
            return None;
        }
        // What expressions make is judged when it is made. Here their own text stands in their place.
        match serde_json::from_value::<OAuth>(body.value().to_json()) {
            Ok(oauth) => {
                if let Some((message, hint)) = oauth.misfit() {
                    self.report.node(codes::AUTHENTICATION, body, message).hint(hint);
                    return None;
                }
            }
            Err(_) => {
                self.report
                    .node(codes::AUTHENTICATION, body, "a member is not of the kind that it must be")
                    .hint("`scopes`, `audiences` and `issuers` are lists of texts, everything else is text");
                return None;
            }
        }
        let authority = authority.and_then(Node::text).map(str::to_owned);
        Some(AuthenticationWork::OAuth { discover, with, authority })
    }

    fn secret(&mut self, node: &Node, body: &Node, with: SecretScheme) -> Option<AuthenticationWork> {
        let name = node.text()?;
        if body.members().is_some_and(|m| m.len() > 1) {
            self.report
                .node(codes::NOT_EXACTLY_ONE, body, "`use` stands alone")
                .hint("keep the secret or the values, not both");
        }
        let root = self.root;
        // Action documents have no `use`: the catalogue reviews them, secrets included.
        let workflow = root.get("action").is_none();
        let declared = || root.get("use").and_then(|u| u.get("secrets")).map(Node::items).unwrap_or_default();
        if workflow && !declared().iter().any(|s| s.text() == Some(name)) {
            let near = nearest(name, declared().iter().filter_map(Node::text))
                .map(|n| format!("did you mean `{n}`?"));
            self.report
                .node(codes::UNKNOWN_REFERENCE, node, format!("`use.secrets` does not list `{name}`"))
                .hint(near.unwrap_or_else(|| format!("add `{name}` to `use.secrets`")));
        }
        Some(AuthenticationWork::Secret { name: name.to_owned(), with })
    }

    /// The authentication of a description: it is used when there is no data yet. The inner error was told.
    pub(super) fn fixed_authentication(
        &mut self,
        node: &Node,
        place: Place,
        scope: &Scope,
    ) -> Option<Authentication> {
        let work = self.authentication(node, place, scope)?;
        self.fixed(node, &work)
    }

    /// The values of an authentication that is used when there is no data yet.
    pub(super) fn fixed(&mut self, node: &Node, work: &AuthenticationWork) -> Option<Authentication> {
        let fixed = work.fixed();
        if fixed.is_none() {
            self.report
                .node(codes::ENDPOINT, node, "the authentication of a description must be written out")
                .hint("it is fetched when this is published, before there is any data; name a secret with `use`");
        }
        fixed
    }
}

impl AuthenticationWork {
    /// With every value put in place, when no expression is among them.
    pub fn fixed(&self) -> Option<Authentication> {
        let text = |template: &Template| match template {
            Template::Constant(value) => value.as_str().map(str::to_owned),
            _ => None,
        };
        Some(match self {
            Self::Basic { username, password } => {
                Authentication::Basic { username: text(username)?, password: text(password)? }
            }
            Self::Digest { username, password } => {
                Authentication::Digest { username: text(username)?, password: text(password)? }
            }
            Self::Bearer { token } => Authentication::Bearer { token: text(token)? },
            Self::OAuth { discover, with: Template::Constant(value), .. } => Authentication::OAuth {
                discover: *discover,
                with: Box::new(serde_json::from_value(value.to_json()).ok()?),
            },
            Self::OAuth { .. } => return None,
            Self::Secret { name, with } => Authentication::Secret { name: name.clone(), with: *with },
        })
    }
}

fn is_plain_address(text: &str) -> bool {
    !text.contains(['{', '}'])
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        })
}
