//! Signing in with an API token, and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use model::{Digest, Problem};
use serde::Deserialize;

use super::icon;
use super::layout::{Failure, bare};
use super::session::{Act, Sessions, from_our_pages, read_form, set_cookie, theme, token_shape, too_many};

/// The cookie lives as long as a session may, in seconds.
const COOKIE_SECONDS: u64 = 24 * 3600;

/// Where to go after signing in.
#[derive(Deserialize)]
pub(crate) struct Next {
    next: Option<String>,
    /// There when a session came to its end.
    ended: Option<String>,
}

/// Why somebody who was signed in stands before this page.
const ENDED: &str = "Your session has ended: they last a day, or until the server is started again.";

/// `GET /console/sign-in`
pub(crate) async fn get(headers: axum::http::HeaderMap, Query(Next { next, ended }): Query<Next>) -> Markup {
    page(next.as_deref().unwrap_or(""), ended.map(|_| ENDED), theme(&headers))
}

/// `POST /console/sign-in`
pub(crate) async fn post(
    State(state): State<crate::State>,
    Extension(sessions): Extension<Arc<Sessions>>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    if !from_our_pages(&parts.headers, &parts.uri) {
        let problem = Problem::new(403, 4030, "not permitted", "sign in from the console's own page");
        return Err(Failure(problem).into_response());
    }
    let fields = read_form(body).await?;
    let token = fields.text("token");
    let again = |why: &str, status: StatusCode| {
        (status, page(fields.text("next"), Some(why), theme(&parts.headers))).into_response()
    };
    if !token_shape(token) {
        return Err(again(
            "That is not a token. Paste the whole token, it begins with omh_.",
            StatusCode::UNPROCESSABLE_ENTITY,
        ));
    }
    match state.app.authenticate(token).await {
        Ok(_) => {}
        Err(problem) if problem.status == 401 => {
            // Guesses draw from the bucket of their address, as they do at the API.
            let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            let address = address.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default();
            let taken = state.shared.strangers.take(Digest::of(address.as_bytes()), Instant::now());
            taken.map_err(|wait| Failure(too_many(wait)).into_response())?;
            return Err(again("This token is not known, or it has expired.", StatusCode::UNAUTHORIZED));
        }
        Err(problem) => return Err(Failure(problem).into_response()),
    }
    let key = sessions.open(token).map_err(|error| Failure(Problem::machine(error)).into_response())?;
    let mut response = Redirect::to(own_page(fields.text("next"))).into_response();
    if let Some(cookie) = set_cookie(&parts.headers, &key, COOKIE_SECONDS) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /console/sign-out`
pub(crate) async fn out(
    headers: axum::http::HeaderMap,
    Extension(sessions): Extension<Arc<Sessions>>,
    _act: Act,
) -> Response {
    sessions.close(&headers);
    let mut response = Redirect::to("/console/sign-in").into_response();
    if let Some(cookie) = set_cookie(&headers, "", 0) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Only pages of this console; anything else goes to the overview.
fn own_page(next: &str) -> &str {
    let fine = (next == "/console" || next.starts_with("/console/") || next.starts_with("/console?"))
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && !next.contains("..");
    if fine { next } else { "/console" }
}

/// The page.
pub fn page(next: &str, problem: Option<&str>, theme: Option<&'static str>) -> Markup {
    let content = html! {
        section.card.sign-in {
            p.brand { (icon::draw(icon::HUB)) span { "OmniHub" } }
            h1 { "Sign in" }
            p.muted { "From a goal to a verified outcome. Nothing happens without a permit." }
            @if let Some(problem) = problem { p.bad-text role="alert" { (problem) } }
            form.stacked method="post" action="/console/sign-in" {
                input type="hidden" name="next" value=(next);
                // Password managers keep the token under this name.
                input.sr type="text" name="username" value="api-token" autocomplete="username" tabindex="-1" aria-hidden="true" readonly;
                label.field { span { "API token" } input type="password" name="token" required autofocus autocomplete="current-password" spellcheck="false" placeholder="omh_…"; }
                button.button.primary type="submit" { "Sign in" }
            }
            p.hint { "The first start of the server writes an administrator's token and says where. " code { "omnihub login" } " and the API make others." }
        }
    };
    bare("Sign in", theme, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_elsewhere() {
        for (next, to) in [
            ("/console/approvals/a?x=1", "/console/approvals/a?x=1"),
            ("//evil.example", "/console"),
            ("https://evil.example", "/console"),
            ("/console/../api", "/console"),
            ("/console\\@evil", "/console"),
            ("/consolex", "/console"),
            ("", "/console"),
        ] {
            assert_eq!(own_page(next), to);
        }
    }

    #[test]
    fn the_page_keeps_hostile_text_as_text() {
        let text = page("\"><script>alert(1)</script>", Some("<img src=x>"), None).into_string();
        assert!(!text.contains("<script>alert") && !text.contains("<img"));
    }
}
