//! What is configured over HTTP: keys, agents, configurations, numbers; who sees it, what
//! is written of it, and that a request that comes again is carried out once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};
use support::server::Server;
use talkpath::config::{Config, Secret};
use talkpath::keys::{Keys, Scope};
use talkpath::store::organisations::OrganisationFields;
use talkpath::store::{Actor, Store, StoreSettings};

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// Secrets that must not be seen again.
const PLANTED: [&str; 3] =
    ["planted-agent-secret-91c4", "planted-trunk-password-77aa", "planted-url-token-3f3f"];

/// One request; its answer must be JSON or nothing.
#[track_caller]
fn ask(server: &Server, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let (status, text) = server.http(method, path, body.as_ref());
    for planted in PLANTED {
        assert!(!text.contains(planted), "{method} {path}: {text}");
    }
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    (status, body)
}

/// One request that must be answered with `status`.
#[track_caller]
fn expect(server: &Server, status: u16, method: &str, path: &str, body: Option<Value>) -> Value {
    let (found, answer) = ask(server, method, path, body);
    assert_eq!(found, status, "{method} {path}: {answer}");
    answer
}

#[track_caller]
fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn agent(name: &str) -> Value {
    json!({
        "name": name, "kind": "websocket", "secret": PLANTED[0],
        "url": format!("ws://127.0.0.1:1/x?token={}", PLANTED[2]),
        "max_calls": 3,
    })
}

fn configuration(name: &str) -> Value {
    json!({
        "name": name,
        "config": {
            "provider": "sip_trunk", "inbound": {"networks": ["192.0.2.0/24"]},
            "auth": {"enabled": true, "user": "u", "password": PLANTED[1]},
        },
    })
}

/// Keys are shown once, do what their scope says, and hold until they are revoked; the last key
/// cannot be lost.
#[test]
fn keys() {
    let mut server = Server::start("");
    let first = server.key.clone();
    let wanted = json!({"name": "dashboard", "scope": "read"});
    let made = expect(&server, 201, "POST", "/api/v1/keys", Some(wanted));
    let key = made["key"].as_str().unwrap().to_owned();
    let listed = expect(&server, 200, "GET", "/api/v1/keys", None);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key));
    let first_id = id(&listed["items"][0]);
    expect(&server, 409, "DELETE", &format!("/api/v1/keys/{first_id}"), None);

    server.key = key.clone();
    expect(&server, 200, "GET", "/api/v1/calls", None);
    expect(&server, 403, "GET", "/api/v1/keys", None);
    expect(&server, 403, "POST", "/api/v1/agents", Some(agent("a")));
    server.key.clone_from(&first);
    expect(&server, 204, "DELETE", &format!("/api/v1/keys/{}", id(&made)), None);
    expect(&server, 404, "DELETE", &format!("/api/v1/keys/{}", id(&made)), None);
    server.key = key;
    expect(&server, 401, "GET", "/api/v1/calls", None);
    server.key = first;
    for bad in [json!({"name": "", "scope": "read"}), json!({"name": "a\u{7}", "scope": "read"})] {
        expect(&server, 422, "POST", "/api/v1/keys", Some(bad));
    }
    expect(&server, 400, "POST", "/api/v1/keys", Some(json!({"name": "a", "scope": "all"})));
    server.stop();
}

/// No secret follows to where it did not go: that of an agent and the password of a SIP peer are to
/// be given again, a webhook gets another, and nothing of what was refused is changed.
#[test]
fn secrets_stay_where_they_are() {
    let server = Server::start("[webhooks]\nallow_networks = [\"127.0.0.0/8\"]");
    let refused = |path: &str, body: Value, field: &str| {
        let refused = expect(&server, 422, "PUT", path, Some(body));
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    };
    let made = expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    let path = format!("/api/v1/agents/{}", id(&made));
    let mut moved = made.clone();
    moved["url"] = json!("ws://127.0.0.1:2/x");
    refused(&path, moved.clone(), "secret");
    assert_eq!(expect(&server, 200, "GET", &path, None)["url"], made["url"]);
    moved["secret"] = json!(PLANTED[0]);
    expect(&server, 200, "PUT", &path, Some(moved));

    let made = expect(&server, 201, "POST", CONFIGS, Some(configuration("peer")));
    let path = format!("{CONFIGS}/{}", id(&made));
    let mut config = made["credentials"].clone();
    config["registration"] =
        json!({"enabled": true, "registrar": "127.0.0.1:5099", "user": "u", "expires_s": 600});
    refused(&path, json!({"config": config}), "config.auth.password");
    config["auth"]["password"] = json!(PLANTED[1]);
    let made = expect(&server, 200, "PUT", &path, Some(json!({"config": config})));
    expect(&server, 200, "PUT", &path, Some(json!({"config": made["credentials"]})));
    let trunks = format!("{path}/trunks");
    let target = |host: &str| json!({"enabled": true, "targets": [{"host": host}]});
    let auth = json!({"enabled": true, "user": "u", "password": PLANTED[1]});
    let settings = json!({
        "inbound": {"enabled": false}, "outbound": target("127.0.0.1"), "auth": auth,
    });
    let wanted = json!({"name": "t", "settings": settings});
    let made = expect(&server, 201, "POST", &trunks, Some(wanted));
    let mut settings = made["settings"].clone();
    settings["outbound"]["targets"] = target("127.0.0.2")["targets"].clone();
    let path = format!("{trunks}/{}", id(&made));
    refused(&path, json!({"settings": settings}), "settings.auth.password");

    let hook = json!({"url": "http://127.0.0.1:1/hook?token=a"});
    let made = expect(&server, 201, "POST", "/api/v1/webhooks", Some(hook));
    let path = format!("/api/v1/webhooks/{}", id(&made));
    let kept = json!({"url": "http://127.0.0.1:1/hook?token=b"});
    let kept = expect(&server, 200, "PUT", &path, Some(kept));
    assert_eq!(kept.get("secret"), None);
    let elsewhere = "http://127.0.0.1:2/hook";
    refused(&path, json!({"url": elsewhere}), "url");
    let moved = json!({"url": elsewhere, "new_secret": true});
    let moved = expect(&server, 200, "PUT", &path, Some(moved));
    assert_eq!(moved["url"], elsewhere);
    assert!(moved["secret"].is_string() && moved["secret"] != made["secret"]);
    server.stop();
}

/// Agents are made, shown with a mask, replaced with the mask for the secret, refused with all that
/// is wrong, and deleted.
#[test]
fn agents() {
    let server = Server::start("");
    let made = expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    let path = format!("/api/v1/agents/{}", id(&made));
    assert_eq!(made["secret"], "*********************91c4");
    assert_eq!((&made["origin"], &made["max_calls"]), (&json!("api"), &json!(3)));
    assert_eq!(made["url"], "ws://127.0.0.1:1/x?************************3f3f");
    let listed = expect(&server, 200, "GET", "/api/v1/agents", None);
    let file = listed["items"].as_array().unwrap().iter().find(|agent| agent["origin"] == "file");
    let file = file.unwrap();
    assert_eq!(file["name"], "echo");
    let refused = expect(&server, 409, "DELETE", &format!("/api/v1/agents/{}", id(file)), None);
    assert_eq!(refused["type"], "/problems/read-only");
    expect(&server, 409, "POST", "/api/v1/agents", Some(agent("bot")));
    let mut changed = made.clone();
    changed["max_calls"] = json!(null);
    changed["grace_ms"] = json!(100);
    let changed = expect(&server, 200, "PUT", &path, Some(changed));
    assert_eq!((&changed["secret"], &changed["grace_ms"]), (&made["secret"], &json!(100)));
    assert_eq!(changed["max_calls"], json!(null));
    let foreign = json!({"name": "b", "kind": "websocket", "url": "ws://h/", "secret": "****91c4"});
    expect(&server, 422, "POST", "/api/v1/agents", Some(foreign));
    let wrong = json!({
        "name": "a b", "kind": "websocket", "url": "http://h", "max_calls": 0, "x": 1,
        "hold_music": "/etc/passwd",
    });
    let refused = expect(&server, 422, "POST", "/api/v1/agents", Some(wrong));
    for field in ["name", "url", "max_calls", "x", "hold_music"] {
        let errors = refused["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error["field"] == field), "{field}: {refused}");
    }

    expect(&server, 204, "DELETE", &path, None);
    expect(&server, 404, "GET", &path, None);
    server.stop();
}

/// Configurations are made and changed, their secrets masked and kept; one is the default; all of
/// it is in the audit log.
#[test]
fn configurations() {
    let server = Server::start("");
    let made = expect(&server, 201, "POST", CONFIGS, Some(configuration("carrier")));
    let path = format!("{CONFIGS}/{}", id(&made));
    assert_eq!(made["credentials"]["auth"]["password"], "***********************77aa");
    assert_eq!(made["is_default_outbound"], false);
    // What the other side has to know is what the server says of itself.
    let own = expect(&server, 200, "GET", "/api/v1/server", None);
    for part in ["sip", "rtp", "codecs"] {
        assert_eq!(made["sip_connectivity"][part], own[part], "{part}");
    }
    assert_eq!(own["sip"][0]["address"], json!(server.sip.to_string()));
    expect(&server, 409, "POST", CONFIGS, Some(configuration("carrier")));
    let mut config = made["credentials"].clone();
    config["auth"]["user"] = json!("v");
    let changed = expect(&server, 200, "PUT", &path, Some(json!({"config": config.clone()})));
    assert_eq!(changed["credentials"]["auth"]["user"], "v");
    assert_eq!(changed["credentials"]["auth"]["password"], "***********************77aa");
    for wrong in [
        json!({"config": {"provider": "nobody"}}),
        json!({"config": {"inbound": {}}}),
        json!({"config": {"provider": "sip_trunk", "inbound": {"networks": ["x"]}}}),
        // Peers that could not be used as it is written.
        with(&config, "registration", json!({"enabled": true, "registrar": "x y"})),
        json!({"name": ""}),
        json!({"nme": "x"}),
    ] {
        expect(&server, 422, "PUT", &path, Some(wrong));
    }
    // The provider stays, whatever else is right or wrong.
    let other = json!({"name": "", "config": {"provider": "twilio"}});
    let refused = expect(&server, 400, "PUT", &path, Some(other));
    assert_eq!(refused["errors"][0]["field"], "config.provider", "{refused}");
    let other = expect(&server, 201, "POST", CONFIGS, Some(configuration("other")));
    let other_path = format!("{CONFIGS}/{}", id(&other));
    for path in [&path, &other_path] {
        let shown = expect(&server, 200, "POST", &format!("{path}/set-default-outbound"), None);
        assert_eq!(shown["is_default_outbound"], true);
    }
    assert_eq!(expect(&server, 200, "GET", &path, None)["is_default_outbound"], false);
    expect(&server, 200, "POST", &format!("{path}/reactivate"), None);
    expect(&server, 204, "DELETE", &path, None);
    expect(&server, 404, "GET", &path, None);

    let audit = expect(&server, 200, "GET", "/api/v1/audit?limit=200", None);
    let entries = audit["items"].as_array().unwrap();
    for action in ["create", "update", "default", "reactivate", "delete"] {
        assert!(entries.iter().any(|entry| entry["action"] == action), "{action}: {audit}");
    }
    assert!(entries.iter().any(|entry| entry["actor"].as_str().unwrap().starts_with("key:")));
    server.stop();
}

/// A change of a configuration to one with another value.
fn with(config: &Value, key: &str, value: Value) -> Value {
    let mut config = config.clone();
    config[key] = value;
    json!({"config": config})
}

/// Numbers are read with their country, in one written form, each once, and listed by pages.
#[test]
fn numbers_are_added() {
    let server = Server::start("");
    let made = expect(&server, 201, "POST", CONFIGS, Some(configuration("carrier")));
    let path = format!("{CONFIGS}/{}", id(&made));
    let numbers = format!("{path}/phone-numbers");
    for (given, normalized, kind) in [
        (json!({"address": "+49 (30) 123456"}), "+4930123456", "pstn"),
        (json!({"address": "030 123457", "country_code": "de"}), "+4930123457", "pstn"),
        (json!({"address": "SIP:Bob@Example.com:5060"}), "sip:Bob@example.com", "sip_uri"),
        (json!({"address": "1000"}), "1000", "sip_extension"),
    ] {
        let made = expect(&server, 201, "POST", &numbers, Some(given));
        assert_eq!(
            (&made["address_normalized"], &made["address_type"]),
            (&json!(normalized), &json!(kind))
        );
    }
    expect(&server, 409, "POST", &numbers, Some(json!({"address": "+4930123456"})));
    for wrong in [
        json!({"address": "030123456789"}),
        json!({"address": "030 123458", "country_code": "XX"}),
        json!({}),
        json!({"address": "+4930123459", "is_active": false, "is_default_caller_id": true}),
        json!({"address": "+4930123459", "clear_trunk": true}),
    ] {
        expect(&server, 422, "POST", &numbers, Some(wrong));
    }
    for field in ["inbound_agent_id", "telephony_trunk_id"] {
        let wrong = json!({"address": "+4930123459", field: id(&made)});
        let refused = expect(&server, 400, "POST", &numbers, Some(wrong));
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    let page = expect(&server, 200, "GET", &format!("{numbers}?limit=3"), None);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = expect(&server, 200, "GET", &format!("{numbers}?limit=3&cursor={cursor}"), None);
    assert_eq!(
        (page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()),
        (3, 1)
    );
    assert_eq!(rest["next_cursor"], json!(null));
    for query in ["limit=0", "limit=x", "cursor=x", "colour=red"] {
        expect(&server, 400, "GET", &format!("{numbers}?{query}"), None);
    }
    assert_eq!(expect(&server, 200, "GET", &path, None)["phone_number_count"], 4);
    server.stop();
}

fn label() -> Value {
    json!("front desk")
}

/// Numbers are changed by what is named; one is the default; they go with their configuration.
#[test]
fn numbers_are_changed() {
    let server = Server::start("");
    let made = expect(&server, 201, "POST", CONFIGS, Some(configuration("carrier")));
    let other = expect(&server, 201, "POST", CONFIGS, Some(configuration("other")));
    let path = format!("{CONFIGS}/{}", id(&made));
    let numbers = format!("{path}/phone-numbers");
    let [first, second] = ["+4930123456", "+4930123457"].map(|address| {
        let number = expect(&server, 201, "POST", &numbers, Some(json!({"address": address})));
        format!("{numbers}/{}", id(&number))
    });
    for number in [&first, &second] {
        let shown = expect(&server, 200, "POST", &format!("{number}/set-default-caller"), None);
        assert_eq!(shown["is_default_caller_id"], true);
    }
    assert_eq!(expect(&server, 200, "GET", &first, None)["is_default_caller_id"], false);
    let agent = expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    let routed = json!({"inbound_agent_id": agent["id"], "label": "front desk"});
    for nobody in [json!({"inbound_agent_id": null}), json!({"clear_inbound_agent": true})] {
        let changed = expect(&server, 200, "PUT", &first, Some(routed.clone()));
        assert_eq!((&changed["label"], &changed["inbound_agent_name"]), (&label(), &json!("bot")));
        // Nobody is told of it: no carrier could be.
        assert_eq!(changed["provider_sync"], json!(null));
        let changed = expect(&server, 200, "PUT", &first, Some(nobody));
        assert_eq!((&changed["inbound_agent_id"], &changed["label"]), (&json!(null), &label()));
        assert_eq!(changed["inbound_agent_name"], json!(null));
    }
    let elsewhere = first.replace(&id(&made), &id(&other));
    expect(&server, 404, "GET", &elsewhere, None);
    expect(&server, 204, "DELETE", &first, None);
    expect(&server, 204, "DELETE", &path, None);
    expect(&server, 404, "GET", &second, None);
    server.stop();
}

/// A secret that was written is found in clear neither in an answer, which each request of these
/// tests looks for, nor in the log, nor in the database.
#[test]
fn secrets_are_not_found_again() {
    let server = Server::start("[log]\nlevel = \"trace\"");
    expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    expect(&server, 201, "POST", CONFIGS, Some(configuration("carrier")));
    let mut wrong = configuration("b");
    wrong["config"]["auth"]["password"] = json!(format!(" {}", PLANTED[1]));
    expect(&server, 422, "POST", CONFIGS, Some(wrong));
    let mut wrong = agent("c");
    wrong["secret"] = json!([PLANTED[0]]);
    expect(&server, 422, "POST", "/api/v1/agents", Some(wrong));
    let key = server.key.clone();
    let mut held: Vec<Vec<u8>> = vec![server.log().into_bytes()];
    for entry in std::fs::read_dir(server.dir.join("data")).unwrap() {
        held.extend(std::fs::read(entry.unwrap().path()).ok());
    }
    assert!(held.len() > 1);
    for secret in PLANTED.into_iter().chain([key.as_str()]) {
        let found = held
            .iter()
            .any(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert!(!found, "{secret}");
    }
    server.stop();
}

/// The same request with the same key is carried out once and answered alike; another request with
/// that key is refused; a request that was refused leaves its key free.
#[test]
fn requests_that_come_again() {
    let server = Server::start("");
    let post = |key: &str, body: &Value| {
        let (status, text) =
            server.http_with(&[("Idempotency-Key", key)], "POST", "/api/v1/agents", Some(body));
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let made = post("k1", &agent("bot"));
    assert_eq!(made.0, 201);
    assert_eq!(post("k1", &agent("bot")), made);
    assert_eq!(post("k1", &agent("other")).1["type"], "/problems/key-reused");
    assert_eq!(post("k2", &agent("bot")).0, 409);
    assert_eq!(post("k2", &agent("free")).0, 201);
    let listed = expect(&server, 200, "GET", "/api/v1/agents", None);
    let names: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|a| &a["name"]).collect();
    assert_eq!(names.iter().filter(|name| **name == "bot").count(), 1, "{names:?}");
    // Ten at once: one is carried out, the others get its answer or are told to wait for it.
    let (http, key, body) = (server.http, server.key.as_str(), agent("once").to_string());
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let post = || scope.spawn(|| post_with_key(http, key, "k3", &body));
        let threads: Vec<_> = (0..10).map(|_| post()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made: Vec<&Value> = answers.iter().filter(|a| a.0 == 201).map(|a| &a.1).collect();
    assert!(!made.is_empty() && made.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    for (status, answer) in answers.iter().filter(|answer| answer.0 != 201) {
        assert_eq!((*status, &answer["type"]), (409, &json!("/problems/in-flight")));
    }
    server.stop();
}

/// Makes an agent by a request that may come again.
fn post_with_key(http: SocketAddr, key: &str, again: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(http).unwrap();
    let request = format!(
        "POST /api/v1/agents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
         Idempotency-Key: {again}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// A key of another organisation, made in the running server's database.
fn foreign_key(server: &Server) -> Secret {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let file: PathBuf = server.dir.join("talkpath.toml");
    let data = server.dir.join("data");
    let config = Config::load(Some(&file), Some(&data), &[]).unwrap();
    runtime.block_on(async {
        let store = Store::open(&StoreSettings::new(&config)).await.unwrap();
        let fields = OrganisationFields {
            name: "stranger".to_owned(),
            max_calls: None,
            calls_per_second: None,
            settings: json!({}),
        };
        let organisation = store.create_organisation(&fields, &Actor::Command).await.unwrap();
        let keys = Keys::new(store.clone());
        let made = keys.create(organisation, "theirs", Scope::Admin, &Actor::Command).await;
        let key = made.unwrap().key;
        store.close().await;
        key
    })
}

/// For whoever belongs to another organisation nothing is there: every endpoint of the document
/// that names something answers 404, as for what does not exist, and every list is empty.
#[test]
fn strangers_find_nothing() {
    let mut server = Server::start("");
    let agent = expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    let config = expect(&server, 201, "POST", CONFIGS, Some(configuration("carrier")));
    let numbers = format!("{CONFIGS}/{}/phone-numbers", id(&config));
    let number = expect(&server, 201, "POST", &numbers, Some(json!({"address": "+4930123456"})));
    let west = json!({"name": "west", "settings": {"inbound": {"networks": ["192.0.2.0/24"]}}});
    let trunks = format!("{CONFIGS}/{}/trunks", id(&config));
    let trunk = expect(&server, 201, "POST", &trunks, Some(west.clone()));
    let route = json!({"to": "*", "agent_id": agent["id"]});
    let route = expect(&server, 201, "POST", "/api/v1/routes", Some(route));
    let key = json!({"name": "mine", "scope": "read"});
    let key = expect(&server, 201, "POST", "/api/v1/keys", Some(key));
    let document = expect(&server, 200, "GET", "/api/v1/openapi.json", None);
    let (own, foreign) = (server.key.clone(), foreign_key(&server));
    let of = |path: &str| -> Option<String> {
        let start = |prefix: &str| path.starts_with(prefix);
        let path = path.replace("{number}", &id(&number)).replace("{trunk}", &id(&trunk));
        Some(match () {
            () if start("/api/v1/agents/{") => path.replace("{id}", &id(&agent)),
            () if start("/api/v1/routes/{") => path.replace("{id}", &id(&route)),
            () if start("/api/v1/keys/{") => path.replace("{id}", &id(&key)),
            () if start(&format!("{CONFIGS}/{{")) => path.replace("{id}", &id(&config)),
            () => return None,
        })
    };
    let bodies = [
        ("replace_agent", self::agent("theirs")),
        ("change_configuration", json!({"name": "theirs"})),
        ("change_number", json!({"label": "theirs"})),
        ("park_configuration", json!({"reason": "theirs"})),
        ("replace_route", json!({"to": "*", "agent_id": agent["id"]})),
        ("create_number", json!({"address": "+4930999999"})),
        ("change_trunk", json!({"name": "theirs"})),
        ("create_trunk", west),
        ("import_numbers", json!({})),
    ];
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Some(path) = of(path) else { continue };
            let operation = operation["operationId"].as_str().unwrap();
            let body = bodies.iter().find(|(of, _)| *of == operation).map(|(_, body)| body.clone());
            let method = method.to_uppercase();
            foreign.expose().clone_into(&mut server.key);
            let answer = expect(&server, 404, &method, &path, body.clone());
            // It reads as that of what does not exist.
            let nowhere = path.replace(&id(&agent), NOWHERE).replace(&id(&route), NOWHERE);
            let nowhere = nowhere.replace(&id(&config), NOWHERE).replace(&id(&key), "00000000");
            assert_eq!(expect(&server, 404, &method, &nowhere, body), answer, "{operation}");
            asked += 1;
        }
    }
    assert!(asked >= 18, "{asked}");
    for (path, list) in
        [("/api/v1/agents", "items"), ("/api/v1/routes", "routes"), (CONFIGS, "configurations")]
    {
        let listed = expect(&server, 200, "GET", path, None);
        assert_eq!(listed[list], json!([]), "{path}");
    }
    let keys = expect(&server, 200, "GET", "/api/v1/keys", None);
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);
    // Nor may a stranger's things refer to them.
    let theirs = json!({"to": "*", "agent_id": agent["id"]});
    expect(&server, 422, "POST", "/api/v1/routes", Some(theirs));
    server.key = own;
    assert_eq!(expect(&server, 200, "GET", &format!("/api/v1/agents/{}", id(&agent)), None), agent);
    server.stop();
}

/// Routes are made, replaced, refused with what is wrong, and deleted; an agent that one leads to
/// stays.
#[test]
fn routes() {
    let server = Server::start(
        "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[routes]]\nto = \"100\"\nagent = \"echo\"\n",
    );
    let agent = expect(&server, 201, "POST", "/api/v1/agents", Some(agent("bot")));
    let agent_path = format!("/api/v1/agents/{}", id(&agent));
    let route = json!({
        "to": "+4930*", "agent_id": agent["id"], "name": "berlin",
        "conditions": {"open": ["mon-fri 09:00-17:00"], "time_zone": "Europe/Berlin"},
        "settings": {"weight": 3, "max_duration_s": 600, "fallback_agent": "echo"},
    });
    let routed = expect(&server, 201, "POST", "/api/v1/routes", Some(route.clone()));
    let path = format!("/api/v1/routes/{}", id(&routed));
    assert_eq!(expect(&server, 200, "GET", &path, None), routed);
    expect(&server, 409, "DELETE", &agent_path, None);
    let mut changed = routed.clone();
    changed["enabled"] = json!(false);
    changed["to"] = json!("*");
    assert_eq!(expect(&server, 200, "PUT", &path, Some(changed))["enabled"], false);
    for (key, value) in [
        ("to", json!("a*b")),
        ("agent_id", json!(NOWHERE)),
        ("conditions", json!({"open": ["09:00-10:00"], "time_zone": "Mars"})),
        ("conditions", json!({"weight": 1})),
        ("settings", json!({"fallback_agent": "bot"})),
        ("settings", json!({"fallback_agent": "nobody"})),
        ("settings", json!({"fallback_message": "/etc/passwd"})),
        ("settings", json!({"open": ["09:00-10:00"]})),
        ("priority", json!(70_000)),
    ] {
        let mut wrong = route.clone();
        wrong[key] = value;
        expect(&server, 422, "POST", "/api/v1/routes", Some(wrong));
    }
    let routes = expect(&server, 200, "GET", "/api/v1/routes", None);
    let routes = routes["routes"].as_array().unwrap();
    assert!(routes.iter().any(|route| route["id"] == routed["id"]));
    let file = routes.iter().find(|route| route["origin"] == "file").unwrap();
    let refused = expect(&server, 409, "DELETE", &format!("/api/v1/routes/{}", id(file)), None);
    assert_eq!(refused["type"], "/problems/read-only");
    expect(&server, 204, "DELETE", &path, None);
    expect(&server, 404, "GET", &path, None);
    expect(&server, 204, "DELETE", &agent_path, None);
    server.stop();
}

/// An id of nothing.
const NOWHERE: &str = "0192f0c1-7b7e-7c3a-9a51-2f8e6f1d4c11";
