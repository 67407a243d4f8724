//! Tables: descriptions in, requests out.

use model::{Label, Value};
use serde_json::{Value as Json, json};

use super::{Document, UnknownOperation};

fn document(json: &Json) -> Document {
    Document::read("https://docs.test/specs/api.json", &json.to_string()).expect("a description")
}

/// A 3.0 description with one operation `op`: `GET /things/{id}` with these parameters.
fn three(parameters: Json) -> Document {
    let mut parameters = parameters.as_array().cloned().unwrap_or_default();
    parameters.push(json!({"name": "id", "in": "path", "schema": {"type": "string"}}));
    document(&json!({
        "openapi": "3.0.3", "servers": [{"url": "https://api.test/v1"}],
        "paths": {"/things/{id}": {"get": {"operationId": "op", "parameters": parameters, "responses": {}}}},
    }))
}

fn value(json: &Json) -> Value {
    Value::from_json(json, Label::CALLER)
}

/// `METHOD uri | header: value | body`, or what does not fit.
fn built(document: &Document, arguments: &Json) -> String {
    let operation = document.operation("op").expect("there is an operation `op`");
    match operation.request(&value(arguments)) {
        Ok(built) => {
            let mut line = format!("{} {}", operation.method, built.uri);
            for (name, value) in &built.headers {
                line.push_str(&format!(" | {name}: {value}"));
            }
            if let Some(body) = &built.body {
                line.push_str(&format!(" | {body}"));
            }
            line
        }
        Err(misfit) => format!("{}: {}", misfit.message, misfit.hint.unwrap_or_default()),
    }
}

#[test]
fn every_style_writes_every_kind_of_value() {
    let (text, list, object) = (json!("a b"), json!(["a", "b&", 3]), json!({"r": 100, "g": "x/y"}));
    let table = [
        ("query", "form", true, "q=a%20b", "q=a&q=b%26&q=3", "r=100&g=x%2Fy"),
        ("query", "form", false, "q=a%20b", "q=a,b%26,3", "q=r,100,g,x%2Fy"),
        ("query", "spaceDelimited", false, "q=a%20b", "q=a%20b%26%203", "q=r%20100%20g%20x%2Fy"),
        ("query", "pipeDelimited", false, "q=a%20b", "q=a%7Cb%26%7C3", "q=r%7C100%7Cg%7Cx%2Fy"),
        ("query", "deepObject", true, "!", "!", "q%5Br%5D=100&q%5Bg%5D=x%2Fy"),
    ];
    for (at, style, explode, one, many, members) in table {
        let api = three(json!([{"name": "q", "in": at, "style": style, "explode": explode}]));
        for (given, wanted) in [(&text, one), (&list, many), (&object, members)] {
            let found = built(&api, &json!({"id": "7", "q": given}));
            match wanted {
                "!" => assert!(found.contains("must be an object"), "{style}: {found}"),
                wanted => assert_eq!(
                    found,
                    format!("GET https://api.test/v1/things/7?{wanted}"),
                    "{style} {explode}"
                ),
            }
        }
    }
    let paths = [
        ("simple", false, "a%20b", "a,b%26,3", "r,100,g,x%2Fy"),
        ("simple", true, "a%20b", "a,b%26,3", "r=100,g=x%2Fy"),
        ("label", false, ".a%20b", ".a,b%26,3", ".r,100,g,x%2Fy"),
        ("label", true, ".a%20b", ".a.b%26.3", ".r=100.g=x%2Fy"),
        ("matrix", false, ";p=a%20b", ";p=a,b%26,3", ";p=r,100,g,x%2Fy"),
        ("matrix", true, ";p=a%20b", ";p=a;p=b%26;p=3", ";r=100;g=x%2Fy"),
    ];
    for (style, explode, one, many, members) in paths {
        let api = document(&json!({
            "openapi": "3.1.0", "servers": [{"url": "https://api.test"}],
            "paths": {"/a/{p}/b": {"get": {"operationId": "op", "parameters": [
                {"name": "p", "in": "path", "style": style, "explode": explode, "required": true}]}}},
        }));
        for (given, wanted) in [(&text, one), (&list, many), (&object, members)] {
            let found = built(&api, &json!({"p": given}));
            assert_eq!(found, format!("GET https://api.test/a/{wanted}/b"), "{style} {explode}");
        }
    }
    let api = three(json!([
        {"name": "X-List", "in": "header"}, {"name": "X-Map", "in": "header", "explode": true},
        {"name": "sid", "in": "cookie"}, {"name": "more", "in": "cookie", "explode": false},
        {"name": "filter", "in": "query", "content": {"application/json": {}}},
        {"name": "raw", "in": "query", "allowReserved": true},
    ]));
    let given = json!({"id": "7", "X-List": ["a", 1], "X-Map": {"a": true}, "sid": "s 1", "more": ["x", "y"],
        "filter": {"a": [1]}, "raw": "/x?y&z#"});
    assert_eq!(
        built(&api, &given),
        "GET https://api.test/v1/things/7?filter=%7B%22a%22%3A%5B1%5D%7D&raw=/x?y%26z%23 \
         | X-List: a,1 | X-Map: a=true | Cookie: sid=s%201; more=x,y"
    );
}

#[test]
fn two_writes_lists_by_collection_format_and_finds_its_base() {
    let table = [
        (json!("csv"), "q=a,b"),
        (json!("ssv"), "q=a%20b"),
        (json!("tsv"), "q=a%09b"),
        (json!("pipes"), "q=a%7Cb"),
        (json!("multi"), "q=a&q=b"),
    ];
    for (format, wanted) in table {
        let api = document(&json!({
            "swagger": "2.0", "host": "api.test:8443", "basePath": "/v2", "schemes": ["http", "https"],
            "paths": {"/things": {"get": {"operationId": "op", "parameters": [
                {"name": "q", "in": "query", "type": "array", "collectionFormat": format}]}}},
        }));
        assert_eq!(
            built(&api, &json!({"q": ["a", "b"]})),
            format!("GET https://api.test:8443/v2/things?{wanted}")
        );
    }
    let bases = [
        (json!({}), "GET https://docs.test/things"),
        (json!({"host": "a.test"}), "GET https://a.test/things"),
        (json!({"host": "a.test", "schemes": ["http"]}), "GET http://a.test/things"),
        (json!({"basePath": "/x/"}), "GET https://docs.test/x/things"),
    ];
    for (head, wanted) in bases {
        let mut api = json!({"swagger": "2.0", "paths": {"/things": {"get": {"operationId": "op"}}}});
        api.as_object_mut().expect("an object").extend(head.as_object().expect("an object").clone());
        assert_eq!(built(&document(&api), &json!({})), wanted);
    }
    let wrong = document(
        &json!({"swagger": "2.0", "schemes": ["ws"], "paths": {"/t": {"get": {"operationId": "op"}}}}),
    );
    assert!(matches!(wrong.operation("op"), Err(UnknownOperation::Broken(_))));
}

#[test]
fn servers_are_found_and_their_variables_filled() {
    let table = [
        (
            json!([{"url": "https://{region}.api.test/{base}", "variables":
            {"region": {"default": "eu", "enum": ["eu", "us"]}, "base": {"default": "v1"}}}]),
            json!({}),
            "GET https://eu.api.test/v1/t",
        ),
        (
            json!([{"url": "https://{region}.api.test", "variables": {"region": {"default": "eu", "enum": ["eu", "us"]}}}]),
            json!({"server:region": "us"}),
            "GET https://us.api.test/t",
        ),
        (
            json!([{"url": "https://{region}.api.test", "variables": {"region": {"default": "eu", "enum": ["eu", "us"]}}}]),
            json!({"server:region": "evil.test/"}),
            "`evil.test/` is not allowed for `server:region`: write one of `eu`, `us`",
        ),
        (
            json!([{"url": "https://{h}.api.test", "variables": {"h": {"default": "a"}}}]),
            json!({"server:h": "x@evil.test/"}),
            "`server:h` may hold letters, digits, `-`, `_` and `.`: ",
        ),
        (json!([{"url": "/v3/"}]), json!({}), "GET https://docs.test/v3/t"),
        (json!([{"url": "v3"}]), json!({}), "GET https://docs.test/specs/v3/t"),
        (json!([]), json!({}), "GET https://docs.test/t"),
    ];
    for (servers, arguments, wanted) in table {
        let api = document(
            &json!({"openapi": "3.0.0", "servers": servers, "paths": {"/t": {"get": {"operationId": "op"}}}}),
        );
        assert_eq!(built(&api, &arguments), wanted);
    }
    let api = document(&json!({"openapi": "3.0.0", "servers": [{"url": "https://a.test"}],
        "paths": {"/t": {"servers": [{"url": "https://b.test"}], "get": {"operationId": "op", "servers": [{"url": "https://c.test"}]}}}}));
    assert_eq!(built(&api, &json!({})), "GET https://c.test/t");
}

#[test]
fn bodies_are_written_by_their_kind() {
    let body = |content: Json| {
        document(&json!({"openapi": "3.0.0", "servers": [{"url": "https://a.test"}], "paths": {"/t": {"post":
            {"operationId": "op", "requestBody": {"required": true, "content": content}}}}}))
    };
    let fields = json!({"body": {"a": "x y", "b": [1, 2], "c": {"d": true}, "n": null}});
    let table = [
        (
            json!({"text/plain": {}, "application/json": {}}),
            &fields,
            "POST https://a.test/t | Content-Type: application/json | {\"a\":\"x y\",\"b\":[1,2],\"c\":{\"d\":true},\"n\":null}",
        ),
        (
            json!({"application/x-www-form-urlencoded": {}}),
            &fields,
            "POST https://a.test/t | Content-Type: application/x-www-form-urlencoded | \"a=x%20y&b=1&b=2&c=%7B%22d%22%3Atrue%7D\"",
        ),
        (
            json!({"application/x-www-form-urlencoded": {"encoding": {"b": {"explode": false}}}}),
            &json!({"body": {"b": [1, 2]}}),
            "POST https://a.test/t | Content-Type: application/x-www-form-urlencoded | \"b=1,2\"",
        ),
        (
            json!({"text/csv": {}}),
            &json!({"body": "a,b"}),
            "POST https://a.test/t | Content-Type: text/csv | \"a,b\"",
        ),
        (
            json!({"text/csv": {}}),
            &fields,
            "the body: it is a object and must be text, since it is sent as `text/csv`: ",
        ),
        (
            json!({"application/json": {}}),
            &json!({}),
            "the operation `op` needs `body` (body): add `body` to `parameters`",
        ),
        (
            json!({"*/*": {}}),
            &json!({"body": [1]}),
            "POST https://a.test/t | Content-Type: application/json | [1]",
        ),
    ];
    for (content, arguments, wanted) in table {
        assert_eq!(built(&body(content), arguments), wanted);
    }
    let api = body(json!({"multipart/form-data": {
        "schema": {"properties": {"file": {"type": "string", "format": "binary"}}},
        "encoding": {"meta": {"contentType": "application/problem+json"}}}}));
    let operation = api.operation("op").expect("an operation");
    let arguments = value(&json!({"body": {"file": "bytes", "tags": ["a", "b"], "meta": {"k": 1}}}));
    let request = operation.request(&arguments).expect("it fits");
    let (_, media) = &request.headers[0];
    let boundary = media.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
    let text = request.body.as_ref().and_then(|body| body.as_str()).expect("text").to_owned();
    let parts = [
        "Content-Disposition: form-data; name=\"file\"; filename=\"file\"\r\nContent-Type: application/octet-stream\r\n\r\nbytes",
        "Content-Disposition: form-data; name=\"tags\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\na",
        "Content-Disposition: form-data; name=\"tags\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nb",
        "Content-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/problem+json\r\n\r\n{\"k\":1}",
    ];
    let wanted: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
    assert_eq!(text, format!("{wanted}--{boundary}--\r\n"));
    assert_eq!(operation.request(&arguments).expect("it fits"), request, "the same parts make the same body");
    assert!(request.body.as_ref().is_some_and(|body| body.label == Label::CALLER), "origins are kept");
}

#[test]
fn forms_of_two_take_their_fields_from_the_parameters() {
    let api = |consumes: Json, kind: &str| {
        document(
            &json!({"swagger": "2.0", "host": "a.test", "schemes": ["https"], "consumes": consumes, "paths": {"/t/{id}": {"post":
            {"operationId": "op", "parameters": [
                {"name": "id", "in": "path", "type": "string", "required": true},
                {"name": "name", "in": "formData", "type": "string", "required": true},
                {"name": "tag", "in": "formData", "type": kind, "collectionFormat": "csv"}]}}}}),
        )
    };
    let urlencoded = api(json!(["application/x-www-form-urlencoded"]), "array");
    assert_eq!(
        built(&urlencoded, &json!({"id": 7, "name": "a&b", "tag": ["x", "y"]})),
        "POST https://a.test/t/7 | Content-Type: application/x-www-form-urlencoded | \"name=a%26b&tag=x,y\""
    );
    assert_eq!(
        built(&urlencoded, &json!({"id": 7})),
        "the operation `op` needs `name` (form): add `name` to `parameters`"
    );
    let parts = api(json!(["multipart/form-data"]), "file");
    let found = built(&parts, &json!({"id": 7, "name": "n", "tag": "bytes"}));
    assert!(
        found.contains("multipart/form-data; boundary=") && found.contains("filename=\\\"tag\\\""),
        "{found}"
    );
    let named = document(
        &json!({"swagger": "2.0", "host": "a.test", "schemes": ["https"], "paths": {"/t": {"post":
        {"operationId": "op", "parameters": [{"name": "pet", "in": "body", "required": true, "schema": {}}]}}}}),
    );
    assert_eq!(
        built(&named, &json!({"pet": {"id": 1}})),
        "POST https://a.test/t | Content-Type: application/json | {\"id\":1}"
    );
}

#[test]
fn what_does_not_fit_is_told_with_what_to_write() {
    let api = three(json!([
        {"name": "status", "in": "query", "required": true}, {"name": "id", "in": "query"}, {"name": "Accept", "in": "header"},
    ]));
    let table = [
        (
            json!({"path:id": 1, "statuss": "x"}),
            "the operation `op` has no parameter `statuss`: did you mean `status`?",
        ),
        (json!({"path:id": 1}), "the operation `op` needs `status` (query): add `status` to `parameters`"),
        (
            json!({"id": 1, "status": "x"}),
            "`id` is a parameter in query and in path: write `query:id` and `path:id`",
        ),
        (
            json!({"path:id": null, "status": "x"}),
            "the operation `op` needs `id` (path): add `id` to `parameters`",
        ),
        (json!({"path:id": "", "status": "x"}), "`id` is empty, and the path without it is another one: "),
        (
            json!({"path:id": "..", "status": "x"}),
            "`id` makes a dot segment, which would lead out of its place in the path: ",
        ),
        (json!({"path:id": "../x", "status": "x"}), "GET https://api.test/v1/things/..%2Fx?status=x"),
        (
            json!({"path:id": [[1]], "status": "x"}),
            "`id`: `0` is a array and must be text, a number or a boolean: ",
        ),
        (
            json!({"path:id": 1, "status": "x", "Accept": "y"}),
            "the operation `op` has no parameter `Accept`: it takes `id`, `status`",
        ),
        (json!([1]), "the parameters are a array and must be an object: "),
    ];
    for (arguments, wanted) in table {
        assert_eq!(built(&api, &arguments), wanted);
    }
    let none = document(
        &json!({"openapi": "3.0.0", "paths": {"/t": {"get": {"operationId": "getThings"}, "put": {}}}}),
    );
    let missing = |id: &str| match none.operation(id) {
        Err(UnknownOperation::Missing(hint)) => hint,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing("getThing"), "did you mean `getThings`?");
    assert_eq!(missing("x"), "it has for example `getThings`");
}

#[test]
fn references_are_followed_and_never_for_ever() {
    let api = document(&json!({
        "openapi": "3.1.0", "servers": [{"url": "https://a.test"}],
        "paths": {"/t/{p}": {"$ref": "#/components/pathItems/T"}},
        "components": {
            "pathItems": {"T": {"parameters": [{"$ref": "#/components/parameters/P%20one"}],
                "post": {"operationId": "op", "parameters": [{"$ref": "#/components/parameters/over"}],
                    "requestBody": {"$ref": "#/components/requestBodies/b~1c"}, "responses": {"200": {"$ref": "#/components/responses/R"}}}}},
            "parameters": {"P one": {"name": "p", "in": "path", "required": true, "style": "label"}, "over": {"$ref": "#/components/parameters/last"},
                "last": {"name": "p", "in": "path", "required": true, "style": "matrix"}},
            "requestBodies": {"b/c": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}}},
            "schemas": {"S": {"type": "object", "properties": {"s": {"type": "array", "items": {"$ref": "#/components/schemas/S"}}}}},
            "responses": {"R": {"content": {"application/json": {}, "text/plain": {}}}},
        },
    }));
    assert_eq!(
        built(&api, &json!({"p": 1, "body": {}})),
        "POST https://a.test/t/;p=1 | Accept: application/json, text/plain | Content-Type: application/json | {}"
    );
    let broken = |reference: &str| {
        let api = document(
            &json!({"openapi": "3.0.0", "paths": {"/t": {"get": {"operationId": "op", "parameters": [{"$ref": reference}]}}},
            "components": {"parameters": {"A": {"$ref": "#/components/parameters/B"}, "B": {"$ref": "#/components/parameters/A"}}}}),
        );
        match api.operation("op") {
            Err(UnknownOperation::Broken(why)) => why.0,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(broken("#/components/parameters/A"), "a `$ref` leads to itself");
    assert_eq!(broken("#/nowhere"), "`$ref: #/nowhere` leads nowhere");
    assert!(broken("other.json#/A").contains("leads to another document"));
}

#[test]
fn what_is_no_description_is_told() {
    let deep = format!("{{\"openapi\":\"3.0.0\",\"x\":{}1{}}}", "[".repeat(80), "]".repeat(80));
    let wide = json!({"openapi": "3.0.0", "x": vec![1; 200_001]}).to_string();
    let large = " ".repeat(4 * 1024 * 1024 + 1);
    let table = [
        ("{}", "neither `openapi` nor `swagger`"),
        ("openapi: 4.0.0", "OpenAPI `4.0.0` is not supported"),
        ("swagger: '1.2'", "OpenAPI `1.2` is not supported"),
        ("a: [", "line"),
        ("<html>", "neither `openapi` nor `swagger`"),
        (deep.as_str(), "inside each other"),
        (wide.as_str(), "more than 200000 values"),
        (large.as_str(), "the limit is 4194304"),
    ];
    for (text, wanted) in table {
        let told = Document::read("https://a.test/api", text).expect_err("it is no description").0;
        assert!(told.contains(wanted), "{}: {told}", &text[..text.len().min(60)]);
    }
    let two = document(
        &json!({"openapi": "3.0.0", "paths": {"/a": {"get": {"operationId": "op"}}, "/b": {"get": {"operationId": "op"}}}}),
    );
    assert!(
        matches!(two.operation("op"), Err(UnknownOperation::Broken(why)) if why.0.contains("two operations"))
    );
    let unplaced =
        document(&json!({"openapi": "3.0.0", "paths": {"/a/{x}": {"get": {"operationId": "op"}}}}));
    assert!(matches!(unplaced.operation("op"), Err(UnknownOperation::Broken(why)) if why.0.contains("{x}")));
}
