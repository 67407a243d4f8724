//! Samples of what operators do: settle, go back, stop, act on many, try a policy.

use super::*;

pub(super) fn kept() -> Vec<KeptView> {
    let one = |effect, outcome: &str, answered, choice: Option<&str>| KeptView {
        effect,
        origin: None,
        task: t("/do/1/refund"),
        operation: t("refund-create:1.0.0"),
        outcome: t(outcome),
        answered,
        choice: choice.map(t),
    };
    vec![
        one(2, "verified", true, Some("keep")),
        one(3, "unknown", false, Some("keep")),
        one(4, "verified", true, None),
    ]
}

pub(super) fn places() -> Vec<CheckpointView> {
    let place = |event: u64, name: Option<&str>, effect: Option<u32>| CheckpointView {
        name: name.map(t),
        at: at(95_000 - 5_000 * i64::try_from(event).unwrap_or(0)),
        event,
        task: Some(t("/do/1/refund")),
        effect,
        bytes: 900,
        sha256: Digest::of(b"c"),
    };
    vec![
        place(2, None, Some(1)),
        place(4, Some("before-payment"), None),
        place(5, None, Some(2)),
        place(7, None, Some(3)),
    ]
}

pub(super) fn undoing() -> ExecutionView {
    let mut view = done();
    view.summary = row(ID, "suspended", None, Some("compensation:2"), 95_000);
    let armed = |effect, savepoint: Option<&str>| ArmedView {
        branch: None,
        effect,
        operation: effect.map(|_| t("book-hotel:1.0.0")),
        savepoint: savepoint.map(t),
    };
    view.compensation = CompensationView {
        state: t("parked"),
        armed: vec![armed(Some(1), None), armed(None, Some("booked")), armed(Some(2), None)],
        undone: vec![UndoneView {
            effect: Some(3),
            operation: t("charge-card:1.0.0"),
            undone_by: Some(4),
            outcome: t("verified"),
        }],
    };
    view.branches = vec![BranchView {
        task: t("/do/2/fork/branches/0/hotel"),
        status: t("undoing"),
        at: Some(t("/do/2/hotel")),
    }];
    view.kept = kept();
    view.origin = Some((t("01998c2a-7c1e-7d40-9a55-3f0b8a6d1041"), 12));
    view
}

pub(super) fn unknown() -> ExecutionView {
    let mut view = running();
    view.summary = row(ID, "suspended", None, Some("dead-letter:d1"), 95_000);
    view.summary.requester = t("user:bob");
    let mut parked = effect(
        2,
        "refund-create:1.0.0",
        "/do/1/refund",
        None,
        vec![attempt(1, 60_000, Some(57_000), Some("lost"), Some("no answer within 3 s"))],
        90_000,
    );
    parked.state = t("parked");
    parked.evidence = Some(t("the answer was lost, and refund-read did not know the key within 1 min"));
    view.effects[1] = parked;
    view
}

pub(super) fn signed(report: Json) -> SignedReport {
    read(
        json!({"report": report, "seal": {"kind": "stop-report", "digest": Digest::of(b"report"), "key_id": "0123456789abcdef", "signature": "ab".repeat(64)}}),
    )
}

pub(super) fn report() -> SignedReport {
    let line = |n: u32, fate: Json| json!({"tenant": "main", "execution": ID, "effect": n, "attempt": 1, "operation": t("refund-create:1.0.0"), "target": t("shop.example:443"), "class": t("probeable"), "since": NOW - 300_900, "fate": fate});
    signed(json!({
        "id": t("01998c2a-7c1e-7d40-9a55-3f0b8a6d2000"), "stop": t("workflow:shop/refund"), "scope": {"workflow": t("shop/refund")}, "running": "cancel", "epoch": 4, "at": NOW - 300_000,
        "by": t("user:carol"), "reason": t("refunds look wrong, incident 4711"), "acknowledged_at": NOW - 299_997, "complete": true, "completed_at": NOW - 298_400, "on_the_wire": 4,
        "wire": [line(2, json!("answered")), line(3, json!("unknown")), line(4, json!("killed")), line(5, json!("withdrawn"))],
        "called_back": 7, "programs_killed": 1, "programs_dead_after_us": 8_214, "held": 2,
        "held_executions": [{"tenant": "main", "execution": ID}, {"tenant": "main", "execution": t("01998c2a-7c1e-7d40-9a55-3f0b8a6d3000")}],
    }))
}

pub(super) fn drill() -> SignedReport {
    signed(json!({
        "id": t("01998c2a-7c1e-7d40-9a55-3f0b8a6d4000"), "at": NOW - 900_000, "by": t("user:carol"), "reason": t("monthly drill"), "trials": 10, "trials_done": 10, "complete": true, "passed": true, "error": null,
        "acknowledged_us": {"p50": 1_830, "p99": 4_120, "max": 4_120}, "programs_killed": 40, "programs_dead_us": {"p50": 6_400, "p99": 11_900, "max": 14_100}, "trials_with_late_starts": 0,
    }))
}

pub(super) fn operation(status: &str) -> OperationView {
    let dry = status == "dry-run";
    OperationView {
        id: t("01998c2a-7c1e-7d40-9a55-3f0b8a6d5000"),
        act: "cancel".to_owned(),
        status: t(status),
        reason: t("the shop is closed"),
        by: t("user:carol"),
        limit: 1_204,
        matched: dry.then_some(1_204),
        done: 730,
        skipped: 41,
        failed: 2,
        failures: vec![BulkFailure {
            execution_id: t(ID),
            code: "OH-2010".to_owned(),
            detail: t("the execution `x` has ended"),
        }],
        started_at: at(4_000),
        updated_at: at(100),
        ended_at: None,
    }
}

pub(super) fn verdict(decision: &str, approvers: u32) -> VerdictSummary {
    VerdictSummary {
        decision: t(decision),
        approvers,
        roles: vec![t("operator")],
        reasons: vec![t("refunds above `100` need two people")],
        quorum_known: true,
    }
}

pub(super) fn simulation() -> Simulation {
    let change = |from: &str, to: &str, count| Transition { from: t(from), to: t(to), count };
    Simulation {
        name: t("refunds"),
        executions: 500,
        decisions: 1_420,
        changed: 61,
        changed_executions: 58,
        stopped_executions: 9,
        transitions: vec![
            change("require-approval", "require-approval (2)", 43),
            change("allow", "deny", 12),
            change("require-approval", "allow", 6),
        ],
        approvals_before: 402,
        approvals_after: 448,
        approvals_per_day: (57.4, 64.0),
        from: Some(at(600_000_000)),
        until: Some(at(60_000)),
        changes: vec![ChangedDecision {
            execution: read(json!(ID)),
            effect: 2,
            at: at(7_000_000),
            workflow: t("shop/refund:1.0.0"),
            operation: t("refund-create:1.0.0"),
            requester: t("user:alice"),
            amount: Some((250.0, Some(t("EUR")))),
            from: verdict("require-approval", 1),
            to: verdict("require-approval", 2),
            reached: false,
        }],
        failures: 1,
        listed_failures: vec![t("effect 2 of x: `amount` is undefined")],
        next: Some(t("n")),
        ..Simulation::default()
    }
}

pub(super) fn shadow() -> ShadowView {
    ShadowView {
        name: t("refunds"),
        version: 2,
        digest: t("sha256:ab"),
        modules: BTreeMap::new(),
        by: t("user:carol"),
        at: at(86_400_000),
        judged: 412,
        agreed: 390,
        differed: 20,
        failed: 2,
        missed: 3,
        suspended: false,
        cases: vec![read(
            json!({"execution": ID, "effect": 2, "at": NOW - 60_000, "operation": t("refund-create:1.0.0"), "requester": t("user:alice"), "from": verdict("require-approval", 1), "to": verdict("deny", 0)}),
        )],
    }
}
