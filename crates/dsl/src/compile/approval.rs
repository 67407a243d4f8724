//! Compiles `approval`, which asks people.

use model::principal::{Permission, Role};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::{Node, NodeData};
use crate::plan::{Ask, TaskKind, misfit_of_deadline};
use crate::template::Template;

/// People of one decision at the most.
const APPROVERS_MAX: i64 = 20;
/// How long people have when nothing is written.
const DEADLINE: &str = "PT1H";

impl Compiler<'_, '_> {
    /// `call: approval:1.0.0`
    pub fn approval(&mut self, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        self.only(node, function, &["ask", "data", "approvers", "roles", "form", "deadline"]);
        let with = node.get("with");
        let member = |name: &str| with.and_then(|with| with.get(name));
        let ask = member("ask").map(|ask| (ask, self.data(ask, Place::Task, scope)));
        let says = |template: &Template| match template {
            Template::Constant(text) => text.as_str().is_some_and(|text| !text.trim().is_empty()),
            Template::Expr(_) => true,
            _ => false,
        };
        if ask.as_ref().is_none_or(|(_, ask)| !says(ask)) {
            let place = ask.as_ref().map(|(node, _)| *node).or(with).unwrap_or(function);
            self.report
                .node(
                    codes::WORD_ARGUMENTS,
                    place,
                    "`approval` needs `ask`: a text that says what is to be decided",
                )
                .hint("write `with: { ask: 'Pay this order out?', data: '${ . }' }`");
        }
        let data = member("data").map(|data| self.data(data, Place::Task, scope));
        let approvers = self.approvers(member("approvers"));
        let roles = self.deciders(member("roles"));
        let form = member("form").map(|form| self.schema_document(form));
        let deadline = self.span(member("deadline"), DEADLINE, scope);
        if let (Some(node), Some(Template::Constant(time))) = (member("deadline"), &deadline)
            && let Some(why) = crate::duration::of(time).ok().and_then(misfit_of_deadline)
        {
            self.report
                .node(codes::WORD_ARGUMENTS, node, why)
                .hint("write for example `deadline: PT1H`; silence means no");
        }
        let form = match form {
            Some(form) => Some(form?),
            None => None,
        };
        Some(TaskKind::Ask(Ask {
            ask: ask?.1,
            data,
            approvers: approvers?,
            roles: roles?,
            form,
            deadline: deadline?,
        }))
    }

    fn approvers(&mut self, node: Option<&Node>) -> Option<u32> {
        let Some(node) = node else { return Some(1) };
        if let NodeData::Int(number @ 1..=APPROVERS_MAX) = node.data {
            return u32::try_from(number).ok();
        }
        self.report
            .node(
                codes::WORD_ARGUMENTS,
                node,
                format!("`approvers` is a whole number from 1 to {APPROVERS_MAX}"),
            )
            .hint("write how many people must say yes, for example `approvers: 2`; `roles` says who may");
        None
    }

    /// Roles that decide approvals; nobody could ever answer a question to others.
    fn deciders(&mut self, node: Option<&Node>) -> Option<Vec<String>> {
        let decides = |role: &Role| role.grants(Permission::DecideApproval);
        let known: Vec<&str> =
            Role::ALL.iter().filter(|role| decides(role)).map(|role| role.name()).collect();
        let Some(node) = node else { return Some(known.into_iter().map(str::to_owned).collect()) };
        let NodeData::Array(items) = &node.data else {
            self.report
                .node(codes::WORD_ARGUMENTS, node, "`roles` is a list")
                .hint(format!("write some of `[ {} ]`", known.join(", ")));
            return None;
        };
        let mut roles = Vec::new();
        for item in items {
            match item.text().filter(|text| known.contains(text)) {
                Some(role) if !roles.iter().any(|have| have == role) => roles.push(role.to_owned()),
                Some(_) => {}
                None => {
                    self.report
                        .node(codes::WORD_ARGUMENTS, item, "this is no role that decides approvals")
                        .hint(format!("write some of `[ {} ]`", known.join(", ")));
                }
            }
        }
        if items.is_empty() {
            self.report
                .node(codes::WORD_ARGUMENTS, node, "nobody could answer: `roles` is empty")
                .hint(format!("write some of `[ {} ]`, or leave it out", known.join(", ")));
        }
        (!roles.is_empty()).then_some(roles)
    }
}
