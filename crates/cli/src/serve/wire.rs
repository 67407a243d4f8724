//! Puts the parts together: one straight function from settings to a running server.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::{App, Parts, RandomIds, SteadyClock, SystemClock};
use egress::{AddressRule, HostRule, SystemResolver};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use model::Clock as _;
use store::{SqliteStore, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::exit::Failure;

/// Digits of the digest that tells one house's containers from another's.
const HOUSE_DIGITS: usize = 12;
/// Programs that run at once, and containers.
const PROGRAMS_MAX: u32 = 8;
/// Time that the last effects get to be reported when the server stops.
const REPORT_GRACE: Duration = Duration::from_secs(2);

/// A clock that is behind what is recorded by less than this is an ordinary clock.
const CLOCK_BEHIND: Duration = Duration::from_secs(1);

/// Pause between looks at who still holds the store.
const CLOSE_PAUSE: Duration = Duration::from_millis(2);

/// A server that accepts requests.
pub(crate) struct Running {
    /// API and console.
    pub(crate) address: SocketAddr,
    /// Metrics and health.
    pub(crate) admin: SocketAddr,
    /// Where the first administrator's token is.
    pub(crate) token_file: PathBuf,
    stop: watch::Sender<bool>,
    doors: Vec<JoinHandle<Result<(), gateway::ServeError>>>,
    time: JoinHandle<()>,
    workers: JoinHandle<Result<(), egress::SetupError>>,
    store: Arc<SqliteStore>,
}

impl Running {
    /// Takes no more requests, lets those under way end, and closes the store.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        crash::at(crash::Point::StopAsked);
        self.stop.send_replace(true);
        for door in self.doors {
            match door.await {
                Ok(ended) => ended.map_err(|error| Failure::internal(error.to_string()))?,
                Err(error) => return Err(Failure::internal(format!("a front door broke: {error}"))),
            }
        }
        self.time.abort();
        // What is still under way is found again at the next start, by effect class.
        let _ = tokio::time::timeout(REPORT_GRACE, self.time).await;
        self.workers.abort();
        crash::at(crash::Point::BeforeClose);
        close(self.store).await;
        Ok(())
    }
}

/// Closes the store once nobody else holds it, so that its directory is whole when the server has stopped.
async fn close(store: Arc<SqliteStore>) {
    let until = tokio::time::Instant::now() + REPORT_GRACE;
    while Arc::strong_count(&store) > 1 && tokio::time::Instant::now() < until {
        tokio::time::sleep(CLOSE_PAUSE).await;
    }
    // Closing waits for the writer's thread; an error there is logged by the store itself.
    let _ = tokio::task::spawn_blocking(move || drop(store)).await;
}

/// Starts everything, or says what stops it.
pub(crate) async fn start(settings: &Settings) -> Result<Running, Failure> {
    // One TLS provider for the whole process; a second start in the same process finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = metrics_handle();
    let sandbox = build_sandbox(settings)?;
    let http = TcpListener::bind(settings.http.address)
        .await
        .map_err(|e| cannot_listen(settings.http.address, &e))?;
    let admin = TcpListener::bind(settings.admin).await.map_err(|e| cannot_listen(settings.admin, &e))?;
    let clock = Arc::new(SteadyClock::new(SystemClock));
    let store = SqliteStore::open(&settings.data_dir, clock.clone())
        .map_err(|e| Failure::internal(chain(&e)).code(if e.is_full() { "OH-5004" } else { "OH-5010" }))?;
    keep_time(&clock, &*store).await?;
    // The store is held, so nobody else runs this house's containers.
    let containers = build_containers(settings)?;
    let machine = of_machine(sandbox.as_ref().err(), containers.as_ref().err());
    let settings_of_app = app::Settings { machine, ..app_settings(settings, clock.now()) };
    let parts = Parts { store: store.clone(), clock, ids: Arc::new(RandomIds::default()) };
    let app = App::open(settings_of_app, parts).await.map_err(|p| of_problem(&p))?;
    let token_file = keep_first_token(&app, &settings.data_dir).await?;
    app.record_start(serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"), "sandbox": sandbox.as_ref().err(),
        "egress_allow": settings.egress.allow, "egress_private": settings.egress.private.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
    .await
    .map_err(|p| of_problem(&p))?;
    let (stop, stopping) = watch::channel(false);
    let workers = tokio::spawn(worker::Pool::run(
        Arc::clone(&app),
        pool_config(settings, sandbox, containers)?,
        stopping.clone(),
    ));
    let time = tokio::spawn(Arc::clone(&app).run());
    super::memory::start(&app);
    let state = gateway::State::new(Arc::clone(&app), gateway_settings(settings), metrics);
    let (address, admin_address) = (local(&http)?, local(&admin)?);
    keep_addresses(&settings.data_dir, address, admin_address)?;
    let until = |mut stopping: watch::Receiver<bool>| async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let doors = vec![
        tokio::spawn(gateway::serve(
            http,
            gateway::router(state.clone()),
            state.clone(),
            until(stopping.clone()),
        )),
        tokio::spawn(gateway::serve(admin, gateway::admin_router(state.clone()), state, until(stopping))),
    ];
    Ok(Running { address, admin: admin_address, token_file, stop, doors, time, workers, store })
}

/// The API's own description.
pub(crate) fn openapi() -> Result<String, Failure> {
    serde_json::to_string_pretty(&gateway::openapi()).map_err(|e| Failure::internal(e.to_string()))
}

/// A clock that was set back since the last commit does not make anything valid again that had expired by then.
async fn keep_time(clock: &SteadyClock<SystemClock>, store: &dyn Store) -> Result<(), Failure> {
    let newest = store.head().await.map_err(|e| Failure::internal(chain(&e)).code("OH-5010"))?;
    clock.not_before(newest.at);
    let ahead = clock.ahead();
    if ahead >= CLOCK_BEHIND {
        tracing::warn!(
            behind_seconds = ahead.as_secs(),
            newest = newest.at.to_rfc3339(),
            "this machine's clock is behind what is recorded already: time goes on from there, slower, until the clock has caught up"
        );
    }
    Ok(())
}

/// What is in force on this machine and what is not, as `doctor` says it.
fn of_machine(no_sandbox: Option<&String>, no_containers: Option<&String>) -> Vec<(&'static str, String)> {
    let sandbox = no_sandbox
        .map_or_else(|| "in force".to_owned(), |why| format!("NOT IN FORCE ({why}): programs are refused"));
    let containers = no_containers
        .map_or_else(|| "in force".to_owned(), |why| format!("none ({why}): containers are refused"));
    let mut told = vec![("sandbox", sandbox), ("containers", containers)];
    if crash::BUILT_IN {
        told.push(("crash points", "BUILT IN: this build is for tests, never for work".to_owned()));
    }
    told
}

fn app_settings(settings: &Settings, now: model::Timestamp) -> app::Settings {
    let environment: BTreeMap<_, _> = settings
        .controls
        .iter()
        .filter(|held| held.on)
        .map(|held| {
            let control = model::control::Control {
                on: true,
                operations: held.operations.clone(),
                reason: format!("set by {}", held.name.variable()),
                by: app::system_principal(),
                at: now,
                from_environment: true,
            };
            (held.name, control)
        })
        .collect();
    app::Settings {
        approvals_expire: settings.approvals_expire,
        plans_expire: settings.plans_expire,
        events_max: settings.events_max,
        environment,
        ..app::Settings::default()
    }
}

fn gateway_settings(settings: &Settings) -> gateway::Settings {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let rate = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    gateway::Settings {
        rate_per_second: rate(settings.limits.rate),
        rate_burst: rate(settings.limits.burst),
        connections_max: count(settings.limits.connections),
        requests_max: count(settings.limits.requests),
        streams_max: count(settings.limits.streams),
        origins: settings.http.origins.clone(),
        ..gateway::Settings::default()
    }
}

fn pool_config(
    settings: &Settings,
    sandbox: Result<Arc<sandbox::Sandbox>, String>,
    containers: Result<Arc<sandbox::Engine>, String>,
) -> Result<worker::PoolConfig, Failure> {
    let wrong = |key: &str, text: &str, e: &dyn std::fmt::Display| {
        Failure::usage(format!("`{key}`: `{text}`: {e}")).code("OH-5020")
    };
    let hosts: Result<Vec<HostRule>, _> = settings
        .egress
        .allow
        .iter()
        .map(|host| host.parse().map_err(|e| wrong("egress.allow", host, &e)))
        .collect();
    let roots = match &settings.egress.extra_ca {
        Some(path) => {
            vec![std::fs::read(path).map_err(|e| wrong("egress.extra_ca", &path.display().to_string(), &e))?]
        }
        None => Vec::new(),
    };
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(worker::PoolConfig {
        concurrency: size(settings.limits.effects),
        private: settings.egress.private.iter().map(|net| AddressRule { net: *net, port: None }).collect(),
        hosts: hosts?,
        extra_roots_pem: roots,
        resolver: Arc::new(SystemResolver),
        http_limits: egress::Limits {
            connect: settings.egress.connect_timeout,
            whole: settings.egress.timeout,
            body_bytes: size(settings.egress.body_bytes),
            ..egress::Limits::default()
        },
        program_limits: sandbox::Limits {
            wall: settings.sandbox.timeout,
            memory_bytes: settings.sandbox.memory_bytes,
            processes: settings.sandbox.processes,
            output_bytes: size(settings.sandbox.output_bytes),
            ..sandbox::Limits::default()
        },
        sandbox,
        containers,
    })
}

/// The sandbox, or why programs are refused on this machine. `sandbox.required` stops the start instead.
fn build_sandbox(settings: &Settings) -> Result<Result<Arc<sandbox::Sandbox>, String>, Failure> {
    let base = std::env::temp_dir();
    for path in &settings.sandbox.tools {
        if !path.is_absolute() || !path.exists() {
            let told = format!(
                "`sandbox.tools`: `{}` is no absolute path of something that is there",
                path.display()
            );
            return Err(Failure::usage(told).code("OH-5020"));
        }
    }
    let config = sandbox::SandboxConfig {
        base,
        given_up: Default::default(),
        concurrency: PROGRAMS_MAX,
        tools: settings.sandbox.tools.clone(),
    };
    match sandbox::Sandbox::new(config) {
        Ok(sandbox) => Ok(Ok(Arc::new(sandbox))),
        Err(error) if settings.sandbox.required => {
            Err(Failure::internal(format!("the sandbox is required and cannot be built: {}", chain(&error)))
                .code("OH-5011"))
        }
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "programs cannot be run safely on this machine, so they are refused"
            );
            Ok(Err(chain(&error)))
        }
    }
}

/// The engine of containers, swept of what a crash left; or why there is none. One that is configured and does not answer
/// stops the start.
fn build_containers(settings: &Settings) -> Result<Result<Arc<sandbox::Engine>, String>, Failure> {
    let Some(config) = engine_config(settings) else {
        return Ok(Err("no engine is configured (`containers.engine`)".to_owned()));
    };
    let engine = sandbox::Engine::new(config).and_then(|engine| Ok((engine.sweep()?, engine)));
    let (swept, engine) = engine
        .map_err(|error| Failure::usage(format!("`containers.engine`: {}", chain(&error))).code("OH-5020"))?;
    if swept > 0 {
        tracing::warn!(containers = swept, "containers that a crash had left were ended");
    }
    Ok(Ok(Arc::new(engine)))
}

/// What an engine is built from, when one is configured.
pub(crate) fn engine_config(settings: &Settings) -> Option<sandbox::EngineConfig> {
    // The same directory is the same house, by whatever way it is named.
    let house = settings.data_dir.canonicalize().unwrap_or_else(|_| settings.data_dir.clone());
    let digest = model::Digest::of(house.as_os_str().as_encoded_bytes()).to_string();
    Some(sandbox::EngineConfig {
        program: settings.containers.engine.clone()?,
        environment: settings.containers.environment.clone(),
        house: digest.chars().filter(char::is_ascii_alphanumeric).rev().take(HOUSE_DIGITS).collect(),
        concurrency: PROGRAMS_MAX,
    })
}

/// The first start makes an administrator; the token is kept where only this user can read it.
async fn keep_first_token(app: &App, data_dir: &Path) -> Result<PathBuf, Failure> {
    let path = data_dir.join("admin.token");
    let next = data_dir.join("admin.token.next");
    let keep = |token: &str| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(token.as_bytes())?;
        file.sync_all()?;
        // Written whole, renamed, and the name made durable, before the store knows the token.
        std::fs::rename(&next, &path)?;
        std::fs::File::open(data_dir)?.sync_all()?;
        crash::at(crash::Point::FirstToken);
        Ok(())
    };
    app.first_administrator(keep).await.map_err(|p| of_problem(&p))?;
    Ok(path)
}

/// Where the server listens, for whoever starts it on a port that the machine picks.
fn keep_addresses(data_dir: &Path, http: SocketAddr, admin: SocketAddr) -> Result<(), Failure> {
    let path = data_dir.join("addresses.json");
    let text = serde_json::json!({ "http": http, "admin": admin, "pid": std::process::id() }).to_string();
    let next = data_dir.join("addresses.json.next");
    // Written whole and renamed, so that nobody reads half of it.
    let kept = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &path));
    kept.map_err(|e| Failure::internal(format!("cannot write {}: {e}", path.display())))
}

/// Metrics are one recorder for the process; a second server in it shares the first one's.
fn metrics_handle() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().map(|()| handle)
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|e| Failure::internal(e.to_string()))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::internal(format!("cannot listen on {address}: {error}"))
        .hint("is another server running? choose another address in the configuration")
}

fn of_problem(problem: &model::Problem) -> Failure {
    let internal = problem.internal.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
    Failure::internal(format!("{}{internal}", problem.detail)).code(&problem.code.to_string())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
