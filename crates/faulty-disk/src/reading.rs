//! Everything that a store answers, question by question, so that two stores can be compared.

use std::collections::BTreeSet;

use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{Digest, ExecutionId, TenantId, Timestamp};
use store::{ApprovalQuery, AuditQuery, ExecutionQuery, Store, StoreError};

/// Items of one page.
const PAGE: u32 = 500;
/// Documents of one kind that are asked for.
const DOCUMENTS_MAX: u32 = 10_000;

/// What to ask about. Gathered from a whole store, so that a damaged one is asked about what it should know.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Tenants.
    pub tenants: BTreeSet<TenantId>,
    /// Executions.
    pub executions: BTreeSet<(TenantId, ExecutionId)>,
    /// Kinds and keys of documents.
    pub documents: BTreeSet<(TenantId, String, String)>,
    /// Approvals.
    pub approvals: BTreeSet<(TenantId, ApprovalId)>,
    /// Dead letters.
    pub letters: BTreeSet<(TenantId, DeadLetterId)>,
    /// Tokens.
    pub tokens: BTreeSet<TokenId>,
    /// Idempotency keys.
    pub answers: BTreeSet<(TenantId, String)>,
    /// Blobs.
    pub blobs: BTreeSet<(TenantId, [u8; 32])>,
    /// Secrets.
    pub secrets: BTreeSet<(TenantId, String)>,
}

/// A question and what was answered.
pub type Answered = (String, Result<String, StoreError>);

/// Asks everything.
pub async fn everything(store: &dyn Store, known: &Known) -> Vec<Answered> {
    let mut all = Vec::new();
    let mut say = |question: String, answer: Result<String, StoreError>| all.push((question, answer));
    for tenant in &known.tenants {
        say(format!("executions of {tenant}"), executions(store, tenant).await);
        say(format!("approvals of {tenant}"), approvals(store, tenant).await);
        say(format!("counts of {tenant}"), text(store.count_by_status(tenant).await));
        say(format!("secrets of {tenant}"), text(store.secret_names(tenant).await));
        for open in [true, false] {
            let letters = store.dead_letters(tenant, open, None, PAGE).await;
            say(format!("dead letters of {tenant}, open {open}"), text(letters));
        }
        let kinds: BTreeSet<&str> = known
            .documents
            .iter()
            .filter(|(of, ..)| of == tenant)
            .map(|(_, kind, _)| kind.as_str())
            .collect();
        for kind in kinds {
            let found = store.documents(tenant, kind, "", None, DOCUMENTS_MAX).await;
            say(format!("documents {kind} of {tenant}"), text(found));
        }
    }
    for (tenant, id) in &known.executions {
        say(format!("row of {tenant}/{id}"), text(store.execution(tenant, id).await));
        say(format!("history of {tenant}/{id}"), text(store.load(tenant, id).await));
        say(format!("snapshot of {tenant}/{id}"), text(store.snapshot(tenant, id).await));
    }
    for (tenant, kind, key) in &known.documents {
        say(format!("{kind} {key} of {tenant}"), text(store.document(tenant, kind, key).await));
    }
    for (tenant, id) in &known.approvals {
        say(format!("approval {id} of {tenant}"), text(store.approval(tenant, id).await));
    }
    for (tenant, id) in &known.letters {
        say(format!("dead letter {id} of {tenant}"), text(store.dead_letter(tenant, id).await));
    }
    for id in &known.tokens {
        say(format!("token {id}"), text(store.token(id).await));
    }
    for (tenant, key) in &known.answers {
        say(format!("answer {key} of {tenant}"), text(store.deduplicated(tenant, key, Timestamp(0)).await));
    }
    for (tenant, digest) in &known.blobs {
        let digest = Digest(*digest);
        say(format!("blob {digest} of {tenant}"), text(store.blob(tenant, &digest).await));
    }
    for (tenant, name) in &known.secrets {
        say(format!("secret {name} of {tenant}"), text(store.secret(tenant, name).await));
    }
    say("due".to_owned(), text(store.due(Timestamp(i64::MAX), PAGE, &[]).await));
    say("unfinished".to_owned(), text(store.unfinished(None, PAGE).await));
    say("blocked".to_owned(), text(store.blocked("", None, PAGE).await));
    say("head".to_owned(), text(store.head().await));
    say("leaves".to_owned(), leaves(store, AuditQuery::default()).await);
    for (tenant, id) in &known.executions {
        let query = AuditQuery {
            tenant: Some(tenant.clone()),
            correlation: Some(id.to_string()),
            ..AuditQuery::default()
        };
        say(format!("leaves of {tenant}/{id}"), leaves(store, query).await);
    }
    if let Ok(head) = store.head().await {
        for index in [0, head.size / 2, head.size.saturating_sub(1)] {
            say(format!("inclusion of {index}"), text(store.inclusion(index, head.size).await));
        }
        say("consistency".to_owned(), text(store.consistency(head.size / 2, head.size).await));
    }
    all
}

fn text<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Result<String, StoreError> {
    answer.map(|answer| format!("{answer:?}"))
}

async fn executions(store: &dyn Store, tenant: &TenantId) -> Result<String, StoreError> {
    let mut all = String::new();
    let mut cursor = None;
    loop {
        let query = ExecutionQuery { cursor, limit: PAGE, ..ExecutionQuery::default() };
        let page = store.executions(tenant, query).await?;
        all.push_str(&format!("{:?}", page.items));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn approvals(store: &dyn Store, tenant: &TenantId) -> Result<String, StoreError> {
    let mut all = String::new();
    let mut cursor = None;
    loop {
        let query = ApprovalQuery { cursor, limit: PAGE, ..ApprovalQuery::default() };
        let page = store.approvals(tenant, query).await?;
        all.push_str(&format!("{:?}", page.items));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn leaves(store: &dyn Store, query: AuditQuery) -> Result<String, StoreError> {
    let mut all = String::new();
    let mut cursor = None;
    loop {
        let query = AuditQuery { cursor, limit: PAGE, ..query.clone() };
        let page = store.leaves(query).await?;
        for leaf in page.items {
            all.push_str(&format!(
                "{} {} {}\n",
                leaf.sequence,
                hex::encode(leaf.hash),
                hex::encode(leaf.bytes)
            ));
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
