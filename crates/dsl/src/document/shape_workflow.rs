//! Shapes of the workflow document and of `metadata.omnihub`.

use crate::document::shape::{Object, Shape, may, must};
use crate::document::shape_parts::{
    ANY, AUTHENTICATION, BOOLEAN, DATA, DURATION, ENDPOINT, ERROR, EVENT_STRATEGY, INPUT, OUTPUT, RETRY,
    TASK_LIST, TEXT, TEXTS, TIMEOUT, TIMEOUT_OR_NAME,
};

/// A whole workflow document.
pub(crate) static WORKFLOW: Object = Object::closed(
    "a workflow",
    &[
        must("document", &DOCUMENT),
        may("input", &INPUT),
        may("use", &USE),
        must("do", &TASK_LIST),
        may("timeout", &TIMEOUT_OR_NAME),
        may("output", &OUTPUT),
        may("schedule", &SCHEDULE),
        may("evaluate", &EVALUATE),
    ],
);

static DOCUMENT: Shape = Shape::Object(&DOCUMENT_OBJECT);
static DOCUMENT_OBJECT: Object = Object::closed(
    "`document`",
    &[
        must("dsl", &VERSION),
        must("namespace", &NAME),
        must("name", &NAME),
        must("version", &VERSION),
        may("title", &TEXT),
        may("summary", &TEXT),
        may("tags", &DATA),
        may("metadata", &DATA),
    ],
);

static NAME: Shape = Shape::Matches(
    is_name,
    "letters, digits and hyphens, at most 63, beginning and ending with a letter or digit",
    "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
);
pub(crate) static VERSION: Shape =
    Shape::Matches(is_version, "a semantic version such as `1.0.0`, in quotes", VERSION_PATTERN);
/// The pattern of semver.org, at most 64 characters.
const VERSION_PATTERN: &str = r"^(?=.{0,64}$)(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$";

static USE: Shape = Shape::Object(&USE_OBJECT);
static USE_OBJECT: Object = Object::closed(
    "`use`",
    &[
        may("authentications", &Shape::Named(&AUTHENTICATION, 0)),
        may("errors", &Shape::Named(&ERROR, 0)),
        may("extensions", &EXTENSIONS),
        may("functions", &Shape::Named(&Shape::Task, 0)),
        may("retries", &Shape::Named(&RETRY, 0)),
        may("secrets", &TEXTS),
        may("timeouts", &Shape::Named(&TIMEOUT, 0)),
        may("catalogs", &Shape::Named(&CATALOG, 0)),
    ],
);
static CATALOG: Shape = Shape::Object(&CATALOG_OBJECT);
static CATALOG_OBJECT: Object = Object::closed("a catalogue", &[may("endpoint", &ENDPOINT)]);
static EXTENSIONS: Shape = Shape::Entries(&EXTENSION, 0);
static EXTENSION: Shape = Shape::Object(&EXTENSION_OBJECT);
static EXTENSION_OBJECT: Object = Object::closed(
    "an extension",
    &[must("extend", &EXTENDED), may("when", &TEXT), may("before", &TASK_LIST), may("after", &TASK_LIST)],
);
static EXTENDED: Shape = Shape::Word(&[
    "call",
    "composite",
    "emit",
    "for",
    "listen",
    "raise",
    "run",
    "set",
    "switch",
    "try",
    "wait",
    "all",
]);

static SCHEDULE: Shape = Shape::Object(&SCHEDULE_OBJECT);
static SCHEDULE_OBJECT: Object = Object::closed(
    "`schedule`",
    &[
        may("every", &DURATION),
        may("cron", &TEXT),
        may("after", &DURATION),
        may("on", &EVENT_STRATEGY),
        may("read", &READ),
    ],
)
.one_of(&["every", "cron", "after", "on"]);

static READ: Shape = Shape::Word(&["data", "envelope", "raw"]);

static EVALUATE: Shape = Shape::Object(&EVALUATE_OBJECT);
static EVALUATE_OBJECT: Object = Object::closed("`evaluate`", &[may("language", &TEXT), may("mode", &TEXT)]);

/// `document.metadata.omnihub`.
pub(crate) static OMNIHUB: Object = Object::closed(
    "`metadata.omnihub`",
    &[
        may("owner", &TEXT),
        may("intents", &TEXTS),
        may("slots", &SLOTS),
        may("riskNotes", &RISK_NOTES),
        may("timeZone", &TEXT),
        may("priority", &PRIORITY),
        may("concurrencyKey", &TEXT),
        may("schedule", &SCHEDULE_OPTIONS),
    ],
);
static SCHEDULE_OPTIONS: Shape = Shape::Object(&SCHEDULE_OPTIONS_OBJECT);
static SCHEDULE_OPTIONS_OBJECT: Object = Object::closed(
    "`metadata.omnihub.schedule`",
    &[may("overlap", &OVERLAP), may("catchUp", &CATCH_UP), may("input", &Shape::Any)],
);
static OVERLAP: Shape = Shape::Word(&crate::schedule::Overlap::NAMES);
static CATCH_UP: Shape = Shape::Word(&crate::schedule::CatchUp::NAMES);
static PRIORITY: Shape = Shape::Word(&["low", "normal", "high", "critical"]);
static RISK_NOTES: Shape = Shape::Either(&[Shape::Text, Shape::List(&TEXT, 0)]);
static SLOTS: Shape = Shape::Named(&SLOT, 0);
static SLOT: Shape = Shape::Object(&SLOT_OBJECT);
static SLOT_OBJECT: Object = Object::closed(
    "a slot",
    &[
        must("type", &SLOT_TYPE),
        may("required", &BOOLEAN),
        may("description", &TEXT),
        may("ask", &TEXT),
        may("pattern", &TEXT),
        may("values", &TEXTS),
        may("default", &ANY),
        may("into", &INTO),
    ],
);
static SLOT_TYPE: Shape =
    Shape::Word(&["money", "number", "integer", "date", "id", "email", "text", "currency", "enum"]);
static POINTER: Shape = Shape::Matches(is_pointer, "a JSON Pointer such as `/amount`", POINTER_PATTERN);
/// As [`is_pointer`].
pub(crate) const POINTER_PATTERN: &str = "^/([^~]|~[01])+$";
static INTO: Shape = Shape::Either(&[
    Shape::Matches(is_pointer, "a JSON Pointer such as `/amount`", POINTER_PATTERN),
    Shape::Object(&INTO_OBJECT),
]);
static INTO_OBJECT: Object =
    Object::closed("`into`", &[may("amount", &POINTER), may("currency", &POINTER)]).at_least(1);

/// True for a JSON Pointer to a member.
pub(crate) fn is_pointer(text: &str) -> bool {
    let escapes_fine = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.len() > 1 && text.starts_with('/') && escapes_fine
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Semantic Versioning 2.0.0.
pub(crate) fn is_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(r, b)| (r, Some(b)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(c, p)| (c, Some(p)));
    let numeric =
        |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) && (p == "0" || !p.starts_with('0'));
    let word = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(numeric)
        && pre.is_none_or(|p| p.split('.').all(|part| word(part) && (!digits(part) || numeric(part))))
        && build.is_none_or(|b| b.split('.').all(word))
}
