//! Every console page, with ordinary and with hostile texts in every field.

#[path = "../examples/gallery/samples.rs"]
mod samples;

/// Names of elements and attributes of a page, as a browser would read them.
fn tags(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut quoted = false;
        let end = rest
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .expect("every tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let mut outside = String::new();
        let mut quoted = false;
        for c in tag.chars() {
            quoted ^= c == '"';
            if !quoted {
                outside.push(c);
            }
        }
        let mut words =
            outside.split_whitespace().map(|word| word.split('=').next().unwrap_or_default().to_lowercase());
        found.push((words.next().unwrap_or_default(), words.collect()));
    }
    found
}

#[test]
fn hostile_texts_never_break_out() {
    for (name, page) in samples::hostile_pages() {
        assert!(!page.contains(samples::HOSTILE_TEXT), "{name} holds the text unescaped");
        if name != "sign-in" {
            assert!(
                page.contains("&lt;script&gt;alert(1)"),
                "{name} shows no hostile text, so it tests nothing"
            );
        }
        for (tag, attributes) in tags(&page) {
            assert!(tag != "img" && tag != "style" && tag != "iframe", "{name} has a <{tag}>");
            assert!(tag != "script" || attributes.iter().any(|a| a == "src"), "{name} has an inline script");
            let bad = attributes.iter().find(|a| a.starts_with("on") || *a == "style" || *a == "srcdoc");
            assert_eq!(bad, None, "{name} has an attribute that the content policy refuses on <{tag}>");
        }
        assert!(!page.contains("href=\"javascript:"), "{name}");
    }
}

#[test]
fn hostile_and_ordinary_pages_have_the_same_elements() {
    let count = |page: &str| {
        let mut names: Vec<String> = tags(page).into_iter().map(|(name, _)| name).collect();
        names.retain(|name| name == "script" || name == "form" || name == "a" || name == "/a");
        names.sort();
        names
    };
    let scripts = |names: &[String]| names.iter().filter(|name| *name == "script" || *name == "form").count();
    for ((name, ordinary), (_, hostile)) in samples::pages(None).into_iter().zip(samples::hostile_pages()) {
        assert!(scripts(&count(&hostile)) <= scripts(&count(&ordinary)), "{name} gained a script or a form");
    }
}

#[test]
fn every_form_that_changes_something_carries_the_form_token() {
    for (name, page) in samples::pages(Some("dark")) {
        for form in page.split("<form").skip(1) {
            let form = &form[..form.find("</form>").expect("forms end")];
            let posts = form.split('>').next().is_some_and(|tag| tag.contains("method=\"post\""));
            let signs_in = form.contains("/console/sign-in");
            assert!(!posts || signs_in || form.contains("name=\"csrf\" value=\"csrf\""), "{name}: {form}");
        }
    }
}

#[test]
fn pages_are_well_formed_and_reachable_without_a_mouse() {
    for (name, page) in samples::pages(None) {
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\""), "{name}");
        assert_eq!(page.matches("<h1").count(), 1, "{name} has one main heading");
        assert_eq!(page.matches("id=\"main\"").count(), 1, "{name}");
        if name != "sign-in" {
            assert!(
                page.contains("class=\"skip\" href=\"#main\"") && page.contains("aria-live=\"polite\""),
                "{name}"
            );
        }
        let mut ids: Vec<&str> =
            page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name} uses an id twice");
    }
}

#[test]
fn the_approval_shows_what_a_person_needs() {
    let pages = samples::pages(None);
    let (_, page) = pages.iter().find(|(name, _)| *name == "approvals").expect("it is there");
    for needed in [
        "25.0",
        "EUR",
        "external",
        "intent",
        "58",
        "money needs an operator's approval",
        "user:bob",
        "<b>1</b> of 2",
        "58 min 30 s left",
    ] {
        assert!(page.contains(needed), "the inbox does not show `{needed}`");
    }
}

#[test]
fn no_two_routes_are_the_same() {
    // Building the router panics when two routes overlap.
    let routes = gateway::console::routes();
    assert!(routes.has_routes());
}
