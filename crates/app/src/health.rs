//! Health: what works, and how fast.

use std::time::{Duration, Instant};

use model::TenantId;
use model::control::{ControlName, Controls};
use model::problem::Code;
use model::stop::{Scope, Stop};
use serde_json::json;
use store::Condition;

use crate::app::{App, stopped_problem, store_problem, system_tenant};
use crate::view::DependencyView;

/// Controls and stops that are told at the most; `GET /controls` has them all.
const TOLD_MAX: usize = 20;
/// A clock that is ahead of the machine's by less than this is an ordinary clock.
const CLOCK_AHEAD: Duration = Duration::from_secs(1);

impl App {
    /// Whether work is taken; the code says why not, where there is one (a start that is not over has none). A disk that
    /// was full is asked again: nobody else would write to a server that is not ready.
    pub async fn readiness(&self) -> Result<(), Option<Code>> {
        if !self.leads() {
            return Err(Some(Code(3040)));
        }
        if !self.ready() {
            return Err(None);
        }
        match self.store.condition() {
            Condition::Working => Ok(()),
            Condition::Stopped => Err(Some(stopped_problem().code)),
            Condition::Full => {
                self.store.ping().await.map(drop).map_err(|error| Some(store_problem(&error).code))
            }
        }
    }

    /// Every dependency with its latency, and what is in force, as far as somebody of that tenant may know it: stops of
    /// other tenants are not told.
    pub async fn health_deep(&self, viewer: Option<&TenantId>) -> Vec<DependencyView> {
        let mut found = Vec::new();
        let began = Instant::now();
        let store = self.store.ping().await;
        found.push(dependency(
            "store",
            began,
            store.map(|_| "reads and writes".to_owned()).map_err(|e| broken(&e)),
        ));
        let began = Instant::now();
        let head = self.store.head().await;
        found.push(dependency(
            "audit",
            began,
            head.map(|h| format!("{} leaves", h.size)).map_err(|e| broken(&e)),
        ));
        let began = Instant::now();
        let policies = self.policies_of(&system_tenant()).await;
        found.push(dependency(
            "policy",
            began,
            policies.map(|p| p.digest().short()).map_err(|e| (e.to_string(), Some(e.code))),
        ));
        let began = Instant::now();
        found.push(dependency("controls", began, Ok(in_force(&self.switches.now(), viewer))));
        let ahead = self.clock.ahead();
        let clock = if ahead < CLOCK_AHEAD {
            "time is the machine's".to_owned()
        } else {
            format!(
                "the machine's clock is {} s behind what is recorded already; time goes on slower until it has caught up",
                ahead.as_secs()
            )
        };
        found.push(dependency("clock", Instant::now(), Ok(clock)));
        for (name, detail) in &self.settings.machine {
            found.push(dependency(name, Instant::now(), Ok(detail.clone())));
        }
        let recovered = if self.ready() {
            Ok("everything under way was found again".to_owned())
        } else {
            Err(("recovery is under way".to_owned(), None))
        };
        found.push(dependency("recovery", Instant::now(), recovered));
        found
    }

    /// The integration port: it is built later, and says so.
    #[expect(
        clippy::unused_async,
        reason = "the facade promises a future: the built port will ask the store"
    )]
    pub async fn omn_health(&self) -> serde_json::Value {
        json!({ "status": "disabled", "last_sync": null, "queue_depth": 0 })
    }
}

/// Controls that are on, and stops of parts of the house, each with its reason.
fn in_force(controls: &Controls, viewer: Option<&TenantId>) -> String {
    let global = ControlName::ALL.into_iter().filter_map(|name| {
        let control = controls.global.get(&name).filter(|control| control.on)?;
        Some(format!("{} is on: {}", name.name(), control.reason))
    });
    let told = |stop: &&Stop| {
        let whole = match &stop.scope {
            Scope::Tenant(tenant) => Some(tenant),
            _ => None,
        };
        stop.tenant.iter().chain(whole).all(|tenant| Some(tenant) == viewer)
    };
    let stops = controls.stops.values().filter(told);
    let stops = stops.map(|stop| format!("stop {} stands: {}", stop.key(), stop.reason));
    let all: Vec<String> = global.chain(stops).collect();
    match all.get(TOLD_MAX..) {
        _ if all.is_empty() => "none is on".to_owned(),
        Some(more) if !more.is_empty() => format!("{}; and {} more", all[..TOLD_MAX].join("; "), more.len()),
        _ => all.join("; "),
    }
}

/// What the operator reads of a store that fails, and the code.
fn broken(error: &store::StoreError) -> (String, Option<Code>) {
    (error.to_string(), Some(store_problem(error).code))
}

fn dependency(name: &str, began: Instant, state: Result<String, (String, Option<Code>)>) -> DependencyView {
    let latency_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (ok, detail, code) = match state {
        Ok(detail) => (true, detail, None),
        Err((detail, code)) => (false, detail, code),
    };
    let code = code.map(|code| code.to_string());
    DependencyView { name: name.to_owned(), ok, latency_us, detail, code }
}

#[cfg(test)]
mod tests {
    use model::{PrincipalId, Timestamp};

    use super::*;

    fn stop(number: usize, tenant: Option<&str>) -> Stop {
        Stop {
            scope: Scope::Workflow(format!("shop/refund-{number:02}")),
            tenant: tenant.map(|name| TenantId::new(name).expect("a name")),
            reason: "it looks wrong".to_owned(),
            by: PrincipalId::new("user:bob").expect("a name"),
            at: Timestamp(0),
            epoch: 1,
            report: String::new(),
        }
    }

    #[test]
    fn stops_are_told_to_those_whom_they_concern() {
        let mut controls = Controls::default();
        assert_eq!(in_force(&controls, None), "none is on");
        let whole = Scope::Tenant(TenantId::new("third").expect("a name"));
        for one in [stop(1, None), stop(2, Some("acme")), Stop { scope: whole, ..stop(3, None) }] {
            controls.stops.insert(one.key(), one);
        }
        let of_all = "stop workflow:shop/refund-01 stands: it looks wrong";
        let (acme, other) = (TenantId::new("acme").ok(), TenantId::new("other").ok());
        assert_eq!(in_force(&controls, None), of_all);
        assert_eq!(in_force(&controls, other.as_ref()), of_all);
        let told = in_force(&controls, acme.as_ref());
        assert_eq!(told, format!("{of_all}; stop workflow:shop/refund-02@acme stands: it looks wrong"));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut controls = Controls::default();
        for number in 0..TOLD_MAX + 3 {
            let one = stop(number, None);
            controls.stops.insert(one.key(), one);
        }
        let told = in_force(&controls, None);
        assert!(told.ends_with("; and 3 more") && told.matches(" stands: ").count() == TOLD_MAX, "{told}");
    }
}
