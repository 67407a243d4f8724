//! From what a bundle's rules say to one ruling: deny beats approval, approval beats allow, nothing said is deny.

use std::collections::BTreeMap;

use model::principal::{Permission, Role};
use model::verdict::{Decision, Quorum};
use regorus::Value;
use serde::Serialize;

use crate::policy::PolicyError;

/// Approvals that a policy may ask for at the most.
pub const APPROVERS_MAX: u32 = 20;
/// Reasons, pointers and limits that are read from one bundle, each.
pub const REASONS_MAX: usize = 100;
/// Longest reason, in characters; the rest is cut.
const REASON_CHARS_MAX: usize = 500;

/// What a bundle, or a set of bundles, says about one input.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ruling {
    /// What was decided.
    pub decision: Decision,
    /// Why, for people; sorted inside a bundle.
    pub reasons: Vec<String>,
    /// JSON Pointers into the arguments and the answer that must not be shown or logged.
    pub redact: Vec<String>,
    /// Bounds that the policy puts on the effect, by name; of several, the smallest number holds.
    pub limits: BTreeMap<String, f64>,
    /// Which rule of which bundle gave which message, whether or not it won.
    pub explanation: Vec<Because>,
}

/// One rule's word.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Because {
    /// The bundle.
    pub bundle: String,
    /// `decision`, `deny`, `approve`, `allow`, or `default` when no rule spoke.
    pub rule: String,
    /// What it said.
    pub message: String,
}

/// How restrictive a decision is; higher wins.
pub(crate) fn severity(decision: &Decision) -> u8 {
    match decision {
        Decision::Allow => 0,
        Decision::RequireApproval(_) => 1,
        Decision::Deny => 2,
    }
}

/// Both quorums at once: the larger number, and only roles that both accept.
pub fn stricter(a: &Quorum, b: &Quorum) -> Quorum {
    let roles = a.roles.iter().filter(|role| b.roles.contains(role)).cloned().collect();
    Quorum { approvers: a.approvers.max(b.approvers), roles }
}

/// Reads the collected rules: a set of pairs of name and value.
pub(crate) fn read(bundle: &str, collected: &Value) -> Result<Ruling, PolicyError> {
    let fail = |message: String| PolicyError::of(bundle, message);
    let pairs = entries("omnihub", collected).map_err(fail)?;
    let rule = |name: &str| {
        let found = pairs.iter().find(|pair| pair[0].as_string().is_ok_and(|have| **have == *name));
        found.map_or(Value::Undefined, |pair| pair[1].clone())
    };
    let mut said = Said::default();
    said.decision(&rule("decision")).map_err(fail)?;
    said.messages("deny", &rule("deny")).map_err(fail)?;
    said.messages("approve", &rule("approve")).map_err(fail)?;
    said.allow(&rule("allow")).map_err(fail)?;
    let redact = pointers(&rule("redact")).map_err(fail)?;
    let limits = limits(&rule("limits")).map_err(fail)?;
    Ok(said.rule(bundle, redact, limits))
}

/// What the rules said, before composition.
#[derive(Default)]
struct Said {
    denied: Vec<(&'static str, String)>,
    asked: Vec<(&'static str, String)>,
    quorum: Option<Quorum>,
    allowed: Vec<(&'static str, String)>,
}

impl Said {
    fn decision(&mut self, value: &Value) -> Result<(), String> {
        if *value == Value::Undefined {
            return Ok(());
        }
        let Value::Object(_) = value else {
            return Err(format!("`decision` must be an object, it is `{}`", shown(value)));
        };
        let reasons = strings("decision.reasons", &value["reasons"])?;
        match value["decision"].as_string().map(|s| s.to_string()).as_deref() {
            Ok("allow") => self.allowed.extend(or_default(reasons, "allowed").map(|m| ("decision", m))),
            Ok("deny") => self.denied.extend(or_default(reasons, "denied").map(|m| ("decision", m))),
            Ok("require-approval") => {
                self.ask(quorum(value)?);
                self.asked.extend(or_default(reasons, "approval required").map(|m| ("decision", m)));
            }
            _ => {
                let found = shown(&value["decision"]);
                return Err(format!(
                    "`decision.decision` must be `allow`, `deny` or `require-approval`, it is `{found}`"
                ));
            }
        }
        Ok(())
    }

    fn messages(&mut self, rule: &'static str, value: &Value) -> Result<(), String> {
        for entry in entries(rule, value)? {
            let message = match &entry {
                Value::String(text) => cut(text),
                Value::Object(_) => cut(entry["message"]
                    .as_string()
                    .map_err(|_| format!("an object in `{rule}` needs a text `message`"))?),
                other => return Err(format!("`{rule}` holds texts or objects, not `{}`", shown(other))),
            };
            if rule == "deny" {
                self.denied.push((rule, message));
            } else {
                let wanted = if let Value::Object(_) = entry { quorum(&entry)? } else { quorum_default() };
                self.ask(wanted);
                self.asked.push((rule, message));
            }
        }
        Ok(())
    }

    fn allow(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Undefined | Value::Bool(false) => {}
            Value::Bool(true) => self.allowed.push(("allow", "allowed".to_owned())),
            other => return Err(format!("`allow` must be true or false, it is `{}`", shown(other))),
        }
        Ok(())
    }

    fn ask(&mut self, wanted: Quorum) {
        self.quorum = Some(match self.quorum.take() {
            Some(before) => stricter(&before, &wanted),
            None => wanted,
        });
    }

    fn rule(self, bundle: &str, redact: Vec<String>, limits: BTreeMap<String, f64>) -> Ruling {
        let mut explanation: Vec<Because> = [&self.denied, &self.asked, &self.allowed]
            .into_iter()
            .flatten()
            .map(|(rule, message)| because(bundle, rule, message))
            .collect();
        let texts =
            |list: &[(&str, String)]| list.iter().map(|(_, message)| message.clone()).collect::<Vec<_>>();
        let (decision, reasons) = match self.quorum {
            _ if !self.denied.is_empty() => (Decision::Deny, texts(&self.denied)),
            Some(quorum) if quorum.roles.is_empty() => {
                (Decision::Deny, vec!["approval is required by rules that accept no common role".to_owned()])
            }
            Some(quorum) => (Decision::RequireApproval(quorum), texts(&self.asked)),
            None if !self.allowed.is_empty() => (Decision::Allow, texts(&self.allowed)),
            None => (Decision::Deny, vec!["no rule allows it".to_owned()]),
        };
        if explanation.is_empty() {
            explanation.push(because(bundle, "default", "no rule allows it"));
        }
        Ruling { decision, reasons, redact, limits, explanation }
    }
}

fn because(bundle: &str, rule: &str, message: &str) -> Because {
    Because { bundle: bundle.to_owned(), rule: rule.to_owned(), message: message.to_owned() }
}

fn quorum_default() -> Quorum {
    Quorum { approvers: 1, roles: vec!["operator".to_owned(), "admin".to_owned()] }
}

fn quorum(object: &Value) -> Result<Quorum, String> {
    let mut wanted = quorum_default();
    if object["approvers"] != Value::Undefined {
        let number = object["approvers"].as_u32().ok().filter(|n| (1..=APPROVERS_MAX).contains(n));
        wanted.approvers = number.ok_or_else(|| {
            format!(
                "`approvers` must be a whole number from 1 to {APPROVERS_MAX}, it is `{}`",
                shown(&object["approvers"])
            )
        })?;
    }
    if object["roles"] != Value::Undefined {
        wanted.roles = strings("roles", &object["roles"])?;
        let wrong = wanted
            .roles
            .iter()
            .find(|name| !Role::parse(name).is_some_and(|r| r.grants(Permission::DecideApproval)));
        if let Some(name) = wrong {
            return Err(format!("the role `{name}` may not decide approvals: use `operator` or `admin`"));
        }
        if wanted.roles.is_empty() {
            return Err("`roles` is empty: name `operator` or `admin`".to_owned());
        }
    }
    Ok(wanted)
}

fn or_default(reasons: Vec<String>, default: &str) -> impl Iterator<Item = String> {
    let reasons = if reasons.is_empty() { vec![default.to_owned()] } else { reasons };
    reasons.into_iter()
}

/// The members of a set or list; undefined is empty.
fn entries(name: &str, value: &Value) -> Result<Vec<Value>, String> {
    let items: Vec<Value> = match value {
        Value::Undefined => Vec::new(),
        Value::Set(set) => set.iter().cloned().collect(),
        Value::Array(items) => items.iter().cloned().collect(),
        other => return Err(format!("`{name}` must be a set, it is `{}`", shown(other))),
    };
    if items.len() > REASONS_MAX {
        return Err(format!("`{name}` holds more than {REASONS_MAX} members"));
    }
    Ok(items)
}

fn strings(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let text = |item: Value| {
        item.as_string().map(|s| cut(s)).map_err(|_| format!("`{name}` holds texts, not `{}`", shown(&item)))
    };
    entries(name, value)?.into_iter().map(text).collect()
}

fn pointers(value: &Value) -> Result<Vec<String>, String> {
    let found = strings("redact", value)?;
    match found.iter().find(|pointer| !pointer.starts_with('/')) {
        Some(wrong) => Err(format!("`redact` holds JSON Pointers such as `/email`, not `{wrong}`")),
        None => Ok(found),
    }
}

fn limits(value: &Value) -> Result<BTreeMap<String, f64>, String> {
    let Value::Object(members) = value else {
        return if *value == Value::Undefined {
            Ok(BTreeMap::new())
        } else {
            Err(format!("`limits` must be an object of numbers, it is `{}`", shown(value)))
        };
    };
    let mut found = BTreeMap::new();
    for (name, number) in members.iter().take(REASONS_MAX) {
        let name = name.as_string().map_err(|_| "a name in `limits` is not a text".to_owned())?;
        let number = number.as_f64().map_err(|_| format!("the limit `{name}` is not a number"))?;
        found.insert(name.to_string(), number);
    }
    Ok(found)
}

fn cut(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

fn shown(value: &Value) -> String {
    if *value == Value::Undefined {
        "undefined".to_owned()
    } else {
        value.to_string().chars().take(80).collect()
    }
}
