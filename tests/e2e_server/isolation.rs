//! Whose everything is, and who sees it: what the document lists is tried with the key of another
//! organisation, and what is secret is looked for wherever it could come to light.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::server::{Server, expect, id};
use support::until;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// What does not exist.
const NOWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// What must come to light nowhere.
const PLANTED: [&str; 6] = [
    "planted-agent-secret-5b1c",
    "planted-url-token-77a0",
    "planted-trunk-password-3d9e",
    "planted-file-secret-aa41",
    "planted-file-password-0c2f",
    "planted-refused-secret-e6d8",
];

/// Ends a server whose calls still ring: nobody is there to answer them, so they are not waited
/// for.
#[track_caller]
fn end(server: Server) {
    assert!(!server.log().contains("panicked"), "{}", server.log());
    drop(server);
}

/// An organisation that has one of everything, and all ids of it.
struct World {
    ids: BTreeSet<String>,
    /// What was answered when secrets were made: the one time that they are shown.
    shown: Vec<String>,
}

impl World {
    /// Makes one of everything with the server's key.
    fn make(server: &Server) -> Self {
        let mut world = Self { ids: BTreeSet::new(), shown: Vec::new() };
        let agent = json!({
            "name": "bot", "kind": "websocket", "secret": PLANTED[0],
            "url": format!("ws://127.0.0.1:1/x?token={}", PLANTED[1]),
        });
        let agent = world.add(server, "/api/v1/agents", &agent);
        let config = json!({
            "name": "carrier",
            "config": {
                "provider": "sip_trunk",
                "inbound": {"enabled": true, "networks": ["192.0.2.0/24"]},
                "auth": {"enabled": true, "user": "u", "password": PLANTED[2]},
            },
        });
        let config = world.add(server, CONFIGS, &config);
        let trunk = json!({
            "name": "west",
            "settings": {
                "inbound": {"enabled": true, "networks": ["198.51.100.0/24"]},
                "auth": {"enabled": true, "user": "u", "password": PLANTED[2]},
            },
        });
        let trunks = format!("{CONFIGS}/{config}/trunks");
        let trunk = world.add(server, &trunks, &trunk);
        // From then on what is shown of it stays as it is.
        until(Duration::from_secs(15), "the trunk is in service", || {
            let shown = expect(server, 200, "GET", &format!("{trunks}/{trunk}"), None);
            (!shown["status"].is_null()).then_some(())
        });
        let numbers = format!("{CONFIGS}/{config}/phone-numbers");
        let number = json!({"address": "+4930123456", "inbound_agent_id": agent});
        world.add(server, &numbers, &number);
        world.add(server, "/api/v1/routes", &json!({"to": "+49*", "agent_id": agent}));
        let key = json!({"name": "k", "scope": "read"});
        let made = expect(server, 201, "POST", "/api/v1/keys", Some(&key));
        world.shown.push(made["key"].as_str().unwrap().to_owned());
        world.ids.insert(id(&made));
        let hook = json!({"url": "https://hooks.invalid/x"});
        let made = expect(server, 201, "POST", "/api/v1/webhooks", Some(&hook));
        world.shown.push(made["secret"].as_str().unwrap().to_owned());
        let hook = id(&made);
        expect(server, 202, "POST", &format!("/api/v1/webhooks/{hook}/test"), None);
        let sent = format!("/api/v1/webhooks/{hook}/deliveries");
        let sent = expect(server, 200, "GET", &sent, None);
        world.ids.extend([hook, id(&sent["items"][0])]);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let call = json!({
            "to": format!("sip:bob@{}", peer.local_addr().unwrap()), "agent": "echo",
        });
        let call = expect(server, 201, "POST", "/api/v1/calls", Some(&call));
        world.ids.insert(id(&call));
        let order = json!({"call": {"agent": "echo"}, "to": "sip:bob@192.0.2.1", "paused": true});
        let order = world.add(server, "/api/v1/call-orders", &order);
        let recipients = format!("/api/v1/call-orders/{order}/recipients");
        let recipients = expect(server, 200, "GET", &recipients, None);
        world.ids.insert(id(&recipients["items"][0]));
        let own = expect(server, 200, "GET", "/api/v1/organization", None);
        world.ids.insert(id(&own));
        world
    }

    fn add(&mut self, server: &Server, path: &str, body: &Value) -> String {
        let made = id(&expect(server, 201, "POST", path, Some(body)));
        self.ids.insert(made.clone());
        made
    }
}

const CONFIG: &str = "[http]\nkey_requests_per_second = 100000\n[[agents]]\nname = \"echo\"\n\
    kind = \"builtin\"\nbuiltin = \"echo\"\n[[agents]]\nname = \"filed\"\nkind = \"websocket\"\n\
    url = \"ws://127.0.0.1:1/\"\nsecret = \"planted-file-secret-aa41\"\n[[trunks]]\n\
    name = \"pbx\"\npeers = \"192.0.2.1\"\nusername = \"us\"\n\
    password = \"planted-file-password-0c2f\"\n[log]\nlevel = \"info,talkpath=trace\"\n";

/// An endpoint of the document that takes a key.
struct Operation {
    method: String,
    path: String,
    body: Option<Value>,
    is_stream: bool,
    /// The least that a key must be for: its place in [`SCOPES`].
    scope: usize,
}

/// What keys are for; each reaches what those before it reach.
const SCOPES: [&str; 4] = ["read", "calls", "admin", "server"];

/// The endpoints of the document that take a key, each with a body that it understands.
fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            if !security.iter().any(|way| way.get("bearer").is_some()) {
                continue;
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let answers = operation["responses"]["200"]["content"].as_object();
            let needs = operation["description"].as_str().unwrap();
            let scope = needs.split('`').nth(1).unwrap();
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                body: (!schema.is_null()).then(|| sample(document, schema)),
                is_stream: answers.is_some_and(|kinds| kinds.contains_key("text/event-stream")),
                scope: SCOPES.iter().position(|known| *known == scope).unwrap(),
            });
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

/// A value that a schema allows.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(document, document.pointer(&reference[1..]).unwrap());
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    for several in ["enum", "oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[several].as_array().and_then(|all| all.first()) {
            return if several == "enum" { first.clone() } else { sample(document, first) };
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") if schema["format"] == "uuid" => json!(NOWHERE),
        Some("string") => json!("x"),
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        _ => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let field = |name: &Value| {
                let name = name.as_str().unwrap().to_owned();
                let value = sample(document, &schema["properties"][&name]);
                (name, value)
            };
            Value::Object(required.iter().map(field).collect::<Map<_, _>>())
        }
    }
}

/// The parts of a path that stand for something.
fn parameters(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| part.starts_with('{')).collect()
}

/// The path with these in the place of its parameters.
fn filled(path: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let part = |part: &str| match part.starts_with('{') {
        true => (*values.next().unwrap()).to_owned(),
        false => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Makes an organisation; its first key.
fn stranger(server: &Server) -> String {
    let made = json!({"name": "strangers"});
    let made = expect(server, 201, "POST", "/api/v1/organizations", Some(&made));
    made["first_key"]["key"].as_str().unwrap().to_owned()
}

/// Whatever of ours a stranger names, each endpoint answers as for what does not exist, and what is
/// ours stays as it is. An endpoint that is new is tried as soon as the document has it.
#[test]
fn what_is_foreign_does_not_exist() {
    let mut server = Server::start(CONFIG);
    let world = World::make(&server);
    let document = expect(&server, 200, "GET", "/api/v1/openapi.json", None);
    let operations = operations(&document);
    let (own, foreign) = (server.key.clone(), stranger(&server));
    let before = state(&server, &world, &operations);
    server.key.clone_from(&foreign);
    let mut asked = 0;
    for Operation { method, path, body, .. } in &operations {
        let names = parameters(path);
        if names.is_empty() {
            continue;
        }
        let nowhere = vec![NOWHERE; names.len()];
        let (status, expected) = server.http(method, &filled(path, &nowhere), body.as_ref());
        assert!((400..500).contains(&status), "{method} {path}: {status} {expected}");
        // A body that is refused before the path is looked at would hide what comes of it.
        let judged = [400, 422].contains(&status);
        assert!(!judged || method != "GET", "{method} {path}: {expected}");
        for ours in &world.ids {
            for position in 0..names.len() {
                let mut values = vec![ours.as_str(); names.len()];
                if names.len() > 1 {
                    values[position] = NOWHERE;
                }
                let path = filled(path, &values);
                let (found, answer) = server.http(method, &path, body.as_ref());
                // An id of another form is told so, whoever asks.
                if ours.len() == NOWHERE.len() {
                    assert_eq!((found, &answer), (status, &expected), "{method} {path}");
                }
                assert!([400, 403, 404, 409, 422].contains(&found), "{method} {path}: {found}");
                asked += 1;
            }
            let path = filled(path, &vec![ours.as_str(); names.len()]);
            let (found, _) = server.http(method, &path, body.as_ref());
            assert!([400, 403, 404, 409, 422].contains(&found), "{method} {path}: {found}");
        }
    }
    assert!(asked > 300, "{asked}");
    // Lists of a stranger have nothing of ours.
    for Operation { method, path, is_stream, .. } in &operations {
        if method == "GET" && parameters(path).is_empty() && !is_stream {
            let (_, answer) = server.http(method, path, None);
            let leaked = world.ids.iter().find(|ours| answer.contains(*ours));
            assert_eq!(leaked, None, "{path}: {answer}");
        }
    }
    server.key.clone_from(&own);
    assert_eq!(state(&server, &world, &operations), before);
    end(server);
}

/// What there is of ours, as far as nobody but a stranger could have changed it.
fn state(server: &Server, world: &World, operations: &[Operation]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for Operation { method, path, is_stream, .. } in operations {
        let changes = ["/api/v1/calls", "/api/v1/audit", "/deliveries", "/quality"];
        let alone = changes.iter().any(|part| path.contains(part)) || path == "/api/v1/session";
        if method != "GET" || *is_stream || alone || path == "/api/v1/organizations" {
            continue;
        }
        for ours in &world.ids {
            let path = filled(path, &vec![ours.as_str(); parameters(path).len()]);
            let (status, answer) = server.http("GET", &path, None);
            all.push((path, format!("{status} {answer}")));
        }
    }
    all
}

/// Each endpoint lets keys in that are for what the document says, and refuses all that are for
/// less before it looks at anything else.
#[test]
fn keys_reach_as_far_as_they_are_for() {
    let mut server = Server::start(CONFIG);
    let document = expect(&server, 200, "GET", "/api/v1/openapi.json", None);
    let operations = operations(&document);
    let own = server.key.clone();
    let mut refused = [0; SCOPES.len()];
    for (rank, scope) in SCOPES.iter().enumerate() {
        server.key.clone_from(&own);
        let wanted = json!({"name": scope, "scope": scope});
        let made = expect(&server, 201, "POST", "/api/v1/keys", Some(&wanted));
        made["key"].as_str().unwrap().clone_into(&mut server.key);
        for Operation { method, path, body, is_stream, scope: least } in &operations {
            let reaches = rank >= *least;
            // What is let in is only looked at, and not listened to.
            if reaches && (method != "GET" || *is_stream) {
                continue;
            }
            let path = filled(path, &vec![NOWHERE; parameters(path).len()]);
            let (status, answer) = server.http(method, &path, body.as_ref());
            let forbidden = status == 403 && answer.contains("/problems/forbidden");
            assert_eq!(forbidden, !reaches, "{scope}: {method} {path}: {status} {answer}");
            refused[rank] += usize::from(forbidden);
        }
    }
    assert!(refused[0] > refused[1] && refused[1] > refused[2] && refused[2] > 0, "{refused:?}");
    assert_eq!(refused[3], 0);
    end(server);
}

/// A stranger that listens from the first event on hears nothing of our calls.
#[test]
fn strangers_hear_nothing() {
    let server = Server::start(CONFIG);
    let foreign = stranger(&server);
    let listen = |key: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let request = format!(
            "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let (mut theirs, mut ours) = (listen(&foreign), listen(&server.key));
    World::make(&server);
    let mut heard = String::new();
    while !heard.contains("event: call.initiated") {
        let mut piece = [0; 4_096];
        let length = ours.read(&mut piece).unwrap();
        assert!(length > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    // Both look at the same commits: what would come has come.
    theirs.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).unwrap_err();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains(": events follow") && !rest.contains("event: "), "{rest}");
    end(server);
}

/// Secrets that were given, and those that were made, come to light nowhere: in no answer, no
/// refusal, no line of the log, no page of the database, no finding of the doctor.
#[test]
fn secrets_stay_secret() {
    let server = Server::start(CONFIG);
    let world = World::make(&server);
    let secrets: Vec<&str> =
        PLANTED.into_iter().chain(world.shown.iter().map(String::as_str)).collect();
    let none = |place: &str, text: &str| {
        let found = secrets.iter().find(|secret| text.contains(**secret));
        assert_eq!(found, None, "{place}: {text}");
    };
    let document = expect(&server, 200, "GET", "/api/v1/openapi.json", None);
    let refused = PLANTED[5];
    for Operation { method, path, body, is_stream, .. } in operations(&document) {
        if is_stream {
            continue;
        }
        for ours in &world.ids {
            let path = filled(&path, &vec![ours.as_str(); parameters(&path).len()]);
            if method == "GET" {
                let (_, answer) = server.http(&method, &path, None);
                none(&path, &answer);
            } else if let Some(Value::Object(fields)) = &body {
                // Every field holds a secret at the wrong place.
                let mut wrong: Map<String, Value> =
                    fields.keys().map(|name| (name.clone(), json!({ "x": refused }))).collect();
                wrong.insert("secret".to_owned(), json!(format!("****{refused}\u{7}")));
                wrong.insert("password".to_owned(), json!(refused));
                let (status, answer) = server.http(&method, &path, Some(&Value::Object(wrong)));
                assert!((400..500).contains(&status), "{method} {path}: {status}");
                none(&path, &answer);
            }
        }
    }
    let wrong = json!({"key": {"tp_": refused}});
    none("sign-in", &server.http("POST", "/api/v1/session", Some(&wrong)).1);
    none("metrics", &server.http("GET", "/metrics", None).1);
    let doctor = Command::new(env!("CARGO_BIN_EXE_talkpath"))
        .args(["check", "--json", "--config"])
        .arg(server.dir.join("talkpath.toml"))
        .env("TALKPATH_DATA_DIR", server.dir.join("data"))
        .output()
        .unwrap();
    none("doctor", &String::from_utf8_lossy(&doctor.stdout));
    none("doctor", &String::from_utf8_lossy(&doctor.stderr));
    none("log", &server.log());
    assert!(!server.log().contains(&server.key), "the log has the key");
    for entry in std::fs::read_dir(server.dir.join("data")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let key = server.key.as_str();
        for secret in secrets.iter().copied().chain([key]) {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{name} holds {secret}");
        }
    }
    end(server);
}
