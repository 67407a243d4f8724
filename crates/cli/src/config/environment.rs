//! The environment's part: keys with `__` for dots, and the four controls by their own names.

use std::collections::BTreeMap;

use model::control::ControlName;

use crate::config::keys::KEYS;
use crate::config::settings::HeldControl;
use crate::config::{suggest, wrong};
use crate::exit::Failure;

/// Variables of `omnihub` itself that are no keys of the configuration.
const OWN: &[&str] =
    &["OMNIHUB_ADDRESS", "OMNIHUB_TOKEN", "OMNIHUB_TENANT", "OMNIHUB_CONFIG", "OMNIHUB_DATA_DIR"];
/// Where the process is to crash. Not among those that are suggested: what is shipped refuses it.
pub(crate) const CRASH_AT: &str = "OMNIHUB_CRASH_AT";

/// Texts by key name. A variable that begins with `OMNIHUB_` and means nothing is an error: it would look obeyed.
pub(crate) fn values(
    variables: &BTreeMap<String, String>,
) -> Result<BTreeMap<&'static str, String>, Failure> {
    let mut found = BTreeMap::new();
    for (name, value) in variables {
        if !name.starts_with("OMNIHUB_")
            || OWN.contains(&name.as_str())
            || name == CRASH_AT
            || ControlName::parse(name).is_some()
        {
            continue;
        }
        match KEYS.iter().find(|key| key.variable() == *name) {
            Some(key) => {
                found.insert(key.name, value.clone());
            }
            None => return Err(unknown(name)),
        }
    }
    if let Some(dir) = variables.get("OMNIHUB_DATA_DIR") {
        found.insert("data_dir", dir.clone());
    }
    Ok(found)
}

fn unknown(name: &str) -> Failure {
    let known: Vec<String> = KEYS
        .iter()
        .map(super::keys::Key::variable)
        .chain(OWN.iter().map(|own| (*own).to_owned()))
        .chain(ControlName::ALL.iter().map(|control| control.variable().to_owned()))
        .collect();
    let failure = wrong(format!("the environment variable `{name}` means nothing to omnihub"));
    match suggest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`omnihub serve --help-config` lists every key"),
    }
}

/// The controls that the environment holds.
pub(crate) fn controls(variables: &BTreeMap<String, String>) -> Result<Vec<HeldControl>, Failure> {
    let mut held = Vec::new();
    for name in ControlName::ALL {
        let Some(value) = variables.get(name.variable()) else { continue };
        if name == ControlName::AllowList {
            let operations: Vec<String> = value
                .split(',')
                .map(str::trim)
                .filter(|operation| !operation.is_empty())
                .map(str::to_owned)
                .collect();
            held.push(HeldControl { name, on: true, operations });
            continue;
        }
        let on = match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => true,
            "0" | "false" | "off" | "no" | "" => false,
            _ => return Err(wrong(format!("`{}` is `{value}`; write `true` or `false`", name.variable()))),
        };
        held.push(HeldControl { name, on, operations: Vec::new() });
    }
    Ok(held)
}
