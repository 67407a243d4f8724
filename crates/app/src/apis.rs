//! Descriptions of APIs that published documents call: fetched once through the door, pinned by digest, kept.
//!
//! Fetching happens when something is published, by whoever may publish, and is what it is: a connection to the outside.
//! It passes the controls, reaches only what the configuration allows, and every connection is in the audit log. What runs
//! later reads the kept text, checked against its digest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dsl::Catalogue;
use dsl::plan::Action;
use dsl::{Description, Kind, Wanted};
use futures_util::future::BoxFuture;
use model::call::ToolProgram;
use model::effect::Authentication;
use model::stop::Subject;
use model::{ActionRef, Digest, ExecutionId, Problem, TenantId};
use serde_json::{Value as Json, json};
use store::{Batch, Put};
use tokio::sync::watch;

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::goals::stopped;
use crate::record;
use crate::work::Connection;

/// The kind of document that kept descriptions are.
const KIND: &str = "api";
/// Descriptions that one document may call.
const APIS_MAX: usize = 16;
/// How long a publication waits for a worker that starts.
const WORKER_WAIT: Duration = Duration::from_secs(5);

/// Which descriptions a published document calls, and the digests of their texts.
pub(crate) type Pins = BTreeMap<String, Digest>;
/// Descriptions by address, or why they cannot be used.
pub(crate) type Apis = BTreeMap<String, Result<Description, String>>;

/// Fetches descriptions; the worker has the door.
pub type Fetch = Arc<dyn Fn(FetchApi) -> BoxFuture<'static, Fetched> + Send + Sync>;

/// Whether something may be sent to this host and port now.
pub type MayGo = Arc<dyn Fn(&str, u16) -> bool + Send + Sync>;

/// A description that is to be fetched.
pub struct FetchApi {
    /// For whom.
    pub tenant: TenantId,
    /// Stands for the execution that there is none of.
    pub reading: ExecutionId,
    /// What is fetched, from where, and with which credentials.
    pub wanted: Wanted,
    /// The secret that the credentials name.
    pub secret: Option<Json>,
    /// Bytes that are read at the most.
    pub bytes_max: usize,
    /// Asked with host and port before the first byte leaves.
    pub may_go: MayGo,
}

/// What became of it.
pub struct Fetched {
    /// The text, or why there is none.
    pub text: Result<String, String>,
    /// Every connection that was made or refused.
    pub connections: Vec<Connection>,
}

/// Who fetches, once a worker is there.
pub(crate) struct Fetcher(watch::Sender<Option<Fetch>>);

impl Default for Fetcher {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Fetcher {
    /// Who fetches; a worker that is about to be there is waited for.
    async fn get(&self) -> Option<Fetch> {
        let mut there = self.0.subscribe();
        let found = tokio::time::timeout(WORKER_WAIT, there.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }
}

/// A catalogue with descriptions of APIs.
pub(crate) struct With<'a> {
    pub(crate) actions: &'a dyn Catalogue,
    pub(crate) apis: &'a Apis,
}

impl Catalogue for With<'_> {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.actions.action(reference)
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.actions.actions()
    }
    fn description(&self, kind: Kind, uri: &str) -> Option<Result<Description, String>> {
        self.apis.get(&kind.key(uri)).cloned()
    }
}

/// A catalogue of nothing but descriptions of APIs.
pub(crate) struct NoActions;

impl Catalogue for NoActions {
    fn action(&self, _reference: &ActionRef) -> Option<Arc<Action>> {
        None
    }
    fn actions(&self) -> Vec<ActionRef> {
        Vec::new()
    }
}

/// The descriptions that a publication is about to pin, with their texts.
#[derive(Default)]
pub(crate) struct Pinned {
    pub(crate) apis: Apis,
    pub(crate) pins: Pins,
    texts: BTreeMap<Digest, String>,
}

impl Pinned {
    /// The rows that keep the texts.
    pub(crate) fn puts(&self, tenant: &TenantId) -> Vec<Put> {
        let put = |(digest, text): (&Digest, &String)| Put::Document {
            tenant: tenant.clone(),
            kind: KIND.to_owned(),
            key: digest.to_string(),
            document: json!({ "text": text }),
        };
        self.texts.iter().map(put).collect()
    }
}

impl App {
    /// Sets who fetches descriptions of APIs; without anybody, what calls them cannot be published.
    pub fn fetch_with(&self, fetch: Fetch) {
        self.fetcher.0.send_replace(Some(fetch));
    }

    /// The descriptions of these addresses: as pinned before, or fetched now.
    pub(crate) async fn pinned(
        &self,
        caller: &Caller,
        wanted: &[Wanted],
        before: Option<Pins>,
    ) -> Result<Pinned, Problem> {
        if let Some(pins) = before {
            let apis = self.kept_apis(&caller.principal.tenant, &pins).await?;
            return Ok(Pinned { apis, pins, texts: BTreeMap::new() });
        }
        if wanted.len() > APIS_MAX {
            let detail = format!(
                "one document may call {APIS_MAX} descriptions of APIs, and this calls {}",
                wanted.len()
            );
            return Err(Problem::new(422, 1000, "workflow refused", detail));
        }
        let mut pinned = Pinned::default();
        for wanted in wanted {
            let key = wanted.kind.key(&wanted.uri);
            let read = self.fetch_api(caller, wanted).await?.and_then(|text| {
                let description = Description::read(wanted.kind, &wanted.uri, &text)?;
                Ok((description, text))
            });
            let entry = read.map(|(description, text)| {
                pinned.pins.insert(key.clone(), description.digest());
                pinned.texts.insert(description.digest(), text);
                description
            });
            pinned.apis.insert(key, entry);
        }
        Ok(pinned)
    }

    /// The kept descriptions of what is published. One that is missing or was changed is a fault of the machine.
    pub(crate) async fn kept_apis(&self, tenant: &TenantId, pins: &Pins) -> Result<Apis, Problem> {
        let mut apis = Apis::new();
        for (key, digest) in pins {
            let (kind, uri) = Kind::of_key(key);
            let kept = self.store.document(tenant, KIND, &digest.to_string()).await;
            let kept = kept.map_err(|error| store_problem(&error))?;
            let text = kept.as_ref().and_then(|kept| kept["text"].as_str());
            let text = text.filter(|text| Digest::of(text.as_bytes()) == *digest).ok_or_else(|| {
                Problem::machine(format!("the kept description of `{uri}` is not the one that was pinned"))
            })?;
            let description = Description::read(kind, uri, text);
            let description = description.map_err(|why| Problem::machine(format!("`{uri}`: {why}")))?;
            apis.insert(key.clone(), Ok(description));
        }
        Ok(apis)
    }

    /// Fetches a description; the inner error is a reason that its author can do something about.
    async fn fetch_api(&self, caller: &Caller, wanted: &Wanted) -> Result<Result<String, String>, Problem> {
        let tenant = &caller.principal.tenant;
        let operation = operation_of(wanted.kind);
        let controls = self.switches.now();
        if let Some(holds) = controls.stopped(&reading(caller, operation, None)) {
            return Err(stopped(&holds));
        }
        if !controls.allows(tenant, operation) {
            return Ok(Err(format!("the allow-list does not hold `{operation}`")));
        }
        let Some(fetch) = self.fetcher.get().await else {
            return Ok(Err("no worker is here to fetch it".to_owned()));
        };
        let secret = match &wanted.authentication {
            Some(Authentication::Secret { name, .. }) => match self.secret_to_publish(caller, name).await? {
                Some(secret) => Some(secret),
                None => {
                    let told =
                        format!("there is no secret `{name}`: put it with `omnihub secrets put {name}`");
                    return Ok(Err(told));
                }
            },
            _ => None,
        };
        let id = self.ids.next(self.clock.now()).to_string();
        let reading_id = ExecutionId::new(&id).map_err(Problem::machine)?;
        let (switches, by) = (Arc::clone(&self.switches), caller.clone());
        let asked = FetchApi {
            tenant: tenant.clone(),
            reading: reading_id,
            wanted: wanted.clone(),
            secret,
            bytes_max: dsl::openapi::DOCUMENT.bytes,
            may_go: Arc::new(move |host, port| {
                // What is no address has no port, and is a target by its name.
                let target = if port == 0 { host.to_owned() } else { format!("{host}:{port}") };
                switches.holding(|controls| {
                    controls.stopped(&reading(&by, operation, Some(&target))).is_none()
                        && controls.allows(&by.principal.tenant, operation)
                })
            }),
        };
        let fetched = fetch(asked).await;
        let now = self.clock.now();
        let records = fetched.connections.into_iter().map(|connection| {
            let action = if connection.allowed { "egress.connected" } else { "egress.refused" };
            let mut details = connection.details;
            details["for"] = Json::from("the description of an API");
            record::by_caller(caller, now, action, "apis".to_owned(), details)
        });
        let mut records: Vec<_> = records.collect();
        if ToolProgram::of_uri(&wanted.uri).is_some() || wanted.kind == Kind::Image {
            let details = json!({ "what": wanted.kind.key(&wanted.uri), "answered": fetched.text.is_ok() });
            records.push(record::by_caller(caller, now, "program.asked", "apis".to_owned(), details));
        }
        if !records.is_empty() {
            self.commit_one(Batch { records, ..Batch::default() }).await?;
        }
        Ok(fetched.text)
    }
}

impl App {
    /// A kept description that an effect needs, checked against the digest that was pinned.
    pub async fn kept_description(
        &self,
        work: &crate::Work,
        digest: &Digest,
    ) -> Result<Option<String>, Problem> {
        let kept = self.store.document(&work.tenant, KIND, &digest.to_string()).await;
        let kept = kept.map_err(|error| store_problem(&error))?;
        let text = kept.and_then(|kept| kept["text"].as_str().map(str::to_owned));
        Ok(text.filter(|text| Digest::of(text.as_bytes()) == *digest))
    }

    /// A secret for fetching what is about to be published; its use is in the audit log before it is used.
    async fn secret_to_publish(&self, caller: &Caller, name: &str) -> Result<Option<Json>, Problem> {
        let tenant = &caller.principal.tenant;
        let found = self.store.secret(tenant, name).await.map_err(|error| store_problem(&error))?;
        let details = json!({ "for": "a description that is published", "found": found.is_some() });
        let resource = format!("secrets/{name}");
        let record = record::by_caller(caller, self.clock.now(), "secret.used", resource, details);
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await?;
        Ok(found)
    }
}

/// What fetching a description counts as, for allow-lists and stops.
fn operation_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "mcp:tools/list",
        Kind::Image => "run:container",
        Kind::OpenApi | Kind::AsyncApi | Kind::Proto | Kind::Card => "http:GET",
    }
}

/// What a stop sees of it.
fn reading<'a>(caller: &'a Caller, operation: &'a str, target: Option<&'a str>) -> Subject<'a> {
    Subject {
        tenant: &caller.principal.tenant,
        workflow: "",
        version: "",
        requester: &caller.principal.id,
        operation: Some(operation),
        target,
    }
}
