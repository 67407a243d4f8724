//! Rules of the house that no compiler checks: who may use whom, what stays pure, how files look, which codes exist.

mod codes;
mod directions;
mod sabotage;
mod sources;

use anyhow::{Result, bail};

/// Checks every rule and names every breach.
pub fn tidy() -> Result<()> {
    let mut breaches = Vec::new();
    directions::check(&mut breaches)?;
    sources::check(&mut breaches)?;
    codes::check(&mut breaches)?;
    sabotage::check(&mut breaches)?;
    if breaches.is_empty() {
        eprintln!("tidy");
        return Ok(());
    }
    for breach in &breaches {
        eprintln!("{breach}");
    }
    bail!("{} breaches of the rules of the house", breaches.len())
}
