//! What principals may do now, and which of them are the same person.
//!
//! A decision is made at one moment and used at a later one. In between its maker may have lost a role, or a token;
//! so the gate asks again when an approval is used. What is known of a principal is what its tokens say.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use identity::TokenDocument;
use model::principal::Role;
use model::{PrincipalId, Problem, TenantId, Timestamp};
use parking_lot::RwLock;
use store::Put;

use crate::app::{App, store_problem};

/// Documents of tokens without their secrets, by token.
pub(crate) const TOKEN: &str = "token";
/// Documents of principals whose last token was revoked, by principal.
pub(crate) const DISABLED: &str = "principal-disabled";
/// Documents that are read at once.
const PAGE: u32 = 1000;
/// Names behind one principal that are looked at, at the most: itself, its owners, and theirs.
const BEHIND_MAX: usize = 32;

/// What is remembered of every tenant that has been asked for.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    tenants: RwLock<HashMap<TenantId, Arc<People>>>,
    /// Rises with every token that is made or revoked: what was read before must not be remembered after.
    changes: AtomicU64,
    /// Rises with every token that is revoked. A permit carries the number that it was given under, and a permit of an
    /// older one is judged again before anything is sent.
    revocations: AtomicU64,
    /// One token is made or revoked at a time: whether a principal has another one must not change meanwhile.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

/// The principals of one tenant.
#[derive(Debug, Default)]
pub(crate) struct People {
    by_id: HashMap<PrincipalId, Person>,
    /// The number of revocations when this was read.
    pub(crate) revocations: u64,
}

#[derive(Debug, Default)]
struct Person {
    tokens: Vec<(BTreeSet<Role>, Option<Timestamp>)>,
    owners: BTreeSet<PrincipalId>,
    disabled: bool,
}

impl Standing {
    /// The number that a permit must still have to be used.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Forgets a tenant's people after a token was made, and everybody's after one was, with `revoked`, taken away.
    pub(crate) fn changed(&self, tenant: &TenantId, revoked: bool) {
        let mut tenants = self.tenants.write();
        self.changes.fetch_add(1, Ordering::AcqRel);
        if revoked {
            self.revocations.fetch_add(1, Ordering::AcqRel);
            // The number is everybody's: what was read of another tenant before would void its permits for ever.
            tenants.clear();
        } else {
            tenants.remove(tenant);
        }
    }
}

impl People {
    /// The roles of a principal at this moment; none when nothing was ever known of it, as of one that an embedding
    /// program made up.
    pub(crate) fn roles(&self, id: &PrincipalId, now: Timestamp) -> Option<BTreeSet<Role>> {
        let person = self.by_id.get(id)?;
        if person.tokens.is_empty() && !person.disabled {
            return None;
        }
        let live = person.tokens.iter().filter(|(_, expires)| expires.is_none_or(|at| now < at));
        Some(live.flat_map(|(roles, _)| roles.iter().copied()).collect())
    }

    /// True when every token of the principal was revoked.
    pub(crate) fn disabled(&self, id: &PrincipalId) -> bool {
        self.by_id.get(id).is_some_and(|person| person.disabled && person.tokens.is_empty())
    }

    /// True when one person stands behind both: the same name (whatever its case and its `user:`, `service:` or
    /// `agent:`), or one owns the other, or somebody owns both.
    pub(crate) fn same_person(&self, a: &PrincipalId, b: &PrincipalId) -> bool {
        let (a, b) = (self.behind(a), self.behind(b));
        a.iter().any(|one| b.iter().any(|other| one == other))
    }

    /// The names of a principal and of whoever owns it, as they are compared.
    fn behind(&self, id: &PrincipalId) -> Vec<String> {
        let mut found = Vec::new();
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            let name = bare(id);
            if found.contains(&name) || found.len() == BEHIND_MAX {
                continue;
            }
            found.push(name);
            next.extend(self.by_id.get(id).into_iter().flat_map(|person| &person.owners));
        }
        found
    }
}

/// `user:Alice`, `service:alice` and `alice` are one name.
fn bare(id: &PrincipalId) -> String {
    let text = id.as_str();
    let name = match text.split_once(':') {
        Some(("user" | "service" | "agent", name)) if !name.is_empty() => name,
        _ => text,
    };
    name.to_ascii_lowercase()
}

impl App {
    /// The principals of a tenant, from memory when nothing changed.
    pub(crate) async fn people_of(&self, tenant: &TenantId) -> Result<Arc<People>, Problem> {
        if let Some(found) = self.standing.tenants.read().get(tenant) {
            return Ok(Arc::clone(found));
        }
        // In a box, because it is rare and every step would carry room for it.
        Box::pin(self.read_people(tenant)).await
    }

    async fn read_people(&self, tenant: &TenantId) -> Result<Arc<People>, Problem> {
        let changes = self.standing.changes.load(Ordering::Acquire);
        let mut people = People { revocations: self.standing.revocations(), ..People::default() };
        for (_, document) in self.all_documents(tenant, TOKEN).await? {
            let token: TokenDocument =
                serde_json::from_value(document).map_err(|e| Problem::machine(format!("token: {e}")))?;
            let person = people.by_id.entry(token.principal).or_default();
            person.tokens.push((token.roles, token.expires_at));
            person.owners.extend(token.owner);
        }
        for (id, document) in self.all_documents(tenant, DISABLED).await? {
            let id = PrincipalId::new(id).map_err(|e| Problem::machine(format!("principal: {e}")))?;
            let person = people.by_id.entry(id).or_default();
            person.disabled = true;
            person.owners.extend(document["owner"].as_str().and_then(|owner| PrincipalId::new(owner).ok()));
        }
        let people = Arc::new(people);
        let mut tenants = self.standing.tenants.write();
        if self.standing.changes.load(Ordering::Acquire) == changes {
            tenants.insert(tenant.clone(), Arc::clone(&people));
        }
        Ok(people)
    }

    /// What else changes when a token of this principal is revoked: without another one, the principal is disabled.
    pub(crate) async fn disabled_put(
        &self,
        tenant: &TenantId,
        revoked: &TokenDocument,
        now: Timestamp,
    ) -> Result<Option<Put>, Problem> {
        for (_, document) in self.all_documents(tenant, TOKEN).await? {
            let token: TokenDocument =
                serde_json::from_value(document).map_err(|e| Problem::machine(format!("token: {e}")))?;
            if token.principal == revoked.principal && token.id != revoked.id {
                return Ok(None);
            }
        }
        Ok(Some(Put::Document {
            tenant: tenant.clone(),
            kind: DISABLED.to_owned(),
            key: revoked.principal.to_string(),
            document: serde_json::json!({ "at": now, "owner": revoked.owner }),
        }))
    }

    /// Every document of a kind, page by page.
    async fn all_documents(
        &self,
        tenant: &TenantId,
        kind: &str,
    ) -> Result<Vec<(String, serde_json::Value)>, Problem> {
        let mut all: Vec<(String, serde_json::Value)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| key.clone());
            let page = self.store.documents(tenant, kind, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let last = page.len() < PAGE as usize;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PrincipalId {
        PrincipalId::new(text).expect("an identifier")
    }

    fn person(owner: Option<&str>) -> Person {
        Person {
            tokens: vec![(BTreeSet::from([Role::Operator]), Some(Timestamp(10)))],
            owners: owner.map(id).into_iter().collect(),
            disabled: false,
        }
    }

    /// A permit carries the number of revocations that its people were read under: of every tenant, or its permits are
    /// void for ever.
    #[test]
    fn a_revocation_outdates_what_is_known_of_every_tenant() {
        let standing = Standing::default();
        let tenants = ["acme", "other"].map(|name| TenantId::new(name).expect("an identifier"));
        for tenant in &tenants {
            standing.tenants.write().insert(tenant.clone(), Arc::default());
        }
        standing.changed(&tenants[0], false);
        assert!(standing.tenants.read().contains_key(&tenants[1]), "a new token concerns its own tenant");
        standing.changed(&tenants[1], true);
        assert!(standing.tenants.read().is_empty());
        standing.tenants.write().insert(tenants[0].clone(), Arc::default());
        standing.changed(&tenants[1], true);
        assert!(standing.tenants.read().is_empty());
    }

    #[test]
    fn one_person_behind_several_names() {
        let people = People {
            by_id: HashMap::from([
                (id("user:alice"), person(None)),
                (id("service:ci"), person(Some("user:alice"))),
                (id("agent:helper"), person(Some("service:ci"))),
                (id("service:loop"), person(Some("service:pool"))),
                (id("service:pool"), person(Some("service:loop"))),
                (id("user:bob"), person(None)),
            ]),
            revocations: 0,
        };
        for (a, b) in [
            ("user:alice", "user:alice"),
            ("user:alice", "user:Alice"),
            ("user:alice", "service:alice"),
            ("alice", "user:alice"),
            ("user:alice", "service:ci"),
            ("service:ci", "user:alice"),
            ("agent:helper", "user:alice"),
            ("agent:helper", "service:ci"),
            ("service:loop", "service:pool"),
        ] {
            assert!(people.same_person(&id(a), &id(b)), "{a} and {b}");
        }
        for (a, b) in [
            ("user:alice", "user:bob"),
            ("agent:helper", "user:bob"),
            ("user:alice", "user:alice2"),
            ("user:alice", "user:user:alice"),
            ("service:loop", "user:alice"),
        ] {
            assert!(!people.same_person(&id(a), &id(b)), "{a} and {b}");
        }
    }

    #[test]
    fn roles_end_with_the_tokens_that_gave_them() {
        let mut people = People::default();
        people.by_id.insert(id("user:bob"), person(None));
        assert_eq!(people.roles(&id("user:bob"), Timestamp(9)), Some(BTreeSet::from([Role::Operator])));
        assert_eq!(people.roles(&id("user:bob"), Timestamp(10)), Some(BTreeSet::new()));
        assert_eq!(people.roles(&id("user:nobody"), Timestamp(9)), None);
        assert!(!people.disabled(&id("user:bob")));
        people.by_id.insert(id("user:gone"), Person { disabled: true, ..Person::default() });
        assert_eq!(people.roles(&id("user:gone"), Timestamp(9)), Some(BTreeSet::new()));
        assert!(people.disabled(&id("user:gone")));
    }
}
