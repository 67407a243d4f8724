//! Who is next: fair between tenants, by patience inside a tenant, with room kept for others.

pub(crate) mod fair;
pub(crate) mod turns;
