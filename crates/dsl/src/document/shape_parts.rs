//! Shapes of the parts that tasks and workflows share: data flow, errors, retries, durations, endpoints,
//! authentication, events.

use crate::document::shape::{Field, Object, Shape, may, must};

pub(crate) static TEXT: Shape = Shape::Text;
pub(crate) static WHOLE: Shape = Shape::Whole;
pub(crate) static BOOLEAN: Shape = Shape::Boolean;
pub(crate) static ANY: Shape = Shape::Any;
pub(crate) static TEXTS: Shape = Shape::List(&TEXT, 0);
/// An object of the author's own.
pub(crate) static DATA: Shape = Shape::Named(&ANY, 0);
pub(crate) static DATA_OR_TEXT: Shape = Shape::Either(&[Shape::Named(&ANY, 0), Shape::Text]);
pub(crate) static NAMED_TEXTS: Shape = Shape::Named(&TEXT, 0);
pub(crate) static TASK_LIST: Shape = Shape::Entries(&Shape::Task, 1);
static TASK_LIST_OPTIONAL: Shape = Shape::Entries(&Shape::Task, 0);

pub(crate) static DURATION: Shape = Shape::Either(&[Shape::Object(&DURATION_PARTS), Shape::Text]);
static DURATION_PARTS: Object = Object::closed(
    "a duration",
    &[
        may("days", &WHOLE),
        may("hours", &WHOLE),
        may("minutes", &WHOLE),
        may("seconds", &WHOLE),
        may("milliseconds", &WHOLE),
    ],
)
.at_least(1);

pub(crate) static TIMEOUT: Shape = Shape::Object(&TIMEOUT_OBJECT);
static TIMEOUT_OBJECT: Object = Object::closed("a timeout", &[must("after", &DURATION)]);
pub(crate) static TIMEOUT_OR_NAME: Shape = Shape::Either(&[Shape::Object(&TIMEOUT_OBJECT), Shape::Text]);

pub(crate) static SCHEMA: Shape = Shape::Object(&SCHEMA_OBJECT);
static SCHEMA_OBJECT: Object =
    Object::closed("a schema", &[may("format", &TEXT), may("document", &ANY), may("resource", &RESOURCE)])
        .one_of(&["document", "resource"]);
pub(crate) static RESOURCE: Shape = Shape::Object(&RESOURCE_OBJECT);
static RESOURCE_OBJECT: Object =
    Object::closed("an external resource", &[may("name", &TEXT), must("endpoint", &ENDPOINT)]);

pub(crate) static INPUT: Shape = Shape::Object(&INPUT_OBJECT);
static INPUT_OBJECT: Object =
    Object::closed("`input`", &[may("schema", &SCHEMA), may("from", &DATA_OR_TEXT)]);
pub(crate) static OUTPUT: Shape = Shape::Object(&OUTPUT_OBJECT);
static OUTPUT_OBJECT: Object =
    Object::closed("`output`", &[may("schema", &SCHEMA), may("as", &DATA_OR_TEXT)]);
pub(crate) static EXPORT: Shape = Shape::Object(&EXPORT_OBJECT);
static EXPORT_OBJECT: Object =
    Object::closed("`export`", &[may("schema", &SCHEMA), may("as", &DATA_OR_TEXT)]);

pub(crate) static ERROR: Shape = Shape::Object(&ERROR_OBJECT);
static ERROR_OBJECT: Object = Object::closed(
    "an error",
    &[
        must("type", &TEXT),
        must("status", &WHOLE_OR_TEXT),
        may("title", &TEXT),
        may("detail", &TEXT),
        may("instance", &TEXT),
    ],
);
/// A number, or an expression that gives one.
static WHOLE_OR_TEXT: Shape = Shape::Either(&[Shape::Whole, Shape::Text]);
pub(crate) static ERROR_OR_NAME: Shape = Shape::Either(&[Shape::Object(&ERROR_OBJECT), Shape::Text]);
pub(crate) static ERROR_FILTER: Shape = Shape::Object(&ERROR_FILTER_OBJECT);
static ERROR_FILTER_OBJECT: Object = Object::closed(
    "an error filter",
    &[
        may("type", &TEXT),
        may("status", &WHOLE),
        may("instance", &TEXT),
        may("title", &TEXT),
        may("details", &TEXT),
        may("detail", &TEXT),
    ],
)
.at_least(1);

pub(crate) static RETRY: Shape = Shape::Object(&RETRY_OBJECT);
pub(crate) static RETRY_OR_NAME: Shape = Shape::Either(&[Shape::Object(&RETRY_OBJECT), Shape::Text]);
static RETRY_OBJECT: Object = Object::closed(
    "a retry policy",
    &[
        may("when", &TEXT),
        may("exceptWhen", &TEXT),
        may("delay", &DURATION),
        may("backoff", &BACKOFF),
        may("limit", &RETRY_LIMIT),
        may("jitter", &JITTER),
    ],
);
static BACKOFF: Shape = Shape::Object(&BACKOFF_OBJECT);
static BACKOFF_OBJECT: Object =
    Object::closed("`backoff`", &[may("constant", &DATA), may("exponential", &DATA), may("linear", &DATA)])
        .one_of(&["constant", "exponential", "linear"]);
static RETRY_LIMIT: Shape = Shape::Object(&RETRY_LIMIT_OBJECT);
static RETRY_LIMIT_OBJECT: Object =
    Object::closed("`limit`", &[may("attempt", &ATTEMPT_LIMIT), may("duration", &DURATION)]);
static ATTEMPT_LIMIT: Shape = Shape::Object(&ATTEMPT_LIMIT_OBJECT);
static ATTEMPT_LIMIT_OBJECT: Object =
    Object::closed("`limit.attempt`", &[may("count", &WHOLE), may("duration", &DURATION)]);
static JITTER: Shape = Shape::Object(&JITTER_OBJECT);
static JITTER_OBJECT: Object = Object::closed("`jitter`", &[must("from", &DURATION), must("to", &DURATION)]);

pub(crate) static ENDPOINT: Shape = Shape::Either(&[Shape::Object(&ENDPOINT_OBJECT), Shape::Text]);
static ENDPOINT_OBJECT: Object =
    Object::closed("an endpoint", &[must("uri", &TEXT), may("authentication", &AUTHENTICATION_OR_USE)]);

pub(crate) static AUTHENTICATION: Shape = Shape::Object(&AUTHENTICATION_OBJECT);
static AUTHENTICATION_OBJECT: Object = Object::closed(AUTHENTICATION_WHAT, AUTHENTICATION_FIELDS)
    .one_of(&["basic", "bearer", "digest", "oauth2", "oidc"]);
pub(crate) static AUTHENTICATION_OR_USE: Shape = Shape::Object(&AUTHENTICATION_OR_USE_OBJECT);
static AUTHENTICATION_OR_USE_OBJECT: Object = Object::closed(AUTHENTICATION_WHAT, AUTHENTICATION_FIELDS)
    .on(&[may("use", &TEXT)])
    .one_of(&["use", "basic", "bearer", "digest", "oauth2", "oidc"]);
const AUTHENTICATION_WHAT: &str = "an authentication";
const AUTHENTICATION_FIELDS: &[Field] = &[
    may("basic", &PASSWORD),
    may("bearer", &BEARER),
    may("digest", &PASSWORD),
    may("oauth2", &OAUTH2),
    may("oidc", &OIDC),
];
static PASSWORD: Shape = Shape::Object(&PASSWORD_OBJECT);
static PASSWORD_OBJECT: Object = Object::closed(
    "an authentication by password",
    &[may("username", &TEXT), may("password", &TEXT), may("use", &TEXT)],
)
.at_least(1);
static BEARER: Shape = Shape::Object(&BEARER_OBJECT);
static BEARER_OBJECT: Object =
    Object::closed("`bearer`", &[may("token", &TEXT), may("use", &TEXT)]).one_of(&["token", "use"]);
static OAUTH2: Shape = Shape::Object(&OAUTH2_OBJECT);
static OAUTH2_OBJECT: Object =
    Object::closed("`oauth2`", &[may("endpoints", &OAUTH2_ENDPOINTS)]).on(OAUTH2_FIELDS).at_least(1);
static OIDC: Shape = Shape::Object(&OIDC_OBJECT);
static OIDC_OBJECT: Object = Object::closed("`oidc`", &[]).on(OAUTH2_FIELDS).at_least(1);
const OAUTH2_FIELDS: &[Field] = &[
    may("authority", &TEXT),
    may("grant", &GRANT),
    may("client", &OAUTH2_CLIENT),
    may("request", &OAUTH2_REQUEST),
    may("issuers", &TEXTS),
    may("scopes", &TEXTS),
    may("audiences", &TEXTS),
    may("username", &TEXT),
    may("password", &TEXT),
    may("subject", &OAUTH2_TOKEN),
    may("actor", &OAUTH2_TOKEN),
    may("use", &TEXT),
];
static GRANT: Shape = Shape::Word(&[
    "authorization_code",
    "client_credentials",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:token-exchange",
]);
static OAUTH2_ENDPOINTS: Shape = Shape::Object(&OAUTH2_ENDPOINTS_OBJECT);
static OAUTH2_ENDPOINTS_OBJECT: Object = Object::closed(
    "`endpoints`",
    &[may("token", &TEXT), may("revocation", &TEXT), may("introspection", &TEXT)],
);
static OAUTH2_CLIENT: Shape = Shape::Object(&OAUTH2_CLIENT_OBJECT);
static OAUTH2_CLIENT_OBJECT: Object = Object::closed(
    "`client`",
    &[
        may("id", &TEXT),
        may("secret", &TEXT),
        may("assertion", &TEXT),
        may("authentication", &CLIENT_AUTHENTICATION),
    ],
);
static CLIENT_AUTHENTICATION: Shape = Shape::Word(&[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "none",
]);
static OAUTH2_REQUEST: Shape = Shape::Object(&OAUTH2_REQUEST_OBJECT);
static OAUTH2_REQUEST_OBJECT: Object = Object::closed("`request`", &[may("encoding", &OAUTH2_ENCODING)]);
static OAUTH2_ENCODING: Shape = Shape::Word(&["application/x-www-form-urlencoded", "application/json"]);
static OAUTH2_TOKEN: Shape = Shape::Object(&OAUTH2_TOKEN_OBJECT);
static OAUTH2_TOKEN_OBJECT: Object = Object::closed("a token", &[must("token", &TEXT), must("type", &TEXT)]);

pub(crate) static EVENT_STRATEGY: Shape = Shape::Object(&EVENT_STRATEGY_OBJECT);
static EVENT_STRATEGY_OBJECT: Object = Object::closed(
    "an event strategy",
    &[
        may("all", &EVENT_FILTERS),
        may("any", &EVENT_FILTERS),
        may("one", &EVENT_FILTER),
        may("until", &EVENT_UNTIL),
    ],
)
.one_of(&["all", "any", "one"]);
static EVENT_UNTIL: Shape = Shape::Either(&[Shape::Text, Shape::Object(&EVENT_STRATEGY_OBJECT)]);
static EVENT_FILTERS: Shape = Shape::List(&EVENT_FILTER, 0);
static EVENT_FILTER: Shape = Shape::Object(&EVENT_FILTER_OBJECT);
static EVENT_FILTER_OBJECT: Object =
    Object::closed("an event filter", &[must("with", &EVENT_PROPERTIES), may("correlate", &CORRELATIONS)]);
static CORRELATIONS: Shape = Shape::Named(&CORRELATION, 0);
static CORRELATION: Shape = Shape::Object(&CORRELATION_OBJECT);
static CORRELATION_OBJECT: Object =
    Object::closed("a correlation", &[must("from", &TEXT), may("expect", &TEXT)]);
static EVENT_PROPERTIES: Shape = Shape::Object(&EVENT_PROPERTIES_OBJECT);
const EVENT_FIELDS: &[Field] = &[
    may("id", &TEXT),
    may("time", &TEXT),
    may("subject", &TEXT),
    may("datacontenttype", &TEXT),
    may("dataschema", &TEXT),
    may("data", &ANY),
];
static EVENT_PROPERTIES_OBJECT: Object =
    Object::closed("an event", &[may("source", &TEXT), may("type", &TEXT)])
        .on(EVENT_FIELDS)
        .open()
        .at_least(1);
pub(crate) static EMITTED_EVENT: Shape = Shape::Object(&EMITTED_EVENT_OBJECT);
static EMITTED_EVENT_OBJECT: Object =
    Object::closed("an emitted event", &[must("source", &TEXT), must("type", &TEXT)]).on(EVENT_FIELDS).open();

pub(crate) static ITERATOR: Shape = Shape::Object(&ITERATOR_OBJECT);
static ITERATOR_OBJECT: Object = Object::closed(
    "`foreach`",
    &[
        may("item", &TEXT),
        may("at", &TEXT),
        may("do", &TASK_LIST_OPTIONAL),
        may("output", &OUTPUT),
        may("export", &EXPORT),
    ],
);
