//! The number that a call is placed from, picked of several: seen by the called party, written into
//! the call's log, the same after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::gateway::{Gateway, Manner};
use support::line::header;
use support::server::{Server, folder};
use support::until;

const SOON: Duration = Duration::from_secs(15);
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// One request that must be answered with `status`.
#[track_caller]
fn expect(server: &Server, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// Places a call to `to` with these fields more and ends it; whom the gateway saw calling, and what
/// the call's log says was picked.
#[track_caller]
fn call(server: &Server, gateway: &Gateway, to: &str, more: &Value) -> (String, Option<Value>) {
    let mut wanted = json!({"to": to, "agent": "echo"});
    for (name, value) in more.as_object().unwrap() {
        wanted[name] = value.clone();
    }
    let before = gateway.heard("INVITE ").len();
    let made = expect(server, 201, "POST", "/api/v1/calls", Some(&wanted));
    let invite = until(SOON, "an INVITE", || gateway.heard("INVITE ").get(before).cloned());
    until(SOON, "an ACK", || (gateway.heard("ACK ").len() > before).then_some(()));
    let id = made["id"].as_str().unwrap();
    server.hang_up(id);
    server.wait_idle();
    let events = expect(server, 200, "GET", &format!("/api/v1/calls/{id}/events"), None);
    let mut events = events["items"].as_array().unwrap().iter();
    let picked = events.find(|event| event["type"] == "call.caller_id_picked");
    let from = header(&invite, "From");
    let user = from.split_once("sip:").unwrap().1.split_once('@').unwrap().0.to_owned();
    assert_eq!(made["from"], user);
    (user, picked.map(|event| event["data"].clone()))
}

/// A trunk of the file: whoever was called before is called from the same number, also by a server
/// that was started anew; each number has its calls of the day and no more; and a call that names
/// its number has that.
#[test]
fn the_same_number_for_the_same_callee() {
    let gateway = Gateway::start(Manner::Answers);
    let config = format!(
        "[[trunks]]\nname = \"out\"\ntargets = [\"sip:{}\"]\n\
         caller_ids = [\"+493011\", \"+493022\"]\n\
         caller_id_policy = \"sticky\"\ncaller_id_daily_cap = 3\n",
        gateway.address
    );
    let out = json!({"trunk": "out"});
    let dir = folder();
    let mut first = Server::start_in(dir.clone(), &config);
    let (one, two) = ("+493011", "+493022");
    for (to, expected) in
        [("+4940100", one), ("+4940200", two), ("+4940100", one), ("+4940200", two)]
    {
        let (from, picked) = call(&first, &gateway, to, &out);
        assert_eq!(from, expected, "{to}");
        assert_eq!(picked, Some(json!({"number": expected, "policy": "sticky"})));
    }
    let named = json!({"trunk": "out", "from": "+493099"});
    assert_eq!(call(&first, &gateway, "+4940300", &named), ("+493099".to_owned(), None));
    let key = first.key.clone();
    first.leave_files();
    first.stop();

    let mut second = Server::start_in(dir, &config);
    second.key = key;
    assert_eq!(call(&second, &gateway, "+4940200", &out).0, two);
    // That one has had its calls.
    assert_eq!(call(&second, &gateway, "+4940200", &out).0, one);
    let wanted = json!({"to": "+4940100", "agent": "echo", "trunk": "out"});
    let (status, text) = second.http("POST", "/api/v1/calls", Some(&wanted));
    assert!(status == 403 && text.contains("/problems/caller-ids"), "{status} {text}");
    assert_eq!(call(&second, &gateway, "+4940100", &named).0, "+493099");
    second.stop();
}

/// A configuration of the API: the nearest number, which changes with the configuration and with
/// what is active, and none of a configuration that is parked.
#[test]
fn the_nearest_number() {
    let (server, gateway) = (Server::start(""), Gateway::start(Manner::Answers));
    let config = json!({
        "provider": "sip_trunk",
        "inbound": {"enabled": false},
        "outbound": {
            "enabled": true,
            "targets": [{"host": "127.0.0.1", "port": gateway.address.port()}],
        },
    });
    let wanted = json!({
        "name": "carrier", "config": config, "is_default_outbound": true,
        "caller_id": {"policy": "local"},
    });
    let made = expect(&server, 201, "POST", CONFIGS, Some(&wanted));
    assert_eq!(made["caller_id"], json!({"policy": "local", "daily_cap": null}));
    let one = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
    let numbers = format!("{one}/phone-numbers");
    let ids = ["+4930111111", "+4989222222", "+12125550100"].map(|address| {
        let wanted = json!({"address": address});
        expect(&server, 201, "POST", &numbers, Some(&wanted))["id"].as_str().unwrap().to_owned()
    });
    let from = |to: &str| call(&server, &gateway, to, &json!({}));
    let local =
        |number: &str| (number.to_owned(), Some(json!({"number": number, "policy": "local"})));
    assert_eq!(from("+498933333333"), local("+4989222222"));
    assert_eq!(from("+12125550199"), local("+12125550100"));
    let off = json!({"is_active": false});
    expect(&server, 200, "PUT", &format!("{numbers}/{}", ids[1]), Some(&off));
    assert_eq!(from("+498933333333"), local("+4930111111"));

    let wrong = json!({"caller_id": {"policy": "best", "cap": 1}});
    let problem = expect(&server, 422, "PUT", &one, Some(&wrong));
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().collect();
    assert_eq!(fields.len(), 2, "{problem}");
    assert_eq!(fields[0]["field"], "caller_id.policy");
    let changed = expect(&server, 200, "PUT", &one, Some(&json!({"caller_id": null})));
    assert_eq!(changed["caller_id"], json!({"policy": "default", "daily_cap": null}));
    let (_, picked) = from("+498933333333");
    assert_eq!(picked, None, "there is nothing to pick");

    let turns = json!({"caller_id": {"policy": "round_robin"}});
    expect(&server, 200, "PUT", &one, Some(&turns));
    let turns: Vec<_> = (0..3).map(|_| from("+498933333333").0).collect();
    assert_eq!(turns[0], turns[2]);
    assert_ne!(turns[0], turns[1]);
    expect(&server, 200, "POST", &format!("{one}/park"), Some(&json!({"reason": "test"})));
    let wanted = json!({"to": "+498933333333", "agent": "echo"});
    let (status, text) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 400, "{text}");
    server.stop();
}
