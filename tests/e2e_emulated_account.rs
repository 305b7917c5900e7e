//! What carriers do for an account beside its calls, each against its emulator on real sockets:
//! recordings that they keep, prices that they tell or are asked for, trunks; and webhooks that are
//! not signed.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use adapters::emulate::Command;
use adapters::table;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Executor};
use support::api_carrier::expect;
use support::emulated::{SOON, called, each, record, set_up, start};
use support::ports::Ports;
use support::server::{Server, folder};
use support::{until, until_told};

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// A carrier that can records from the word to start to the word to stop, and once more until the
/// call ends; where each recording is stands among the call's events. One that cannot is not asked.
#[test]
fn recordings_at_the_carrier() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, agent) = called(&agents, &mut emulated);
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/calls/{id}/record");
        let order = |state: &str| {
            let wanted = json!({"state": state, "at": "carrier"});
            server.http("POST", &path, Some(&wanted)).0
        };
        let can = emulated.spec.calls.record.is_some();
        let told = || {
            let path = format!("/api/v1/calls/{id}/events?limit=200");
            let events = expect(&server, 200, "GET", &path, None);
            let all = events["items"].as_array().unwrap().iter();
            let all = all.filter(|it| it["type"] == "call.recording");
            all.filter(|it| it["data"]["state"] == "at_carrier").cloned().collect::<Vec<Value>>()
        };
        if can {
            assert_eq!((order("start"), order("stop")), (200, 200), "{}", carrier.name);
            until_told(SOON, "the recording", || (told().len() == 1).then_some(()));
            assert_eq!(order("start"), 200);
        } else {
            let refused = order("start");
            assert!((400..=501).contains(&refused), "{refused}");
        }
        emulated.does(Command::Hangup(call.clone()));
        assert_eq!(emulated.ends(&call), carrier.over);
        record(&server, &id);
        if can {
            until_told(SOON, "the other recording", || (told().len() == 2).then_some(()));
            assert_ne!(
                told()[0]["data"]["at_carrier"]["id"],
                told()[1]["data"]["at_carrier"]["id"]
            );
        }
        emulated.assert_content();
        server.stop();
    });
}

/// What a call cost is in its record, in the carrier's currency: some carriers tell it with a
/// webhook, the others are asked some time after the end, also by a server that was started anew
/// meanwhile.
#[test]
fn prices_are_in_the_record() {
    each(|carrier| {
        let currency = match carrier.name {
            "exotel" | "vobiz" => "INR",
            "vonage" => "EUR",
            // Its domain rates no calls.
            "cloudonix" => return,
            _ => "USD",
        };
        let (mut server, agents, mut emulated) = start(carrier, &[]);
        let (call, agent) = called(&agents, &mut emulated);
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        record(&server, &id);
        if matches!(carrier.name, "exotel" | "twilio" | "vobiz") {
            let (key, dir) = (server.key.clone(), server.dir.clone());
            server.leave_files();
            server.stop();
            an_hour_passes(&dir.join("data/talkpath.db"));
            server = Server::start_on(Ports::claim_part(), dir, "");
            server.key = key;
        }
        let path = format!("/api/v1/calls/{id}");
        let cost = until_told(SOON, "the price", || {
            let cost = expect(&server, 200, "GET", &path, None)["cost"].clone();
            cost.is_object().then_some(cost)
        });
        assert_eq!(cost["currency"], currency, "{}: {cost}", carrier.name);
        let amount: f64 = cost["amount"].as_str().unwrap().parse().unwrap();
        assert!(amount > 0.0, "{cost}");
        server.stop();
    });
}

/// Who cannot be taken at all is told so by a carrier that is controlled by requests, one after the
/// other: the call is answered, spoken to and hung up on; its record says that it was never taken.
#[test]
fn a_caller_is_told_that_nobody_is_there() {
    let nobody = "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:9/\"\n";
    let (server, mut emulated) = set_up(nobody, "bot", "telnyx", &[]);
    let path = format!("{CONFIGS}/{}", emulated.id);
    let mut config = expect(&server, 200, "GET", &path, None)["credentials"].clone();
    config["unavailable_text"] = json!("Sorry, nobody is there.");
    expect(&server, 200, "PUT", &path, Some(json!({"config": config})));
    // What was made over HTTP is in use a moment later.
    until(SOON, "a caller who is told", || {
        let call = emulated.call();
        emulated.ends(&call);
        (emulated.asked_for("/actions/speak") == 1).then_some(())
    });
    assert!(emulated.asked_for("/actions/answer") == 1, "{:?}", emulated.asked);
    assert_eq!(emulated.asked_for("/actions/hangup"), 1, "{:?}", emulated.asked);
    server.wait_idle();
    let calls = expect(&server, 200, "GET", "/api/v1/calls", None);
    for call in calls["items"].as_array().unwrap() {
        assert_eq!(call.get("answered_at"), Some(&Value::Null), "{call}");
        assert_eq!(call["status"], "failed", "{call}");
    }
    emulated.assert_content();
    server.stop();
}

/// Every call of a server that does not run was an hour earlier.
fn an_hour_passes(file: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut store = runtime.block_on(options.connect()).unwrap();
    let back = "UPDATE calls SET ended_at = ended_at - 3600000000";
    assert_eq!(runtime.block_on(store.execute(back)).unwrap().rows_affected(), 1);
}

/// Trunks are made at the carrier first, so that what it refuses leaves nothing here; what is
/// deleted here is out of service there, and its name is not free again.
#[test]
fn trunks_are_made_at_the_carrier() {
    let (server, mut emulated) = set_up("", "echo", "cloudonix", &["fail=trunk:503"]);
    let path = format!("{CONFIGS}/{}/trunks", emulated.id);
    let listed = || {
        let all = expect(&server, 200, "GET", &path, None);
        all["trunks"].as_array().unwrap().clone()
    };
    let trunk = |name: &str| {
        let settings = json!({"ip": "sip.example.com", "transport": "tls", "port": 5061});
        Some(json!({"name": name, "settings": settings}))
    };
    let (status, refused) = server.http("POST", &path, trunk("out-1").as_ref());
    // To ask which there are is repeated; to make one is not.
    assert!(matches!(status, 201 | 502 | 503), "{refused}");
    if status != 201 {
        assert!(listed().is_empty());
        expect(&server, 201, "POST", &path, trunk("out-1"));
    }
    let made = listed().remove(0);
    assert_eq!((&made["name"], &made["settings"]["port"]), (&json!("out-1"), &json!(5061)));
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let (status, why) = server.http("POST", &path, trunk("two words").as_ref());
    assert!((400..=502).contains(&status) && listed().len() == 1, "{status} {why}");
    expect(&server, 200, "PUT", &one, Some(json!({"enabled": false})));
    assert_eq!(server.http("DELETE", &one, None).0, 204);
    assert!(listed().is_empty());
    assert_eq!(
        emulated.asked_for("PUT"),
        emulated.asked_for("/trunks/") + 3,
        "{:?}",
        emulated.asked
    );
    let (status, why) = server.http("POST", &path, trunk("out-1").as_ref());
    assert!((400..=502).contains(&status) && listed().is_empty(), "{status} {why}");
    server.stop();
}

/// Posts a form; the status.
#[track_caller]
fn post(server: &Server, path: &str, headers: &[(&str, &str)], form: &str) -> u16 {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A webhook without a signature is believed from an address that the configuration names, at an
/// address that holds its token, and nowhere else; nobody can say that another sent it.
#[test]
fn webhooks_that_are_not_signed() {
    let server = Server::start_on(Ports::claim_part(), folder(), "");
    let emulator = table::find("vobiz").unwrap().emulator.unwrap();
    let mut hooks = Vec::new();
    for (account, more) in [
        ("MA_ONE", json!({"allow_unsigned": true, "unsigned_from": ["127.0.0.1"]})),
        ("MA_TWO", json!({"allow_unsigned": true})),
        ("MA_THREE", json!({})),
    ] {
        let mut fields = (emulator.config)("http://127.0.0.1:1");
        (fields["provider"], fields["auth_id"]) = (json!("vobiz"), json!(account));
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let wanted = json!({"name": account, "config": fields});
        let made = expect(&server, 201, "POST", CONFIGS, Some(wanted));
        let path = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
        let shown = expect(&server, 200, "GET", &path, None).to_string();
        let at = shown.find("/api/v1/telephony/vobiz/").expect("the addresses of its hooks");
        let hook: String = shown[at..].chars().take_while(|it| *it != '"').collect();
        let token = hook.rsplit('/').next().unwrap().to_owned();
        hooks.push((account, format!("/api/v1/telephony/vobiz/status/{token}")));
    }
    let told = |path: &str, account: &str, headers: &[(&str, &str)]| {
        let form = format!("CallUUID=u-1&Event=Ring&ParentAuthID={account}");
        post(&server, path, headers, &form)
    };
    let named = hooks[0].clone();
    until(SOON, "the configuration in use", || {
        (told(&named.1, "MA_ONE", &[]) != 404).then_some(())
    });
    assert_eq!(told(&named.1, "MA_ONE", &[]), 204);
    assert_eq!(told(&named.1, "MA_TWO", &[]), 400, "it must name the account all the same");
    let wrong = [("X-Vobiz-Signature-V3", "AAAA"), ("X-Vobiz-Signature-V3-Nonce", "1")];
    assert_eq!(told(&named.1, "MA_ONE", &wrong), 403);
    for (account, path) in &hooks[1..] {
        until(SOON, "the configuration in use", || (told(path, account, &[]) != 404).then_some(()));
        let forwarded = [("X-Forwarded-For", "15.206.6.156"), ("Forwarded", "for=15.206.6.156")];
        for headers in [&[][..], &forwarded[..1], &forwarded[1..]] {
            assert_eq!(told(path, account, headers), 403, "{account} {headers:?}");
        }
    }
    let shared = "/api/v1/telephony/inbound/run";
    assert_ne!(told(shared, "MA_ONE", &[("User-Agent", "Vobiz")]), 204);
    server.stop();
}
