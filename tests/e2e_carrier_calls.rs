//! Calls that a carrier controls over HTTP, against a carrier in miniature: taken, placed, refused,
//! cut off at every step; each ends in the right state with the right cause, and at the carrier
//! too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use serde_json::{Value, json};
use support::api_carrier::{
    Api, Media, NUMBER, SOON, about, attribute, call_id, configure, expect, hook,
};
use support::server::Server;
use support::until;

/// The address of a configuration's hook.
fn hook_url(server: &Server, api: &Api, id: &str, name: &str) -> String {
    // The token is told to the carrier alone: binding a number shows it.
    let path = format!("/api/v1/organizations/telephony-configs/{id}");
    let numbers = expect(server, 200, "GET", &format!("{path}/phone-numbers"), None);
    let number = numbers["items"][0]["id"].as_str().unwrap();
    api.will(Some((
        200,
        json!({"incoming_phone_numbers": [
            {"sid": "PN00000000000000000000000000000001", "phone_number": NUMBER}
        ], "next_page_uri": null}),
    )));
    api.will(Some((200, json!({"sid": "PN00000000000000000000000000000001"}))));
    expect(server, 204, "POST", &format!("{path}/phone-numbers/{number}/bind"), None);
    let bound = api.hears("a binding", |asked| asked.field("VoiceUrl").is_some());
    let url = bound.field("VoiceUrl").unwrap().replace("/voice/", &format!("/{name}/"));
    // What is made over HTTP is in use a moment later.
    until(SOON, "the configuration in use", || {
        (hook(server, &url, &[], true).0 == 403).then_some(())
    });
    url
}

/// The one call that there is, once it is over.
#[track_caller]
fn ended(server: &Server) -> Value {
    until(SOON, "the end of the call", || {
        let calls = expect(server, 200, "GET", "/api/v1/calls", None);
        let call = calls["items"].as_array().unwrap().first()?.clone();
        (call["state"] == "ended").then_some(call)
    })
}

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
    assert_eq!(listed["numbers"][1]["binding"], json!("elsewhere"), "{listed}");
    api.will(Some((200, numbers)));
    let imports = format!("{path}/phone-numbers/import");
    let done = expect(&server, 200, "POST", &imports, Some(json!({})));
    assert_eq!(done["imported"][0]["label"], json!("Desk"));
    assert_eq!(done["skipped"], json!([NUMBER]));
    server.stop();
}
