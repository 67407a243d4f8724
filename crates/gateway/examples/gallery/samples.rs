//! Sample views: a refund on its way, as the demo makes it.

#[path = "acts.rs"]
mod acts;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use app::view::{
    ActionView, ApprovalView, ArmedView, AttemptView, AuditCheck, AuditEntry, BranchView, BulkFailure,
    ChangedDecision, CheckpointView, CompensationView, ControlView, ControlsView, DeadLetterView,
    DependencyView, EffectView, ExecutionSummary, ExecutionView, GoalRequest, GraphNode, HistoryEntry,
    KeptView, OperationView, Overview, PageOf, PlanView, PlannedEffect, PolicyTestView, PolicyView,
    ProofView, ReturnView, ShadowView, SignedReport, Simulation, StopView, TaskView, Transition, UndoneView,
    VerdictSummary, WorkflowName, WorkflowView,
};
use gateway::console::layout::{Section, Shell};
use gateway::console::{
    actions, approvals, audit, controls, dead_letters, execution, executions, goal, many, overview, plans,
    policies, reports, returning, sign_in, stops, system, time_machine, workflows,
};
use model::principal::{PrincipalKind, Role};
use model::verdict::{Risk, RiskFactor, RiskLevel};
use model::{Digest, Principal, Problem, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use acts::{drill, kept, operation, places, report, shadow, simulation, undoing, unknown};

/// The moment of the samples.
const NOW: i64 = 1_795_176_000_000;
const ID: &str = "01998c2a-7c1e-7d40-9a55-3f0b8a6d1042";

/// Every page by name.
pub fn pages(theme: Option<&'static str>) -> Vec<(&'static str, String)> {
    let shell = |section: Section| shell(theme, section);
    let problem = Problem::new(422, 2021, "something is missing", t("Which order? How much money?"))
        .with("input", json!({"amount": 25.0, "currency": "EUR"}));
    let candidates = json!([{"workflow": {"namespace": t("shop"), "name": "refund", "version": "1.0.0"}, "title": t("Refund an order"), "example": t("refund order 1042, 25.00 EUR")}]);
    let goal = GoalRequest { intent: Some(t("refund order")), ..GoalRequest::default() };
    let facts = overview::Facts {
        overview: figures(),
        approvals: vec![approval(1)],
        dead_letters: vec![letter()],
        recent: rows(),
    };
    let tests = [
        PolicyTestView { name: t("omnihub.refund_test.test_small_refund"), passed: true, message: None },
        PolicyTestView {
            name: t("omnihub.refund_test.test_large_refund"),
            passed: false,
            message: Some(t("expected deny, got allow")),
        },
    ];
    vec![
        ("overview", overview::page(&shell(Section::Overview), &facts).into_string()),
        (
            "executions",
            executions::page(&shell(Section::Executions), &executions::Filter::default(), &page_of(rows()))
                .into_string(),
        ),
        (
            "execution",
            execution::page(&shell(Section::Executions), &running(), &[approval(1)], &history(), &graph())
                .into_string(),
        ),
        (
            "execution-done",
            execution::page(&shell(Section::Executions), &done(), &[], &history(), &graph()).into_string(),
        ),
        (
            "approvals",
            approvals::inbox(
                &shell(Section::Approvals),
                &approvals::Filter::default(),
                &PageOf { items: vec![approval(1), approval(2)], next: None },
            )
            .into_string(),
        ),
        ("approval", approvals::page(&shell(Section::Approvals), &approval(2)).into_string()),
        ("controls", controls::page(&shell(Section::Controls), &all_controls()).into_string()),
        (
            "dead-letters",
            dead_letters::page(
                &shell(Section::DeadLetters),
                &dead_letters::Filter::default(),
                &page_of(vec![letter()]),
            )
            .into_string(),
        ),
        (
            "audit",
            audit::page(
                &shell(Section::Audit),
                &audit::Filter::default(),
                &page_of(entries()),
                &head(),
                Some(&AuditCheck { size: 1284, root: "ab".repeat(32), intact: true, first_bad: None }),
            )
            .into_string(),
        ),
        ("proof", audit::proof_page(&shell(Section::Audit), &proof()).into_string()),
        (
            "workflows",
            workflows::list_page(&shell(Section::Workflows), &page_of(vec![workflow()])).into_string(),
        ),
        ("workflow", workflows::page(&shell(Section::Workflows), &workflow()).into_string()),
        (
            "actions",
            actions::list_page(&shell(Section::Actions), &page_of(vec![action(), action()])).into_string(),
        ),
        ("action", actions::page(&shell(Section::Actions), &action()).into_string()),
        (
            "policies",
            policies::page(&shell(Section::Policies), &[policy()], &[shadow()], Some(("default", &tests)))
                .into_string(),
        ),
        ("plan", goal::planned(&shell(Section::Overview), &plan(), &goal, "once").into_string()),
        (
            "asked-back",
            goal::asked_back(&shell(Section::Overview), &goal, &problem, Some(&workflow())).into_string(),
        ),
        (
            "ambiguous",
            goal::asked_back(
                &shell(Section::Overview),
                &goal,
                &Problem::new(422, 2022, "ambiguous intent", t("two fit")).with("candidates", candidates),
                None,
            )
            .into_string(),
        ),
        ("sign-in", sign_in::page("", None, theme).into_string()),
    ]
    .into_iter()
    .chain(house_pages(theme))
    .collect()
}

/// Undo, going back, stops, many at once, the time machine and the system.
fn house_pages(theme: Option<&'static str>) -> Vec<(&'static str, String)> {
    let shell = |section: Section| shell(theme, section);
    let nothing = PageOf { items: Vec::new(), next: None };
    let point = returning::Point { event: Some(4), ..returning::Point::default() };
    let looked = returning::Looked {
        event: 4,
        rewind: Ok(ReturnView {
            execution: row(ID, "faulted", None, None, 95_000),
            event: 4,
            task: Some(t("/do/1/refund")),
            kept: kept(),
        }),
        fork: Err(Problem::new(403, 4030, "not permitted", t("`user:alice` may not submit goals"))),
    };
    let concerned = stops::Concerned { executions: rows(), more: true };
    let wanted = many::Wanted {
        act: "cancel".to_owned(),
        workflow: t("shop/refund"),
        status: t("waiting"),
        ..many::Wanted::default()
    };
    let facts = system::Facts {
        dependencies: ["store", "audit", "policy", "controls", "recovery"]
            .iter()
            .enumerate()
            .map(|(i, name)| DependencyView {
                name: t(name),
                ok: i != 4,
                latency_us: 140 * i as u64 * i as u64 * 7,
                detail: t("reads and writes"),
                code: None,
            })
            .collect(),
        limits: vec![],
        rules: Some(vec![]),
    };
    vec![
        (
            "undoing",
            execution::page(&shell(Section::Executions), &undoing(), &[], &history(), &graph()).into_string(),
        ),
        (
            "unknown",
            execution::page(&shell(Section::Executions), &unknown(), &[], &history(), &graph()).into_string(),
        ),
        (
            "return",
            returning::page(
                &shell(Section::Executions),
                &done(),
                &point,
                &PageOf { items: places(), next: None },
                Some(&looked),
            )
            .into_string(),
        ),
        (
            "return-first",
            returning::page(
                &shell(Section::Executions),
                &done(),
                &returning::Point::default(),
                &PageOf { items: places(), next: Some(t("9")) },
                None,
            )
            .into_string(),
        ),
        (
            "stop",
            stops::page(
                &shell(Section::Controls),
                &read(json!({"workflow": t("shop/refund")})),
                Some(&concerned),
            )
            .into_string(),
        ),
        (
            "reports",
            reports::list_page(
                &shell(Section::Controls),
                &PageOf { items: vec![report()], next: None },
                &PageOf { items: vec![drill()], next: None },
            )
            .into_string(),
        ),
        (
            "reports-none",
            reports::list_page(
                &shell(Section::Controls),
                &nothing,
                &PageOf { items: Vec::new(), next: None },
            )
            .into_string(),
        ),
        ("report", reports::page(&shell(Section::Controls), &report()).into_string()),
        ("drill", reports::drill_page(&shell(Section::Controls), &drill()).into_string()),
        ("many", many::preview(&shell(Section::Executions), &wanted, &operation("dry-run")).into_string()),
        ("operation", many::page(&shell(Section::Executions), &operation("running")).into_string()),
        (
            "simulated",
            time_machine::page(&shell(Section::Policies), &simulation(), &policy().modules).into_string(),
        ),
        ("plans", plans::list_page(&shell(Section::Plans), &page_of(vec![plan()])).into_string()),
        ("stored-plan", plans::page(&shell(Section::Plans), &plan()).into_string()),
        ("system", system::page(&shell(Section::System), &facts).into_string()),
    ]
}

thread_local! {
    static HOSTILE: Cell<bool> = const { Cell::new(false) };
}

/// What a hostile page of samples holds in every free text.
pub const HOSTILE_TEXT: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

/// The pages with [`HOSTILE_TEXT`] at the beginning of every text and every name that outsiders choose.
pub fn hostile_pages() -> Vec<(&'static str, String)> {
    HOSTILE.set(true);
    let pages = pages(None);
    HOSTILE.set(false);
    pages
}

/// A free text.
fn t(text: &str) -> String {
    if HOSTILE.get() { format!("{HOSTILE_TEXT}{text}") } else { text.to_owned() }
}

/// A free document.
fn free(json: Json) -> Json {
    match json {
        Json::String(text) => Json::String(t(&text)),
        Json::Array(items) => items.into_iter().map(free).collect(),
        Json::Object(map) => {
            Json::Object(map.into_iter().map(|(name, value)| (t(&name), free(value))).collect())
        }
        other => other,
    }
}

fn page_of<T>(items: Vec<T>) -> PageOf<T> {
    PageOf { items, next: Some("c".to_owned()) }
}

fn at(ago_ms: i64) -> Timestamp {
    Timestamp(NOW - ago_ms)
}

fn read<T: DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).expect("samples have the shape of their type")
}

fn shell(theme: Option<&'static str>, section: Section) -> Shell {
    Shell {
        principal: Principal {
            id: read(json!("user:alice")),
            tenant: read(json!("main")),
            kind: PrincipalKind::User,
            roles: BTreeSet::from([Role::Admin]),
        },
        csrf: t("csrf"),
        theme,
        section,
        path: t("/console"),
        watch: &[],
        only: None,
        controls_on: Some(all_controls().controls.into_iter().filter(|c| c.on).collect()),
        approvals_pending: 2,
        dead_letters_open: 1,
        stopped: vec![t("workflow:shop/refund")],
        notice: None,
        now: Timestamp(NOW),
    }
}

fn figures() -> Overview {
    Overview {
        by_status: vec![(t("running"), 3), (t("waiting"), 2), (t("completed"), 1204), (t("faulted"), 4)],
        approvals_pending: 2,
        dead_letters_open: 1,
        ended_per_minute: (0..60u32).map(|i| (i * 7 + i * i / 3) % 23 * u32::from(i % 9 != 0)).collect(),
        outcomes: vec![(t("verified"), 1180), (t("unknown"), 21), (t("failed"), 9)],
        audit_size: 12_841,
        controls_on: vec![t("allow-list")],
        blocked_on: vec![(t("approval"), 2)],
    }
}

fn row(id: &str, status: &str, outcome: Option<&str>, blocked: Option<&str>, ago: i64) -> ExecutionSummary {
    read(json!({
        "tenant": "main", "id": id, "namespace": t("shop"), "name": t("refund"), "version": "1.0.0", "status": status,
        "outcome": outcome, "blocked_on": blocked, "requester": t("user:bob"),
        "intent": t("refund order 1042, 25.00 EUR, the cup arrived broken"),
        "error": (status == "faulted").then(|| t("communication: shop.example:443 could not be reached")),
        "started_at": NOW - ago, "updated_at": NOW, "ended_at": outcome.map(|_| NOW - ago + 8_400), "due_at": null
    }))
}

fn rows() -> Vec<ExecutionSummary> {
    vec![
        row(ID, "waiting", None, Some("approval:a1"), 95_000),
        row("01998c2a-7c1e-7d40-9a55-3f0b8a6d1041", "running", None, None, 2_000),
        row("nightly-7", "completed", Some("verified"), None, 300_000),
        row("nightly-6", "faulted", Some("failed"), None, 4_000_000),
        row("nightly-5", "completed", Some("unknown"), None, 90_000_000),
    ]
}

fn risk() -> Risk {
    let factor = |name: &str, points, reason: &str| RiskFactor { name: t(name), points, reason: t(reason) };
    Risk {
        score: 58,
        level: RiskLevel::High,
        factors: vec![
            factor("money", 30, "moves 25.00 EUR to a customer"),
            factor("intent-argument", 18, "the amount was read from free text"),
            factor("personal-data", 15, "handles personal data"),
            factor("verified", -5, "the outcome is checked by a probe"),
        ],
    }
}

fn arguments() -> Json {
    free(
        json!({"order": "1042", "amount": 25.0, "currency": "EUR", "reason": "the cup arrived broken", "customer": {"name": "Ann Bell", "verified": true}}),
    )
}

fn approval(number: u32) -> ApprovalView {
    let votes = if number == 2 {
        json!([{"by": "user:carol", "approve": true, "reason": t("the photo shows it"), "at": NOW - 40_000}])
    } else {
        json!([])
    };
    ApprovalView {
        approval: read(json!({
            "id": format!("a{number}"), "tenant": "main", "execution": ID, "effect": 2, "workflow": t("shop/refund:1.0.0"),
            "task": t("/do/1/refund"), "operation": t("refund-create:1.0.0"), "target": t("shop.example:443"),
            "digest": Digest::of(b"x"), "arguments": arguments(),
            "provenance": [["/order", 2], ["/amount", 2], ["/currency", 2], ["/reason", 2], ["/customer/name", 4], ["/customer/verified", 4]],
            "predicted": t("POST 25.00 EUR back to the customer of order 1042"), "effect_kind": "money", "class": "probeable",
            "blast_radius": {"scope": "customer", "max": 1, "unit": t("order")}, "risk": risk(),
            "reasons": [t("money needs an operator's approval")], "requester": "user:bob",
            "quorum": {"approvers": number, "roles": ["operator", "admin"]}, "status": "pending", "votes": votes,
            "requested_at": NOW - 90_000, "expires_at": NOW + 3_510_000
        })),
        missing: 1,
        refusal: None,
        intent: Some(t("refund order 1042, 25.00 EUR, the cup arrived broken")),
    }
}

fn task(
    pointer: &str,
    name: &str,
    kind: &str,
    status: &str,
    from: i64,
    to: Option<i64>,
    depth: u32,
) -> TaskView {
    TaskView {
        pointer: t(pointer),
        name: t(name),
        kind: t(kind),
        status: t(status),
        started_at: at(from),
        ended_at: to.map(at),
        depth,
    }
}

fn effect(
    number: u32,
    operation: &str,
    task: &str,
    settled: Option<i64>,
    attempts: Vec<AttemptView>,
    from: i64,
) -> EffectView {
    let (state, outcome) =
        if settled.is_some() { ("settled", Some("verified")) } else { ("awaiting-approval", None) };
    let money = operation.starts_with("refund-create");
    EffectView {
        number,
        task: t(task),
        operation: t(operation),
        target: t("shop.example:443"),
        effect: t(if money { "money" } else { "read" }),
        class: t(if money { "probeable" } else { "read" }),
        state: t(state),
        outcome: outcome.map(t),
        evidence: outcome.map(|_| t("refund-read answered status “settled” for this key")),
        digest: Digest::of(operation.as_bytes()),
        arguments: arguments(),
        provenance: vec![(t("/order"), vec![t("intent")]), (t("/customer"), vec![t("external")])],
        predicted: t(if money { "POST 25.00 EUR back to the customer of order 1042" } else { "GET order 1042" }),
        key: t("3f0b8a6d1042aa55"),
        verdict: money.then(|| read(json!({"decision": {"decision": "require-approval", "approvers": 1, "roles": ["operator"]}, "reasons": [t("money needs an operator's approval")], "policy": Digest::of(b"p"), "risk": risk()}))),
        approval: money.then(|| read(json!("a1"))),
        permit: outcome.map(|_| t("permit-1")),
        attempts,
        compensates: None,
        undo: false,
        undone_by: None,
        reused: None,
        execution: None,
        probe_of: (operation.starts_with("refund-read")).then_some(2),
        output: outcome.map(|_| free(json!({"id": "r-77", "status": "settled"}))),
        requested_at: at(from),
        settled_at: settled.map(at),
    }
}

fn attempt(
    number: u32,
    from: i64,
    to: Option<i64>,
    answer: Option<&str>,
    error: Option<&str>,
) -> AttemptView {
    AttemptView {
        number,
        started_at: at(from),
        ended_at: to.map(at),
        answer: answer.map(t),
        error: error.map(t),
    }
}

fn running() -> ExecutionView {
    ExecutionView {
        branches: Vec::new(),
        compensation: app::view::CompensationView {
            state: "idle".to_owned(),
            armed: Vec::new(),
            undone: Vec::new(),
        },
        summary: row(ID, "waiting", None, Some("approval:a1"), 95_000),
        title: Some(t("Refund an order")),
        mode: t("live"),
        plan_digest: Digest::of(b"plan"),
        input: free(
            json!({"order": "1042", "amount": 25.0, "currency": "EUR", "note": "the cup arrived broken"}),
        ),
        output: None,
        error: None,
        context: json!({}),
        effects: vec![
            effect(
                1,
                "order-read:1.0.0",
                "/do/0/look",
                Some(92_200),
                vec![
                    attempt(1, 94_800, Some(94_000), Some("refused"), Some("503 from shop.example:443")),
                    attempt(2, 93_000, Some(92_200), Some("done"), None),
                ],
                95_000,
            ),
            effect(2, "refund-create:1.0.0", "/do/1/refund", None, vec![], 90_000),
        ],
        tasks: vec![
            task("/do/0/look", "lookUpOrder", "call", "completed", 95_000, Some(92_200), 0),
            task("/do/1/attempt", "attempt", "try", "running", 92_200, None, 0),
            task("/do/1/refund", "refund", "call", "running", 91_000, None, 1),
        ],
        kept: Vec::new(),
        scheduled: None,
        origin: None,
        version: 9,
        explanation: t("The refund waits for one operator or admin to agree; silence for an hour means no."),
    }
}

fn done() -> ExecutionView {
    let mut view = running();
    view.summary = row(ID, "completed", Some("verified"), None, 95_000);
    view.summary.ended_at = Some(at(50_000));
    view.effects[1] = effect(
        2,
        "refund-create:1.0.0",
        "/do/1/refund",
        Some(51_000),
        vec![attempt(1, 60_000, Some(57_000), Some("lost"), Some("no answer within 3 s"))],
        90_000,
    );
    view.effects.push(effect(
        3,
        "refund-read:1.0.0",
        "/do/1/refund",
        Some(51_000),
        vec![attempt(1, 55_000, Some(51_000), Some("done"), None)],
        57_000,
    ));
    view.tasks[1].ended_at = Some(at(51_000));
    view.tasks[2].ended_at = Some(at(51_000));
    view.tasks[1].status = t("completed");
    view.tasks[2].status = t("completed");
    view.output = Some(free(json!({"refund": "r-77", "status": "settled"})));
    view.explanation = t("Everything was done, and checked: the refund is real.");
    view
}

fn history() -> Vec<HistoryEntry> {
    [
        ("started", "bob asked for shop/refund:1.0.0"),
        ("judged", "order-read is allowed"),
        ("effect-started", "effect 1, attempt 1"),
        ("effect-answered", "effect 1 answered: done"),
        ("judged", "refund-create needs one approval"),
    ]
    .iter()
    .enumerate()
    .map(|(i, (kind, summary))| HistoryEntry {
        sequence: i as u64,
        at: at(95_000 - i as i64 * 900),
        kind: t(kind),
        summary: t(summary),
        event: json!({"event": kind, "effect": i}),
    })
    .collect()
}

fn node(pointer: &str, name: &str, kind: &str, label: &str, children: Vec<GraphNode>) -> GraphNode {
    GraphNode { pointer: t(pointer), name: t(name), kind: t(kind), label: t(label), children, next: vec![] }
}

fn graph() -> Vec<GraphNode> {
    let mut choose = node("/do/2/choose", "choose", "switch", "two cases", vec![]);
    choose.next = vec![(t("/do/4/thank"), t("settled")), (t("/do/3/ask"), t("else"))];
    vec![
        node("/do/0/look", "lookUpOrder", "call", "order-read:1.0.0", vec![]),
        node(
            "/do/1/attempt",
            "attempt",
            "try",
            "up to 3 retries",
            vec![node("/do/1/refund", "refund", "call", "refund-create:1.0.0", vec![])],
        ),
        choose,
        node("/do/3/ask", "ask", "raise", "not settled", vec![]),
        node("/do/4/thank", "thank", "set", "the answer", vec![]),
    ]
}

fn all_controls() -> ControlsView {
    let control = |name: &str, on: bool, description: &str, operations: Json| {
        ControlView {
        name: t(name),
        on,
        control: on.then(|| read(json!({"on": true, "operations": operations, "reason": t("only refunds during the audit"), "by": "user:carol", "at": NOW - 720_000}))),
        tenant: None,
        description: t(description),
        report: None,
    }
    };
    ControlsView {
        epoch: 4,
        controls: vec![
            control(
                "kill-switch",
                false,
                "No new work, no new effect. What is on the wire is reported.",
                json!([]),
            ),
            control("safe-mode", false, "Reads only; everything else is predicted.", json!([])),
            control("takeover", false, "Every effect waits for a human, even a read.", json!([])),
            control("allow-list", true, "Only the listed operations.", json!(["refund-*", "order-read"])),
        ],
        stops: vec![StopView {
            id: t("workflow:shop/refund"),
            stop: read(
                json!({"scope": {"workflow": t("shop/refund")}, "reason": t("refunds look wrong, incident 4711"), "by": "user:carol", "at": NOW - 300_000, "epoch": 4, "report": t("r1")}),
            ),
        }],
    }
}

fn letter() -> DeadLetterView {
    read(json!({
        "id": "d1", "execution": "nightly-6", "effect": 2, "task": t("/do/1/refund"), "operation": t("refund-create:1.0.0"),
        "workflow": t("shop/refund:1.0.0"), "reason": t("shop.example:443 refused the connection 4 times"), "attempts": 4,
        "open": true, "parked_at": NOW - 3_900_000, "redriven_at": null, "redriven_by": null
    }))
}

fn entries() -> Vec<AuditEntry> {
    ["outcome.settled", "effect.answered", "effect.started", "approval.approved", "approval.requested", "effect.judged"]
        .iter()
        .enumerate()
        .map(|(i, action)| AuditEntry {
            sequence: 1283 - i as u64,
            hash: "ab".repeat(32),
            record: read(json!({"at": NOW - 50_000 - i as i64 * 4_000, "tenant": "main", "actor": t("user:alice"), "actor_kind": "user", "action": t(action), "resource": format!("executions/{ID}/effects/2"), "correlation": ID, "details": free(json!({"attempt": 1, "digest": "sha256:ab"}))})),
        })
        .collect()
}

fn head() -> audit::Head {
    audit::Head { size: 1284, root: "ab".repeat(32), key_id: t("k-2026-11"), at: at(1_000) }
}

/// The third of four leaves.
fn proof() -> ProofView {
    let join = |left: Digest, right: Digest| Digest::of(&[&[1], &left.0[..], &right.0[..]].concat());
    let hex = |digest: Digest| digest.to_string().trim_start_matches("sha256:").to_owned();
    let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|leaf| Digest::of(leaf));
    let root = join(join(a, b), join(c, d));
    ProofView {
        index: 2,
        leaf: String::new(),
        record: entries().remove(0).record,
        leaf_hash: hex(c),
        path: vec![hex(d), hex(join(a, b))],
        head: read(
            json!({"size": 4, "root": hex(root), "at": NOW - 1_000, "key_id": t("k-2026-11"), "signature": "00".repeat(64)}),
        ),
        verified: true,
    }
}

const SOURCE: &str = "document:\n  dsl: 1.0.0\n  namespace: shop\n  name: refund\n  version: 1.0.0\n  title: Refund an order\ndo:\n  - lookUpOrder:\n      call: order-read:1.0.0\n      with: { order: ${ .order } }\n  - refund:\n      call: refund-create:1.0.0\n      with: { order: ${ .order }, amount: ${ .amount } }\n";

fn workflow() -> WorkflowView {
    WorkflowView {
        namespace: t("shop"),
        name: t("refund"),
        version: t("1.0.0"),
        title: Some(t("Refund an order")),
        summary: Some(t("Pays money back for an order that arrived broken, and checks that it did.")),
        digest: Digest::of(b"w"),
        owner: Some(t("team:shop")),
        intents: vec![
            t("refund order {order}, {amount}, {reason}"),
            t("give {amount} back for order {order}"),
        ],
        input_schema: Some(
            json!({"type": "object", "required": ["order", "amount", "currency"], "properties": {"order": {"type": "string", "description": "the order's number"}, "amount": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}, "reason": {"type": "string"}}}),
        ),
        actions: vec![t("order-read:1.0.0"), t("refund-create:1.0.0"), t("refund-read:1.0.0")],
        apis: Default::default(),
        published_by: t("user:alice"),
        published_at: at(8_000_000),
        source: t(SOURCE),
        warnings: vec![],
        graph: graph(),
    }
}

fn action() -> ActionView {
    ActionView {
        reference: t("refund-create:1.0.0"),
        title: Some(t("Pay money back for an order")),
        contract: read(
            json!({"effect": "money", "class": "probeable", "blastRadius": {"scope": "customer", "max": 1, "unit": t("order")}, "data": [t("personal")], "reviewed": true, "hosts": [t("shop.example:443")], "verified": true, "compensate": "refund-cancel:1.0.0"}),
        ),
        digest: Digest::of(b"a"),
        input_schema: Some(json!({"type": "object", "properties": {"order": {"type": "string"}}})),
        apis: Default::default(),
        published_by: t("user:alice"),
        published_at: at(9_000_000),
        source: t(SOURCE),
    }
}

fn policy() -> PolicyView {
    let text = "package omnihub\n\nimport rego.v1\n\ndefault decision := \"deny\"\n\ndecision := \"allow\" if input.effect == \"read\"\n";
    PolicyView {
        name: t("default"),
        version: 3,
        digest: Digest::of(b"r"),
        modules: BTreeMap::from([(t("default.rego"), t(text))]),
        by: t("system"),
        at: at(90_000_000),
    }
}

fn plan() -> PlanView {
    let effect = |operation: &str, effect: &str, decision: &str, approvals, probe| PlannedEffect {
        task: t("/do/1/refund"),
        operation: t(operation),
        target: t("shop.example:443"),
        target_known: true,
        unknown: Vec::new(),
        arguments_digest: None,
        contract: Digest::of(b"contract"),
        uses: 1,
        per_iteration_of: None,
        stand_in: t("example"),
        check: None,
        undo: None,
        cost: None,
        roles: vec![t("operator")],
        effect: t(effect),
        class: t("probeable"),
        predicted: t("POST 25.00 EUR back to the customer of order 1042"),
        arguments: arguments(),
        risk: risk(),
        decision: t(decision),
        approvals,
        reasons: vec![t("money needs an operator's approval")],
        probe,
    };
    PlanView {
        digest: Digest::of(b"plan"),
        binding: Digest::of(b"binding"),
        status: t("open"),
        execution: model::ExecutionId::new("e-plan").expect("an identifier"),
        requester: t("user:alice"),
        made_at: Timestamp(1_800_000_000_000),
        expires_at: Timestamp(1_800_086_400_000),
        uses: 1,
        used_by: Vec::new(),
        quorums: Vec::new(),
        missing: 1,
        votes: Vec::new(),
        seal: None,
        refusal: None,
        not_reached: Vec::new(),
        guessed: Vec::new(),
        costs: Vec::new(),
        workflow: WorkflowName { namespace: t("shop"), name: t("refund"), version: Some(t("1.0.0")) },
        title: Some(t("Refund an order")),
        input: free(json!({"order": "1042", "amount": 25.0, "currency": "EUR"})),
        intent: Some(t("refund order 1042, 25.00 EUR, the cup arrived broken")),
        effects: vec![
            effect("order-read:1.0.0", "read", "allow", 0, false),
            effect("refund-create:1.0.0", "money", "require-approval", 1, false),
        ],
        note: None,
    }
}
