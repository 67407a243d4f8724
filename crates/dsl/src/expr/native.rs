//! The built-in functions: those the machine knows by heart, those written in the language itself, those refused.

/// A function the machine performs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Native {
    // Generators and paths: they see their arguments as filters.
    Empty,
    Path,
    Range,
    Recurse,
    RecurseWith,
    Limit,
    First,
    Until,
    While,
    Repeat,
    Any,
    All,
    // Functions of values.
    Getpath,
    Error,
    ErrorWith,
    Not,
    Length,
    Utf8Length,
    Keys,
    KeysUnsorted,
    Has,
    Contains,
    Add,
    Flatten,
    Sort,
    SortBy,
    GroupBy,
    UniqueBy,
    MinBy,
    MaxBy,
    Reverse,
    Type,
    Tostring,
    Tonumber,
    Tojson,
    Fromjson,
    Downcase,
    Upcase,
    Explode,
    Implode,
    Ltrimstr,
    Rtrimstr,
    Trim,
    Ltrim,
    Rtrim,
    Startswith,
    Endswith,
    Split,
    Join,
    Match,
    Indices,
    Floor,
    Ceil,
    Round,
    Sqrt,
    Pow,
    Log,
    Log2,
    Log10,
    Exp,
    Exp2,
    Exp10,
    Abs,
    Trunc,
    Isnan,
    Isinfinite,
    Isnormal,
    Infinite,
    Nan,
    Transpose,
    Setpath,
    Delpaths,
    Todate,
    Fromdate,
    Format,
}

impl Native {
    /// True for those that take filters or give other than one value.
    pub(super) fn generates(self) -> bool {
        matches!(
            self,
            Native::Empty
                | Native::Path
                | Native::Range
                | Native::Recurse
                | Native::RecurseWith
                | Native::Limit
                | Native::First
                | Native::Until
                | Native::While
                | Native::Repeat
                | Native::Any
                | Native::All
        )
    }

    pub(super) fn named(name: &str, arity: usize) -> Option<Native> {
        NATIVES.iter().find(|(n, a, _)| *n == name && *a == arity).map(|(_, _, native)| *native)
    }
}

/// Name, number of arguments, function. Names that start with `_` are for the prelude only.
const NATIVES: &[(&str, usize, Native)] = &[
    ("empty", 0, Native::Empty),
    ("path", 1, Native::Path),
    ("range", 1, Native::Range),
    ("range", 2, Native::Range),
    ("range", 3, Native::Range),
    ("recurse", 0, Native::Recurse),
    ("recurse", 1, Native::RecurseWith),
    ("limit", 2, Native::Limit),
    ("first", 1, Native::First),
    ("until", 2, Native::Until),
    ("while", 2, Native::While),
    ("repeat", 1, Native::Repeat),
    ("any", 2, Native::Any),
    ("all", 2, Native::All),
    ("getpath", 1, Native::Getpath),
    ("error", 0, Native::Error),
    ("error", 1, Native::ErrorWith),
    ("not", 0, Native::Not),
    ("length", 0, Native::Length),
    ("utf8bytelength", 0, Native::Utf8Length),
    ("keys", 0, Native::Keys),
    ("keys_unsorted", 0, Native::KeysUnsorted),
    ("has", 1, Native::Has),
    ("contains", 1, Native::Contains),
    ("add", 0, Native::Add),
    ("flatten", 0, Native::Flatten),
    ("flatten", 1, Native::Flatten),
    ("sort", 0, Native::Sort),
    ("_sort_by", 1, Native::SortBy),
    ("_group_by", 1, Native::GroupBy),
    ("_unique_by", 1, Native::UniqueBy),
    ("_min_by", 1, Native::MinBy),
    ("_max_by", 1, Native::MaxBy),
    ("reverse", 0, Native::Reverse),
    ("type", 0, Native::Type),
    ("tostring", 0, Native::Tostring),
    ("tonumber", 0, Native::Tonumber),
    ("tojson", 0, Native::Tojson),
    ("fromjson", 0, Native::Fromjson),
    ("ascii_downcase", 0, Native::Downcase),
    ("ascii_upcase", 0, Native::Upcase),
    ("explode", 0, Native::Explode),
    ("implode", 0, Native::Implode),
    ("ltrimstr", 1, Native::Ltrimstr),
    ("rtrimstr", 1, Native::Rtrimstr),
    ("trim", 0, Native::Trim),
    ("ltrim", 0, Native::Ltrim),
    ("rtrim", 0, Native::Rtrim),
    ("startswith", 1, Native::Startswith),
    ("endswith", 1, Native::Endswith),
    ("split", 1, Native::Split),
    ("join", 1, Native::Join),
    ("_match", 3, Native::Match),
    ("indices", 1, Native::Indices),
    ("floor", 0, Native::Floor),
    ("ceil", 0, Native::Ceil),
    ("round", 0, Native::Round),
    ("sqrt", 0, Native::Sqrt),
    ("pow", 2, Native::Pow),
    ("log", 0, Native::Log),
    ("log2", 0, Native::Log2),
    ("log10", 0, Native::Log10),
    ("exp", 0, Native::Exp),
    ("exp2", 0, Native::Exp2),
    ("exp10", 0, Native::Exp10),
    ("abs", 0, Native::Abs),
    ("fabs", 0, Native::Abs),
    ("trunc", 0, Native::Trunc),
    ("isnan", 0, Native::Isnan),
    ("isinfinite", 0, Native::Isinfinite),
    ("isnormal", 0, Native::Isnormal),
    ("infinite", 0, Native::Infinite),
    ("nan", 0, Native::Nan),
    ("transpose", 0, Native::Transpose),
    ("setpath", 2, Native::Setpath),
    ("delpaths", 1, Native::Delpaths),
    ("todateiso8601", 0, Native::Todate),
    ("todate", 0, Native::Todate),
    ("fromdateiso8601", 0, Native::Fromdate),
    ("fromdate", 0, Native::Fromdate),
    ("format", 1, Native::Format),
];

/// Functions written in the language: name, parameters, body. Each is parsed when an expression first uses it.
pub(super) const PRELUDE: &[(&str, &[&str], &str)] = &[
    ("map", &["f"], "[.[] | f]"),
    ("select", &["f"], "if f then . else empty end"),
    ("map_values", &["f"], ".[] |= f"),
    ("recurse", &["f", "c"], "recurse(f | select(c))"),
    ("values", &[], "select(. != null)"),
    ("nulls", &[], "select(. == null)"),
    ("booleans", &[], "select(type == \"boolean\")"),
    ("numbers", &[], "select(type == \"number\")"),
    ("strings", &[], "select(type == \"string\")"),
    ("arrays", &[], "select(type == \"array\")"),
    ("objects", &[], "select(type == \"object\")"),
    ("iterables", &[], "select(type | . == \"array\" or . == \"object\")"),
    ("scalars", &[], "select(type | . != \"array\" and . != \"object\")"),
    ("in", &["x"], ". as $k | x | has($k)"),
    ("inside", &["x"], ". as $v | x | contains($v)"),
    ("add", &["f"], "reduce f as $x (null; . + $x)"),
    ("any", &[], "any(.[]; .)"),
    ("any", &["f"], "any(.[]; f)"),
    ("all", &[], "all(.[]; .)"),
    ("all", &["f"], "all(.[]; f)"),
    ("isempty", &["g"], "[first(g)] | length == 0"),
    ("first", &[], ".[0]"),
    ("last", &[], ".[-1]"),
    ("last", &["f"], "reduce f as $x (null; $x)"),
    ("nth", &["$n"], ".[$n]"),
    (
        "nth",
        &["$n", "f"],
        "if $n < 0 then error(\"nth does not take a negative index\") else last(limit($n + 1; f)) end",
    ),
    ("del", &["f"], "delpaths([path(f)])"),
    ("paths", &[], "path(..) | select(length > 0)"),
    ("paths", &["f"], ". as $v | path(..) | select(length > 0) | select(. as $p | $v | getpath($p) | f)"),
    ("leaf_paths", &[], "paths(type | . != \"array\" and . != \"object\")"),
    ("pick", &["f"], ". as $v | reduce path(f) as $p (null; setpath($p; $v | getpath($p)))"),
    ("to_entries", &[], "[. as $o | keys_unsorted[] as $k | {key: $k, value: $o[$k]}]"),
    (
        "from_entries",
        &[],
        "reduce .[] as $e ({}; . + {($e | if type == \"object\" then
            (if .key != null then .key elif .k != null then .k elif .name != null then .name
             elif .Name != null then .Name elif .Key != null then .Key elif .K != null then .K
             elif has(\"key\") then .key elif has(\"k\") then .k else null end)
            else error(\"cannot take an entry from \" + type) end
            | if type == \"string\" then . else tojson end):
          ($e | if has(\"value\") then .value elif has(\"v\") then .v else .Value end)})",
    ),
    ("with_entries", &["f"], "to_entries | map(f) | from_entries"),
    (
        "walk",
        &["f"],
        "def w: (if type == \"object\" then map_values(w) elif type == \"array\" then map(w) else . end) | f; w",
    ),
    ("sort_by", &["f"], "_sort_by(map([f]))"),
    ("group_by", &["f"], "_group_by(map([f]))"),
    ("unique_by", &["f"], "_unique_by(map([f]))"),
    ("unique", &[], "_unique_by(map([.]))"),
    ("min_by", &["f"], "_min_by(map([f]))"),
    ("max_by", &["f"], "_max_by(map([f]))"),
    ("min", &[], "_min_by(map([.]))"),
    ("max", &[], "_max_by(map([.]))"),
    ("index", &["$i"], "indices($i) | .[0]"),
    ("rindex", &["$i"], "indices($i) | .[-1:][0]"),
    ("ascii", &[], "[.] | implode"),
    (
        "combinations",
        &[],
        "if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $w | [$x] + $w end",
    ),
    ("combinations", &["n"], ". as $dot | [range(n)] | map($dot) | combinations"),
    ("test", &["$re"], "_match($re; null; true)"),
    ("test", &["$re", "$flags"], "_match($re; $flags; true)"),
    ("match", &["$re"], "_match($re; null; false) | .[]"),
    ("match", &["$re", "$flags"], "_match($re; $flags; false) | .[]"),
    ("_named", &[], "[.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries"),
    ("capture", &["$re"], "match($re) | _named"),
    ("capture", &["$re", "$flags"], "match($re; $flags) | _named"),
    ("scan", &["$re"], "scan($re; null)"),
    (
        "scan",
        &["$re", "$flags"],
        "match($re; \"g\" + $flags) | if (.captures | length) > 0 then [.captures[].string] else .string end",
    ),
    ("sub", &["$re", "s"], "sub($re; s; null)"),
    (
        "sub",
        &["$re", "s", "$flags"],
        ". as $in | reduce match($re; $flags) as $m ([0, \"\"];
            [$m.offset + $m.length, .[1] + $in[.[0]:$m.offset] + ($m | _named | s)])
         | .[1] + $in[.[0]:]",
    ),
    ("gsub", &["$re", "s"], "sub($re; s; \"g\")"),
    ("gsub", &["$re", "s", "$flags"], "sub($re; s; $flags + \"g\")"),
    (
        "splits",
        &["$re", "$flags"],
        ". as $s | [0, (match($re; \"g\" + $flags) | .offset, .offset + .length), ($s | length)] as $at
         | range(0; $at | length; 2) as $i | $s[$at[$i]:$at[$i + 1]]",
    ),
    ("splits", &["$re"], "splits($re; null)"),
    ("split", &["$re", "$flags"], "[splits($re; $flags)]"),
];

/// What other jq programs may call and why expressions here may not.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "env" | "$ENV" => "expressions cannot see the environment of the server; pass the value as input",
        "input" | "inputs" => "an expression has one input; use `.` or a variable",
        "now" | "localtime" | "mktime" | "gmtime" | "strftime" | "strptime" | "strflocaltime" | "date" => {
            "expressions have no clock and no calendar; use `$workflow.startedAt`, `todate` or `fromdate`"
        }
        "halt" | "halt_error" => "an expression cannot stop the server; use `error(\"…\")`",
        "debug" | "stderr" | "input_line_number" | "input_filename" | "$__loc__" | "$__prog_args" => {
            "expressions have no side channel; put what you need into the result"
        }
        "import" | "include" | "module" | "modulemeta" | "get_search_list" => {
            "expressions have no modules; define functions with `def` inside the expression"
        }
        "rand" | "random" => "expressions have no randomness; results are recomputed on replay",
        _ => return None,
    })
}

/// The known name with this arity nearest to `name`, or the same name with other arguments.
pub(super) fn nearest<'a>(name: &str, local: impl Iterator<Item = &'a str>) -> Option<String> {
    let known =
        NATIVES.iter().map(|n| n.0).chain(PRELUDE.iter().map(|p| p.0)).filter(|n| !n.starts_with('_'));
    let (distance, best) = known.chain(local).map(|other| (distance(name, other), other)).min()?;
    (distance <= 1 + name.len() / 4).then(|| best.to_owned())
}

/// Levenshtein distance; names longer than 64 bytes are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (corner + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            corner = above;
        }
    }
    row[b.len()]
}
