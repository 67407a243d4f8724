//! The pool of workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use app::{App, Work};
use crash::Point;
use egress::{AddressRule, BreakerConfig, Door, DoorConfig, Grant, HostRule, Resolver};
use model::Request;
use model::call::RpcRequest;
use model::effect::{Answer, Authentication, ProcessRequest};
use model::problem::WorkflowError;
use prost_reflect::DescriptorPool;
use sandbox::{Engine, Sandbox};
use tokio::sync::watch;

use crate::authenticate::{Proof, Tokens, Way, proof_of};
use crate::connect::process::Performed;
use crate::connect::{grpc, http, process, rpc, stream, tool};
use crate::fetch::Fetcher;
use crate::ledger::Ledger;
use crate::proto::Pools;

/// Values and components of the pool.
pub struct PoolConfig {
    /// Effects performed at once.
    pub concurrency: usize,
    /// Special addresses that every tenant may reach (none by default).
    pub private: Vec<AddressRule>,
    /// Hosts that may be called besides those that contracts name.
    pub hosts: Vec<HostRule>,
    /// Trust anchors besides the machine's, in PEM.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// Finds addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Limits of one HTTP effect; its own time limit applies when it is shorter.
    pub http_limits: egress::Limits,
    /// Limits of one program; its own time limit applies when it is shorter.
    pub program_limits: sandbox::Limits,
    /// Runs programs; none when the machine lacks a control that the configuration demands.
    pub sandbox: Result<Arc<Sandbox>, String>,
    /// Runs containers, or why there are none.
    pub containers: Result<Arc<Engine>, String>,
}

/// Performs permitted effects.
pub struct Pool {
    app: Arc<App>,
    door: Door,
    ledger: Arc<Ledger>,
    tokens: Arc<Tokens>,
    pools: Pools,
    private: Vec<AddressRule>,
    hosts: Vec<HostRule>,
    http_limits: egress::Limits,
    program_limits: sandbox::Limits,
    sandbox: Result<Arc<Sandbox>, String>,
    containers: Result<Arc<Engine>, String>,
    stop_programs: watch::Receiver<bool>,
}

impl Pool {
    /// Runs the pool until the application has no more work to give. Programs die when `stop` turns true.
    pub async fn run(
        app: Arc<App>,
        config: PoolConfig,
        stop: watch::Receiver<bool>,
    ) -> Result<(), egress::SetupError> {
        let Some(work) = app.take_work() else { return Ok(()) };
        let breaker = BreakerConfig::default();
        let connections = usize::try_from(breaker.concurrency_max).unwrap_or(usize::MAX);
        let mut work = work.with_places(config.concurrency).with_connections(connections);
        let ledger = Arc::new(Ledger::default());
        let door = Door::new(DoorConfig {
            observer: Arc::clone(&ledger) as _,
            resolver: config.resolver,
            extra_roots_pem: config.extra_roots_pem,
            breaker,
        })?;
        let tokens = Arc::new(Tokens::default());
        let fetcher = Fetcher {
            door: door.clone(),
            tokens: Arc::clone(&tokens),
            ledger: Arc::clone(&ledger),
            hosts: config.hosts.clone(),
            private: config.private.clone(),
            limits: config.http_limits,
            sandbox: config.sandbox.clone(),
            containers: config.containers.clone(),
            program_limits: config.program_limits,
        };
        app.fetch_with(fetcher.into_fetch());
        let pool = Arc::new(Self {
            app,
            door,
            ledger,
            tokens,
            pools: Pools::default(),
            private: config.private,
            hosts: config.hosts,
            http_limits: config.http_limits,
            program_limits: config.program_limits,
            sandbox: config.sandbox,
            containers: config.containers,
            stop_programs: stop,
        });
        while let Some(work) = work.recv().await {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                let performed = tokio::spawn({
                    let (pool, work) = (Arc::clone(&pool), work.clone());
                    async move { pool.perform(&work).await }
                });
                // Work that breaks off has an answer too, or its effect would wait for the next start.
                let answer = performed.await.unwrap_or_else(|error| {
                    tracing::error!(execution.id = %work.execution, %error, "a worker broke off");
                    Some(Answer::Lost {
                        error: WorkflowError::standard(
                            "runtime",
                            500,
                            "Worker Broke Off",
                            "the worker broke off in the middle of the effect",
                        ),
                    })
                });
                crash::at(Point::BeforeReport);
                // The place is given up before the answer is reported: what waits for the outside need not wait for the store.
                work.place.free();
                pool.tell(&work, answer).await;
                crash::at(Point::Reported);
            });
        }
        Ok(())
    }

    /// None when the permit was void at the last moment.
    async fn perform(&self, work: &Work) -> Option<Answer> {
        let proof = match self.proof(work).await {
            Ok(proof) => proof,
            Err(answer) => return Some(answer),
        };
        crash::at(Point::BeforeSend);
        if !self.app.may_start(work) {
            return None;
        }
        let began = Instant::now();
        let answer = match &work.request {
            Request::Rpc(request) if request.is_program() => self.tool(work, request).await?,
            Request::Http(_) | Request::Grpc(_) | Request::Stream(_) | Request::Rpc(_) => {
                match self.grant(work) {
                    Ok(grant) => self.send(work, &grant, proof.as_ref(), began).await?,
                    Err(error) => refused(error),
                }
            }
            // Its permit is the act: people said yes, and the engine makes of that what it is.
            Request::Declassify | Request::Approval(_) => Answer::Done { output: model::Value::NULL },
            // No worker is ever given one: a message begins the other execution.
            Request::Workflow(_) | Request::Unwind(_) => Answer::Lost {
                error: WorkflowError::standard(
                    "configuration",
                    500,
                    "Configuration Error",
                    "no worker runs executions",
                ),
            },
            Request::Process(request) => self.program(work, request).await?,
        };
        metrics::histogram!("omnihub_effect_duration_seconds").record(began.elapsed().as_secs_f64());
        Some(answer)
    }

    /// Runs a program or a container. None when it was not started, or was ended because nobody wants it any more.
    async fn program(&self, work: &Work, request: &ProcessRequest) -> Option<Answer> {
        let (cancelled, departing) = (self.ends(work), self.departing(work));
        let limits = self.limits_of(work);
        if request.is_container() {
            let engine = match &self.containers {
                Ok(engine) => engine,
                Err(why) => return Some(refused(format!("no container can be run on this machine: {why}"))),
            };
            let name = format!("{}-{}-{}", work.execution, work.effect.0, work.attempt);
            let run = process::contain(engine, &name, request, limits, cancelled, departing);
            return self.unless_called_back(work, run).await;
        }
        match &self.sandbox {
            Ok(sandbox) => {
                let run = process::perform(sandbox, request, limits, cancelled, departing);
                self.unless_called_back(work, run).await
            }
            Err(why) => Some(no_sandbox(why)),
        }
    }

    /// Calls a tool server that is a program; as [`Pool::program`].
    async fn tool(&self, work: &Work, request: &RpcRequest) -> Option<Answer> {
        let Some(program) = request.program() else { return Some(refused("its program cannot be read")) };
        let sandbox = match &self.sandbox {
            Ok(sandbox) => sandbox,
            Err(why) => return Some(no_sandbox(why)),
        };
        let (app, starting) = (Arc::clone(&self.app), work.clone());
        let may_start = move || app.may_start(&starting);
        let (cancelled, departing) = (self.ends(work), self.departing(work));
        let limits = self.limits_of(work);
        let call = tool::perform(sandbox, &program, request, limits, cancelled, may_start, departing);
        self.unless_called_back(work, call).await
    }

    /// The limits of a program, and its own time when that is shorter.
    fn limits_of(&self, work: &Work) -> sandbox::Limits {
        sandbox::Limits { wall: self.program_limits.wall.min(work.timeout), ..self.program_limits }
    }

    /// True once a program must end: this process stops, or somebody stopped it.
    fn ends(&self, work: &Work) -> impl Fn() -> bool + Send + use<> {
        let (ends, stopped) = (self.stop_programs.clone(), work.flight.cut());
        move || *ends.borrow() || *stopped.borrow()
    }

    /// The last look before a program does what it is for.
    fn departing(&self, work: &Work) -> impl Fn() -> bool + Send + use<> {
        let (app, departing) = (Arc::clone(&self.app), work.clone());
        move || app.depart(&departing, None)
    }

    async fn unless_called_back(
        &self,
        work: &Work,
        perform: impl Future<Output = Performed>,
    ) -> Option<Answer> {
        let (cut, flight) = (work.flight.cut(), &work.flight);
        let called_back = async {
            turned_true(cut.clone()).await;
            // Departed ones end by themselves, and say when they have.
            if flight.departed() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            performed = perform => match performed {
                Performed::Answered { killed: true, .. } if *cut.borrow() => None,
                Performed::Answered { answer, .. } => Some(answer),
                Performed::NotStarted => None,
            },
            () = called_back => None,
        }
    }

    /// Reports what became of it; nothing durable of it was done when there is no answer.
    async fn tell(&self, work: &Work, answer: Option<Answer>) {
        match answer {
            Some(answer) => {
                let word = match &answer {
                    Answer::Done { .. } | Answer::Stored { .. } => "done",
                    Answer::Refused { .. } => "refused",
                    Answer::Lost { .. } => "lost",
                    Answer::Child(end) => end.word(),
                };
                metrics::counter!("omnihub_effects_total", "answer" => word).increment(1);
                self.app.report(work, answer, self.ledger.take(work)).await;
            }
            None => {
                let why = if work.flight.departed() {
                    "the kill switch ended its program, and what the program did is thrown away"
                } else {
                    "a control, a policy or somebody's rights changed before the effect started"
                };
                self.app.give_back(work, why, self.ledger.take(work)).await;
            }
        }
    }

    /// What this effect may reach: the hosts of its contract, which people reviewed, and those of the configuration.
    fn grant(&self, work: &Work) -> Result<Grant, String> {
        let mut hosts = self.hosts.clone();
        for host in &work.contract.hosts {
            hosts.push(host.parse().map_err(|e| format!("the contract's host is wrong: {e}"))?);
        }
        Ok(Grant {
            hosts,
            private: self.private.clone(),
            redirects: matches!(&work.request, Request::Http(http) if http.redirect),
            tenant: work.tenant.clone(),
            execution: work.execution.clone(),
            effect: work.effect,
        })
    }

    /// Sends what goes to an address. None when nothing of it was done, and nothing ever will be.
    async fn send(
        &self,
        work: &Work,
        grant: &Grant,
        proof: Option<&Proof>,
        began: Instant,
    ) -> Option<Answer> {
        let withdrawn = AtomicBool::new(false);
        let may_go = |host: &str, port: u16| {
            let may = self.app.depart(work, Some(&format!("{host}:{port}")));
            withdrawn.fetch_or(!may, Ordering::AcqRel);
            crash::at(Point::Departed);
            may
        };
        // What only prepares is not on the wire yet: cut off there, nothing has happened.
        let may_look = |host: &str, port: u16| {
            let may = self.app.may_start_at(work, &format!("{host}:{port}"));
            // A stop of the authority alone leaves the permit good: no token is an answer, and is asked for later.
            withdrawn.fetch_or(!may && !self.app.may_start(work), Ordering::AcqRel);
            may
        };
        // Messages are waited for, longer than answers.
        let whole = match &work.request {
            Request::Stream(stream) if stream.take.is_some() => work.timeout,
            _ => self.http_limits.whole.min(work.timeout),
        };
        let way = Way {
            door: &self.door,
            grant,
            limits: egress::Limits { whole, ..self.http_limits },
            began,
            may_go: &may_go,
            may_look: &may_look,
            tokens: &self.tokens,
        };
        let perform = async {
            match &work.request {
                Request::Http(request) => {
                    let fencing = work.contract.fencing_header.clone();
                    let fencing = fencing.map(|header| (header, work.fence.token().to_string()));
                    http::perform(&way, request, proof, fencing).await
                }
                Request::Grpc(call) => match self.described(work, &call.proto).await {
                    Ok(pool) => {
                        let fencing = work.contract.fencing_header.clone();
                        let fencing = fencing.map(|header| (header, work.fence.token().to_string()));
                        let read = work.contract.effect == model::EffectKind::Read;
                        grpc::perform(&way, call, proof, fencing, &pool, read).await
                    }
                    Err(answer) => answer,
                },
                Request::Stream(request) => stream::perform(&way, request, proof).await,
                Request::Rpc(request) => {
                    let read = request.is_read() || work.contract.effect == model::EffectKind::Read;
                    rpc::perform(&way, request, proof, read).await
                }
                // They go to no address.
                Request::Process(_)
                | Request::Declassify
                | Request::Approval(_)
                | Request::Workflow(_)
                | Request::Unwind(_) => refused("it goes to no address"),
            }
        };
        let answer = tokio::select! {
            answer = perform => answer,
            () = turned_true(work.flight.cut()) => {
                // What had not left yet never will; what had left may have arrived.
                if !work.flight.departed() {
                    return None;
                }
                cut_off()
            }
        };
        // Only when nothing was done: a write that a redirect answered may have been.
        if withdrawn.load(Ordering::Acquire) && matches!(answer, Answer::Refused { .. }) {
            return None;
        }
        Some(answer)
    }

    /// What a kept `.proto` says.
    async fn described(&self, work: &Work, digest: &model::Digest) -> Result<DescriptorPool, Answer> {
        if let Some(pool) = self.pools.get(digest) {
            return Ok(pool);
        }
        let kept = self.app.kept_description(work, digest).await.map_err(|problem| {
            tracing::warn!(error = %problem, internal = problem.internal, "a description could not be read");
            let told = "the description of the service could not be read";
            let error = WorkflowError::standard("runtime", 503, "Description Unavailable", told);
            Answer::Refused { error, transient: true, retry_after_ms: None }
        })?;
        let kept = kept.ok_or_else(|| refused("the kept description is not the one that was pinned"))?;
        self.pools.put(*digest, &kept).map_err(refused)
    }

    async fn proof(&self, work: &Work) -> Result<Option<Proof>, Answer> {
        let Some(authentication) = work.request.authentication() else { return Ok(None) };
        let mut secret = None;
        if let Authentication::Secret { name, .. } = authentication {
            secret = self.app.secret_for(work, name).await.map_err(|problem| {
                let error = WorkflowError::standard(
                    "runtime",
                    503,
                    "Secret Unavailable",
                    format!("the secret store did not answer for `{name}`"),
                );
                tracing::warn!(error = %problem, internal = problem.internal, "a secret could not be read");
                Answer::Refused { error, transient: true, retry_after_ms: None }
            })?;
        }
        proof_of(authentication, secret.as_ref()).map(Some).map_err(refused)
    }
}

async fn turned_true(mut cut: watch::Receiver<bool>) {
    // The sender is gone only when the attempt has landed.
    if cut.wait_for(|cut| *cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The answer to a request whose connection the kill switch cut.
fn cut_off() -> Answer {
    let detail = "the kill switch cut the connection; whether it happened is found out by the effect's class";
    Answer::Lost { error: WorkflowError::standard("communication", 504, "connection cut", detail) }
}

fn no_sandbox(why: &str) -> Answer {
    refused(format!("no program can be run safely on this machine: {why}"))
}

fn refused(detail: impl Into<String>) -> Answer {
    let error = WorkflowError::standard("configuration", 400, "Configuration Error", detail);
    Answer::Refused { error, transient: false, retry_after_ms: None }
}
