//! Calls that a carrier controls over HTTP, against a carrier in miniature: taken, placed, refused,
//! cut off at every step; each ends in the right state with the right cause, and at the carrier
//! too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use serde_json::{Value, json};
use support::api_carrier::{
    Api, Media, NUMBER, OTHER, SOON, about, attribute, call_id, configure, ended, expect, hook,
    hook_url,
};
use support::server::Server;
use support::until;

/// A call is offered, answered with a document whose socket is let in once, heard both ways, and
/// over when the carrier says so; a repeated offer is the same call, a forged one is none.
#[test]
fn an_offered_call() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let url = hook_url(&server, &api, &id, "voice");
    let call = call_id(1);
    let offer = about(&call, "ringing", "inbound");
    assert_eq!(hook(&server, &url, &offer, true).0, 403);
    let (status, document) = hook(&server, &url, &offer, false);
    assert_eq!(status, 200, "{document}");
    let stream = attribute(&document, "Stream", "url");
    let (_, again) = hook(&server, &url, &offer, false);
    assert_eq!(attribute(&again, "Stream", "url"), stream);
    assert!(Media::open(&format!("{stream}x"), &call).is_none());
    let mut media = Media::open(&stream, &call).unwrap();
    assert!(Media::open(&stream, &call).is_none(), "the token is spent");
    media.hears_echo(0x55);
    let live = server.calls();
    assert_eq!(
        (live.len(), &live[0]["state"], &live[0]["to"]),
        (1, &json!("answered"), &json!(NUMBER))
    );
    media.stop(&call);
    let ended = ended(&server);
    assert_eq!((&ended["cause"], &ended["status"]), (&json!("normal"), &json!("completed")));
    assert_eq!(ended["configuration_id"], json!(id));
    media.is_closed();
    api.hears_hangup(&call);
    let (_, late) = hook(&server, &url, &offer, false);
    assert!(late.contains("<Reject"), "{late}");
    let (_, metrics) = server.http("GET", "/metrics", None);
    let forged = "talkpath_carrier_hooks_total{provider=\"twilio\",outcome=\"forged\"} ";
    let counted = metrics.lines().find_map(|line| line.strip_prefix(forged)).unwrap();
    assert_ne!(counted, "0");
    server.stop();
}

/// What nobody takes is refused in the carrier's words, before it is answered.
#[test]
fn refused_calls() {
    let (server, api) = (Server::start("routes = []\n"), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let url = hook_url(&server, &api, &id, "voice");
    let call = call_id(2);
    let mut offer = about(&call, "ringing", "inbound");
    offer.retain(|(name, _)| *name != "To");
    offer.push(("To", "+15550000000"));
    let (status, document) = hook(&server, &url, &offer, false);
    assert_eq!(status, 200);
    assert!(document.contains("<Reject/>"), "{document}");
    let wrong = url.replace("/voice/", "/nothing/");
    assert_eq!(hook(&server, &wrong, &offer, false).0, 404);
    let (head, _) = url.rsplit_once('/').unwrap();
    assert_eq!(hook(&server, &format!("{head}/wrong-token"), &offer, false).0, 404);
    assert!(server.calls().is_empty());
    server.stop();
}

/// The shared entry finds the configuration by account and number, and believes nobody unsigned;
/// another account's requests are not let in by its secret.
#[test]
fn the_shared_entry() {
    let (server, api) = (Server::start(""), Api::start());
    configure(&server, &api, "main", NUMBER);
    let url = format!("http://{}/api/v1/telephony/inbound/run", server.http);
    let call = call_id(3);
    let offer = about(&call, "ringing", "inbound");
    assert_eq!(hook(&server, &url, &offer, true).0, 403);
    let document = until(SOON, "the configuration in use", || {
        let (status, document) = hook(&server, &url, &offer, false);
        (status == 200).then_some(document)
    });
    let stream = attribute(&document, "Stream", "url");
    let mut media = Media::open(&stream, &call).unwrap();
    media.hears_echo(0x2a);
    let path = format!("/api/v1/calls/{}/hangup", server.calls()[0]["id"].as_str().unwrap());
    expect(&server, 204, "POST", &path, None);
    media.is_closed();
    api.hears_hangup(&call);
    let fallback = url.replace("/run", "/fallback");
    let other = call_id(4);
    let (status, document) = hook(&server, &fallback, &about(&other, "ringing", "inbound"), false);
    assert_eq!(status, 200);
    assert!(document.contains("<Reject"), "{document}");
    // Signed with the secret of ours, and of an account that is nobody's.
    let mut foreign = about(&other, "ringing", "inbound");
    foreign.retain(|(name, _)| *name != "AccountSid");
    foreign.push(("AccountSid", "AC00000000000000000000000000000000"));
    for url in [&url, &fallback] {
        assert_eq!(hook(&server, url, &foreign, false).0, 403, "{url}");
    }
    server.wait_idle();
    server.stop();
}

/// A socket that breaks ends the call after a while, at the carrier too; a socket of another call
/// is none.
#[test]
fn a_socket_that_breaks() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let url = hook_url(&server, &api, &id, "voice");
    let call = call_id(5);
    let (_, document) = hook(&server, &url, &about(&call, "ringing", "inbound"), false);
    let stream = attribute(&document, "Stream", "url");
    let mut media = Media::open(&stream, &call).unwrap();
    media.hears_echo(0x33);
    drop(media);
    let ended = ended(&server);
    assert_eq!(
        (&ended["cause"], &ended["ended_by"]),
        (&json!("network_failure"), &json!("carrier"))
    );
    api.hears_hangup(&call);
    server.stop();
}

/// A message that is longer than messages may be closes the socket with 1009, and the call is over.
#[test]
fn a_message_that_is_too_long() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let url = hook_url(&server, &api, &id, "voice");
    let call = call_id(6);
    let (_, document) = hook(&server, &url, &about(&call, "ringing", "inbound"), false);
    let mut media = Media::open(&attribute(&document, "Stream", "url"), &call).unwrap();
    media.hears_echo(0x44);
    media.say(&json!({"event": "media", "media": {"payload": "A".repeat(70_000)}}));
    media.is_closed();
    assert_eq!(media.code, Some(1009));
    let ended = ended(&server);
    assert_eq!(
        (&ended["cause"], &ended["ended_by"]),
        (&json!("network_failure"), &json!("carrier"))
    );
    api.hears_hangup(&call);
    server.stop();
}

/// Places a call and yields it as it is then, with what the carrier was asked.
#[track_caller]
fn place(server: &Server, api: &Api, id: &str) -> (Value, support::api_carrier::Asked) {
    let wanted = json!({
        "to": OTHER, "agent": "echo", "telephony_configuration_id": id, "ring_timeout_s": 30,
    });
    // What is made over HTTP is in use a moment later.
    let placed = until(SOON, "the configuration in use", || {
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        (status == 201).then(|| serde_json::from_str(&body).unwrap())
    });
    let asked = api.hears("a call to place", |asked| asked.path.ends_with("/Calls.json"));
    (placed, asked)
}

/// A placed call rings, is answered, is heard both ways and is over as the carrier tells; what it
/// tells late, twice or out of order changes nothing.
#[test]
fn a_placed_call() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let (placed, asked) = place(&server, &api, &id);
    assert_eq!((&placed["direction"], &placed["state"]), (&json!("outbound"), &json!("ringing")));
    assert_eq!((asked.field("To"), asked.field("From")), (Some(OTHER.into()), Some(NUMBER.into())));
    let status = asked.field("StatusCallback").unwrap();
    let stream = attribute(&asked.field("Twiml").unwrap(), "Stream", "url");
    let call = call_id(9);
    let tell = |word: &str, number: &str, more: &[(&str, &str)]| {
        let mut fields = about(&call, word, "outbound-api");
        fields.push(("SequenceNumber", number));
        fields.extend(more);
        let (status, answer) = hook(&server, &status, &fields, false);
        assert!(status == 200 || status == 204, "{word}: {status} {answer}");
    };
    tell("in-progress", "2", &[]);
    tell("ringing", "1", &[]);
    tell("in-progress", "2", &[]);
    let mut media = Media::open(&stream, &call).unwrap();
    media.hears_echo(0x55);
    tell("completed", "3", &[("CallDuration", "7")]);
    let ended = ended(&server);
    assert_eq!((&ended["status"], &ended["cause"]), (&json!("completed"), &json!("normal")));
    media.is_closed();
    tell("completed", "3", &[("CallDuration", "7")]);
    tell("ringing", "1", &[]);
    let path = format!("/api/v1/calls/{}", placed["id"].as_str().unwrap());
    let after = expect(&server, 200, "GET", &path, None);
    assert_eq!((&after["status"], &after["billed_s"]), (&json!("completed"), &json!(7)));

    // One address for all calls: the carrier's own id says which is meant.
    let bare = status.split('#').next().unwrap();
    let bare = bare.replace(&format!("/{}", placed["id"].as_str().unwrap()), "");
    assert!(status.starts_with(&format!("{bare}/")), "{status} names the call");
    let facts = || {
        let events = expect(&server, 200, "GET", &format!("{path}/events"), None);
        events["items"].as_array().unwrap().len()
    };
    let before = facts();
    let mut fields = about(&call, "completed", "outbound-api");
    fields.push(("SequenceNumber", "4"));
    assert_eq!(hook(&server, &bare, &fields, true).0, 403);
    assert_eq!(facts(), before);
    assert!(matches!(hook(&server, &bare, &fields, false).0, 200 | 204));
    assert_eq!(facts(), before + 1);
    let other = about("CA00000000000000000000000000000099", "completed", "outbound-api");
    assert!(matches!(hook(&server, &bare, &other, false).0, 200 | 204));
    assert_eq!(facts(), before + 1, "of somebody else's call");
    let events = expect(&server, 200, "GET", &format!("{path}/events"), None).to_string();
    assert!(events.contains(&call), "{events}");
    let hangups = api.asked().into_iter().filter(|asked| asked.body.contains("Status=completed"));
    assert_eq!(hangups.count(), 0, "what is over at the carrier is not ended there");
    server.stop();
}

/// Busy, no answer, refusals and failures of the API: each has its state and its cause, and leaves
/// nothing behind.
#[test]
fn calls_that_come_to_nothing() {
    for (planned, told, status, cause) in [
        (None, Some("busy"), "busy", "busy"),
        (None, Some("no-answer"), "no-answer", "no_answer"),
        (None, Some("failed"), "failed", "network_failure"),
        (Some((400, json!({"code": 21_211, "status": 400}))), None, "failed", "not_found"),
        (Some((401, json!({"code": 20_003, "status": 401}))), None, "failed", "network_failure"),
        (Some((400, json!("malformed"))), None, "failed", "network_failure"),
    ] {
        let (server, api) = (Server::start(""), Api::start());
        let id = configure(&server, &api, "main", NUMBER);
        api.will(Some(planned.unwrap_or((201, json!({"sid": call_id(9)})))));
        let (placed, asked) = place(&server, &api, &id);
        if let Some(word) = told {
            knows(&server, &placed, &call_id(9));
            tell_end(&server, &asked, word);
        }
        let ended = ended(&server);
        assert_eq!((&ended["status"], &ended["cause"]), (&json!(status), &json!(cause)));
        assert_eq!(api.asked().len(), 1, "nothing is placed twice, nothing ended that is not");
        server.stop();
    }
}

/// Waits until the server knows the carrier's id of a call.
#[track_caller]
fn knows(server: &Server, placed: &Value, call: &str) {
    let path = format!("/api/v1/calls/{}/events", placed["id"].as_str().unwrap());
    until(SOON, "the carrier's id", || {
        expect(server, 200, "GET", &path, None).to_string().contains(call).then_some(())
    });
}

/// The carrier tells that the call is over that it was asked for.
#[track_caller]
fn tell_end(server: &Server, asked: &support::api_carrier::Asked, word: &str) {
    let url = asked.field("StatusCallback").unwrap();
    let (code, _) = hook(server, &url, &about(&call_id(9), word, "outbound-api"), false);
    assert!(code == 200 || code == 204, "{code}");
}

/// The word for the end of a call overtakes the answer to the request that placed it: the call is
/// over all the same, for the same reason, and is not ended at the carrier once more. One that we
/// have given up meanwhile, and that is not over there, is ended there.
#[test]
fn an_end_that_overtakes_the_answer() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let (_, asked) = {
        api.hold(true);
        place(&server, &api, &id)
    };
    tell_end(&server, &asked, "busy");
    let over = ended(&server);
    assert_eq!((&over["status"], &over["cause"]), (&json!("busy"), &json!("busy")));
    server.wait_idle();
    api.hold(false);
    until(SOON, "the answer", || server.log().contains("over that was just placed").then_some(()));
    assert_eq!(api.asked().len(), 1, "what is over is not ended");
    server.stop();

    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    api.hold(true);
    let (placed, _) = place(&server, &api, &id);
    let path = format!("/api/v1/calls/{}/hangup", placed["id"].as_str().unwrap());
    expect(&server, 204, "POST", &path, None);
    assert_eq!(ended(&server)["status"], json!("canceled"));
    api.hold(false);
    api.hears_hangup(&call_id(9));
    server.stop();
}

/// Whoever tells of one call of the carrier's is not believed of another one of ours, though its
/// address names that.
#[test]
fn the_end_of_another_call() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let (placed, asked) = place(&server, &api, &id);
    knows(&server, &placed, &call_id(9));
    tell_end(&server, &asked, "no-answer");
    let before = ended(&server);
    server.wait_idle();
    let url = asked.field("StatusCallback").unwrap();
    let path = format!("/api/v1/calls/{}", placed["id"].as_str().unwrap());
    for (call, believed) in [(call_id(5), false), (call_id(9), true)] {
        let mut fields = about(&call, "completed", "outbound-api");
        fields.extend([("CallDuration", "99"), ("SequenceNumber", "7")]);
        assert!(matches!(hook(&server, &url, &fields, false).0, 200 | 204));
        let events = expect(&server, 200, "GET", &format!("{path}/events"), None).to_string();
        assert_eq!(events.contains("\"duration_ms\":99000"), believed, "{events}");
    }
    let after = expect(&server, 200, "GET", &path, None);
    assert_eq!(before["status"], after["status"]);
    server.stop();
}

/// A call that rings is given up at the carrier; one whose request broke off is not placed again,
/// and is taken if it shows itself all the same.
#[test]
fn calls_that_are_given_up_or_in_doubt() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let (placed, _) = place(&server, &api, &id);
    knows(&server, &placed, &call_id(9));
    let path = format!("/api/v1/calls/{}/hangup", placed["id"].as_str().unwrap());
    expect(&server, 204, "POST", &path, None);
    api.hears_hangup(&call_id(9));
    assert_eq!(ended(&server)["status"], json!("canceled"));
    server.stop();

    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    api.will(None);
    let (_, asked) = place(&server, &api, &id);
    let (url, call) = (asked.field("StatusCallback").unwrap(), call_id(7));
    assert_eq!(server.calls().len(), 1);
    hook(&server, &url, &about(&call, "in-progress", "outbound-api"), false);
    let stream = attribute(&asked.field("Twiml").unwrap(), "Stream", "url");
    let mut media = Media::open(&stream, &call).unwrap();
    media.hears_echo(0x11);
    media.stop(&call);
    assert_eq!(ended(&server)["status"], json!("completed"));
    let placings = api.asked().into_iter().filter(|asked| asked.path.ends_with("/Calls.json"));
    assert_eq!(placings.count(), 1);
    server.stop();
}

/// A carrier that takes nothing is passed over for the next configuration.
#[test]
fn the_next_configuration() {
    let (server, first, second) = (Server::start(""), Api::start(), Api::start());
    configure(&server, &first, "first", NUMBER);
    let other = "+15551230000";
    let wanted = json!({
        "name": "second",
        "config": {
            "provider": "twilio", "account_sid": "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "auth_token": support::api_carrier::TOKEN, "api_base": format!("http://{}", second.at),
        },
    });
    let configs = "/api/v1/organizations/telephony-configs";
    let made = expect(&server, 201, "POST", configs, Some(wanted));
    let path = format!("{configs}/{}/phone-numbers", made["id"].as_str().unwrap());
    expect(&server, 201, "POST", &path, Some(json!({"address": other})));
    let wanted = json!({"to": OTHER, "agent": "echo"});
    // Both are in use a moment after they are made.
    let asked = until(SOON, "the call at the second carrier", || {
        first.will(Some((401, json!({"code": 20_003, "status": 401}))));
        server.http("POST", "/api/v1/calls", Some(&wanted));
        second.asked().into_iter().find(|asked| asked.path.ends_with("/Calls.json"))
    });
    assert_eq!(asked.field("From").as_deref(), Some(other));
    for call in server.calls() {
        let path = format!("/api/v1/calls/{}/hangup", call["id"].as_str().unwrap());
        server.http("POST", &path, None);
    }
    server.stop();
}

/// A call that names no configuration is placed by the first that has a number to call from, though
/// another is the default; whoever names that one is told what is missing.
#[test]
fn a_configuration_without_numbers_is_passed_over() {
    let (server, first, second) = (Server::start(""), Api::start(), Api::start());
    let wanted = json!({
        "name": "empty", "is_default_outbound": true,
        "config": {
            "provider": "twilio", "account_sid": "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "auth_token": support::api_carrier::TOKEN, "api_base": format!("http://{}", first.at),
        },
    });
    let configs = "/api/v1/organizations/telephony-configs";
    let empty = expect(&server, 201, "POST", configs, Some(wanted))["id"].clone();
    configure(&server, &second, "main", NUMBER);
    let mut wanted = json!({"to": OTHER, "agent": "echo"});
    let placed = expect(&server, 201, "POST", "/api/v1/calls", Some(wanted.clone()));
    second.hears("a call to place", |asked| asked.path.ends_with("/Calls.json"));
    assert!(first.asked().is_empty());
    server.hang_up(placed["id"].as_str().unwrap());
    wanted["telephony_configuration_id"] = empty;
    let refused = expect(&server, 400, "POST", "/api/v1/calls", Some(wanted));
    assert_eq!(refused["errors"][0]["field"], json!("from"), "{refused}");
    server.wait_idle();
    server.stop();
}

/// Credentials are tried, and what the carrier says of them is told.
#[test]
fn credentials_are_tried() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let path = format!("/api/v1/organizations/telephony-configs/{id}");
    api.will(Some((200, json!({"sid": support::api_carrier::ACCOUNT, "status": "active"}))));
    let tried = expect(&server, 200, "POST", &format!("{path}/test"), None);
    assert_eq!(tried["ok"], json!(true), "{tried}");
    api.will(Some((401, json!({"code": 20_003, "status": 401}))));
    let tried = expect(&server, 200, "POST", &format!("{path}/test"), None);
    assert_eq!((&tried["ok"], &tried["code"]), (&json!(false), &json!("credentials")));
    let numbers = json!({"incoming_phone_numbers": [
        {"sid": "PN00000000000000000000000000000001", "phone_number": NUMBER, "voice_url": ""},
        {"sid": "PN00000000000000000000000000000002", "phone_number": "+15550001111",
         "friendly_name": "Desk", "voice_url": "https://elsewhere.example/"},
    ], "next_page_uri": null});
    api.will(Some((200, numbers.clone())));
    let listed = expect(&server, 200, "GET", &format!("{path}/carrier-numbers"), None);
    assert_eq!(listed["numbers"][0]["binding"], json!("nowhere"), "{listed}");
    assert_eq!(listed["numbers"][1]["binding"], json!("elsewhere"), "{listed}");
    api.will(Some((200, numbers)));
    let imports = format!("{path}/phone-numbers/import");
    let done = expect(&server, 200, "POST", &imports, Some(json!({})));
    assert_eq!(done["imported"][0]["label"], json!("Desk"));
    assert_eq!(done["skipped"], json!([NUMBER]));
    server.stop();
}

/// Once carriers can reach the server, a number with an agent is pointed here; one that rests or is
/// removed is pointed away, if it came here. What the carrier does not do is told, and keeps a
/// number that callers would go on to call; all of it is in the audit log.
#[test]
fn numbers_are_pointed_here() {
    let reached = "public_url = \"https://voice.example.com\"\n\
                   [outward]\nallow = [\"127.0.0.0/8\"]\n";
    let (server, api) = (Server::start(reached), Api::start());
    let sid = "PN00000000000000000000000000000001";
    let lists = |url: &str| {
        let number = json!({"sid": sid, "phone_number": NUMBER, "voice_url": url});
        let page = json!({"incoming_phone_numbers": [number], "next_page_uri": null});
        api.will(Some((200, page)));
    };
    let none = json!({"incoming_phone_numbers": [], "next_page_uri": null});
    let takes = || api.will(Some((200, json!({"sid": sid}))));
    lists("");
    takes();
    let id = configure(&server, &api, "main", NUMBER);
    let bound = api.hears("a binding", |asked| asked.field("VoiceUrl").is_some());
    let url = bound.field("VoiceUrl").unwrap();
    assert!(url.starts_with("https://voice.example.com/api/v1/telephony/twilio/voice/"), "{url}");
    let numbers = format!("/api/v1/organizations/telephony-configs/{id}/phone-numbers");
    let listed = expect(&server, 200, "GET", &numbers, None);
    assert_eq!(listed["items"][0]["inbound_agent_name"], json!("echo"), "{listed}");
    let path = format!("{numbers}/{}", listed["items"][0]["id"].as_str().unwrap());
    let change =
        |change: Value| expect(&server, 200, "PUT", &path, Some(change))["provider_sync"].clone();
    let asked = api.asked().len();
    assert_eq!(change(json!({"label": "desk"})), json!(null));
    assert_eq!(api.asked().len(), asked, "nobody is told of a label");

    // Whether it comes here, and the carrier's id of it.
    lists(&url);
    lists(&url);
    takes();
    let off = change(json!({"is_active": false}));
    assert_eq!(off["ok"], json!(true), "{off}");
    assert_eq!(api.asked().pop().unwrap().field("VoiceUrl").as_deref(), Some(""));
    api.will(Some((200, none)));
    let refused = change(json!({"is_active": true}));
    assert!(refused["ok"] == false && refused["message"].is_string(), "{refused}");

    api.will(Some((401, json!({"code": 20_003, "status": 401}))));
    expect(&server, 502, "DELETE", &path, None);
    expect(&server, 200, "GET", &path, None);
    lists("https://elsewhere.example/");
    expect(&server, 204, "DELETE", &path, None);
    assert_eq!(api.asked().pop().unwrap().method, "GET", "what goes elsewhere is left alone");
    let audit = expect(&server, 200, "GET", "/api/v1/audit?limit=200", None);
    let entries = audit["items"].as_array().unwrap().iter();
    let told = entries.filter(|it| it["object_type"] == "number").map(|it| it["action"].clone());
    let told: Vec<Value> = told.filter(|it| *it == "bind" || *it == "unbind").collect();
    assert_eq!(told, [json!("unbind"), json!("bind")]);
    server.stop();
}

/// A configuration that is parked has no new calls, in or out. The one that lives by it goes on,
/// and what its carrier tells of it is heard.
#[test]
fn a_parked_configuration() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let url = hook_url(&server, &api, &id, "voice");
    let call = call_id(1);
    let (_, document) = hook(&server, &url, &about(&call, "ringing", "inbound"), false);
    let mut media = Media::open(&attribute(&document, "Stream", "url"), &call).unwrap();
    media.hears_echo(0x55);
    let path = format!("/api/v1/organizations/telephony-configs/{id}");
    let parked = json!({"reason": "not paid for"});
    let parked = expect(&server, 200, "POST", &format!("{path}/park"), Some(parked));
    assert_eq!(parked["inactive_reason"], json!("not paid for"));
    let wanted = json!({"to": OTHER, "agent": "echo", "telephony_configuration_id": id});
    expect(&server, 400, "POST", "/api/v1/calls", Some(wanted.clone()));
    let second = call_id(2);
    let offer = about(&second, "ringing", "inbound");
    let (status, document) = hook(&server, &url, &offer, false);
    assert!(status == 200 && document.contains("<Reject"), "{status} {document}");
    let living = server.calls();
    assert_eq!(living.len(), 1, "{living:?}");
    media.hears_echo(0x2a);
    let told = url.replace("/voice/", "/status/");
    let mut fields = about(&call, "completed", "inbound");
    fields.push(("CallDuration", "7"));
    assert_eq!(hook(&server, &told, &fields, true).0, 403, "still nobody is believed unsigned");
    assert!(matches!(hook(&server, &told, &fields, false).0, 200 | 204));
    server.wait_idle();
    media.is_closed();
    let record = format!("/api/v1/calls/{}", living[0]["id"].as_str().unwrap());
    let ended = expect(&server, 200, "GET", &record, None);
    assert_eq!((&ended["status"], &ended["cause"]), (&json!("completed"), &json!("normal")));
    expect(&server, 200, "POST", &format!("{path}/reactivate"), None);
    let placed = expect(&server, 201, "POST", "/api/v1/calls", Some(wanted));
    server.hang_up(placed["id"].as_str().unwrap());
    server.wait_idle();
    server.stop();
}
