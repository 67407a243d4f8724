//! The audit log: search, heads, proofs, and a check of the whole log while the server runs.

use audit::{Report, SignedHead, Verifier};
use model::Problem;
use model::principal::Permission;
use serde_json::json;
use store::{AuditQuery, Batch, LeafRow};

use crate::app::{App, store_problem, system_tenant};
use crate::caller::Caller;
use crate::record;
use crate::view::{AuditCheck, AuditEntry, AuditSearch, PageOf, ProofView};

/// Leaves read at once while the whole log is checked.
const PAGE: u32 = 1000;

impl App {
    /// Records of the caller's tenant that match, by sequence.
    pub async fn audit(&self, caller: &Caller, search: AuditSearch) -> Result<PageOf<AuditEntry>, Problem> {
        caller.demand(Permission::ReadAudit)?;
        let page = self
            .store
            .leaves(AuditQuery {
                tenant: Some(caller.principal.tenant.clone()),
                correlation: search.correlation,
                action: search.action,
                actor: search.actor,
                from: search.from,
                newest_first: search.newest_first,
                cursor: search.cursor,
                limit: search.limit.clamp(1, PAGE),
            })
            .await
            .map_err(|e| store_problem(&e))?;
        let items: Result<Vec<_>, Problem> = page.items.into_iter().map(entry).collect();
        Ok(PageOf { items: items?, next: page.next })
    }

    /// The newest signed tree head.
    pub async fn audit_head(&self, caller: &Caller) -> Result<SignedHead, Problem> {
        caller.demand(Permission::ReadAudit)?;
        self.store.head().await.map_err(|e| store_problem(&e))
    }

    /// Proof that a record is in the log. Other tenants' records do not exist for the caller.
    pub async fn audit_proof(&self, caller: &Caller, index: u64) -> Result<ProofView, Problem> {
        caller.demand(Permission::ReadAudit)?;
        let query = AuditQuery {
            tenant: Some(caller.principal.tenant.clone()),
            from: index,
            limit: 1,
            ..AuditQuery::default()
        };
        let page = self.store.leaves(query).await.map_err(|e| store_problem(&e))?;
        let leaf = page.items.into_iter().find(|leaf| leaf.sequence == index);
        let leaf = leaf.ok_or_else(|| Problem::not_found("audit record", &index.to_string()))?;
        let head = self.store.head().await.map_err(|e| store_problem(&e))?;
        let path = self.store.inclusion(index, head.size).await.map_err(|e| store_problem(&e))?;
        let hash = audit::leaf_hash(&leaf.bytes);
        let verified = audit::verify_inclusion(&hash, index, head.size, &path, &head.root).is_ok();
        if !verified {
            return Err(Problem::machine(format!(
                "the inclusion proof of leaf {index} does not hold: the audit log is damaged"
            )));
        }
        let hex = |hash: &[u8; 32]| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok(ProofView {
            index,
            leaf: base64(&leaf.bytes),
            record: entry(leaf)?.record,
            leaf_hash: hex(&hash),
            path: path.iter().map(hex).collect(),
            head,
            verified,
        })
    }

    /// Proof that the log of `second` leaves begins with the log of `first`.
    pub async fn audit_consistency(
        &self,
        caller: &Caller,
        first: u64,
        second: u64,
    ) -> Result<Vec<String>, Problem> {
        caller.demand(Permission::ReadAudit)?;
        let size = self.store.head().await.map_err(|e| store_problem(&e))?.size;
        if first > second || second > size {
            let detail = format!("give `first` ≤ `second` ≤ {size}, the size of the log");
            return Err(Problem::new(400, 4002, "bad parameter", detail.clone()).field("first", detail));
        }
        let proof = self.store.consistency(first, second).await.map_err(|e| store_problem(&e))?;
        Ok(proof.iter().map(|hash| hash.iter().map(|b| format!("{b:02x}")).collect()).collect())
    }

    /// Checks every leaf of the whole log against the newest head. The check itself is recorded.
    pub async fn audit_check(&self, caller: &Caller) -> Result<AuditCheck, Problem> {
        caller.demand(Permission::ReadAudit)?;
        let _place = self.check_place()?;
        let head = self.store.head().await.map_err(|e| store_problem(&e))?;
        let key = self.store.audit_key();
        let mut verifier = Verifier::new(vec![head.clone()], key);
        let mut next = 0;
        'pages: while next < head.size {
            let query = AuditQuery { from: next, limit: PAGE, ..AuditQuery::default() };
            let page = self.store.leaves(query).await.map_err(|e| store_problem(&e))?;
            if page.items.is_empty() {
                break;
            }
            for leaf in page.items {
                if leaf.sequence >= head.size || !verifier.push(leaf.sequence, &leaf.bytes, &leaf.hash) {
                    break 'pages;
                }
                next = leaf.sequence + 1;
            }
        }
        let Report { size, root, first_bad } = verifier.finish();
        let check = AuditCheck {
            size,
            root: root.iter().map(|b| format!("{b:02x}")).collect(),
            intact: first_bad.is_none(),
            first_bad,
        };
        let details = json!({ "size": check.size, "intact": check.intact, "first_bad": check.first_bad });
        let record =
            record::by_caller(caller, self.clock.now(), "audit.checked", "audit".to_owned(), details);
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await?;
        Ok(check)
    }

    /// The right to read everything; one caller at a time has it.
    pub(crate) fn check_place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.checking.try_acquire().map_err(|_| {
            let detail = "somebody else is having everything checked; try again when that has ended";
            Problem::new(409, 2164, "check under way", detail)
        })
    }

    /// Records that the server started, with what is in force.
    pub async fn record_start(&self, mut details: serde_json::Value) -> Result<(), Problem> {
        details["lease"] = json!(self.lease);
        let record = record::by_system(
            &system_tenant(),
            self.clock.now(),
            "server.started",
            "server".to_owned(),
            "start",
            details,
        );
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await
    }
}

fn entry(leaf: LeafRow) -> Result<AuditEntry, Problem> {
    let (_, record) = audit::read_leaf(&leaf.bytes)
        .ok_or_else(|| Problem::machine(format!("audit leaf {} cannot be read", leaf.sequence)))?;
    Ok(AuditEntry {
        sequence: leaf.sequence,
        hash: leaf.hash.iter().map(|b| format!("{b:02x}")).collect(),
        record,
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
