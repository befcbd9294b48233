//! Descriptions of a few lines each, and what they become.

use std::collections::HashMap;

use super::*;

/// Files in memory; a name is its path from the folder of the description.
struct Files(HashMap<&'static str, &'static str>);

impl Resolver for Files {
    fn get(
        &mut self,
        from: &str,
        reference: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Vec<u8>>), String> {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let name = format!("{folder}/{reference}").replace("/./", "/").trim_start_matches('/').to_owned();
        let text = self.0.get(name.as_str()).ok_or_else(|| format!("`{reference}` cannot be read"))?;
        let text = wanted(&name).then(|| text.as_bytes().to_vec());
        Ok((name, text))
    }
}

fn read_with(text: &str, options: &Options, files: &[(&'static str, &'static str)]) -> Description {
    read(text.as_bytes(), options, &mut Files(files.iter().copied().collect()))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn shown(description: &Description) -> Vec<String> {
    description
        .operations
        .iter()
        .map(|operation| {
            let method = operation.method.map_or("ANY", |method| method.as_str());
            format!("{method} {} {}", operation.template, operation.name.as_deref().unwrap_or("-"))
        })
        .collect()
}

/// `expected` are operations, `faults` parts of what was left out or changed.
fn check(text: &str, expected: &[&str], faults: &[&str]) {
    check_files(text, &[], expected, faults);
}

fn check_files(text: &str, files: &[(&'static str, &'static str)], expected: &[&str], faults: &[&str]) {
    let found = read_with(text, &Options::default(), files);
    assert_eq!(shown(&found), expected, "{text}");
    let said: Vec<String> = found
        .left_out
        .listed
        .iter()
        .chain(&found.changed.listed)
        .map(|finding| format!("{}: {}", finding.place, finding.message))
        .collect();
    assert_eq!(said.len(), faults.len(), "{text}: {said:?}");
    for (said, expected) in said.iter().zip(faults) {
        assert!(said.contains(expected), "{text}: {said:?} lacks {expected:?}");
    }
}

#[test]
fn methods_templates_and_names() {
    check(
        "openapi: 3.0.3\npaths:\n  /users/{id}:\n    parameters: []\n    summary: x\n    x-note: {get: {}}\n    get: {operationId: getUser}\n    delete:\n  /a:\n    post: {operationId: ' '}\n",
        &["GET /users/{id} getUser", "DELETE /users/{id} -", "POST /a -"],
        &[],
    );
    check(
        "{\"swagger\": \"2.0\", \"paths\": {\"/z\": {\"get\": {}}, \"/a\": {\"get\": {}}}}",
        &["GET /z -", "GET /a -"],
        &[],
    );
    check(
        "paths: {/a: {get: {}, trace: {}, head: {}, options: {}, patch: {}, put: {}}}",
        &["GET /a -", "TRACE /a -", "HEAD /a -", "OPTIONS /a -", "PATCH /a -", "PUT /a -"],
        &[],
    );
    check("openapi: 3.1.0\ninfo: {title: x}\nwebhooks: {new: {post: {}}}\n", &[], &[]);
    check("paths: {/a: {GET: {}}, x-hidden: {get: {}}}", &["GET /a -"], &[]);
}

#[test]
fn methods_that_cannot_be_declared() {
    check(
        "openapi: 3.2.0\npaths: {/a: {get: {operationId: x}, query: {operationId: q}, additionalOperations: {COPY: {}, CONNECT: {}}}}",
        &["GET /a x", "CONNECT /a -"],
        &["QUERY /a: QUERY cannot be declared", "COPY /a: COPY cannot be declared"],
    );
    check("paths: {/a: {query: {operationId: q}}}", &["ANY /a q"], &["the route is for any method"]);
    check(
        "paths: {/a: {additionalOperations: {COPY: {}, MOVE: {}}}}",
        &["ANY /a -"],
        &["MOVE cannot be declared", "the route is for any method"],
    );
}

#[test]
fn one_bad_path_does_not_fail_the_others() {
    check(
        "paths:\n  /a: 7\n  /b: {get: 7}\n  /c: {fetch: {}}\n  /d{: {get: {}}\n  /e: [x]\n  /f:\n  /g: {get: {}}\n",
        &["GET /g -"],
        &[
            "/a: the path item is no object",
            "GET /b: the operation is no object",
            "fetch /c: this is no method",
            "`{` without `}`",
            "/e: the path item",
            "/f: the path item",
        ],
    );
    check("paths: 7", &[], &["paths: this is no object"]);
    check("paths: {/a: {get: {}}, /a: {post: {}}}", &["GET /a -"], &["/a: this key comes twice"]);
}

#[test]
fn base_paths_come_from_the_nearest_servers() {
    check("swagger: '2.0'\nhost: h\nbasePath: /v1/\npaths: {/a: {get: {}}}", &["GET /v1/a -"], &[]);
    check("swagger: '2.0'\nbasePath: v1\npaths: {/a: {get: {}}}", &["GET /v1/a -"], &[]);
    check("swagger: '2.0'\nbasePath: /\npaths: {/: {get: {}}}", &["GET / -"], &[]);
    check(
        "openapi: 3.0.0\nservers: [{url: 'https://h/v1'}]\npaths: {/a: {get: {}, put: {servers: [{url: /v2}]}}, /b: {servers: [{url: 'https://o'}], get: {}}}",
        &["GET /v1/a -", "PUT /v2/a -", "GET /b -"],
        &[],
    );
    check("openapi: 3.0.0\nservers: []\npaths: {/a: {servers: [], get: {}}}", &["GET /a -"], &[]);
    check(
        "openapi: 3.0.0\nservers: [{url: 'https://h/{v}', variables: {v: {default: v9}}}]\npaths: {a: {get: {}}}",
        &["GET /v9/a -"],
        &[],
    );
    let text = "openapi: 3.0.0\nservers: [{url: /v1}, {url: 'https://s/sandbox/'}]\npaths: {/a: {get: {}}}";
    let found = read_with(text, &Options::default(), &[]);
    assert_eq!(found.base_paths.get("/v1"), Some(&1));
    assert_eq!(found.other_bases.iter().collect::<Vec<_>>(), ["/sandbox"]);
    let options = Options { base_paths: vec!["/x".into(), String::new()], document_path: None };
    assert_eq!(shown(&read_with(text, &options, &[])), ["GET /x/a -", "GET /a -"]);
    let options = Options { base_paths: Vec::new(), document_path: Some("/docs/openapi.json".into()) };
    assert_eq!(
        shown(&read_with("openapi: 3.0.0\nservers: [{url: ./v1}]\npaths: {/a: {get: {}}}", &options, &[])),
        ["GET /docs/v1/a -"]
    );
}

#[test]
fn references_within_the_document() {
    check(
        "paths: {/a: {$ref: '#/components/pathItems/x'}}\ncomponents: {pathItems: {x: {get: {operationId: g}}}}",
        &["GET /a g"],
        &[],
    );
    check(
        "paths: {'/a/{x}': {get: {operationId: g}}, /b: {$ref: '#/paths/~1a~1{x}'}}",
        &["GET /a/{x} g", "GET /b g"],
        &[],
    );
    check("paths: {/a: {$ref: '#/paths/~1b%7Bx%7D'}, '/b{x}': {get: {}}}", &["GET /a -", "GET /b{x} -"], &[]);
    check("paths: {/a: {$ref: '#/x-items/0'}}\nx-items: [{get: {}}]", &["GET /a -"], &[]);
    check(
        "paths: {/a: {$ref: '#/x', get: {operationId: own}}}\nx: {get: {operationId: other}, put: {}}",
        &["GET /a own", "PUT /a -"],
        &[],
    );
    check("paths: {$ref: '#/x'}\nx: {/a: {get: {}}}", &["GET /a -"], &[]);
    check("paths: {/a: {$ref: '#/nowhere'}, /b: {get: {}}}", &["GET /b -"], &["`$ref: #/nowhere` refers to nothing"]);
    check(
        "paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}, /c: {get: {}}}",
        &["GET /c -"],
        &["perhaps in a circle", "perhaps in a circle"],
    );
    check("paths: {/a: {$ref: '#'}}", &[], &["paths /a: this is no method"]);
    check("paths: {/a: {$ref: '#x'}}", &[], &["does not name a place"]);
}

#[test]
fn references_to_other_documents() {
    let files = &[
        ("users.yaml", "get: {operationId: g, parameters: [{$ref: 'p.yaml#/tail'}]}\n"),
        ("p.yaml", "tail: {name: x, in: path, x-multi-segment: true}\n"),
        ("deep/a.yaml", "item: {$ref: b.yaml}\n"),
        ("deep/b.yaml", "put: {}\n"),
        ("loop.yaml", "$ref: loop.yaml\n"),
        ("bad.yaml", "a: [\n"),
    ];
    check_files("paths: {'/u/{x}': {$ref: ./users.yaml}}", files, &["GET /u/{x...} g"], &[]);
    check_files("paths: {/u: {$ref: 'deep/a.yaml#/item'}}", files, &["PUT /u -"], &[]);
    check_files(
        "paths: {/a: {$ref: none.yaml}, /b: {$ref: loop.yaml}, /c: {$ref: bad.yaml}, /d: {$ref: bad.yaml}, /e: {get: {}}}",
        files,
        &["GET /e -"],
        &["`none.yaml` cannot be read", "perhaps in a circle", "`bad.yaml`: line", "`bad.yaml`: line"],
    );
    let alone = read(b"paths: {/a: {$ref: x.yaml}, /b: {get: {}}}", &Options::default(), &mut NoFiles).unwrap();
    assert!(alone.left_out.listed[0].message.contains("bundle the description into one"));
}

#[test]
fn parameters_that_hold_slashes() {
    for mark in [
        "x-multi-segment: true",
        "allowReserved: true",
        "x-ms-skip-url-encoding: true",
        "schema: {pattern: '^[a-z]+/.+$'}",
    ] {
        check(
            &format!("paths: {{'/a/{{x}}': {{get: {{parameters: [{{name: x, in: path, {mark}}}]}}}}}}"),
            &["GET /a/{x...} -"],
            &[],
        );
    }
    check(
        "paths: {'/a/{x}': {get: {parameters: [{name: x, in: query, allowReserved: true}]}}}",
        &["GET /a/{x} -"],
        &[],
    );
    check(
        "paths: {'/a/{x}': {get: {parameters: [{name: x, in: path, schema: {pattern: '^[^/]+$'}}]}}}",
        &["GET /a/{x} -"],
        &[],
    );
    check(
        "paths: {'/v1/{name}': {get: {parameters: [{name: name, in: path, pattern: 'shelves/[^/]+'}]}}}",
        &["GET /v1/shelves/{name} -"],
        &[],
    );
    check(
        "paths: {'/a/{x}/b': {parameters: [{$ref: '#/components/parameters/x'}], get: {}, put: {}}}\ncomponents: {parameters: {x: {name: x, in: path, x-multi-segment: true}}}",
        &["GET /a/{x}/b -", "PUT /a/{x}/b -"],
        &["may hold slashes"],
    );
    check(
        "paths: {'/a/{x}': {parameters: [{name: x, in: path, allowReserved: true}], get: {parameters: [{name: x, in: path}]}}}",
        &["GET /a/{x} -"],
        &[],
    );
    check(
        "paths: {'/a/{x}': {parameters: [{$ref: '#/none'}, 7], get: {}}}",
        &["GET /a/{x} -"],
        &["a parameter was not read"],
    );
}

#[test]
fn a_real_schema_of_drf_spectacular() {
    let text = include_str!("../../../../../tests/data/django/spectacular.yaml");
    let found = read_with(text, &Options::default(), &[]);
    assert_eq!((found.read, found.left_out.total, found.changed.total), (29, 0, 0), "{:?}", found.changed);
    let shown = shown(&found);
    for expected in [
        "GET /api/v1/users/{id}/ api_v1_users_retrieve",
        "POST /api/v1/users/{id}/approve/ api_v1_users_approve_create",
        "GET /api/v2/members.{format} api_v2_members_formatted_list",
        "GET /api/v2/members/{id}.{format} api_v2_members_formatted_retrieve",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected}: {shown:?}");
    }
}

#[test]
fn what_is_no_description_is_refused_with_a_cure() {
    let check = |text: &str, expected: &str| {
        let error = read(text.as_bytes(), &Options::default(), &mut NoFiles).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("", "no API description");
    check("hello", "no API description");
    check("[1]", "no API description");
    check("namespace: eucora\n", "no API description");
    check("{\"swaggerVersion\": \"1.2\", \"swagger\": \"1.2\", \"apis\": []}", "Swagger 1 is not read");
    check("{\"openapi\": ", "line 1, column");
    check("openapi: [\n", "line ");
}

#[test]
fn a_hundred_thousand_paths_are_read() {
    let paths: Vec<String> =
        (0..100_000).map(|n| format!("\"/r{n}/{{id}}\": {{\"get\": {{\"operationId\": \"o{n}\"}}}}")).collect();
    let text = format!("{{\"openapi\": \"3.0.0\", \"paths\": {{{}}}}}", paths.join(", "));
    assert_eq!(read_with(&text, &Options::default(), &[]).operations.len(), 100_000);
}

#[test]
fn references_and_aliases_cannot_multiply_the_work() {
    let parameters = vec!["{name: x, in: path}"; 2_000].join(", ");
    let paths: String = (0..20_000).map(|n| format!("  '/r{n}/{{x}}': {{$ref: '#/x-item'}}\n")).collect();
    let text = format!("x-item:\n  get: {{}}\n  parameters: [{parameters}]\npaths:\n{paths}");
    let found = read_with(&text, &Options::default(), &[]);
    assert_eq!(found.operations.len() as u64 + found.left_out.total, 20_000);
    assert!(found.operations.len() > 5_000 && found.left_out.listed[0].message.contains("past what is read"));
    let fields: String = (0..20_000).map(|n| format!("    x-{n}: 1\n")).collect();
    let text = format!("x:\n  item:\n    get: {{}}\n{fields}paths:\n{}", paths.replace("#/x-item", "#/x/item"));
    let found = read_with(&text, &Options::default(), &[]);
    assert!(found.left_out.total > 10_000 && found.operations.len() > 500, "{}", found.operations.len());
}

#[test]
fn long_paths_are_left_out_at_once() {
    let text =
        format!("{{\"paths\": {{\"/{}\": {{\"get\": {{}}}}, \"/a\": {{\"get\": {{}}}}}}}}", "{a}".repeat(1_000_000));
    let found = read_with(&text, &Options::default(), &[]);
    assert_eq!(found.left_out.listed[0].message, "it has 3000001 bytes; a template has at most 512");
    assert_eq!(found.operations.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = read(&bytes, &Options::default(), &mut NoFiles);
    }

    #[test]
    fn any_arrangement_of_a_descriptions_words_is_read_or_refused(words in proptest::collection::vec(proptest::sample::select(vec![
        "openapi", "paths", "/a", "/a/{b}", "get", "$ref", "#/paths/~1a", "#", ": ", ":\n  ", "\n", "  ", "    ", "{", "}", "[", "]", ", ", "- ", "&x ", "*x", "<<", "servers", "url", "parameters", "'", "\"", "!t ", "|", "---\n", "? ", "\t", "%", "\u{85}",
    ]), 0..40)) {
        let _ = read(words.concat().as_bytes(), &Options::default(), &mut NoFiles);
        let _ = super::super::read(format!("paths: {}", words.concat()).as_bytes(), super::super::Format::Auto, &Options::default(), &mut NoFiles);
    }
}
