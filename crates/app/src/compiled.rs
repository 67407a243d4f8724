//! What has been compiled, by the digest of its text.
//!
//! Compiling is a function of the text alone, so tenants with the same policy share it, and so do several applications
//! in one process. Nothing here decides anything: what is in force is read from the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::{Action, Definition};
use guard::policy::{Bundle, PolicyError};
use model::Digest;
use parking_lot::Mutex;

use crate::policies::Rules;

/// Entries of one kind; beyond that, the memory starts anew.
const ENTRIES_MAX: usize = 4096;

/// Compiled texts.
#[derive(Default)]
pub struct Compiled {
    bundles: Memory<Bundle>,
    rules: Memory<Rules>,
    actions: Memory<Action>,
    definitions: Memory<Definition>,
}

/// Things of one kind, by the digest of what they were made from.
struct Memory<T>(Mutex<BTreeMap<Digest, Arc<T>>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Memory<T> {
    /// What was made from this before, or what `make` makes now. Failures are not remembered.
    fn get<E>(&self, key: Digest, make: impl FnOnce() -> Result<Arc<T>, E>) -> Result<Arc<T>, E> {
        if let Some(found) = self.0.lock().get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = make()?;
        let mut known = self.0.lock();
        if known.len() >= ENTRIES_MAX {
            known.clear();
        }
        known.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

impl Compiled {
    pub(crate) fn bundle(
        &self,
        name: &str,
        modules: &BTreeMap<String, String>,
        make: impl FnOnce() -> Result<Bundle, PolicyError>,
    ) -> Result<Arc<Bundle>, PolicyError> {
        self.bundles.get(model::digest_of(&(name, modules)), || make().map(Arc::new))
    }

    pub(crate) fn rules(
        &self,
        key: Digest,
        make: impl FnOnce() -> Result<Rules, PolicyError>,
    ) -> Result<Arc<Rules>, PolicyError> {
        self.rules.get(key, || make().map(Arc::new))
    }

    pub(crate) fn action<E>(
        &self,
        source: &str,
        apis: &crate::apis::Pins,
        make: impl FnOnce() -> Result<Arc<Action>, E>,
    ) -> Result<Arc<Action>, E> {
        let source = Digest::of(source.as_bytes());
        let key = if apis.is_empty() { source } else { model::digest_of(&(source, apis)) };
        self.actions.get(key, make)
    }

    /// A workflow is compiled against the tenant's actions, so their digest is part of what it is made from.
    pub(crate) fn definition<E>(
        &self,
        source: &str,
        actions: Digest,
        make: impl FnOnce() -> Result<Arc<Definition>, E>,
    ) -> Result<Arc<Definition>, E> {
        let key = [Digest::of(source.as_bytes()).0, actions.0].concat();
        self.definitions.get(Digest::of(&key), make)
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}
