//! Access: tokens, tenants and secrets.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use identity::{Token, TokenDocument};
use model::id::TokenId;
use model::principal::{Permission, PrincipalKind, Role};
use model::{Principal, PrincipalId, Problem, TenantId, Timestamp};
use parking_lot::RwLock;
use serde_json::json;
use store::{Batch, Expect, Put};

use crate::app::{App, store_problem, system_principal, system_tenant};
use crate::caller::Caller;
use crate::record;
use crate::standing::{DISABLED, TOKEN};
use crate::view::{NewToken, TokenCreated, TokenView};

/// Tokens that are remembered; beyond that, the memory starts anew.
const CACHE_MAX: usize = 10_000;
const TENANT: &str = "tenant";
/// Size of a secret's document, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Objects and lists inside each other that a secret may hold.
const SECRET_DEPTH_MAX: usize = 2;

/// Tokens that were looked up. The check itself is made for every request.
#[derive(Default)]
pub(crate) struct TokenCache(RwLock<Known>);

#[derive(Default)]
struct Known {
    documents: HashMap<TokenId, Arc<TokenDocument>>,
    /// Counts revocations: what was read before one must not be remembered after it.
    revocations: u64,
}

impl App {
    /// Who a bearer token stands for. Every refusal reads the same, so that nothing can be learned from it.
    pub async fn authenticate(&self, bearer: &str) -> Result<Principal, Problem> {
        let unknown = || {
            Problem::new(
                401,
                4010,
                "not authenticated",
                "give a valid API token: `Authorization: Bearer omh_…`",
            )
        };
        let token = Token::parse(bearer).ok_or_else(unknown)?;
        let (cached, revocations) = {
            let known = self.tokens.0.read();
            (known.documents.get(&token.id).cloned(), known.revocations)
        };
        let document = match cached {
            Some(document) => document,
            None => {
                let found = self.store.token(&token.id).await.map_err(|e| store_problem(&e))?;
                let document: TokenDocument = serde_json::from_value(found.ok_or_else(unknown)?)
                    .map_err(|e| Problem::machine(format!("token: {e}")))?;
                let document = Arc::new(document);
                let mut known = self.tokens.0.write();
                if known.documents.len() >= CACHE_MAX {
                    known.documents.clear();
                }
                if known.revocations == revocations {
                    known.documents.insert(token.id.clone(), Arc::clone(&document));
                }
                document
            }
        };
        document.accept(&token, self.clock.now()).ok_or_else(unknown)
    }

    /// Makes the first administrator when the store has none. `keep` puts the token where people find it, and does so
    /// before the store knows it: whoever is killed in between makes another one at the next start.
    pub async fn first_administrator(
        &self,
        keep: impl FnOnce(&str) -> std::io::Result<()> + Send,
    ) -> Result<(), Problem> {
        let tenant = system_tenant();
        let found = self.store.documents(&tenant, TOKEN, "", None, 1).await.map_err(|e| store_problem(&e))?;
        if !found.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let admin = PrincipalId::new("user:admin").map_err(Problem::machine)?;
        let made = self.make_token(
            &tenant,
            (admin, PrincipalKind::User, None),
            BTreeSet::from([Role::Admin]),
            None,
            now,
        )?;
        let record = record::by_system(
            &tenant,
            now,
            "token.created",
            format!("tokens/{}", made.view.id),
            "start",
            json!({ "principal": made.view.principal, "roles": made.view.roles }),
        );
        let document = json!({ "title": "Default" });
        let mut puts = made.puts;
        puts.push(Put::Document {
            tenant: tenant.clone(),
            kind: TENANT.into(),
            key: tenant.to_string(),
            document,
        });
        keep(&made.secret).map_err(|error| {
            Problem::machine(format!("the administrator's token cannot be kept: {error}"))
        })?;
        self.commit_one(Batch { puts, records: vec![record], ..Batch::default() }).await
    }

    /// Makes a token.
    pub async fn create_token(&self, caller: &Caller, new: NewToken) -> Result<TokenCreated, Problem> {
        caller.demand(Permission::Administer)?;
        let invalid = |field: &str, message: String| {
            Problem::new(422, 4001, "invalid request", message.clone()).field(field, message)
        };
        let principal = PrincipalId::new(&new.principal).map_err(|e| invalid("/principal", e.to_string()))?;
        if principal == system_principal() {
            return Err(invalid("/principal", "`system` is OmniHub itself; choose another name".to_owned()));
        }
        let kind = match new.kind.as_str() {
            "user" => PrincipalKind::User,
            "service" => PrincipalKind::Service,
            "agent" => PrincipalKind::Agent,
            other => {
                return Err(invalid("/kind", format!("`{other}` is not a kind: use user, service or agent")));
            }
        };
        let mut roles = BTreeSet::new();
        for name in &new.roles {
            let role = Role::parse(name).ok_or_else(|| {
                invalid(
                    "/roles",
                    format!("`{name}` is not a role: use {}", Role::ALL.map(Role::name).join(", ")),
                )
            })?;
            roles.insert(role);
        }
        if roles.is_empty() {
            return Err(invalid("/roles", "give at least one role".to_owned()));
        }
        let tenant = match &new.tenant {
            Some(tenant) => TenantId::new(tenant).map_err(|e| invalid("/tenant", e.to_string()))?,
            None => caller.principal.tenant.clone(),
        };
        if tenant != caller.principal.tenant && caller.principal.tenant != system_tenant() {
            return Err(Problem::new(
                403,
                4030,
                "not permitted",
                "only the `default` tenant makes tokens for other tenants",
            ));
        }
        self.demand_tenant(&tenant).await?;
        let owner = match (&new.owner, kind) {
            (Some(_), PrincipalKind::User) => {
                return Err(invalid("/owner", "a user is nobody's: leave `owner` out".to_owned()));
            }
            (Some(owner), _) => Some(PrincipalId::new(owner).map_err(|e| invalid("/owner", e.to_string()))?),
            // Whoever makes a service or an agent answers for it, unless somebody else is named.
            (None, PrincipalKind::Service | PrincipalKind::Agent) if tenant == caller.principal.tenant => {
                Some(caller.principal.id.clone())
            }
            (None, _) => None,
        };
        let _one_at_a_time = self.standing.changing.lock().await;
        let now = self.clock.now();
        let expires_at =
            new.days.map(|days| now.plus(std::time::Duration::from_secs(u64::from(days) * 86_400)));
        let made = self.make_token(&tenant, (principal, kind, owner), roles, expires_at, now)?;
        let details = json!({
            "principal": made.view.principal, "roles": made.view.roles, "tenant": made.view.tenant,
            "owner": made.view.owner,
        });
        let record =
            record::by_caller(caller, now, "token.created", format!("tokens/{}", made.view.id), details);
        self.commit_one(Batch { puts: made.puts, records: vec![record], ..Batch::default() }).await?;
        self.standing.changed(&tenant, false);
        Ok(TokenCreated { token: made.view, secret: made.secret })
    }

    fn make_token(
        &self,
        tenant: &TenantId,
        (principal, kind, owner): (PrincipalId, PrincipalKind, Option<PrincipalId>),
        roles: BTreeSet<Role>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<MadeToken, Problem> {
        let token = Token::generate().map_err(Problem::machine)?;
        let document = TokenDocument {
            id: token.id.clone(),
            principal,
            kind,
            owner,
            tenant: tenant.clone(),
            roles,
            hash: token.hash(),
            created_at: now,
            expires_at,
        };
        let stored = serde_json::to_value(&document).map_err(Problem::machine)?;
        let mut listed = document.clone();
        listed.hash.clear();
        let listed_json = serde_json::to_value(&listed).map_err(Problem::machine)?;
        Ok(MadeToken {
            secret: token.reveal(),
            view: token_view(&document),
            puts: vec![
                Put::Token { id: token.id.clone(), tenant: tenant.clone(), document: stored },
                Put::Document {
                    tenant: tenant.clone(),
                    kind: TOKEN.into(),
                    key: token.id.to_string(),
                    document: listed_json,
                },
                Put::Remove {
                    tenant: tenant.clone(),
                    kind: DISABLED.into(),
                    key: document.principal.to_string(),
                },
            ],
        })
    }

    /// The tenant's tokens, without their secrets.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenView>, Problem> {
        caller.demand(Permission::Administer)?;
        let found = self
            .store
            .documents(&caller.principal.tenant, TOKEN, "", None, 1000)
            .await
            .map_err(|e| store_problem(&e))?;
        found
            .into_iter()
            .map(|(_, document)| {
                let document: TokenDocument =
                    serde_json::from_value(document).map_err(|e| Problem::machine(format!("token: {e}")))?;
                Ok(token_view(&document))
            })
            .collect()
    }

    /// Makes a token useless at once.
    pub async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        let tenant = &caller.principal.tenant;
        let parsed = TokenId::new(id)
            .map_err(|_| Problem::not_found("token", &id.chars().take(64).collect::<String>()))?;
        let _one_at_a_time = self.standing.changing.lock().await;
        let found = self.store.document(tenant, TOKEN, id).await.map_err(|e| store_problem(&e))?;
        let found = found.ok_or_else(|| Problem::not_found("token", id))?;
        let document: TokenDocument =
            serde_json::from_value(found).map_err(|e| Problem::machine(format!("token: {e}")))?;
        let now = self.clock.now();
        let disabled = self.disabled_put(tenant, &document, now).await?;
        let details = json!({ "principal": document.principal, "disabled": disabled.is_some() });
        let record = record::by_caller(caller, now, "token.revoked", format!("tokens/{id}"), details);
        let mut puts = vec![
            Put::RemoveToken(parsed.clone()),
            Put::Remove { tenant: tenant.clone(), kind: TOKEN.into(), key: id.to_owned() },
        ];
        puts.extend(disabled);
        self.commit_one(Batch { puts, records: vec![record], ..Batch::default() }).await?;
        // Before it is acknowledged: permits that wait for a worker are judged again from here on.
        self.standing.changed(tenant, true);
        let mut known = self.tokens.0.write();
        known.revocations += 1;
        known.documents.remove(&parsed);
        Ok(())
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, caller: &Caller, id: &str, title: &str) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        platform(caller)?;
        let tenant = TenantId::new(id).map_err(|e| {
            Problem::new(422, 4001, "invalid request", e.to_string()).field("/id", e.to_string())
        })?;
        let record = record::by_caller(
            caller,
            self.clock.now(),
            "tenant.created",
            format!("tenants/{tenant}"),
            json!({ "title": title }),
        );
        self.commit_one(Batch {
            expect: vec![Expect::NoDocument(system_tenant(), TENANT.into(), tenant.to_string())],
            puts: vec![Put::Document {
                tenant: system_tenant(),
                kind: TENANT.into(),
                key: tenant.to_string(),
                document: json!({ "title": title }),
            }],
            records: vec![record],
            ..Batch::default()
        })
        .await
    }

    /// Names of the tenants: all for the platform's own, one's own for others.
    pub async fn tenants(&self, caller: &Caller) -> Result<Vec<String>, Problem> {
        caller.demand(Permission::Administer)?;
        if caller.principal.tenant != system_tenant() {
            return Ok(vec![caller.principal.tenant.to_string()]);
        }
        let found = self
            .store
            .documents(&system_tenant(), TENANT, "", None, 1000)
            .await
            .map_err(|e| store_problem(&e))?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    pub(crate) async fn demand_tenant(&self, tenant: &TenantId) -> Result<(), Problem> {
        let found = self
            .store
            .document(&system_tenant(), TENANT, tenant.as_str())
            .await
            .map_err(|e| store_problem(&e))?;
        if found.is_some() || *tenant == system_tenant() {
            Ok(())
        } else {
            Err(Problem::not_found("tenant", tenant.as_str()))
        }
    }

    /// Keeps a secret, sealed. Its value can be used by reference and never be read back.
    pub async fn put_secret(
        &self,
        caller: &Caller,
        name: &str,
        document: serde_json::Value,
    ) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        let tenant = &caller.principal.tenant;
        let invalid = |field: &str, message: &str| {
            Problem::new(422, 4001, "invalid request", message).field(field, message)
        };
        model::id::TokenId::new(name)
            .map_err(|_| invalid("name", "a secret's name has 1 to 128 characters of A-Z a-z 0-9 . _ : -"))?;
        let texts = document.as_object().is_some_and(|map| {
            !map.is_empty() && map.values().all(|part| holds_texts(part, SECRET_DEPTH_MAX))
        });
        if !texts || document.to_string().len() > SECRET_BYTES_MAX {
            return Err(invalid(
                "/",
                "a secret is an object of texts, for example {\"token\": \"…\"} or {\"username\": \"…\", \"password\": \"…\"}; what `oauth2` holds has objects and lists of texts in it",
            ));
        }
        let sealed = self.store.seal_secret(tenant, name, &document).map_err(|e| store_problem(&e))?;
        let record =
            record::by_caller(caller, self.clock.now(), "secret.put", format!("secrets/{name}"), json!({}));
        let puts = vec![Put::Secret { tenant: tenant.clone(), name: name.to_owned(), sealed }];
        self.commit_one(Batch { puts, records: vec![record], ..Batch::default() }).await
    }

    /// Names of the tenant's secrets.
    pub async fn secret_names(&self, caller: &Caller) -> Result<Vec<String>, Problem> {
        caller.demand(Permission::Administer)?;
        self.store.secret_names(&caller.principal.tenant).await.map_err(|e| store_problem(&e))
    }

    /// Destroys a secret.
    pub async fn delete_secret(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        let tenant = &caller.principal.tenant;
        let names = self.secret_names(caller).await?;
        if !names.iter().any(|known| known == name) {
            return Err(Problem::not_found("secret", &name.chars().take(64).collect::<String>()));
        }
        let record = record::by_caller(
            caller,
            self.clock.now(),
            "secret.deleted",
            format!("secrets/{name}"),
            json!({}),
        );
        let puts = vec![Put::RemoveSecret { tenant: tenant.clone(), name: name.to_owned() }];
        self.commit_one(Batch { puts, records: vec![record], ..Batch::default() }).await
    }

    /// A secret for a worker, at the last moment. Every use is recorded.
    pub async fn secret_for(
        &self,
        work: &crate::work::Work,
        name: &str,
    ) -> Result<Option<serde_json::Value>, Problem> {
        let found = self.store.secret(&work.tenant, name).await.map_err(|e| store_problem(&e))?;
        let resource = format!("secrets/{name}");
        let details =
            json!({ "effect": work.effect.0, "operation": work.operation, "found": found.is_some() });
        let record = record::by_system(
            &work.tenant,
            self.clock.now(),
            "secret.used",
            resource,
            work.execution.as_str(),
            details,
        );
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await?;
        Ok(found)
    }
}

/// True for texts, and for objects and lists of them down to a depth.
fn holds_texts(part: &serde_json::Value, depth: usize) -> bool {
    let below = |part: &serde_json::Value| depth > 0 && holds_texts(part, depth - 1);
    match part {
        serde_json::Value::String(_) => true,
        serde_json::Value::Array(items) => items.iter().all(below),
        serde_json::Value::Object(members) => members.values().all(below),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

struct MadeToken {
    secret: String,
    view: TokenView,
    puts: Vec<Put>,
}

fn platform(caller: &Caller) -> Result<(), Problem> {
    if caller.principal.tenant == system_tenant() {
        return Ok(());
    }
    Err(Problem::new(403, 4030, "not permitted", "only the `default` tenant manages tenants"))
}

fn token_view(document: &TokenDocument) -> TokenView {
    TokenView {
        id: document.id.to_string(),
        principal: document.principal.to_string(),
        kind: match document.kind {
            PrincipalKind::User => "user",
            PrincipalKind::Service => "service",
            PrincipalKind::Agent => "agent",
            PrincipalKind::System => "system",
        }
        .to_owned(),
        owner: document.owner.as_ref().map(ToString::to_string),
        tenant: document.tenant.to_string(),
        roles: document.roles.iter().map(|role| role.name().to_owned()).collect(),
        created_at: document.created_at,
        expires_at: document.expires_at,
    }
}
