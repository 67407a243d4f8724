//! The one form, as tables; and that no form changes what a document says.

use super::format;

#[track_caller]
fn check(text: &str, wanted: &str) {
    let written = format(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(written, wanted, "\n--- written\n{written}");
    assert_eq!(format(wanted).as_deref(), Ok(wanted), "formatting twice changes nothing");
}

#[test]
fn order_comments_and_quotes_stay() {
    check(
        "# head\n\n\na:   1   # one\nb:\n# before\n- x:    'it''s'\n  y: \"q\" # right\n# between\n-   z: plain\n      goes on\n\n      here\nempty:\n",
        "# head\n\na: 1 # one\nb:\n  # before\n  - x: 'it''s'\n    y: \"q\" # right\n  # between\n  - z: plain\n      goes on\n\n      here\nempty:\n",
    );
}

#[test]
fn brackets_on_one_line_stay_and_longer_ones_open() {
    check("a: {b: 1,c: [1,2,  3],d: {}}\n", "a: { b: 1, c: [ 1, 2, 3 ], d: {} }\n");
    check(
        "a: { b: 1, # one\n  c: [ 2,\n   3 ],\n # own\n  d: e }\nf: []\n",
        "a: # one\n  b: 1\n  c:\n    - 2\n    - 3\n  # own\n  d: e\nf: []\n",
    );
    let long = format!("a: [ {} ]\n", ["abcdefghij"; 12].join(", "));
    let open = format!("a:\n{}", "  - abcdefghij\n".repeat(12));
    check(&long, &open);
}

#[test]
fn blocks_of_text_keep_every_line() {
    check(
        "a: |    # code\n     one\n       two\n\n     # no comment\nb: >-\n\n    folded\n    more\n\n     deeper\nc: |+\n  kept\n\n\nd: 1\n",
        "a: | # code\n  one\n    two\n\n  # no comment\nb: >-\n\n  folded\n  more\n\n   deeper\nc: |+\n  kept\n\n\nd: 1\n",
    );
    check("a:\n  - |2\n      led by spaces\n    x\n", "a:\n  - |2\n      led by spaces\n    x\n");
    check("a: |\n\n\nb: ''\n", "a: \"\"\n\nb: ''\n");
}

#[test]
fn comments_stay_where_they_belong() {
    check(
        "do:\n  - a:\n      set: { x: 1 }\n      # of the task\n  # - b: off\n# of the output\noutput: { as: . }\n# end\n",
        "do:\n  - a:\n      set: { x: 1 }\n      # of the task\n  # - b: off\n# of the output\noutput: { as: . }\n# end\n",
    );
    check(
        "a: # of a\n  # of b\n  b: 1\nc: # of c\n  value # more\n",
        "a: # of a\n  # of b\n  b: 1\n# of c\nc: value # more\n",
    );
    check("x:\n-\n  # first\n  a: 1\n- - 2\n  - 3\n", "x:\n  # first\n  - a: 1\n  - - 2\n    - 3\n");
}

#[test]
fn json_stays_json() {
    check(
        r#"{"a":1e3,"b":[true,{"c":"\u00e9"}],"d":{},"e":[]}"#,
        "{\n  \"a\": 1e3,\n  \"b\": [\n    true,\n    {\n      \"c\": \"\\u00e9\"\n    }\n  ],\n  \"d\": {},\n  \"e\": []\n}\n",
    );
    check("{a: 1, # not JSON\n b: 2}", "a: 1 # not JSON\nb: 2\n");
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    for (text, code) in [
        ("a: [1\n", "OH-1001"),
        ("a: 1\na: 2\n", "OH-1002"),
        ("a: &x 1\n", "OH-1003"),
        ("a: !x 1\n", "OH-1004"),
        ("", "OH-1006"),
    ] {
        let problems = format(text).expect_err("it cannot be read");
        assert_eq!(problems[0].code, code, "{text}");
        assert!(problems[0].line > 0);
    }
}

/// Windows line ends, tabs, marks of a document, odd keys, text that only looks like something else.
#[test]
fn odd_documents_keep_their_meaning() {
    for text in [
        "---\na: 1\n...\n",
        "a: 1\r\nb:\r\n  - x\r\n  - 'y\r\n    z'\r\n",
        "'a b': 1\n\"c\\\"d\": 2\n? e\n: 3\n? |\n  f\n  g\n: 4\n",
        "a: \"one \\\n   two\\n\n\n   three\"\n",
        "a: >\n   x\n\n\n\n   y\n    z\n   w\n\nb: |-\n   x\n",
        "- [a: b, c]\n- {d, e: }\n- [[], {}, [[]]]\n",
        "a: 'b: c # d'\ne: f#g\nh: -1\ni: ~\nj: null\nk: no\n",
        "a:\n\n\n\n  b: 1\n\n\n\nc: 2\n",
        "plain\n",
        "---\n\n# remark\n",
        " ...\n    3\n",
        "    ---\n{}\n",
        " ... a: b\n",
        " a:\n    ---\n    b\n",
        " ' ---\n'\n",
        "a:\n  |\n  - x: 1\n\n\n    \n",
        "a: |+\n  x\n   \n\nb: 1\n",
        "- |\n a\n-\n - b\n - c\n-\n d: 1\n",
        "a:\n  - x # 1\n  # 2\n\n  # 3\n  - y # 4\n    # 5\n",
        "a: [ # 1\n # 2\n 1, # 3\n 2 # 4\n ] # 5\nb: 1\n",
    ] {
        let written = format(text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
        let again = format(&written).unwrap_or_else(|problems| panic!("{written}\n{problems:#?}"));
        assert_eq!(again, written, "{text}");
    }
}
