//! Stub of the facade; replaced file by file.
use crate::*; use crate::view::*; use model::{Principal, Problem}; use std::{sync::Arc, collections::BTreeMap, time::Duration};
#[derive(Debug)]pub struct App {}
#[expect(clippy::unused_async, unused_variables, missing_docs, reason="stub")]
impl App {
pub async fn authenticate(&self, bearer: &str) -> Result<Principal, Problem> { Err(not_built("x")) }
pub async fn submit_goal(self: &Arc<Self>, caller: &Caller, goal: GoalRequest) -> Result<GoalAnswer, Problem> { Err(not_built("x")) }
pub async fn executions(&self, caller: &Caller, query: store::ExecutionQuery) -> Result<PageOf<ExecutionSummary>, Problem> { Err(not_built("x")) }
pub async fn execution(&self, caller: &Caller, id: &str) -> Result<ExecutionView, Problem> { Err(not_built("x")) }
pub async fn history(&self, caller: &Caller, id: &str, after: u64, limit: u32) -> Result<PageOf<HistoryEntry>, Problem> { Err(not_built("x")) }
pub async fn cancel(&self, caller: &Caller, id: &str, reason: &str) -> Result<ExecutionSummary, Problem> { Err(not_built("x")) }
pub async fn pause(&self, caller: &Caller, id: &str, reason: &str) -> Result<ExecutionSummary, Problem> { Err(not_built("x")) }
pub async fn resume(&self, caller: &Caller, id: &str, reason: &str) -> Result<ExecutionSummary, Problem> { Err(not_built("x")) }
pub async fn retry(&self, caller: &Caller, id: &str, reason: &str) -> Result<ExecutionSummary, Problem> { Err(not_built("x")) }
pub async fn wait_for_end(&self, caller: &Caller, id: &str, wait: Duration) -> Result<ExecutionView, Problem> { Err(not_built("x")) }
pub async fn approvals(&self, caller: &Caller, query: store::ApprovalQuery) -> Result<PageOf<ApprovalView>, Problem> { Err(not_built("x")) }
pub async fn approval(&self, caller: &Caller, id: &str) -> Result<ApprovalView, Problem> { Err(not_built("x")) }
pub async fn approve(&self, caller: &Caller, id: &str, word: ApprovalWord) -> Result<ApprovalView, Problem> { Err(not_built("x")) }
pub async fn reject(&self, caller: &Caller, id: &str, word: ApprovalWord) -> Result<ApprovalView, Problem> { Err(not_built("x")) }
pub async fn controls(&self, caller: &Caller) -> Result<ControlsView, Problem> { Err(not_built("x")) }
pub async fn set_control(&self, caller: &Caller, name: &str, set: SetControl) -> Result<ControlView, Problem> { Err(not_built("x")) }
pub async fn publish_workflow(&self, caller: &Caller, text: &str) -> Result<WorkflowView, Problem> { Err(not_built("x")) }
pub async fn validate_workflow(&self, caller: &Caller, text: &str) -> Result<Checked, Problem> { Err(not_built("x")) }
pub async fn workflows(&self, caller: &Caller, after: Option<String>, limit: u32) -> Result<PageOf<WorkflowView>, Problem> { Err(not_built("x")) }
pub async fn workflow(&self, caller: &Caller, namespace: &str, name: &str, version: &str) -> Result<WorkflowView, Problem> { Err(not_built("x")) }
pub async fn publish_action(&self, caller: &Caller, text: &str) -> Result<ActionView, Problem> { Err(not_built("x")) }
pub async fn actions(&self, caller: &Caller, after: Option<String>, limit: u32) -> Result<PageOf<ActionView>, Problem> { Err(not_built("x")) }
pub async fn action(&self, caller: &Caller, reference: &str) -> Result<ActionView, Problem> { Err(not_built("x")) }
pub async fn put_policy(&self, caller: &Caller, name: &str, modules: BTreeMap<String,String>, if_match: Option<String>) -> Result<PolicyView, Problem> { Err(not_built("x")) }
pub async fn delete_policy(&self, caller: &Caller, name: &str) -> Result<(), Problem> { Err(not_built("x")) }
pub async fn policies(&self, caller: &Caller) -> Result<Vec<PolicyView>, Problem> { Err(not_built("x")) }
pub async fn policy(&self, caller: &Caller, name: &str) -> Result<PolicyView, Problem> { Err(not_built("x")) }
pub async fn evaluate_policy(&self, caller: &Caller, input: serde_json::Value, modules: Option<BTreeMap<String,String>>) -> Result<RulingView, Problem> { Err(not_built("x")) }
pub async fn test_policy(&self, caller: &Caller, name: &str) -> Result<Vec<PolicyTestView>, Problem> { Err(not_built("x")) }
pub async fn dead_letters(&self, caller: &Caller, open: bool, cursor: Option<String>, limit: u32) -> Result<PageOf<DeadLetterView>, Problem> { Err(not_built("x")) }
pub async fn dead_letter(&self, caller: &Caller, id: &str) -> Result<DeadLetterView, Problem> { Err(not_built("x")) }
pub async fn redrive(&self, caller: &Caller, id: &str, reason: &str) -> Result<DeadLetterView, Problem> { Err(not_built("x")) }
pub async fn audit(&self, caller: &Caller, search: AuditSearch) -> Result<PageOf<AuditEntry>, Problem> { Err(not_built("x")) }
pub async fn audit_head(&self, caller: &Caller) -> Result<audit::SignedHead, Problem> { Err(not_built("x")) }
pub async fn audit_proof(&self, caller: &Caller, index: u64) -> Result<ProofView, Problem> { Err(not_built("x")) }
pub async fn audit_consistency(&self, caller: &Caller, first: u64, second: u64) -> Result<Vec<String>, Problem> { Err(not_built("x")) }
pub async fn audit_check(&self, caller: &Caller) -> Result<AuditCheck, Problem> { Err(not_built("x")) }
pub async fn create_token(&self, caller: &Caller, new: NewToken) -> Result<TokenCreated, Problem> { Err(not_built("x")) }
pub async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenView>,Problem> { Err(not_built("x")) }
pub async fn revoke_token(&self, caller: &Caller, id:&str) -> Result<(),Problem> { Err(not_built("x")) }
pub async fn create_tenant(&self, caller: &Caller, id: &str, title: &str) -> Result<(), Problem> { Err(not_built("x")) }
pub async fn tenants(&self, caller: &Caller) -> Result<Vec<String>,Problem> { Err(not_built("x")) }
pub async fn put_secret(&self, caller: &Caller, name: &str, document: serde_json::Value) -> Result<(), Problem> { Err(not_built("x")) }
pub async fn secret_names(&self, caller: &Caller) -> Result<Vec<String>,Problem> { Err(not_built("x")) }
pub async fn delete_secret(&self, caller: &Caller, name:&str) -> Result<(),Problem> { Err(not_built("x")) }
pub async fn overview(&self, caller: &Caller) -> Result<Overview, Problem> { Err(not_built("x")) }
pub async fn health_deep(&self) -> Vec<DependencyView> { Vec::new() }
pub fn ready(&self) -> bool { true }
pub async fn omn_health(&self) -> serde_json::Value { serde_json::Value::Null }
pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Live> { tokio::sync::broadcast::channel(1).1 }
}