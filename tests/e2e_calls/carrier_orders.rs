//! What is done at a carrier during a call and after it: calls handed over by its means, keys that
//! it presses, what it is asked when nothing is heard of a call, what a server that was killed has
//! left there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use base64::Engine;
use serde_json::{Value, json};
use support::api_carrier::{
    Api, Media, NUMBER, OTHER, SOON, about, attribute, call_id, configure, ended, expect, hook,
    hook_url,
};
use support::server::Server;
use support::until;

/// Who gets a call.
const DESK: &str = "+15550001111";

/// A call that was offered and talks with `echo`: its socket, and the address of its first hook.
struct Talk {
    server: Server,
    api: Api,
    voice: String,
    call: String,
    stream: String,
    media: Media,
}

impl Talk {
    fn begin(number: u32) -> Self {
        let (server, api) = (Server::start(""), Api::start());
        let id = configure(&server, &api, "main", NUMBER);
        let (voice, call) = (hook_url(&server, &api, &id, "voice"), call_id(number));
        let (_, document) = hook(&server, &voice, &about(&call, "ringing", "inbound"), false);
        let stream = attribute(&document, "Stream", "url");
        let mut media = Media::open(&stream, &call).unwrap();
        media.hears_echo(0x55);
        Self { server, api, voice, call, stream, media }
    }

    /// The one call's address in the API.
    fn path(&self) -> String {
        let calls = expect(&self.server, 200, "GET", "/api/v1/calls", None);
        format!("/api/v1/calls/{}", calls["items"][0]["id"].as_str().unwrap())
    }

    fn transfer(&self, wanted: Value) {
        expect(&self.server, 202, "POST", &format!("{}/transfer", self.path()), Some(wanted));
    }

    /// How the last transfer stands.
    fn stands(&self) -> Value {
        let all = expect(&self.server, 200, "GET", &format!("{}/transfers", self.path()), None);
        all["items"].as_array().unwrap().last().unwrap().clone()
    }

    #[track_caller]
    fn until_transfer(&self, state: &str) {
        until(SOON, state, || (self.stands()["state"] == state).then_some(()));
    }

    /// The document that the call gets, once it has `part` in it.
    fn document(&self, part: &str) -> String {
        let asked = self.api.hears("another document of the call", |asked| {
            asked.path.ends_with(&format!("/Calls/{}.json", self.call))
                && asked.field("Twiml").is_some_and(|document| document.contains(part))
        });
        asked.field("Twiml").unwrap()
    }

    /// A webhook about a leg.
    #[track_caller]
    fn tell(&self, url: &str, leg: &str, status: &str, more: &[(&str, &str)]) -> String {
        let mut fields = about(leg, status, "outbound-api");
        fields.extend(more);
        let (code, body) = hook(&self.server, url, &fields, false);
        assert!(code == 200 || code == 204, "{code} {body}");
        body
    }

    fn hangups(&self) -> usize {
        let all = self.api.asked();
        all.iter().filter(|asked| asked.body.contains("Status=completed")).count()
    }
}

/// The carrier connects the caller with the destination: the end of the stream does not end the
/// call, the answer does, and nothing is ended at the carrier. What it says afterwards is no news.
#[test]
fn a_call_that_is_connected() {
    let mut talk = Talk::begin(1);
    talk.transfer(json!({"kind": "blind", "destination": DESK, "options": {"timeout_s": 25}}));
    let document = talk.document("<Dial");
    assert!(document.contains(DESK) && document.contains("timeout=\"25\""), "{document}");
    talk.media.stop(&talk.call.clone());
    let (legs, leg) = (attribute(&document, "Number", "statusCallback"), call_id(2));
    let parent = [("ParentCallSid", talk.call.as_str())];
    talk.tell(&legs, &leg, "initiated", &parent);
    talk.until_transfer("dialling");
    assert_eq!(talk.server.calls().len(), 1, "the call goes on without its stream");
    talk.tell(&legs, &leg, "in-progress", &parent);
    let over = ended(&talk.server);
    assert_eq!((&over["cause"], &over["status"]), (&json!("transferred"), &json!("completed")));
    let action = attribute(&document, "Dial", "action");
    let outcome = [("DialCallStatus", "completed"), ("DialCallSid", leg.as_str())];
    let body = talk.tell(&action, &talk.call, "in-progress", &outcome);
    assert!(body.contains("<Hangup"), "{body}");
    let stands = talk.stands();
    assert_eq!((&stands["state"], &stands["kind"]), (&json!("bridged"), &json!("blind")));
    assert_eq!(talk.hangups(), 0, "they talk");
    talk.server.stop();
}

/// Nobody answers: the caller comes back to the same agent, over a socket with another token, and
/// the call goes on.
#[test]
fn a_caller_that_comes_back() {
    let mut talk = Talk::begin(3);
    talk.transfer(json!({"kind": "blind", "destination": DESK}));
    let document = talk.document("<Dial");
    talk.media.stop(&talk.call.clone());
    talk.media.close();
    let action = attribute(&document, "Dial", "action");
    let outcome = [("DialCallStatus", "no-answer"), ("DialCallSid", "CAx")];
    let body = talk.tell(&action, &talk.call, "in-progress", &outcome);
    let stream = attribute(&body, "Stream", "url");
    assert_ne!(stream, talk.stream);
    assert!(Media::open(&talk.stream, &talk.call).is_none(), "that token is of no use any more");
    let mut media = Media::open(&stream, &talk.call).unwrap();
    media.hears_echo(0x2a);
    let stands = talk.stands();
    assert_eq!((&stands["state"], &stands["cause"]), (&json!("failed"), &json!("unreached")));
    media.stop(&talk.call);
    assert_eq!(ended(&talk.server)["cause"], json!("normal"));
    talk.api.hears_hangup(&talk.call);
    talk.server.stop();
}

/// The carrier calls the destination while the caller talks on, and joins the two when it answers.
/// A leg that ends afterwards has not failed.
#[test]
fn a_call_that_is_joined() {
    let mut talk = Talk::begin(4);
    talk.transfer(json!({"kind": "bridge", "destination": DESK}));
    let placed = talk.api.hears("a second leg", |asked| asked.path.ends_with("/Calls.json"));
    let (to, from) = (placed.field("To"), placed.field("From"));
    assert_eq!((to.as_deref(), from.as_deref()), (Some(DESK), Some(NUMBER)));
    let (legs, leg) = (placed.field("StatusCallback").unwrap(), call_id(9));
    talk.tell(&legs, &leg, "initiated", &[]);
    talk.media.hears_echo(0x2a);
    talk.tell(&legs, &leg, "in-progress", &[]);
    let document = talk.document("<Conference");
    assert_eq!(placed.field("Twiml").unwrap(), document, "one room for both");
    assert_eq!(ended(&talk.server)["cause"], json!("transferred"));
    talk.media.is_closed();
    talk.tell(&legs, &leg, "completed", &[("CallDuration", "60")]);
    assert_eq!(talk.stands()["state"], json!("bridged"));
    let events = format!("{}/events", talk.path());
    let events = expect(&talk.server, 200, "GET", &events, None).to_string();
    assert!(!events.contains("failed"), "{events}");
    assert_eq!(talk.hangups(), 0, "they talk");
    talk.server.stop();
}

/// Whoever the carrier called is let go when the caller leaves, and when the transfer is given up.
#[test]
fn a_leg_that_nobody_waits_for() {
    for gives_up in [true, false] {
        let mut talk = Talk::begin(5);
        talk.transfer(json!({"kind": "bridge", "destination": DESK}));
        talk.until_transfer("dialling");
        if gives_up {
            talk.transfer(json!({"kind": "cancel", "destination": ""}));
            talk.until_transfer("cancelled");
            talk.api.hears_hangup(&call_id(9));
            talk.media.hears_echo(0x2a);
        }
        talk.media.stop(&talk.call.clone());
        ended(&talk.server);
        talk.until_transfer("cancelled");
        talk.api.hears_hangup(&call_id(9));
        talk.api.hears_hangup(&talk.call);
        assert_eq!(talk.hangups(), 2, "each once");
        talk.server.stop();
    }
}

/// What a carrier cannot do, or refuses, is told; the call goes on.
#[test]
fn transfers_that_come_to_nothing() {
    let mut talk = Talk::begin(6);
    let path = format!("{}/transfer", talk.path());
    for (wanted, status) in [
        (json!({"kind": "blind", "destination": DESK, "options": {"way": "refer"}}), 400),
        (json!({"kind": "blind", "destination": DESK, "options": {"way": "pigeon"}}), 400),
        (json!({"kind": "blind", "destination": "112"}), 400),
        (json!({"kind": "blind", "destination": DESK, "headers": {"X-A": "b"}}), 400),
    ] {
        let (found, body) = talk.server.http("POST", &path, Some(&wanted));
        assert!(found == status || found == 403 || found == 422, "{wanted}: {found} {body}");
    }
    let before = talk.api.asked().len();
    talk.api.will(Some((400, json!({"code": 21_211, "status": 400}))));
    talk.transfer(json!({"kind": "bridge", "destination": DESK}));
    talk.until_transfer("failed");
    assert_eq!(talk.stands()["cause"], json!("not_found"));
    assert_eq!(talk.api.asked().len(), before + 1, "what was refused before was not asked for");
    talk.media.hears_echo(0x2a);
    talk.media.stop(&talk.call.clone());
    ended(&talk.server);
    talk.server.stop();
}

/// The carrier records from the word to start to the word to stop, and tells where the recording
/// is: the call's events have it. What a carrier cannot, and what it refuses, is told; the call
/// goes on.
#[test]
fn a_recording_at_the_carrier() {
    let mut talk = Talk::begin(40);
    let path = format!("{}/record", talk.path());
    let record = |status: u16, state: &str| {
        let wanted = json!({"state": state, "at": "carrier"});
        expect(&talk.server, status, "POST", &path, Some(wanted))
    };
    let recordings = |asked: &support::api_carrier::Asked| {
        asked.path.contains(&format!("/Calls/{}/Recordings", talk.call))
    };
    record(400, "pause");
    talk.api.will(Some((400, json!({"code": 21220, "message": "not now"}))));
    record(409, "start");
    assert_eq!(talk.api.asked().iter().filter(|asked| recordings(asked)).count(), 1);
    assert_eq!(record(200, "start")["state"], "recording");
    let asked = talk.api.asked();
    let asked = asked.iter().rfind(|asked| recordings(asked)).unwrap();
    assert!(asked.path.ends_with("/Recordings.json"), "{}", asked.path);
    let told = asked.field("RecordingStatusCallback").unwrap();
    assert_eq!(record(200, "stop")["state"], "stopped");
    let stop = talk.api.hears("the stop", |asked| {
        recordings(asked) && asked.field("Status").is_some_and(|status| status == "stopped")
    });
    assert!(stop.path.ends_with("/Recordings/Twilio.CURRENT.json"), "{}", stop.path);
    let about = [
        ("RecordingSid", "RE00000000000000000000000000000001"),
        ("RecordingUrl", "https://api.example.com/RE1"),
        ("RecordingStatus", "completed"),
        ("RecordingDuration", "7"),
    ];
    talk.tell(&told, &talk.call, "in-progress", &about);
    let events = format!("{}/events", talk.path());
    until(SOON, "the recording among the events", || {
        let events = expect(&talk.server, 200, "GET", &events, None).to_string();
        (events.contains(about[0].1) && events.contains(about[1].1)).then_some(())
    });
    talk.media.hears_echo(0x2a);
    talk.media.stop(&talk.call.clone());
    ended(&talk.server);
    talk.server.stop();
}

/// A call that nobody can be heard on any more ends as its carrier says that it did.
#[test]
fn an_end_that_was_not_told() {
    let talk = Talk::begin(7);
    let path = talk.path();
    let told = json!({"sid": talk.call, "status": "completed", "duration": "7"});
    talk.api.will(Some((200, told)));
    drop(talk.media);
    let over = ended(&talk.server);
    assert_eq!((&over["cause"], &over["ended_by"]), (&json!("normal"), &json!("caller")));
    let hangups = talk.api.asked().into_iter().filter(|it| it.body.contains("Status=completed"));
    assert_eq!(hangups.count(), 0, "it is over there");
    let detail = expect(&talk.server, 200, "GET", &path, None);
    let at_carrier = (&detail["provider"], &detail["carrier_call_id"]);
    assert_eq!(at_carrier, (&json!("twilio"), &json!(talk.call)));
    talk.server.stop();
}

/// A server that was killed has left a call at its carrier: the next one ends it there, and does
/// not take it again when it is offered again.
#[test]
fn a_call_that_was_left_behind() {
    let mut talk = Talk::begin(8);
    until(SOON, "the call in the log", || {
        let detail = expect(&talk.server, 200, "GET", &talk.path(), None);
        (detail["carrier_call_id"] == json!(talk.call)).then_some(())
    });
    talk.server.kill();
    let mut next = Server::start_in(talk.server.dir.clone(), "");
    next.key.clone_from(&talk.server.key);
    talk.api.hears_hangup(&talk.call);
    let over = ended(&next);
    assert_eq!(over["cause"], json!("node_lost"));
    let voice = talk.voice.replace(&talk.server.http.to_string(), &next.http.to_string());
    let offer = about(&talk.call, "ringing", "inbound");
    let (_, document) = hook(&next, &voice, &offer, false);
    assert!(document.contains("<Reject"), "{document}");
    assert!(next.calls().is_empty());
    next.stop();
}

/// Whoever proves nothing does not fill the log: each request has its line or is counted.
#[test]
fn strangers_are_counted() {
    let (server, api) = (Server::start(""), Api::start());
    let id = configure(&server, &api, "main", NUMBER);
    let voice = hook_url(&server, &api, &id, "voice");
    let call = call_id(10);
    let unlogged = until(SOON, "a request without a line", || {
        assert_eq!(hook(&server, &voice, &about(&call, "ringing", "inbound"), true).0, 403);
        let unlogged = server.metric("talkpath_carrier_hooks_unlogged_total");
        (unlogged >= 1.0).then_some(unlogged)
    });
    let forged = server.metric("outcome=\"forged\"");
    until(SOON, "a line for each of the others", || {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("is not proven")).count();
        ((lines as f64 + unlogged - forged).abs() < 0.5).then_some(())
    });
    server.stop();
}

/// The text of a field of a request in JSON.
fn text(body: &str, name: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body[name].as_str().unwrap_or_default().to_owned()
}

/// Keys that a carrier takes by requests are pressed one request after the other.
#[test]
fn keys_that_the_carrier_presses() {
    let (server, api) = (Server::start(""), Api::start());
    let key = base64::engine::general_purpose::STANDARD.encode([2; 32]);
    let config = json!({"name": "keys", "config": {
        "provider": "telnyx", "api_key": "KEY0123456789", "connection_id": "1494404757140276705",
        "webhook_public_key": key, "api_base": format!("http://{}", api.at),
    }});
    let configs = "/api/v1/organizations/telephony-configs";
    let made = expect(&server, 201, "POST", configs, Some(config));
    let id = made["id"].as_str().unwrap();
    let numbers = format!("{configs}/{id}/phone-numbers");
    expect(&server, 201, "POST", &numbers, Some(json!({"address": NUMBER})));
    api.will(Some((200, json!({"data": {"call_control_id": "v3:abc"}}))));
    let wanted = json!({"to": OTHER, "agent": "echo", "telephony_configuration_id": id});
    let placed: Value = until(SOON, "the configuration in use", || {
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        (status == 201).then(|| serde_json::from_str(&body).unwrap())
    });
    let asked = api.hears("a call to place", |asked| asked.path.ends_with("/v2/calls"));
    let mut media = Media::connect(&text(&asked.body, "stream_url"), "s1").unwrap();
    media.say(&json!({"event": "connected", "version": "1.0.0"}));
    let format = json!({"encoding": "PCMU", "sample_rate": 8000, "channels": 1});
    media.say(&json!({"event": "start", "sequence_number": "1", "stream_id": "s1",
        "start": {"call_control_id": "v3:abc", "media_format": format}}));
    let path = format!("/api/v1/calls/{}", placed["id"].as_str().unwrap());
    until(SOON, "the answer", || {
        let call = expect(&server, 200, "GET", &path, None);
        (call["state"] == "answered" && call["carrier_call_id"] == "v3:abc").then_some(())
    });
    for digits in ["12", "3#", "A"] {
        let wanted = json!({"digits": digits});
        expect(&server, 204, "POST", &format!("{path}/dtmf"), Some(wanted));
    }
    until(SOON, "all keys, in order", || {
        let pressed = api.asked().into_iter().filter(|asked| asked.path.ends_with("/send_dtmf"));
        let pressed: String = pressed.map(|asked| text(&asked.body, "digits")).collect();
        assert!("123#A".starts_with(&pressed), "{pressed}");
        (pressed == "123#A").then_some(())
    });
    server.hang_up(placed["id"].as_str().unwrap());
    ended(&server);
    server.stop();
}
