//! Shapes of action documents.

use crate::document::shape::{Object, Shape, may, must};
use crate::document::shape_parts::{ANY, DATA, DATA_OR_TEXT, SCHEMA, TEXT, TEXTS, WHOLE};
use crate::document::shape_workflow::{POINTER_PATTERN, is_pointer};

/// A whole action document.
pub(crate) static ACTION: Object = Object::closed(
    "an action",
    &[
        must("action", &TEXT),
        may("title", &TEXT),
        may("summary", &TEXT),
        may("owner", &TEXT),
        must("effect", &EFFECT),
        must("class", &CLASS),
        may("blastRadius", &BLAST_RADIUS),
        may("data", &TEXTS),
        may("amount", &AMOUNT),
        may("recipients", &POINTERS),
        may("input", &INPUT),
        may("output", &OUTPUT),
        may("idempotency", &IDEMPOTENCY),
        may("compensate", &CALL),
        may("ensure", &ENSURE),
        may("hosts", &TEXTS),
        may("retries", &WHOLE),
        may("cost", &COST),
        may("fencing", &FENCING),
        may("metadata", &DATA),
        must("run", &RUN),
    ],
);

static EFFECT: Shape = Shape::Word(&["read", "write", "delete", "money", "permission"]);
static CLASS: Shape =
    Shape::Word(&["pure", "read", "idempotent", "probeable", "compensable", "irreversible"]);
static BLAST_RADIUS: Shape = Shape::Object(&BLAST_RADIUS_OBJECT);
static BLAST_RADIUS_OBJECT: Object =
    Object::closed("`blastRadius`", &[may("scope", &TEXT), may("max", &WHOLE), may("unit", &TEXT)]);
static POINTER: Shape = Shape::Matches(is_pointer, "a JSON Pointer such as `/amount`", POINTER_PATTERN);
static POINTERS: Shape = Shape::List(&POINTER, 1);
static AMOUNT: Shape = Shape::Object(&AMOUNT_OBJECT);
static AMOUNT_OBJECT: Object =
    Object::closed("`amount`", &[must("value", &POINTER), may("currency", &POINTER)]);
/// The amount is a number or its text; the compiler looks at it.
static COST: Shape = Shape::Object(&COST_OBJECT);
static COST_OBJECT: Object = Object::closed("`cost`", &[must("amount", &ANY), must("currency", &TEXT)]);
static FENCING: Shape = Shape::Object(&FENCING_OBJECT);
static FENCING_OBJECT: Object = Object::closed("`fencing`", &[must("header", &TEXT)]);
static INPUT: Shape = Shape::Object(&INPUT_OBJECT);
static INPUT_OBJECT: Object = Object::closed("`input` of an action", &[must("schema", &SCHEMA_OR_DOCUMENT)]);
static OUTPUT: Shape = Shape::Object(&OUTPUT_OBJECT);
static OUTPUT_OBJECT: Object = Object::closed(
    "`output` of an action",
    &[may("as", &DATA_OR_TEXT), may("schema", &SCHEMA_OR_DOCUMENT), may("example", &ANY)],
);
/// `{document: schema}` as in workflows, or the schema itself.
static SCHEMA_OR_DOCUMENT: Shape = Shape::Any;
/// The form of workflows, for a schema that is written so.
pub(crate) static WRAPPED_SCHEMA: &Shape = &SCHEMA;
static IDEMPOTENCY: Shape = Shape::Object(&IDEMPOTENCY_OBJECT);
static IDEMPOTENCY_OBJECT: Object =
    Object::closed("`idempotency`", &[must("key", &TEXT), may("header", &TEXT)]);
static CALL: Shape = Shape::Object(&CALL_OBJECT);
static CALL_OBJECT: Object =
    Object::closed("a call of an action", &[must("call", &TEXT), may("with", &DATA_OR_TEXT)]);
static ENSURE: Shape = Shape::Object(&ENSURE_OBJECT);
static ENSURE_OBJECT: Object = Object::closed(
    "`ensure`",
    &[
        must("probe", &CALL),
        must("that", &TEXT),
        may("every", &crate::document::shape_parts::DURATION),
        may("within", &crate::document::shape_parts::DURATION),
    ],
);
/// A task with its one kind; the compiler looks at which.
static RUN: Shape = Shape::Any;
