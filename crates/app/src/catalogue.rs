//! The catalogue: published workflows and actions. A published version never changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dsl::plan::{Action, Definition, Task, TaskKind, TaskList, Then, Work};
use dsl::{Diagnostic, Severity};
use guard::intent::{IntentIndex, Template};
use model::principal::Permission;
use model::{ActionRef, Problem, TenantId, Timestamp};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, Expect, Put};

use crate::apis::{NoActions, Pinned, Pins, With};
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::record;
use crate::view::{ActionView, Checked, GraphNode, PageOf, WorkflowName, WorkflowView};

const WORKFLOW: &str = "workflow";
const ACTION: &str = "action";
/// Times that a publication is tried again because its schedule was just used.
const SCHEDULE_TRIES: u32 = 5;
/// Documents of one kind that a tenant may publish.
const PUBLISHED_MAX: u32 = 10_000;

/// What has been compiled, by tenant and name. Published versions never change, so nothing here goes stale.
#[derive(Default)]
pub(crate) struct Catalogue {
    definitions: RwLock<BTreeMap<(TenantId, String), Arc<Definition>>>,
    actions: RwLock<BTreeMap<TenantId, Arc<Actions>>>,
    intents: RwLock<BTreeMap<TenantId, Arc<IntentIndex>>>,
    /// Rises with every publication, so that nothing is kept that was read before one and compiled after it.
    publications: AtomicU64,
}

impl Catalogue {
    fn published(&self) -> u64 {
        self.publications.load(Ordering::Acquire)
    }
}

/// The actions of one tenant, compiled.
pub(crate) struct Actions {
    by_name: BTreeMap<ActionRef, Arc<Action>>,
    /// Digest of all their texts.
    digest: model::Digest,
}

impl dsl::Catalogue for Actions {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.by_name.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.by_name.keys().cloned().collect()
    }
}

/// A published document as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Published {
    source: String,
    digest: model::Digest,
    by: String,
    at: Timestamp,
    /// Descriptions of APIs that it calls.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    apis: Pins,
}

impl App {
    /// Publishes a workflow version. The same text again is the same answer; other text is a conflict.
    pub async fn publish_workflow(&self, caller: &Caller, text: &str) -> Result<WorkflowView, Problem> {
        caller.demand(Permission::PublishWorkflow)?;
        let tenant = &caller.principal.tenant;
        let actions = self.actions_of(tenant).await?;
        let mut compiled = dsl::compile(text, &*actions);
        let mut pinned = Pinned::default();
        if !compiled.wanted.is_empty() {
            let before = self.pins_before(tenant, WORKFLOW, text).await?;
            pinned = self.pinned(caller, &compiled.wanted, before).await?;
            compiled = dsl::compile(text, &With { actions: &*actions, apis: &pinned.apis });
        }
        let Some(definition) = compiled.definition else {
            return Err(document_problem("workflow", &compiled.problems));
        };
        intent_template(&definition).map_err(|message| {
            Problem::new(422, 1000, "workflow refused", message.clone())
                .field("/document/metadata/omnihub", message)
        })?;
        let key = workflow_key(&definition.namespace, &definition.name, &definition.version);
        let entry = Published {
            source: text.to_owned(),
            digest: definition.digest,
            by: caller.principal.id.to_string(),
            at: self.clock.now(),
            apis: pinned.pins.clone(),
        };
        let mut tries = 0;
        let entry = loop {
            let newest = self.is_newest(&definition, tenant).await?;
            let set = self.published_schedule(caller, &definition, newest, entry.at)?;
            match self.publish(caller, WORKFLOW, &key, entry.clone(), set.as_ref(), &pinned).await {
                Ok((entry, fresh)) => {
                    self.catalogue
                        .definitions
                        .write()
                        .insert((tenant.clone(), key.clone()), Arc::clone(&definition));
                    if let Some(set) = set.filter(|_| fresh) {
                        self.schedule_set(set);
                    }
                    break entry;
                }
                // An execution began by the schedule that this one takes the place of.
                Err(problem)
                    if problem.code == model::problem::Code(4090)
                        && set.is_some()
                        && tries < SCHEDULE_TRIES =>
                {
                    tries += 1
                }
                Err(problem) => return Err(problem),
            }
        };
        self.catalogue.publications.fetch_add(1, Ordering::AcqRel);
        self.catalogue.intents.write().remove(tenant);
        self.notify(tenant, "workflow", &format!("{}/{}", definition.namespace, definition.name), 0);
        Ok(workflow_view(&definition, &entry, compiled.problems))
    }

    /// Checks a workflow document without publishing it.
    pub async fn validate_workflow(&self, caller: &Caller, text: &str) -> Result<Checked, Problem> {
        caller.demand(Permission::Read)?;
        let compiled = dsl::compile(text, &*self.actions_of(&caller.principal.tenant).await?);
        let definition = compiled.definition;
        let errors = compiled.problems.iter().any(|problem| problem.severity == Severity::Error);
        Ok(Checked {
            valid: !errors,
            problems: compiled.problems,
            workflow: definition.as_ref().map(|d| WorkflowName {
                namespace: d.namespace.clone(),
                name: d.name.clone(),
                version: Some(d.version.clone()),
            }),
            digest: definition.map(|d| d.digest),
        })
    }

    /// Published workflow versions, by name.
    pub async fn workflows(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: u32,
    ) -> Result<PageOf<WorkflowView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let page = self.published(tenant, WORKFLOW, "", after, limit).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for (key, entry) in page.items {
            let definition = self.definition_by_key(tenant, &key, Some(&entry)).await?;
            items.push(workflow_view(&definition, &entry, Vec::new()));
        }
        Ok(PageOf { items, next: page.next })
    }

    /// One workflow version; `latest` is the newest.
    pub async fn workflow(
        &self,
        caller: &Caller,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<WorkflowView, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let version = match version {
            "latest" => self.newest(tenant, namespace, name).await?,
            version => version.to_owned(),
        };
        let key = workflow_key(namespace, name, &version);
        let entry =
            self.entry(tenant, WORKFLOW, &key).await?.ok_or_else(|| Problem::not_found("workflow", &key))?;
        let definition = self.definition_by_key(tenant, &key, Some(&entry)).await?;
        let (actions, apis) = (self.actions_of(tenant).await?, self.kept_apis(tenant, &entry.apis).await?);
        let warnings = dsl::compile(&entry.source, &With { actions: &*actions, apis: &apis }).problems;
        Ok(workflow_view(&definition, &entry, warnings))
    }

    /// Publishes an action with its contract.
    pub async fn publish_action(&self, caller: &Caller, text: &str) -> Result<ActionView, Problem> {
        caller.demand(Permission::PublishAction)?;
        let tenant = &caller.principal.tenant;
        let mut compiled = dsl::action::compile(text);
        let mut pinned = Pinned::default();
        if !compiled.wanted.is_empty() {
            let before = self.pins_before(tenant, ACTION, text).await?;
            pinned = self.pinned(caller, &compiled.wanted, before).await?;
            compiled = dsl::action::compile_with(text, &With { actions: &NoActions, apis: &pinned.apis });
        }
        let Some(action) = compiled.action else {
            return Err(document_problem("action", &compiled.problems));
        };
        let key = format!("{}/{}", action.reference.name, action.reference.version);
        let entry = Published {
            source: text.to_owned(),
            digest: action.digest,
            by: caller.principal.id.to_string(),
            at: self.clock.now(),
            apis: pinned.pins.clone(),
        };
        let (entry, _) = self.publish(caller, ACTION, &key, entry, None, &pinned).await?;
        self.catalogue.publications.fetch_add(1, Ordering::AcqRel);
        self.catalogue.actions.write().remove(tenant);
        self.notify(tenant, "action", &action.reference.to_string(), 0);
        Ok(action_view(&action, &entry))
    }

    /// Published actions, by name.
    pub async fn actions(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: u32,
    ) -> Result<PageOf<ActionView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let compiled = self.actions_of(tenant).await?;
        let page = self.published(tenant, ACTION, "", after, limit).await?;
        let items = page.items.iter().filter_map(|(key, entry)| {
            let reference = key.replacen('/', ":", 1).parse().ok()?;
            compiled.by_name.get(&reference).map(|action| action_view(action, entry))
        });
        Ok(PageOf { items: items.collect(), next: page.next })
    }

    /// One action by `name:version`.
    pub async fn action(&self, caller: &Caller, reference: &str) -> Result<ActionView, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let parsed: ActionRef = reference.parse().map_err(|_| Problem::not_found("action", reference))?;
        let compiled = self.actions_of(tenant).await?;
        let action = compiled.by_name.get(&parsed).ok_or_else(|| Problem::not_found("action", reference))?;
        let key = format!("{}/{}", parsed.name, parsed.version);
        let entry =
            self.entry(tenant, ACTION, &key).await?.ok_or_else(|| Problem::not_found("action", reference))?;
        Ok(action_view(action, &entry))
    }

    /// A compiled workflow version.
    pub(crate) async fn definition(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<Arc<Definition>, Problem> {
        self.definition_by_key(tenant, &workflow_key(namespace, name, version), None).await
    }

    /// The newest version of a workflow.
    pub(crate) async fn newest(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<String, Problem> {
        let prefix = format!("{namespace}/{name}/");
        let found = self.published(tenant, WORKFLOW, &prefix, None, PUBLISHED_MAX).await?;
        let versions = found.items.iter().filter_map(|(key, _)| key.strip_prefix(&prefix).map(str::to_owned));
        versions
            .max_by(|a, b| version_order(a).cmp(&version_order(b)))
            .ok_or_else(|| Problem::not_found("workflow", &format!("{namespace}/{name}")))
    }

    /// The example sentences of the newest version of every workflow.
    pub(crate) async fn intents(&self, tenant: &TenantId) -> Result<Arc<IntentIndex>, Problem> {
        if let Some(index) = self.catalogue.intents.read().get(tenant) {
            return Ok(Arc::clone(index));
        }
        let seen = self.catalogue.published();
        let found = self.published(tenant, WORKFLOW, "", None, PUBLISHED_MAX).await?;
        let mut newest: BTreeMap<String, String> = BTreeMap::new();
        for (key, _) in &found.items {
            let Some((name, version)) = key.rsplit_once('/') else { continue };
            let best = newest.entry(name.to_owned()).or_insert_with(|| version.to_owned());
            if version_order(version) > version_order(best) {
                version.clone_into(best);
            }
        }
        let mut templates = Vec::new();
        for (name, version) in newest {
            let definition = self.definition_by_key(tenant, &format!("{name}/{version}"), None).await?;
            match intent_template(&definition) {
                Ok(template) => templates.extend(template),
                Err(message) => {
                    tracing::warn!(workflow = name, error = message, "a workflow's intents cannot be used")
                }
            }
        }
        let index = Arc::new(IntentIndex::new(templates));
        let mut known = self.catalogue.intents.write();
        if self.catalogue.published() == seen {
            known.insert(tenant.clone(), Arc::clone(&index));
        }
        drop(known);
        Ok(index)
    }

    async fn definition_by_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: Option<&Published>,
    ) -> Result<Arc<Definition>, Problem> {
        let cached = (tenant.clone(), key.to_owned());
        if let Some(found) = self.catalogue.definitions.read().get(&cached) {
            return Ok(Arc::clone(found));
        }
        let Published { source, apis: pins, .. } = match entry {
            Some(entry) => entry.clone(),
            None => {
                let found = self.entry(tenant, WORKFLOW, key).await?;
                found.ok_or_else(|| Problem::not_found("workflow", key))?
            }
        };
        let actions = self.actions_of(tenant).await?;
        let apis = self.kept_apis(tenant, &pins).await?;
        let made_from =
            if pins.is_empty() { actions.digest } else { model::digest_of(&(actions.digest, &pins)) };
        let definition = self.compiled.definition(&source, made_from, || {
            let compiled = dsl::compile(&source, &With { actions: &*actions, apis: &apis });
            compiled.definition.ok_or_else(|| {
                Problem::machine(format!(
                    "the published workflow `{key}` does not compile: {:?}",
                    compiled.problems.first()
                ))
            })
        })?;
        self.catalogue.definitions.write().insert(cached, Arc::clone(&definition));
        Ok(definition)
    }

    async fn actions_of(&self, tenant: &TenantId) -> Result<Arc<Actions>, Problem> {
        if let Some(found) = self.catalogue.actions.read().get(tenant) {
            return Ok(Arc::clone(found));
        }
        let seen = self.catalogue.published();
        let found = self.published(tenant, ACTION, "", None, PUBLISHED_MAX).await?;
        let mut by_name = BTreeMap::new();
        let mut texts = Vec::with_capacity(found.items.len());
        for (key, entry) in found.items {
            let apis = self.kept_apis(tenant, &entry.apis).await?;
            let action = self.compiled.action(&entry.source, &entry.apis, || {
                let compiled =
                    dsl::action::compile_with(&entry.source, &With { actions: &NoActions, apis: &apis });
                compiled.action.ok_or_else(|| {
                    Problem::machine(format!(
                        "the published action `{key}` does not compile: {:?}",
                        compiled.problems.first()
                    ))
                })
            })?;
            texts.push((key, entry.digest));
            by_name.insert(action.reference.clone(), action);
        }
        let actions = Arc::new(Actions { by_name, digest: model::digest_of(&texts) });
        let mut known = self.catalogue.actions.write();
        if self.catalogue.published() == seen {
            known.insert(tenant.clone(), Arc::clone(&actions));
        }
        drop(known);
        Ok(actions)
    }

    /// True when no published version of the workflow is newer.
    async fn is_newest(&self, definition: &Definition, tenant: &TenantId) -> Result<bool, Problem> {
        match self.newest(tenant, &definition.namespace, &definition.name).await {
            Ok(newest) => Ok(version_order(&definition.version) >= version_order(&newest)),
            Err(problem) if problem.status == 404 => Ok(true),
            Err(problem) => Err(problem),
        }
    }

    /// Publishes an entry, with what becomes of a schedule. Answers what is published, and whether it is new.
    async fn publish(
        &self,
        caller: &Caller,
        kind: &str,
        key: &str,
        entry: Published,
        set: Option<&crate::schedules::Set>,
        pinned: &Pinned,
    ) -> Result<(Published, bool), Problem> {
        let tenant = &caller.principal.tenant;
        if let Some(before) = self.entry(tenant, kind, key).await? {
            return if before.digest == entry.digest {
                Ok((before, false))
            } else {
                let detail = format!(
                    "{kind} `{key}` is published with other content; a published version never changes, so raise the version"
                );
                Err(Problem::new(409, 1001, "version is published", detail))
            };
        }
        let document = serde_json::to_value(&entry).map_err(Problem::machine)?;
        let record = record::by_caller(
            caller,
            entry.at,
            &format!("{kind}.published"),
            format!("{kind}s/{key}"),
            match entry.apis.is_empty() {
                true => json!({ "digest": entry.digest }),
                false => json!({ "digest": entry.digest, "apis": entry.apis }),
            },
        );
        let mut puts = pinned.puts(tenant);
        puts.push(Put::Document {
            tenant: tenant.clone(),
            kind: kind.to_owned(),
            key: key.to_owned(),
            document,
        });
        let mut batch = Batch {
            expect: vec![Expect::NoDocument(tenant.clone(), kind.to_owned(), key.to_owned())],
            puts,
            records: vec![record],
            ..Batch::default()
        };
        if let Some(set) = set {
            set.join(&mut batch);
        }
        self.commit_one(batch).await?;
        Ok((entry, true))
    }

    /// What is pinned already, when exactly this text is published under its name.
    async fn pins_before(&self, tenant: &TenantId, kind: &str, text: &str) -> Result<Option<Pins>, Problem> {
        let Ok(document) = dsl::data::read(text).map(|value| value.to_json()) else { return Ok(None) };
        let head = |name: &str| document["document"][name].as_str().unwrap_or_default();
        let key = match kind {
            ACTION => document["action"].as_str().unwrap_or_default().replacen(':', "/", 1),
            _ => workflow_key(head("namespace"), head("name"), head("version")),
        };
        let before = self.entry(tenant, kind, &key).await?;
        Ok(before.filter(|before| before.source == text).map(|before| before.apis))
    }

    async fn entry(&self, tenant: &TenantId, kind: &str, key: &str) -> Result<Option<Published>, Problem> {
        let document = self.store.document(tenant, kind, key).await.map_err(|e| store_problem(&e))?;
        document
            .map(|d| serde_json::from_value(d).map_err(|e| Problem::machine(format!("{kind} `{key}`: {e}"))))
            .transpose()
    }

    async fn published(
        &self,
        tenant: &TenantId,
        kind: &str,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<PageOf<(String, Published)>, Problem> {
        let limit = limit.clamp(1, PUBLISHED_MAX);
        let found = self
            .store
            .documents(tenant, kind, prefix, after.as_deref(), limit)
            .await
            .map_err(|e| store_problem(&e))?;
        let next =
            (found.len() == limit as usize).then(|| found.last().map(|(key, _)| key.clone())).flatten();
        let items: Result<Vec<_>, Problem> = found
            .into_iter()
            .map(|(key, d)| match serde_json::from_value(d) {
                Ok(entry) => Ok((key, entry)),
                Err(e) => Err(Problem::machine(format!("{kind} `{key}`: {e}"))),
            })
            .collect();
        Ok(PageOf { items: items?, next })
    }
}

fn intent_template(definition: &Definition) -> Result<Option<Template>, String> {
    let metadata = definition.metadata.to_json();
    let Some(omnihub) = metadata.get("omnihub").or_else(|| metadata.pointer("/metadata/omnihub")) else {
        return Ok(None);
    };
    let schema = definition.input.schema.as_ref().map(|s| &s.document);
    let title = definition.title.as_deref().unwrap_or(&definition.name);
    Template::from_metadata(
        &definition.namespace,
        &definition.name,
        &definition.version,
        title,
        omnihub,
        schema,
    )
    .map(Some)
}

fn workflow_key(namespace: &str, name: &str, version: &str) -> String {
    format!("{namespace}/{name}/{version}")
}

/// Orders semantic versions: by their numbers, releases after their pre-releases, `rc.2` before `rc.10`.
fn version_order(version: &str) -> (Vec<u64>, bool, Vec<(bool, u64, String)>) {
    let number = |text: &str| text.parse::<u64>().ok();
    let bare = version.split('+').next().unwrap_or(version);
    let (core, pre) = bare.split_once('-').map_or((bare, ""), |(core, pre)| (core, pre));
    let identifier = |text: &str| match number(text) {
        Some(number) => (false, number, String::new()),
        None => (true, 0, text.to_owned()),
    };
    // A number too long to be one is larger than any that is not.
    let numbers = core.split('.').map(|text| number(text).unwrap_or(u64::MAX)).collect();
    (numbers, pre.is_empty(), pre.split('.').map(identifier).collect())
}

fn document_problem(what: &'static str, problems: &[Diagnostic]) -> Problem {
    let errors: Vec<&Diagnostic> = problems.iter().filter(|p| p.severity == Severity::Error).collect();
    let first = errors
        .first()
        .map_or_else(String::new, |p| format!("line {}, column {}: {}", p.line, p.column, p.message));
    let title = if what == "workflow" { "workflow refused" } else { "action refused" };
    let mut problem =
        Problem::new(422, 1000, title, format!("{} error(s); the first: {first}", errors.len()))
            .with("problems", json!(problems));
    for error in errors {
        problem = problem.field(error.pointer.clone(), format!("{} ({})", error.message, error.code));
    }
    problem
}

fn workflow_view(definition: &Definition, entry: &Published, problems: Vec<Diagnostic>) -> WorkflowView {
    let metadata = definition.metadata.to_json();
    let omnihub = metadata
        .get("omnihub")
        .or_else(|| metadata.pointer("/metadata/omnihub"))
        .cloned()
        .unwrap_or_default();
    let texts = |name: &str| -> Vec<String> {
        omnihub[name]
            .as_array()
            .map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
            .unwrap_or_default()
    };
    WorkflowView {
        namespace: definition.namespace.clone(),
        name: definition.name.clone(),
        version: definition.version.clone(),
        title: definition.title.clone(),
        summary: definition.summary.clone(),
        digest: definition.digest,
        owner: omnihub["owner"].as_str().map(str::to_owned),
        intents: texts("intents"),
        input_schema: definition.input.schema.as_ref().map(|s| s.document.clone()),
        actions: definition.actions.keys().map(ToString::to_string).collect(),
        apis: entry.apis.clone(),
        published_by: entry.by.clone(),
        published_at: entry.at,
        source: entry.source.clone(),
        warnings: problems,
        graph: graph_of(&definition.tasks),
    }
}

fn action_view(action: &Action, entry: &Published) -> ActionView {
    ActionView {
        reference: action.reference.to_string(),
        title: action.title.clone(),
        contract: action.contract.clone(),
        digest: action.digest,
        input_schema: action.input.as_ref().map(|s| s.document.clone()),
        apis: entry.apis.clone(),
        published_by: entry.by.clone(),
        published_at: entry.at,
        source: entry.source.clone(),
    }
}

fn graph_of(list: &TaskList) -> Vec<GraphNode> {
    list.tasks.iter().map(|task| node_of(task, list)).collect()
}

fn node_of(task: &Task, list: &TaskList) -> GraphNode {
    let place = |then: Then| match then {
        Then::Task(position) => list.tasks.get(position).map(|t| t.pointer.to_string()),
        Then::Exit => Some("exit".to_owned()),
        Then::End => Some("end".to_owned()),
        Then::Continue => None,
    };
    let mut next: Vec<(String, String)> =
        place(task.then).into_iter().map(|to| (to, String::new())).collect();
    let (kind, label, children) = match &task.kind {
        TaskKind::Do(list) => ("do", String::new(), graph_of(list)),
        TaskKind::Set(_) => ("set", "sets the data".to_owned(), Vec::new()),
        TaskKind::Switch(cases) => {
            next.extend(
                cases.iter().filter_map(|case| place(case.then).map(|to| (to, case.name.to_string()))),
            );
            ("switch", format!("{} cases", cases.len()), Vec::new())
        }
        TaskKind::For(each) => ("for", format!("each {}", each.each), graph_of(&each.tasks)),
        TaskKind::Raise(_) => ("raise", "raises an error".to_owned(), Vec::new()),
        TaskKind::Try(task) => {
            let mut children = graph_of(&task.tasks);
            children.extend(task.catch.as_ref().map(graph_of).unwrap_or_default());
            ("try", if task.retry.is_some() { "retries" } else { "catches" }.to_owned(), children)
        }
        TaskKind::Wait(_) => ("wait", "waits".to_owned(), Vec::new()),
        TaskKind::Emit(_) => ("emit", "publishes an event".to_owned(), Vec::new()),
        TaskKind::Listen(listen) => {
            let children = listen.each.as_ref().map(|each| graph_of(&each.tasks)).unwrap_or_default();
            ("listen", listen_label(listen), children)
        }
        TaskKind::Work(Work::Http(http)) => ("call", format!("http {}", http.method), Vec::new()),
        TaskKind::Work(Work::OpenApi(call)) => ("call", format!("openapi {}", call.operation.id), Vec::new()),
        TaskKind::Work(Work::Grpc(call)) => {
            ("call", format!("grpc {}/{}", call.service, call.method), Vec::new())
        }
        TaskKind::Work(Work::AsyncApi(call)) => {
            let word = if call.take.is_some() { "receive" } else { "send" };
            ("call", format!("asyncapi {word} {}", call.operation.address), Vec::new())
        }
        TaskKind::Work(Work::Rpc(call)) => {
            ("call", format!("{} {}", call.protocol.name(), call.method), Vec::new())
        }
        TaskKind::Work(Work::Process(process)) => ("run", process.word().to_owned(), Vec::new()),
        TaskKind::Child(child) => {
            let version = child.version.as_deref().unwrap_or("latest");
            ("run", format!("{}/{}:{version}", child.namespace, child.name), Vec::new())
        }
        TaskKind::Action { action, .. } => ("call", action.to_string(), Vec::new()),
        TaskKind::Fork(fork) => {
            let label = if fork.compete { "the first success wins" } else { "at the same time" };
            ("fork", label.to_owned(), graph_of(&fork.branches))
        }
        TaskKind::Checkpoint(name) => ("call", format!("checkpoint `{name}`"), Vec::new()),
        TaskKind::OnRollback { action, .. } => ("call", format!("on rollback: {action}"), Vec::new()),
        TaskKind::Declassify(_) => ("call", "declassify".to_owned(), Vec::new()),
        TaskKind::Ask(_) => ("call", "ask people".to_owned(), Vec::new()),
        TaskKind::Rollback(to) => ("call", savepoint_label("rollback to", to.as_deref()), Vec::new()),
        TaskKind::Release(to) => ("call", savepoint_label("release to", to.as_deref()), Vec::new()),
    };
    GraphNode {
        pointer: task.pointer.to_string(),
        name: task.name.to_string(),
        kind: kind.to_owned(),
        label,
        children,
        next,
    }
}

fn listen_label(listen: &dsl::plan::Listen) -> String {
    let first = listen.strategies.first();
    let filters = first.into_iter().flat_map(|strategy| &strategy.filters);
    let names: Vec<&str> = filters.filter_map(dsl::plan::EventFilter::name).collect();
    let all = first.is_some_and(|strategy| strategy.all);
    format!("waits for {} of: {}", if all { "each" } else { "any" }, names.join(", "))
}

fn savepoint_label(what: &str, to: Option<&str>) -> String {
    to.map_or_else(|| format!("{what} the beginning"), |to| format!("{what} `{to}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_last_by_its_numbers() {
        let ordered = [
            "0.9.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.2.0",
            "1.10.0",
            "2.0.0-1",
            "2.0.0",
        ];
        let mut sorted = ordered;
        sorted.reverse();
        sorted.sort_by_key(|version| version_order(version));
        assert_eq!(sorted, ordered);
    }
}
