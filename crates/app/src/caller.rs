//! Who calls, from where.

use model::principal::Permission;
use model::{Principal, Problem};

/// An authenticated caller of one request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// Network address, when it came over the network.
    pub address: Option<String>,
    /// User agent, when it sent one.
    pub agent: Option<String>,
    /// Ties the request's log lines and audit records together.
    pub request_id: String,
}

impl Caller {
    /// Refuses the caller who lacks a permission (OH-4030).
    pub fn demand(&self, permission: Permission) -> Result<(), Problem> {
        if self.principal.may(permission) {
            return Ok(());
        }
        let needed: Vec<&str> = model::principal::Role::ALL
            .into_iter()
            .filter(|role| role.grants(permission))
            .map(model::principal::Role::name)
            .collect();
        Err(Problem::new(
            403,
            4030,
            "not permitted",
            format!("`{}` needs one of the roles {}", self.principal.id, needed.join(", ")),
        ))
    }
}
