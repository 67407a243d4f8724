//! `GET /audit/export`: the log as lines, for keeping elsewhere.

use std::convert::Infallible;
use std::sync::Arc;

use app::view::{AuditEntry as AppEntry, AuditSearch};
use app::{App, Caller};
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use model::{Digest, Problem};
use serde_json::json;

use super::wire::{AuditEntry, SignedHead};
use crate::State;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::streams::Slot;

/// Records that are read at once.
const READ_MAX: u32 = 200;

/// Export the log
///
/// One JSON document a line: `{"sequence", "hash", "leaf", "record"}` with the leaf's exact bytes in base64; the last
/// line is `{"head": …}`. A file without that line was cut. Records written meanwhile may or may not be in it.
#[utoipa::path(
    get, path = "/export", operation_id = "audit.export", tag = "audit",
    responses((status = 200, body = String, content_type = "application/x-ndjson"))
)]
pub(crate) async fn export(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Refusal> {
    let slot = state.shared.streams.open(&caller.principal)?;
    let mut export = Export { _slot: slot, app: state.app.clone(), caller, next: Next::Page(None) };
    // The first page is read before the answer begins, so that a refusal is one.
    let first = export.lines().await?.unwrap_or_default();
    let rest = stream::unfold(export, |mut export| async {
        match export.lines().await {
            Ok(Some(lines)) => Some((lines, export)),
            Ok(None) => None,
            Err(problem) => {
                tracing::warn!(code = %problem.code, internal = problem.internal, "an export was cut");
                None
            }
        }
    });
    let lines = stream::once(async { first }).chain(rest).map(Ok::<Bytes, Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

struct Export {
    _slot: Slot,
    app: Arc<App>,
    caller: Caller,
    next: Next,
}

enum Next {
    Page(Option<String>),
    Head,
    Nothing,
}

impl Export {
    async fn lines(&mut self) -> Result<Option<Bytes>, Problem> {
        let mut out = Vec::new();
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(None),
            Next::Head => {
                let head = self.app.audit_head(&self.caller).await?;
                let head = SignedHead::new(head.size, &head.root, head.at, head.key_id, &head.signature);
                line(&mut out, &json!({ "head": head })).map_err(Problem::machine)?;
            }
            Next::Page(cursor) => {
                let search = AuditSearch { cursor, limit: READ_MAX, ..AuditSearch::default() };
                let page = self.app.audit(&self.caller, search).await?;
                for entry in page.items {
                    let leaf = self.leaf(&entry).await?;
                    let AuditEntry { sequence, hash, record } = entry.into();
                    let document =
                        json!({ "sequence": sequence, "hash": hash, "leaf": leaf, "record": record });
                    line(&mut out, &document).map_err(Problem::machine)?;
                }
                self.next = page.next.map_or(Next::Head, |next| Next::Page(Some(next)));
            }
        }
        Ok(Some(out.into()))
    }

    /// The exact bytes that were hashed. They are written again from the record, which is quick; when that does not
    /// give the recorded hash (a record of an older shape), the stored bytes are asked for.
    async fn leaf(&self, entry: &AppEntry) -> Result<String, Problem> {
        let mut hashed = vec![0];
        hashed.extend_from_slice(&entry.sequence.to_be_bytes());
        serde_json::to_writer(&mut hashed, &entry.record).map_err(Problem::machine)?;
        if hex::encode(Digest::of(&hashed).0) == entry.hash {
            return Ok(STANDARD.encode(&hashed[1..]));
        }
        Ok(self.app.audit_proof(&self.caller, entry.sequence).await?.leaf)
    }
}

fn line(out: &mut Vec<u8>, document: &serde_json::Value) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, document)?;
    out.push(b'\n');
    Ok(())
}
