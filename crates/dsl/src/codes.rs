//! Every code of the language side: its title and one paragraph. `docs/errors/` has a page for each.

use crate::diagnostic::Severity;

/// One kind of problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The stable code, `OH-1nnn`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// A few words.
    pub title: &'static str,
    /// What it means and why it is refused.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal $severity:ident $title:literal $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Entry = Entry {
                code: $code,
                severity: Severity::$severity,
                title: $title,
                explanation: $explanation,
            };
        )*

        /// Every code, in order.
        pub const ALL: &[Entry] = &[$($name),*];
    };
}

codes! {
    TOO_LARGE = "OH-1000" Error "document too large"
        "A document may have one MiB at the most. A larger one is data, not a definition: it would make every start of the server and every page that shows it slow.";
    SYNTAX = "OH-1001" Error "not YAML or JSON"
        "The text cannot be read as YAML 1.2 or JSON. The place is where the reader gave up; the mistake is often on the line before.";
    DUPLICATE_KEY = "OH-1002" Error "duplicate key"
        "An object has the same name twice. Readers disagree about which one counts, so neither does.";
    ANCHOR = "OH-1003" Error "anchor, alias or merge key"
        "Anchors (`&a`), aliases (`*a`) and merge keys (`<<`) are refused: a reviewer must see what stands in a place without looking elsewhere, and nested aliases can blow a small text up to gigabytes.";
    TAG = "OH-1004" Error "YAML tag"
        "Tags (`!name`, `!!str`) change what a value is. The language has only JSON's seven kinds of values; write text in quotes and numbers without.";
    TOO_DEEP = "OH-1005" Error "too deep or too many values"
        "Lists and objects may stand inside each other 64 deep at the most, and a document may hold 100,000 values.";
    NOT_ONE_DOCUMENT = "OH-1006" Error "not one document"
        "The text must be exactly one document, and that must be an object.";
    NOT_JSON = "OH-1007" Error "not expressible in JSON"
        "YAML can say things JSON cannot: infinite numbers, members without a name, lists as names. A definition is JSON at heart, so they are refused.";
    UNKNOWN_KEY = "OH-1010" Error "unknown key"
        "The language is closed: a key it does not know is a typing error, and a typing error in a definition must not be ignored. Own remarks belong in `metadata`.";
    MISSING_KEY = "OH-1011" Error "missing key"
        "Something that is needed is not there.";
    WRONG_TYPE = "OH-1012" Error "wrong type"
        "The value has another type than its place needs. `yes`, `no`, `on` and `off` are texts; booleans are `true` and `false`.";
    WRONG_VALUE = "OH-1013" Error "value not allowed"
        "The value has the right type but not an allowed content: one of a few words, a name, a version.";
    EMPTY = "OH-1014" Error "empty"
        "A list or object that needs at least one entry has none: a `do` without tasks, a `switch` without cases.";
    NOT_EXACTLY_ONE = "OH-1015" Error "not exactly one of several"
        "Exactly one of several keys must be there: one kind of task, one kind of program, one kind of authentication, one name for each entry of a task list.";
    TOO_MANY = "OH-1016" Error "too many problems"
        "A hundred problems were found; more are not looked for. Solve those first.";
    EXPRESSION = "OH-1020" Error "expression does not parse"
        "An expression is not in the supported subset of jq, or has a syntax error. The place is inside the expression.";
    UNKNOWN_VARIABLE = "OH-1021" Error "unknown variable"
        "The expression uses a variable that does not exist in its place. Loop variables live in their loop, the error variable in its `catch`, `$output` in `export`.";
    SECRET_IN_EXPRESSION = "OH-1022" Error "secret in an expression"
        "`$secrets` is refused in expressions: what an expression makes enters the history, and no secret may. Name the secret in `use.secrets` and refer to it from `authentication`.";
    INTERPOLATION = "OH-1023" Error "expression inside text"
        "An expression is a whole value, from `${` to `}`. Inside text it is not evaluated, so it is refused before somebody relies on it. Build the text in the expression.";
    UNKNOWN_TARGET = "OH-1030" Error "`then` leads nowhere"
        "`then` must be `continue`, `exit`, `end` or the name of a task of the same list.";
    DUPLICATE_TASK = "OH-1031" Error "duplicate task name"
        "Two tasks of one list have the same name, so `then` could not tell them apart.";
    VARIABLE_NAME = "OH-1032" Error "bad variable name"
        "A loop or error variable needs a name of letters, digits and `_` that does not begin with a digit, is not a word of the language, and is not taken.";
    UNKNOWN_REFERENCE = "OH-1033" Error "reference to nothing"
        "A name refers to an entry of `use` that does not exist: an error, a retry policy, a timeout, an authentication or a secret.";
    DURATION = "OH-1034" Error "bad duration"
        "A duration is ISO 8601 text (`PT1M30S`, `P1DT2H`) or an object of `days`, `hours`, `minutes`, `seconds`, `milliseconds`. Years and months have no fixed length, and fractions of calendar units are ambiguous.";
    SCHEMA = "OH-1035" Error "schema does not compile"
        "The JSON schema is not valid, refers to something outside itself, or refers to itself without end.";
    UNKNOWN_FUNCTION = "OH-1036" Error "no such action"
        "`call` names an action that the catalogue does not have. Publish it first, or correct the name and version.";
    DSL_VERSION = "OH-1037" Error "unsupported language version"
        "`document.dsl` must be a 1.0.x or a 1.1.x version.";
    STATUS = "OH-1038" Error "bad status"
        "The status of an error is a whole number from 100 to 599, as in HTTP.";
    ENDPOINT = "OH-1039" Error "bad endpoint"
        "An endpoint is an absolute `http` or `https` URI, with `{name}` places in its path or query for top-level members of the data, or one whole expression. The host must be literal, so that it can be checked against what is allowed; credentials never stand in a URI.";
    ERROR_TYPE = "OH-1040" Error "bad error type"
        "The type of an error is an absolute URI, an expression, or in a filter one of the standard words `communication`, `timeout`, `validation`, `expression`, `authorization`, `authentication`, `configuration`, `runtime`.";
    OMNIHUB_METADATA = "OH-1041" Error "bad `metadata.omnihub`"
        "`metadata.omnihub` tells how a goal in words finds this workflow: `owner`, `intents` (example sentences with `{slot}` places), `slots` (name, type, and where the value goes) and `riskNotes`. A slot of an intent must be declared.";
    OTHER_SCOPE = "OH-1042" Error "`then` to another list"
        "The named task exists, but in another list. The flow can only go to a task of the same list; leave the list with `exit` first.";
    SCHEDULE = "OH-1043" Error "bad schedule"
        "A schedule that cannot be read, never comes, names an unknown time zone, or gives an input that the workflow's schema refuses would be in force in name only.";
    NEWER = "OH-1044" Error "of a later version of the language"
        "`catch.then`, a list that is written out in `for.in`, and `schedule.read` came after 1.0.3. A document says that it means them by `dsl: '1.1.0'`; in one of 1.0 they would be mistakes.";
    CONTEXT_LOST = "OH-1050" Warning "`$context` is replaced"
        "`export.as` replaces the whole `$context`. This one does not mention `$context`, although something was exported before: what stood there is lost.";
    MISSING_KEY_EXPRESSION = "OH-1060" Error "idempotent action without a key"
        "An action of class `idempotent` is repeated with the same key after a crash. Without `idempotency.key` there is nothing to recognize a repetition by.";
    MISSING_PROBE = "OH-1061" Error "probeable action without a probe"
        "An action of class `probeable` is asked after a crash whether it happened. `ensure.probe` says how.";
    MISSING_COMPENSATION = "OH-1062" Error "compensable action without a compensation"
        "An action of class `compensable` can be undone. `compensate` says by what.";
    CLASS_DISAGREES = "OH-1063" Error "effect and class disagree"
        "`read` effects are of class `read` or `pure`; an effect that changes something never is. The class decides what happens after a crash, so it must be true.";
    RUN_DISAGREES = "OH-1064" Error "effect and run disagree"
        "An action whose effect is `read` may only look: `GET` or `HEAD`. What else it sends could change something.";
    MONEY_WITHOUT_AMOUNT = "OH-1065" Warning "money without an amount"
        "An action that moves money does not say which argument holds the amount, so policies cannot look at it.";
    MISSING_HOSTS = "OH-1066" Error "hosts unknown"
        "The endpoint is an expression, so the hosts the action may connect to cannot be read from it. List them.";
    MISSING_ACTION = "OH-1067" Error "contract refers to nothing"
        "The contract of an action that this workflow reaches refers to a probe or compensation that the catalogue does not have.";
    PROBE_NOT_READ = "OH-1068" Error "probe is not a read"
        "The action that checks an outcome must itself change nothing.";
    TOO_MANY_ACTIONS = "OH-1069" Error "too many actions"
        "A workflow may reach 1,000 actions at the most, those of contracts included.";
    ACTION_RUN = "OH-1070" Error "bad run of an action"
        "`run` of an action is a single `call: http`, `run: shell` or `run: script`, nothing else.";
    HOST = "OH-1071" Error "bad host"
        "A host is written `host` or `host:port`, without scheme and path.";
    ARGUMENTS = "OH-1072" Error "arguments do not fit the action"
        "The arguments of a call hold no expression, so they can be checked against the input schema of the action at publish, and they do not fit.";
    API_DOCUMENT = "OH-1080" Error "description of an API cannot be used"
        "`call: openapi` names a description that could not be fetched, is not OpenAPI 2.0, 3.0 or 3.1, is too large, or contradicts itself. It is fetched once, through the guarded door, when the workflow is published, and pinned by its digest: a description that changes later changes nothing that runs.";
    UNKNOWN_OPERATION = "OH-1081" Error "no such operation"
        "The description has no operation of this id. Ids are compared exactly and are written out, so that it is known at publish what a task does.";
    API_PARAMETERS = "OH-1082" Error "parameters do not fit the operation"
        "`parameters` names something that the operation does not take, leaves out what it needs, or does not say which of two parameters of one name is meant.";
    API_LATER = "OH-1083" Warning "description is fetched at publish"
        "A check alone fetches nothing, so the operation and its parameters are checked when the document is published.";
    AUTHENTICATION = "OH-1084" Error "authentication cannot be done"
        "`oauth2` and `oidc` ask an authority for a token with client credentials, a password or a token exchange. What needs a person at a browser cannot be done by a workflow; neither can anything without its parts.";
    WRITTEN_SECRET = "OH-1085" Warning "secret written in the document"
        "A secret that stands in a document is read by everybody who may read the document, and enters the history. Put it into the secret store and name it: `oauth2: { use: … }`.";
    STREAMS_IN = "OH-1086" Error "method takes a stream"
        "A gRPC method that takes a stream has no one message that could be reviewed, permitted and repeated. Call a method that takes one message; one that answers with a stream is fine.";
    PROTOCOL = "OH-1087" Error "protocol is not spoken"
        "`call: asyncapi` speaks HTTP and WebSocket. Brokers (Kafka, AMQP, MQTT, NATS and the others) are not called from a workflow: publish with `emit` and take with `listen`, and let the broker's own connector stand between.";
    UNKNOWN_TOOL = "OH-1088" Error "no such tool"
        "The server lists no tool of this name, or what it says of it cannot be used. The name of a tool is written out, so that it is known at publish what a task does; what the server says of the tool is pinned then, and a tool that changes later is not called until a new version is published.";
    STDIO = "OH-1089" Error "tool server cannot be started"
        "`transport: stdio` starts a program in the sandbox for the length of one call: without a network, without files but its own, and only when the configuration names it in `sandbox.tools`. It is started when the document is published, so that its tools can be checked and pinned, and that failed; or its command is not written out.";
    CONTAINER = "OH-1095" Error "container cannot be run"
        "`run: container` needs an engine of containers, which the configuration names in `containers.engine`, and an image that is named by its digest and was loaded before: nothing is pulled. A container gets no network, no files of this machine and no privileges, so `ports`, `volumes`, a name of its own and a life after its end are refused.";
    NOT_BUILT = "OH-1100" Error "not built yet"
        "The language has it, this version of OmniHub does not. The document is right, but cannot be published here yet.";
    EXTENSIONS = "OH-1101" Error "extensions are refused"
        "`use.extensions` would let a document change tasks from afar, behind the back of whoever reviews them.";
    CATALOGS = "OH-1102" Error "network catalogues are refused"
        "Functions come from OmniHub's own catalogue only, where they were reviewed. `use.catalogs`, `call: https://…` and `call: name:1.0.0@other` are refused.";
    EXPRESSION_LANGUAGE = "OH-1103" Error "other expression language"
        "Expressions are jq, nothing else.";
    LOOSE = "OH-1104" Error "loose mode is refused"
        "In `loose` mode any text could be an expression, also one that came from outside. Only strict mode exists.";
    EXTERNAL_RESOURCE = "OH-1105" Error "external resource is refused"
        "Schemas and scripts are part of the definition: what was reviewed is what runs. Nothing is fetched.";
    SCHEMA_FORMAT = "OH-1106" Error "other schema format"
        "Schemas are JSON Schema, `format: json`.";
    UNKNOWN_SAVEPOINT = "OH-2100" Error "no such savepoint"
        "`rollback` or `release` names a savepoint that no `checkpoint` of the same branch sets. A branch of a `fork` has a compensation stack of its own, so it sees neither the savepoints around it nor those of other branches.";
    WORD_ARGUMENTS = "OH-2101" Error "wrong arguments of a word"
        "`checkpoint` takes a `name`, `rollback` and `release` take `to` or nothing, and `on-rollback` takes `call` and `with`. Names are written out: an expression could name a savepoint that does not exist.";
    EXPORT_TWICE = "OH-2102" Warning "two branches export the same"
        "Two branches of a `fork` export the same member of `$context`. The contexts are merged in declared order, so the later branch wins, whichever was faster.";
    FUNCTION = "OH-2103" Error "function cannot be used"
        "An inline function (`use.functions`) is a `call` of a protocol or of an action, or a `run` of a `shell` or `script`. It has a name that nothing else is called by, calls itself neither directly nor through others, and is called by tasks only: compensations and probes are actions of the catalogue.";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_unique_and_have_a_page() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for pair in ALL.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} and {}", pair[0].code, pair[1].code);
        }
        for entry in ALL {
            let page = std::fs::read_to_string(pages.join(format!("{}.md", entry.code))).unwrap_or_default();
            assert!(
                page.starts_with(&format!("# {}: {}", entry.code, entry.title)),
                "{} has no page",
                entry.code
            );
            assert!(page.contains(entry.explanation), "the page of {} says something else", entry.code);
        }
    }
}
