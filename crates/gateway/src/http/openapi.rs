//! The published description of the API (OpenAPI 3.1), completed with what holds for every operation.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::problem::{FieldDocument, ProblemDocument};

const SCHEME: &str = "token";

/// Refusals by name, status, code and when they come.
const REFUSALS: [(&str, &str, u16, &str); 13] = [
    ("BadRequest", "400", 4000, "malformed body, unknown or wrong query parameter"),
    ("Unauthorized", "401", 4010, "no token, or one that is not known"),
    ("Forbidden", "403", 4030, "the caller's roles do not permit this"),
    ("NotFound", "404", 4040, "there is no such thing, or it is another tenant's"),
    ("MethodNotAllowed", "405", 4050, "the path does not know this method"),
    ("TooSlow", "408", 4080, "the body took too long"),
    ("TooLarge", "413", 4130, "the body is larger than 1 MiB"),
    ("UnsupportedType", "415", 4150, "the body is of another type than the operation reads"),
    (
        "WrongShape",
        "422",
        4220,
        "well-formed, but not what the operation understands; `fields` names the members",
    ),
    ("TooMany", "429", 4290, "more requests than the limit; `Retry-After` says when to come back"),
    ("Internal", "500", 5000, "the server failed; the operator's log has the reason under the request's id"),
    ("NotBuilt", "501", 2900, "planned and not built yet"),
    ("Unavailable", "503", 5002, "overloaded, stopping, or held by a control"),
];

/// The whole description.
pub fn openapi() -> OpenApi {
    let (_, mut api) = super::described().split_for_parts();
    api.info = InfoBuilder::new()
        .title("OmniHub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "From an intent to a verified outcome: goals, plans, approvals, executions, controls and proof. \
             Every answer that is not a success is a problem document with a stable code.",
        ))
        .contact(Some(ContactBuilder::new().name(Some("the operator of this server")).build()))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    components.schemas.insert(ProblemDocument::name().into_owned(), ProblemDocument::schema());
    components.schemas.insert(FieldDocument::name().into_owned(), FieldDocument::schema());
    for (name, _, code, when) in REFUSALS {
        components.responses.insert(name.to_owned(), refusal(code, when));
    }
    components.add_security_scheme(SCHEME, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for (path, item) in &mut api.paths.paths {
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in all.into_iter().flatten() {
            complete(path, operation);
        }
    }
    api
}

/// Adds the security scheme and the refusals that every operation of its sort can answer.
fn complete(path: &str, operation: &mut Operation) {
    let mut names = vec!["TooMany", "Internal", "Unavailable"];
    if path.starts_with("/api/") {
        operation.security = Some(vec![SecurityRequirement::new(SCHEME, [] as [&str; 0])]);
        names.extend(["BadRequest", "Unauthorized", "Forbidden"]);
    }
    if operation.parameters.iter().flatten().any(|p| p.parameter_in == ParameterIn::Path) {
        names.push("NotFound");
    }
    if operation.request_body.is_some() {
        names.extend(["TooSlow", "TooLarge", "UnsupportedType", "WrongShape"]);
    }
    for (name, status, _, _) in REFUSALS {
        if names.contains(&name) && !operation.responses.responses.contains_key(status) {
            operation
                .responses
                .responses
                .insert(status.to_owned(), RefOr::Ref(Ref::from_response_name(name)));
        }
    }
}

fn refusal(code: u16, when: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let description = format!("{when} (for example OH-{code:04})");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::query::operations;

    #[test]
    fn every_operation_is_described() {
        let api = openapi();
        let mut ids = BTreeSet::new();
        let mut seen = 0;
        for (path, item) in &api.paths.paths {
            for (method, operation) in operations(item) {
                seen += 1;
                let at = format!("{method} {path}");
                assert!(operation.summary.as_ref().is_some_and(|s| !s.is_empty()), "{at} has no summary");
                assert!(operation.tags.as_ref().is_some_and(|t| t.len() == 1), "{at} has no tag");
                let id = operation.operation_id.clone().unwrap_or_default();
                assert!(
                    ids.insert(id.clone()) && !id.is_empty(),
                    "{at}: the operation id `{id}` is not unique"
                );
                for parameter in operation.parameters.iter().flatten() {
                    assert!(
                        parameter.description.is_some(),
                        "{at}: parameter `{}` is not described",
                        parameter.name
                    );
                }
                assert!(
                    operation.responses.responses.keys().any(|s| s.starts_with('2') || s == "501"),
                    "{at}"
                );
                if path.starts_with("/api/") {
                    assert!(operation.security.is_some(), "{at} has no security");
                    assert!(operation.responses.responses.contains_key("401"), "{at} does not tell of 401");
                }
            }
        }
        assert!(seen >= 55, "only {seen} operations");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        let text = document.to_string();
        let mut rest = text.as_str();
        let mut seen = 0;
        while let Some(at) = rest.find("\"$ref\":\"#") {
            rest = &rest[at + 9..];
            let pointer = &rest[..rest.find('"').unwrap()];
            assert!(document.pointer(pointer).is_some(), "`{pointer}` leads nowhere");
            seen += 1;
        }
        assert!(seen > 100);
        assert_eq!(document["openapi"], "3.1.0");
    }
}
