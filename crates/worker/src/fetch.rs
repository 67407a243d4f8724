//! Fetches descriptions of APIs for whoever publishes, through the same door as every effect.

use std::sync::Arc;
use std::time::Instant;

use app::Kind;
use app::{Fetch, FetchApi, Fetched};
use egress::{AddressRule, Door, Grant, HostRule, HttpAnswer, Limits, Reading};
use model::call::ToolProgram;
use model::effect::{EffectNumber, HttpOutput, HttpRequest};
use sandbox::{Engine, Sandbox};

use crate::authenticate::{Proof, Tokens, Way, masked, proof_of, send};
use crate::connect::{rpc, tool};
use crate::ledger::Ledger;
use crate::proto;

/// What a description may come as, in the order that is liked best.
const ACCEPT: &str = "application/json, application/yaml;q=0.9, */*;q=0.5";

/// What the door lets a description be fetched from: what the configuration allows, and nothing that a contract brings.
pub(crate) struct Fetcher {
    pub(crate) door: Door,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) hosts: Vec<HostRule>,
    pub(crate) private: Vec<AddressRule>,
    pub(crate) limits: Limits,
    pub(crate) sandbox: Result<Arc<Sandbox>, String>,
    pub(crate) containers: Result<Arc<Engine>, String>,
    pub(crate) program_limits: sandbox::Limits,
}

impl Fetcher {
    /// The function that the application calls. It holds nothing of the application.
    pub(crate) fn into_fetch(self) -> Fetch {
        let fetcher = Arc::new(self);
        Arc::new(move |asked| {
            let fetcher = Arc::clone(&fetcher);
            Box::pin(async move { fetcher.fetch(asked).await })
        })
    }

    async fn fetch(&self, asked: FetchApi) -> Fetched {
        if let Some(program) = ToolProgram::of_uri(&asked.wanted.uri) {
            return Fetched { text: self.tools_of(&asked, &program).await, connections: Vec::new() };
        }
        let effect = EffectNumber(0);
        let grant = Grant {
            hosts: self.hosts.clone(),
            private: self.private.clone(),
            redirects: false,
            tenant: asked.tenant.clone(),
            execution: asked.reading.clone(),
            effect,
        };
        let request = HttpRequest {
            method: "GET".to_owned(),
            uri: asked.wanted.uri.clone(),
            headers: vec![("Accept".to_owned(), ACCEPT.to_owned())],
            body: None,
            authentication: None,
            output: HttpOutput::Raw,
            redirect: false,
        };
        let limits = Limits { body_bytes: self.limits.body_bytes.min(asked.bytes_max), ..self.limits };
        let may_go = |host: &str, port: u16| (asked.may_go)(host, port);
        let way = Way {
            door: &self.door,
            grant: &grant,
            limits,
            began: Instant::now(),
            may_go: &may_go,
            may_look: &may_go,
            tokens: &self.tokens,
        };
        let proof = asked.wanted.authentication.as_ref();
        let proof = proof.map(|with| proof_of(with, asked.secret.as_ref())).transpose();
        let text = match proof {
            Ok(proof) => match asked.wanted.kind {
                Kind::Tools => rpc::described(&way, &asked.wanted, proof.as_ref()).await,
                Kind::Proto => {
                    let text = self.text(&way, &request, proof.as_ref()).await;
                    text.and_then(|text| proto::kept_of(&text))
                }
                Kind::Image => self.image(&asked.wanted.uri).await,
                Kind::OpenApi | Kind::AsyncApi | Kind::Card => {
                    self.text(&way, &request, proof.as_ref()).await
                }
            },
            Err(why) => Err(why),
        };
        Fetched { text, connections: self.ledger.take_of(asked.tenant, asked.reading, effect) }
    }
}

impl Fetcher {
    /// The tools of a server that is a program: it is started as every call starts it.
    async fn tools_of(&self, asked: &FetchApi, program: &ToolProgram) -> Result<String, String> {
        let sandbox = self.sandbox.as_ref();
        let sandbox =
            sandbox.map_err(|why| format!("no program can be run safely on this machine: {why}"))?;
        let may_go = Arc::clone(&asked.may_go);
        let limits = sandbox::Limits {
            wall: self.program_limits.wall.min(self.limits.whole),
            output_bytes: self.program_limits.output_bytes.min(asked.bytes_max),
            ..self.program_limits
        };
        tool::described(sandbox, program, limits, move || may_go("sandbox", 0)).await
    }

    /// What the engine knows an image as.
    async fn image(&self, image: &str) -> Result<String, String> {
        let engine = self.containers.as_ref().map_err(Clone::clone)?;
        engine.image(image).await.map_err(|error| error.to_string())
    }

    async fn text(
        &self,
        way: &Way<'_>,
        request: &HttpRequest,
        proof: Option<&Proof>,
    ) -> Result<String, String> {
        let mut secrets = Vec::new();
        let answer = send(way, request, proof, way.may_go, Reading::default(), &mut secrets).await;
        answer.map_err(|unsent| masked(&unsent.to_string(), &secrets)).and_then(|answer| text_of(&answer))
    }
}

fn text_of(answer: &HttpAnswer) -> Result<String, String> {
    match answer.status {
        200 => String::from_utf8(answer.body.to_vec()).map_err(|_| "it is not UTF-8".to_owned()),
        300..=399 => Err(format!("the answer was {}; write the address that it leads to", answer.status)),
        status => Err(format!("the answer was {status}")),
    }
}
