//! Trunks within a configuration over the HTTP API: made, shown, changed and deleted while the
//! server runs; calls go in and out through the one that their number is pinned to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{Gateway, Manner};
use support::line::header;
use support::phone::Phone;
use support::server::{Server, expect, id};
use support::until;

const SOON: Duration = Duration::from_secs(15);
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// A server whose calls are not all taken by its one agent.
const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
    [[routes]]\nto = \"filed\"\nagent = \"echo\"\n";
const PASSWORD: &str = "open sesame, planted";

/// A configuration that leaves its calls to the trunks within it.
#[track_caller]
fn configuration(server: &Server, name: &str) -> String {
    let config = json!({"provider": "sip_trunk", "inbound": {"enabled": false}});
    let made = json!({"name": name, "config": config, "is_default_outbound": true});
    id(&expect(server, 201, "POST", CONFIGS, Some(&made)))
}

/// The settings of a trunk to `gateway`, for calls from this machine.
fn to(gateway: &Gateway) -> Value {
    json!({
        "inbound": {"enabled": true, "networks": ["127.0.0.1"]},
        "outbound": {
            "enabled": true,
            "targets": [{"host": "127.0.0.1", "port": gateway.address.port()}],
        },
        "country": "DE",
    })
}

#[track_caller]
fn place(server: &Server, from: Option<&str>, config: &str) -> (u16, Value) {
    let mut wanted = json!({
        "to": "+493012345678", "agent": "echo", "telephony_configuration_id": config,
    });
    if let Some(from) = from {
        wanted["from"] = json!(from);
    }
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    (status, serde_json::from_str(&body).unwrap())
}

/// Two trunks of one configuration: `east` and `west`, with a number that is pinned to none, and
/// the default number pinned to `west`.
struct Pair {
    server: Server,
    east: Gateway,
    west: Gateway,
    config: String,
    trunks: String,
    numbers: String,
    /// The id of `west`, and of its number.
    second: String,
    pinned: String,
}

impl Pair {
    #[track_caller]
    fn start() -> Self {
        let server = Server::start(CONFIG);
        let [east, west] = [(); 2].map(|()| Gateway::start(Manner::Answers));
        let config = configuration(&server, "carrier");
        let trunks = format!("{CONFIGS}/{config}/trunks");
        let make = |name: &str, gateway: &Gateway, codecs: Value| {
            let mut settings = to(gateway);
            settings["codecs"] = codecs;
            let wanted = json!({"name": name, "settings": settings});
            id(&expect(&server, 201, "POST", &trunks, Some(&wanted)))
        };
        make("east", &east, json!(["PCMA", "PCMU"]));
        let second = make("west", &west, json!(["PCMU"]));
        let agent = json!({"name": "bot", "kind": "builtin", "builtin": "echo"});
        let agent = id(&expect(&server, 201, "POST", "/api/v1/agents", Some(&agent)));
        let numbers = format!("{CONFIGS}/{config}/phone-numbers");
        let number = |address: &str, trunk: Option<&str>, is_default: bool| {
            let wanted = json!({
                "address": address, "inbound_agent_id": agent, "telephony_trunk_id": trunk,
                "is_default_caller_id": is_default,
            });
            id(&expect(&server, 201, "POST", &numbers, Some(&wanted)))
        };
        number("+4930111", None, false);
        let pinned = number("+4930222", Some(&second), true);
        Self { server, east, west, config, trunks, numbers, second, pinned }
    }
}

/// A configuration that only holds trunks needs one before calls are placed by it.
#[test]
fn a_configuration_of_trunks() {
    let server = Server::start(CONFIG);
    let config = configuration(&server, "carrier");
    let path = format!("{CONFIGS}/{config}");
    let shown = expect(&server, 200, "GET", &path, None);
    assert_eq!(shown["supports_trunks"], true);
    assert_eq!(shown["is_ready_for_outbound"], false, "{shown}");
    assert_eq!((&shown["trunks"], &shown["status"]), (&json!([]), &Value::Null));
    let (status, refused) = place(&server, None, &config);
    assert_eq!(status, 400, "{refused}");
    let gateway = Gateway::start(Manner::Answers);
    let wanted = json!({"name": "only", "settings": to(&gateway)});
    let made = expect(&server, 201, "POST", &format!("{path}/trunks"), Some(&wanted));
    let shown = expect(&server, 200, "GET", &path, None);
    assert_eq!(shown["is_ready_for_outbound"], true, "{shown}");
    assert_eq!(shown["trunks"][0]["id"], made["id"], "{shown}");
    server.stop();
}

/// Calls from a number go out through the trunk that it is pinned to, in that trunk's own codecs,
/// and their records say so; a number that is pinned to none takes the first.
#[test]
fn calls_out_through_the_trunk_of_their_number() {
    let Pair { server, east, west, config, .. } = Pair::start();
    for (from, gateway, other, name, has_alaw) in [
        (None, &west, &east, "west", false),
        (Some("+4930222"), &west, &east, "west", false),
        (Some("+4930111"), &east, &west, "east", true),
    ] {
        let before = other.heard("INVITE ").len();
        let (status, call) = place(&server, from, &config);
        assert_eq!(status, 201, "{call}");
        assert_eq!(call["trunk"], name);
        let call = id(&call);
        until(SOON, "an answer", || {
            let calls = server.calls();
            let up = calls.iter().any(|it| it["id"] == *call && it["state"] == "answered");
            up.then_some(())
        });
        let invite = gateway.heard("INVITE ").pop().unwrap();
        let audio = invite.lines().find(|line| line.starts_with("m=audio")).unwrap();
        assert_eq!(audio.split(' ').any(|word| word == "8"), has_alaw, "{audio}");
        assert!(header(&invite, "From").contains(from.unwrap_or("+4930222")), "{invite}");
        assert_eq!(other.heard("INVITE ").len(), before);
        server.hang_up(&call);
        server.wait_idle();
        let record = expect(&server, 200, "GET", &format!("/api/v1/calls/{call}"), None);
        assert_eq!((&record["trunk"], &record["configuration_id"]), (&json!(name), &json!(config)));
    }
    server.stop();
}

/// Two trunks take calls from the same address: the called number tells by which one it came.
#[test]
fn calls_in_by_the_trunk_of_their_number() {
    let Pair { server, .. } = Pair::start();
    for (called, name) in [("+4930222", "west"), ("030222", "west"), ("+4930111", "east")] {
        let mut phone = Phone::up_when_known(&server, called);
        assert_eq!(server.calls()[0]["trunk"], name, "{called}");
        phone.hang_up();
        server.wait_idle();
    }
    Phone::call(&server, "+4930333").wait_refusal(404);
    server.stop();
}

/// A trunk with numbers stays. Out of service, its number is called from no more, while its calls
/// still come in by the other; without numbers it can be deleted.
#[test]
fn a_trunk_out_of_service() {
    let Pair { server, config, trunks, numbers, second, pinned, .. } = &Pair::start();
    let one = format!("{trunks}/{second}");
    let refused = expect(server, 409, "DELETE", &one, None);
    assert!(refused["detail"].as_str().unwrap().contains("1 number is pinned"), "{refused}");
    let off = expect(server, 200, "PUT", &one, Some(&json!({"enabled": false})));
    assert_eq!(off["enabled"], false);
    until(SOON, "it is out of service", || {
        expect(server, 200, "GET", &one, None)["status"].is_null().then_some(())
    });
    let (status, refused) = place(server, Some("+4930222"), config);
    assert_eq!(status, 400, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("not in service"), "{refused}");
    let mut phone = Phone::up(server, "+4930222");
    assert_eq!(server.calls()[0]["trunk"], "east");
    phone.hang_up();
    let unpin = json!({"telephony_trunk_id": null});
    expect(server, 200, "PUT", &format!("{numbers}/{pinned}"), Some(&unpin));
    expect(server, 204, "DELETE", &one, None);
    expect(server, 404, "GET", &one, None);
    let (status, call) = place(server, Some("+4930222"), config);
    assert_eq!((status, &call["trunk"]), (201, &json!("east")));
    server.hang_up(&id(&call));
    server.wait_idle();
}

/// A trunk registers, is probed and shows how it stands; its password is shown masked, is kept
/// where the mask is written back, and stands nowhere in clear.
#[test]
fn secrets_and_standing() {
    let server = Server::start(CONFIG);
    let gateway = Gateway::start(Manner::Answers);
    let config = configuration(&server, "carrier");
    let trunks = format!("{CONFIGS}/{config}/trunks");
    let mut settings = to(&gateway);
    settings["auth"] = json!({"enabled": true, "user": "line", "password": PASSWORD});
    settings["registration"] = json!({
        "enabled": true, "registrar": gateway.address.to_string(), "user": "line",
    });
    settings["options_interval_s"] = json!(5);
    let wanted = json!({"name": "main", "settings": settings});
    let made = expect(&server, 201, "POST", &trunks, Some(&wanted));
    let one = format!("{trunks}/{}", id(&made));
    let standing = until(SOON, "registration and answer", || {
        let shown = expect(&server, 200, "GET", &one, None);
        let status = shown["status"].clone();
        (status["registration"]["state"] == "registered" && status["servers"][0]["up"] == true)
            .then_some(status)
    });
    assert_eq!(
        (&standing["up"], &standing["registration"]["failed_with"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(standing["servers"][0]["address"], gateway.address.to_string());
    assert!(!gateway.heard("REGISTER sip:127.0.0.1").is_empty());

    let shown = expect(&server, 200, "GET", &one, None);
    let mask = shown["settings"]["auth"]["password"].as_str().unwrap();
    assert!(mask.starts_with("****") && mask != PASSWORD, "{mask}");
    let mut settings = shown["settings"].clone();
    settings["limits"] = json!({"calls_per_second": 1});
    let changed = json!({"name": "renamed", "settings": settings, "max_calls": 1});
    let changed = expect(&server, 200, "PUT", &one, Some(&changed));
    assert_eq!((&changed["name"], &changed["max_calls"]), (&json!("renamed"), &json!(1)));
    assert_eq!(changed["settings"]["auth"]["password"], mask);
    // The registration goes on as it was: nothing of it has changed.
    let registers = gateway.heard("REGISTER ").len();
    let status = &changed["status"]["registration"]["state"];
    assert_eq!(status, "registered");
    assert_eq!(gateway.heard("REGISTER ").len(), registers);

    // Its limit holds.
    let (status, call) = place(&server, None, &config);
    assert_eq!(status, 201, "{call}");
    let (status, refused) = place(&server, None, &config);
    assert_eq!(status, 503, "{refused}");
    server.hang_up(&id(&call));
    server.wait_idle();

    let data = server.dir.join("data");
    for file in std::fs::read_dir(&data).unwrap().flatten() {
        if file.path().is_file() {
            let bytes = std::fs::read(file.path()).unwrap();
            let found = bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
            assert!(!found, "{}", file.path().display());
        }
    }
    assert!(!server.log().contains(PASSWORD));

    // A trunk that is deleted takes its registration back.
    expect(&server, 204, "DELETE", &one, None);
    until(SOON, "the end of the registration", || {
        let registers = gateway.heard("REGISTER ");
        registers.iter().any(|it| it.contains("expires=0")).then_some(())
    });
    server.stop();
}

/// What cannot be is refused with the field that is wrong, a name is one trunk's alone, and a
/// provider without trunks has none.
#[test]
fn what_is_refused() {
    let server = Server::start(CONFIG);
    let gateway = Gateway::start(Manner::Answers);
    let config = configuration(&server, "carrier");
    let trunks = format!("{CONFIGS}/{config}/trunks");
    for (settings, field) in [
        (json!({"inbound": {"enabled": false}}), "settings.inbound.enabled"),
        (json!({}), "settings.inbound.networks"),
        (json!({"inbound": {"networks": ["nonsense"]}}), "settings.inbound.networks[0]"),
        (json!({"inbound": {"networks": ["192.0.2.1"]}, "srtp": "required"}), "settings.srtp"),
        (json!({"inbound": {"networks": ["192.0.2.1"]}, "x": 1}), "settings.x"),
    ] {
        let wanted = json!({"name": "t", "settings": settings});
        let refused = expect(&server, 422, "POST", &trunks, Some(&wanted));
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    let wanted = json!({"name": "t", "settings": to(&gateway)});
    let made = id(&expect(&server, 201, "POST", &trunks, Some(&wanted)));
    expect(&server, 409, "POST", &trunks, Some(&wanted));
    // Another configuration may have a trunk of the same name, but not that trunk.
    let other = configuration(&server, "other");
    let theirs = format!("{CONFIGS}/{other}/trunks");
    expect(&server, 201, "POST", &theirs, Some(&wanted));
    for method in ["GET", "DELETE"] {
        expect(&server, 404, method, &format!("{theirs}/{made}"), None);
    }
    let number = json!({"address": "+4930111", "telephony_trunk_id": made});
    expect(&server, 400, "POST", &format!("{CONFIGS}/{other}/phone-numbers"), Some(&number));

    // By name it is ambiguous, with its configuration or by its id it is not.
    let call = |more: Value| {
        let mut wanted = json!({"to": "+493012345678", "agent": "echo"});
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        let body: Value = serde_json::from_str(&body).unwrap();
        if status == 201 {
            server.hang_up(&id(&body));
            server.wait_idle();
        }
        status
    };
    assert_eq!(call(json!({"trunk": "t"})), 400);
    assert_eq!(call(json!({"trunk": "t", "telephony_configuration_id": config})), 201);
    assert_eq!(call(json!({"trunk": "u", "telephony_configuration_id": config})), 400);
    assert_eq!(call(json!({"trunk": made})), 201);

    // A configuration takes its trunks along.
    expect(&server, 204, "DELETE", &format!("{CONFIGS}/{config}"), None);
    assert_eq!(call(json!({"trunk": made})), 400);
    assert_eq!(call(json!({"trunk": "t"})), 201, "only one is left");
    server.stop();
}
