//! Writes the OpenAPI document.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::endpoint::{Access, Content, Endpoint};
use super::{Resource, schema};
use crate::http::problem::{self, Kind};
use crate::http::session;
use crate::keys::Scope;

/// Header fields of answers in parts, with what they say (RFC 9110 14).
const UNIT_FIELD: (&str, &str) = ("Accept-Ranges", "`bytes`");
const PLACE_FIELD: (&str, &str) =
    ("Content-Range", "where the part lies, and how long the file is");
const TAG_FIELD: (&str, &str) = ("ETag", "names what is in the file");

/// The document of `resources`, served at `base`.
pub fn document(resources: &[Resource], base: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem_schema());
    for resource in resources {
        for endpoint in &resource.endpoints {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operations = paths.entry(endpoint.path).or_default();
            operations.insert(method, operation(resource.tag, endpoint));
        }
        for (name, schema) in &resource.schemas {
            schemas.insert((*name).to_owned(), schema.clone());
        }
    }
    let tags: Vec<Value> = resources
        .iter()
        .map(|resource| json!({"name": resource.tag, "description": resource.about}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Talkpath",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Hosts phone calls for voice agents.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": base}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": session::COOKIE,
                    "description": "set by `POST /api/v1/session`; what changes something also \
                                    shows the session's token in `X-CSRF-Token`",
                },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "any user, an API key as password",
                },
            },
        },
    })
}

fn operation(tag: &str, endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": endpoint.id,
        "tags": [tag],
        "summary": endpoint.summary,
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
        "security": security(endpoint.access),
    });
    if let (Some(body), Some(operation)) = (&endpoint.body, operation.as_object_mut()) {
        let mut kinds = content(body);
        if let (Some(other), Some(kinds)) = (&endpoint.other_body, kinds.as_object_mut()) {
            kinds.insert(other.kind.to_owned(), json!({"schema": other.schema}));
        }
        let body = json!({"required": true, "content": kinds});
        operation.insert("requestBody".to_owned(), body);
    }
    if let (Access::Key(scope) | Access::Basic(scope), Some(operation)) =
        (endpoint.access, operation.as_object_mut())
    {
        operation.insert("description".to_owned(), json!(scope_text(scope)));
    }
    operation
}

fn scope_text(scope: Scope) -> String {
    format!("Needs a key of the scope `{}`, or one that reaches further.", scope.as_str())
}

fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Key(_) => json!([{"bearer": []}, {"header": []}, {"session": []}]),
        Access::Basic(_) => json!([{"basic": []}]),
    }
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let path = endpoint.path_parameters().map(|name| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        })
    });
    let query = endpoint.query.iter().map(|query| {
        json!({
            "name": query.name, "in": "query", "required": false,
            "schema": query.schema, "description": query.description,
        })
    });
    let key = endpoint.retryable.then(|| {
        json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "The same request with the same key is carried out once; who asks again \
                            gets the first answer.",
        })
    });
    path.chain(query).chain(key).chain(range_parameters(endpoint)).collect()
}

/// How a part of the answer is asked for.
fn range_parameters(endpoint: &Endpoint) -> impl Iterator<Item = Value> + use<> {
    let parameters = [
        (
            "Range",
            "The bytes that are wanted, such as `bytes=0-1023`, `bytes=1024-` or `bytes=-512`. \
             Several ranges, and what is none, are ignored.",
        ),
        ("If-Range", "The `ETag` of an earlier answer: of another file the whole is wanted."),
    ];
    let written = |(name, description): (&str, &str)| {
        json!({
            "name": name, "in": "header", "required": false,
            "schema": {"type": "string"}, "description": description,
        })
    };
    endpoint.in_parts.then(|| parameters.map(written)).into_iter().flatten()
}

/// The header fields of an answer of this status, if the endpoint answers in parts.
fn range_headers(endpoint: &Endpoint, status: u16) -> Option<Value> {
    let fields: &[(&str, &str)] = match status {
        200 => &[UNIT_FIELD, TAG_FIELD],
        206 => &[UNIT_FIELD, TAG_FIELD, PLACE_FIELD],
        416 => &[PLACE_FIELD],
        _ => &[],
    };
    let written = |(name, description): &(&str, &str)| {
        let field = json!({"schema": {"type": "string"}, "description": description});
        ((*name).to_owned(), field)
    };
    (endpoint.in_parts && !fields.is_empty())
        .then(|| Value::Object(fields.iter().map(written).collect()))
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut responses = Map::new();
    for answer in &endpoint.answers {
        let mut response = json!({"description": answer.meaning});
        if let (Some(body), Some(response)) = (&answer.content, response.as_object_mut()) {
            response.insert("content".to_owned(), content(body));
            if let Some(headers) = range_headers(endpoint, answer.status) {
                response.insert("headers".to_owned(), headers);
            }
        }
        responses.insert(answer.status.to_string(), response);
    }
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in endpoint.problems() {
        by_status.entry(kind.status().as_u16()).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        let titles: Vec<&str> = kinds.iter().map(|kind| kind.title()).collect();
        let mut response = json!({
            "description": titles.join("; "),
            "content": {problem::CONTENT_TYPE: {"schema": schema::named("Problem")}},
        });
        let headers = range_headers(endpoint, status);
        if let (Some(headers), Some(response)) = (headers, response.as_object_mut()) {
            response.insert("headers".to_owned(), headers);
        }
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

fn content(content: &Content) -> Value {
    json!({content.kind: {"schema": content.schema}})
}

fn problem_schema() -> Value {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
    let error = schema::object(
        &[("field", json!({"type": "string"})), ("problem", json!({"type": "string"}))],
        &[],
    );
    schema::object(
        &[
            ("type", schema::word(&kinds)),
            ("title", json!({"type": "string"})),
            ("status", schema::integer(400, 599)),
            ("detail", json!({"type": "string"})),
        ],
        &[("errors", schema::list(error))],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::api;

    fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("$ref") {
                    found.insert(name);
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    /// Every reference leads to a schema, every schema is referred to, no operation's id stands for
    /// two, each has a summary and an answer that is no problem.
    #[test]
    fn the_document_is_whole() {
        let document = document(&api::resources(), "/");
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: BTreeSet<String> =
            schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(found, known.iter().map(String::as_str).collect());
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
                assert_ne!(operation["summary"], "", "{id}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status < &"400".to_owned()), "{id}");
            }
        }
        assert!(ids.len() > 15, "{ids:?}");
    }

    /// What is answered in parts says how a part is asked for, and what tells where it lies.
    #[test]
    fn parts_are_documented() {
        let document = document(&api::resources(), "/");
        for path in ["/api/v1/calls/{id}/recording", "/api/v1/voicemails/{id}/audio"] {
            let operation = &document["paths"][path]["get"];
            let parameters = operation["parameters"].as_array().unwrap();
            let names: Vec<&Value> = parameters.iter().map(|one| &one["name"]).collect();
            assert_eq!(names, ["id", "Range", "If-Range"]);
            let answers = &operation["responses"];
            assert_eq!(answers["206"]["content"], answers["200"]["content"]);
            let has = |status: &str, field: &str| answers[status]["headers"][field].is_object();
            for (status, field) in [("200", "Accept-Ranges"), ("200", "ETag")] {
                assert!(has(status, field), "{path}: {status} {field}");
            }
            assert!(has("206", "Content-Range") && has("416", "Content-Range"), "{path}");
            assert!(answers["404"]["headers"].is_null());
        }
        let list = &document["paths"]["/api/v1/recordings"]["get"];
        assert!(!list.to_string().contains("Range"));
    }

    /// Without a key nothing is reached but what tells no secrets (health, figures, this document),
    /// and what carriers ask for, who prove themselves otherwise.
    #[test]
    fn few_endpoints_are_open() {
        let resources = api::resources();
        let endpoints = resources.iter().flat_map(|resource| &resource.endpoints);
        let open = endpoints.filter(|endpoint| endpoint.access == Access::Open);
        let open: BTreeSet<&str> = open.map(|endpoint| endpoint.path).collect();
        let known = [
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/v1/openapi.json",
            "/api/v1/session",
            "/api/v1/telephony/inbound/run",
            "/api/v1/telephony/inbound/fallback",
            "/api/v1/telephony/{provider}/{hook}/{config_token}",
            "/api/v1/telephony/{provider}/{hook}/{config_token}/{call_id}",
            "/api/v1/telephony/ws/{provider}/{call_id}/{token}",
            "/api/v1/telephony/ws/{provider}",
            "/api/v1/telephony/{provider}/event-socket/{config_token}",
            "/api/v1/media",
        ];
        assert_eq!(open, known.into_iter().collect());
    }
}
