//! The four controls: kill switch, safe mode, takeover, allow-list.
//!
//! The snapshot in memory is what every effect is checked against: what people set, and over it what the
//! environment holds. Turning a switch *on* takes effect in memory before it is written, turning it *off* or
//! changing the allow-list after; so a crash or a failing store errs to the safe side.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::control::{Control, ControlName, Controls};
use model::principal::Permission;
use model::sabotage::{self, Bug};
use model::stop::{Running, Scope};
use model::{Problem, TenantId};
use parking_lot::RwLock;
use serde_json::json;
use store::{Batch, Put, Store};

use crate::app::{App, Settings, commit_problem, store_problem, system_principal, system_tenant};
use crate::caller::Caller;
use crate::record;
use crate::runner::to_the_end;
use crate::stops::standing;
use crate::view::{ControlView, ControlsView, SetControl};

/// The document that holds all controls.
const KIND: &str = "control";
const KEY: &str = "controls";
/// Entries of an allow-list at the most.
const OPERATIONS_MAX: usize = 1000;

/// The controls in force.
#[derive(Debug)]
pub(crate) struct Switches {
    snapshot: RwLock<Arc<Controls>>,
    /// What people set, as it is stored. One change at a time: each reads, changes and writes the whole document.
    pub(crate) stored: tokio::sync::Mutex<Controls>,
    /// What the environment holds, over what people set.
    environment: BTreeMap<ControlName, Control>,
}

impl Switches {
    /// Reads the controls; a store that cannot answer, or a document that makes no sense, stops the start.
    pub(crate) async fn load(store: &dyn Store, settings: &Settings) -> Result<Self, Problem> {
        let stored = store.document(&system_tenant(), KIND, KEY).await.map_err(|e| store_problem(&e))?;
        let mut controls: Controls = match stored {
            Some(document) => serde_json::from_value(document).map_err(|e| {
                Problem::machine(format!("the stored controls cannot be read, so nothing may start: {e}"))
            })?,
            None => Controls::default(),
        };
        if !settings.environment.is_empty() {
            controls.raise();
        }
        let environment = settings.environment.clone();
        let snapshot = RwLock::new(Arc::new(with_environment(&controls, &environment)));
        Ok(Self { snapshot, stored: tokio::sync::Mutex::new(controls), environment })
    }

    /// The controls as they are at this moment.
    pub(crate) fn now(&self) -> Arc<Controls> {
        Arc::clone(&self.snapshot.read())
    }

    /// Runs `start` while no control can change: what it starts, started before any later acknowledgement.
    pub(crate) fn holding<T>(&self, start: impl FnOnce(&Controls) -> T) -> T {
        let snapshot = self.snapshot.read();
        start(&snapshot)
    }

    /// Puts what people set in force, under what the environment holds.
    pub(crate) fn put_in_force(&self, stored: &Controls) {
        *self.snapshot.write() = Arc::new(with_environment(stored, &self.environment));
    }

    /// True when the environment holds the control, and the change would loosen that.
    fn held_by_environment(&self, name: ControlName, control: &Control) -> bool {
        let loosens = !control.on || name == ControlName::AllowList;
        loosens && self.environment.get(&name).is_some_and(|held| held.on)
    }
}

impl App {
    /// All controls.
    #[expect(
        clippy::unused_async,
        reason = "every use case is awaited alike, whether or not it has to read the store today"
    )]
    pub async fn controls(&self, caller: &Caller) -> Result<ControlsView, Problem> {
        caller.demand(Permission::Read)?;
        let controls = self.switches.now();
        let views = ControlName::ALL
            .into_iter()
            .map(|name| view(&controls, name, &caller.principal.tenant))
            .collect();
        Ok(ControlsView { epoch: controls.epoch, controls: views, stops: standing(&self.switches, caller) })
    }

    /// Sets a control. Acknowledged only when it is in force and durable.
    pub async fn set_control(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        set: SetControl,
    ) -> Result<ControlView, Problem> {
        caller.demand(Permission::SetControl)?;
        let name = ControlName::parse(name).ok_or_else(|| {
            Problem::not_found("control", name).with("known", json!(ControlName::ALL.map(ControlName::name)))
        })?;
        let control = self.checked(caller, name, &set)?;
        if let (ControlName::KillSwitch, false, Some(scope)) = (name, control.on, &set.scope)
            && *scope != Scope::Global
        {
            self.lift(caller, scope.clone(), &control).await?;
            return Ok(view(&self.switches.now(), name, &caller.principal.tenant));
        }
        if name == ControlName::KillSwitch && control.on {
            let (app, by, set) = (Arc::clone(self), caller.clone(), set.clone());
            // Whoever hangs up must not leave a stop that is in force and not stored.
            let stopped = to_the_end(async move { app.stop(&by, &set, control).await }).await?;
            let mut seen = view(&self.switches.now(), name, &caller.principal.tenant);
            seen.report = Some(stopped);
            return Ok(seen);
        }
        let mut stored = self.switches.stored.lock().await;
        if !set.tenant_only && self.switches.held_by_environment(name, &control) {
            let detail = format!(
                "`{}` is set in the environment ({}); change it there and restart",
                name.name(),
                name.variable()
            );
            return Err(Problem::new(409, 3002, "control held by the environment", detail));
        }
        let mut after = stored.clone();
        let tenant = caller.principal.tenant.clone();
        if set.tenant_only {
            after.tenants.insert(tenant.clone(), control.clone());
        } else {
            after.global.insert(name, control.clone());
        }
        // Permits that were given before are void: what has not started yet is judged again.
        after.raise();
        if control.on && name != ControlName::AllowList {
            *stored = after.clone();
            self.switches.put_in_force(&after);
        }
        self.write_controls(caller, name, &control, &after, set.tenant_only).await?;
        self.switches.put_in_force(&after);
        *stored = after;
        drop(stored);
        let now = self.switches.now();
        self.notify(&tenant, "control", name.name(), now.epoch);
        tracing::info!(control.name = name.name(), control.on = control.on, principal = %caller.principal.id, "control set");
        if !sabotage::is(Bug::HeldForgotten) {
            self.release_held();
        }
        Ok(view(&now, name, &tenant))
    }

    fn checked(&self, caller: &Caller, name: ControlName, set: &SetControl) -> Result<Control, Problem> {
        let invalid = |field: &str, message: &str| {
            Problem::new(422, 3003, "invalid control", message).field(field, message)
        };
        if set.reason.trim().is_empty() || set.reason.len() > 2000 {
            return Err(invalid(
                "/reason",
                "give a reason of 1 to 2,000 characters: it goes into the audit log",
            ));
        }
        if set.tenant_only && name != ControlName::AllowList {
            return Err(invalid("/scope", "only the allow-list can be set for one tenant"));
        }
        if name != ControlName::KillSwitch && (set.scope.is_some() || set.running != Running::Finish) {
            return Err(invalid(
                "/scope",
                "only the kill switch stops a part, and says what becomes of running effects",
            ));
        }
        if set.on == Some(false) && set.running != Running::Finish {
            return Err(invalid("/running", "what runs is cancelled only when the switch is turned on"));
        }
        let part = set.scope.as_ref().is_some_and(|scope| *scope != Scope::Global);
        if !set.tenant_only && !part && caller.principal.tenant != system_tenant() {
            return Err(Problem::new(
                403,
                4030,
                "not permitted",
                "platform controls are set by the `default` tenant; a tenant may set its own allow-list with `scope: tenant`",
            ));
        }
        let operations = set.operations.clone().unwrap_or_default();
        if name != ControlName::AllowList && set.operations.is_some() {
            return Err(invalid("/operations", "only the allow-list has operations"));
        }
        if name != ControlName::AllowList && set.on.is_none() {
            return Err(invalid("/on", "say `true` or `false`"));
        }
        if operations.len() > OPERATIONS_MAX
            || operations.iter().any(|o| o.is_empty() || o.len() > 200 || o.chars().any(char::is_whitespace))
        {
            return Err(invalid(
                "/operations",
                "give at most 1,000 operation names such as `refund-create` or `http:GET`, without blanks",
            ));
        }
        let on = set.on.unwrap_or(true);
        if name == ControlName::AllowList && on && set.operations.is_none() {
            return Err(invalid(
                "/operations",
                "give the operations that are allowed; an empty list allows none",
            ));
        }
        Ok(Control {
            on,
            operations,
            reason: set.reason.trim().to_owned(),
            by: caller.principal.id.clone(),
            at: self.clock.now(),
            from_environment: false,
        })
    }

    async fn write_controls(
        &self,
        caller: &Caller,
        name: ControlName,
        control: &Control,
        after: &Controls,
        tenant_only: bool,
    ) -> Result<(), Problem> {
        let details = json!({
            "on": control.on, "operations": control.operations, "reason": control.reason, "epoch": after.epoch,
            "scope": if tenant_only { "tenant" } else { "global" },
        });
        let batch = Batch {
            puts: vec![put(after)?],
            records: vec![record::by_caller(
                caller,
                control.at,
                "control.set",
                format!("controls/{}", name.name()),
                details,
            )],
            ..Batch::default()
        };
        self.commit_one(batch).await
    }

    /// Controls that the environment sets at the start are recorded like any other change.
    pub(crate) async fn record_environment_controls(&self) -> Result<(), Problem> {
        let controls = self.switches.stored.lock().await.clone();
        let now = self.clock.now();
        let records = self.settings.environment.iter().map(|(name, control)| {
            let details = json!({ "on": control.on, "operations": control.operations, "source": name.variable(), "epoch": controls.epoch });
            record::by_system(&system_tenant(), now, "control.set", format!("controls/{}", name.name()), "start", details)
        });
        let records: Vec<_> = records.collect();
        self.commit_one(Batch { puts: vec![put(&controls)?], records, ..Batch::default() }).await
    }

    pub(crate) async fn commit_one(&self, batch: Batch) -> Result<(), Problem> {
        self.commit_step(batch).await.map_err(|error| commit_problem(&error))
    }
}

/// The control that the environment sets by a variable's text: `true`/`1`/`on`, or a list for the allow-list.
pub fn from_environment(
    name: ControlName,
    text: &str,
    now: model::Timestamp,
) -> Result<Option<Control>, String> {
    let control = |on, operations| Control {
        on,
        operations,
        reason: format!("set by {}", name.variable()),
        by: system_principal(),
        at: now,
        from_environment: true,
    };
    if name == ControlName::AllowList {
        let operations =
            text.split(',').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect();
        return Ok(Some(control(true, operations)));
    }
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(Some(control(true, Vec::new()))),
        "false" | "0" | "off" | "no" | "" => Ok(None),
        other => Err(format!("{} is `{other}`: write true or false", name.variable())),
    }
}

fn with_environment(stored: &Controls, environment: &BTreeMap<ControlName, Control>) -> Controls {
    let mut controls = stored.clone();
    controls.global.extend(environment.clone());
    controls
}

pub(crate) fn put(controls: &Controls) -> Result<Put, Problem> {
    let document = serde_json::to_value(controls).map_err(Problem::machine)?;
    Ok(Put::Document { tenant: system_tenant(), kind: KIND.to_owned(), key: KEY.to_owned(), document })
}

fn view(controls: &Controls, name: ControlName, tenant: &TenantId) -> ControlView {
    let description = match name {
        ControlName::KillSwitch => "while on, no new work is accepted and no effect starts",
        ControlName::SafeMode => "while on, executions perform reads only and predict the rest",
        ControlName::Takeover => "while on, every effect waits for a human",
        ControlName::AllowList => "while on, only the listed operations may run",
    };
    ControlView {
        name: name.name().to_owned(),
        on: controls.on(name),
        control: controls.global.get(&name).cloned(),
        tenant: if name == ControlName::AllowList { controls.tenants.get(tenant).cloned() } else { None },
        description: description.to_owned(),
        report: None,
    }
}
