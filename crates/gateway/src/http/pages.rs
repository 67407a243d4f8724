//! Pages that need no token: what an error code means, the description of the API, the schema of documents.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};
use model::Problem;

use super::problem::Refusal;
use super::segments::Segments;
use crate::State;

/// Code and page (a small Markdown: headings, paragraphs, fenced code, inline code), by code.
static PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/errors.rs"));

static DESCRIPTION: LazyLock<String> = LazyLock::new(|| crate::openapi().to_json().unwrap_or_default());

static SCHEMA: LazyLock<String> = LazyLock::new(|| dsl::json_schema::workflow().to_string());

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/errors/{code}", get(error))
        .route("/openapi.json", get(description))
        .route(dsl::json_schema::PATH, get(schema))
}

/// The schema of workflow documents, for editors.
async fn schema() -> Response {
    (
        [
            (header::CONTENT_TYPE, "application/schema+json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ],
        SCHEMA.as_str(),
    )
        .into_response()
}

async fn description() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")],
        DESCRIPTION.as_str(),
    )
        .into_response()
}

async fn error(Segments([code]): Segments<1>) -> Result<Markup, Refusal> {
    let Ok(at) = PAGES.binary_search_by(|(known, _)| (*known).cmp(&code)) else {
        return Err(Problem::not_found("error code", &code).into());
    };
    Ok(page(&code, PAGES[at].1))
}

fn page(code: &str, text: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (code) " · OmniHub" }
            }
            body { main { (blocks(text)) } }
        }
    }
}

/// Fences are the odd parts between lines of three backticks.
fn blocks(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split("```").enumerate() {
            @if i % 2 == 1 {
                pre { code { (part.split_once('\n').map_or(part, |(_, code)| code)) } }
            } @else {
                @for block in part.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) { (prose(block)) }
            }
        }
    }
}

fn prose(block: &str) -> Markup {
    let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
    html! {
        @if let Some(title) = first.strip_prefix("# ") {
            h1 { (inline(title)) }
            @if !rest.trim().is_empty() { (prose(rest.trim())) }
        } @else if let Some(title) = first.strip_prefix("## ") {
            h2 { (inline(title)) }
            @if !rest.trim().is_empty() { (prose(rest.trim())) }
        } @else if block.lines().all(|line| line.starts_with("- ")) {
            ul { @for line in block.lines() { li { (inline(line.trim_start_matches("- "))) } } }
        } @else {
            p { (inline(block)) }
        }
    }
}

fn inline(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_sorted_and_begin_with_their_code() {
        assert!(PAGES.is_sorted_by(|a, b| a.0 < b.0));
        for (code, text) in PAGES {
            assert!(text.starts_with(&format!("# {code}")), "{code}");
        }
    }

    #[test]
    fn markdown_is_escaped() {
        let page =
            page("OH-1", "# a <b>\n\ntext `<i>` &\n\n```yaml\nx: <y>\n```\n\n- one\n- two").into_string();
        assert!(page.contains("<h1>a &lt;b&gt;</h1>"), "{page}");
        assert!(page.contains("<p>text <code>&lt;i&gt;</code> &amp;</p>"), "{page}");
        assert!(
            page.contains("<pre><code>x: &lt;y&gt;\n</code></pre><ul><li>one</li><li>two</li></ul>"),
            "{page}"
        );
    }
}
