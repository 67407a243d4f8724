//! Style, script and the one vendored library: compiled in, named by their digest, cached for a year.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One file that pages refer to.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "console.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../../assets/console.css"),
    },
    Asset {
        name: "console.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/console.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../assets/icon.svg") },
    Asset {
        name: "idiomorph.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/vendor/idiomorph-0.8.0.min.js"),
    },
];

/// Digest and asset; computed once from what is compiled in.
static NAMED: LazyLock<Vec<(String, &'static Asset)>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (model::Digest::of(asset.bytes).short(), asset)).collect());

/// The address of an asset, with its digest: `/console/assets/<digest>/console.css`.
pub(crate) fn href(name: &str) -> String {
    let digest = NAMED.iter().find(|(_, asset)| asset.name == name).map_or("", |(digest, _)| digest.as_str());
    format!("/console/assets/{digest}/{name}")
}

/// `GET /console/assets/{digest}/{name}`; another digest is another file, so it is not found.
pub(crate) async fn get(Path((digest, name)): Path<(String, String)>) -> Response {
    match NAMED.iter().find(|(known, asset)| *known == digest && asset.name == name) {
        Some((_, asset)) => (
            [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.bytes,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
