//! Legs that transfers make: what they count for, and that none is left over, be it late, unnamed
//! or unwanted. A caller whom the carrier has joined with nobody comes back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use serde_json::{Value, json};
use support::agent::Agents;
use support::api_carrier::{
    Api, Media, NUMBER, SOON, about, attribute, call_id, configure, ended, expect, hook, hook_url,
};
use support::callee::Callee;
use support::phone::Phone;
use support::ports::Ports;
use support::server::Server;
use support::until;

/// Who gets a call.
const DESK: &str = "+15550001111";
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// A carrier, and a call that was offered and talks with `echo`.
struct Talk {
    server: Server,
    api: Api,
    voice: String,
    config: String,
    call: String,
    /// Our id of it.
    id: String,
    media: Media,
}

impl Talk {
    /// With at most so many calls on the configuration.
    fn begin(config: &str, max_calls: Option<u32>) -> Self {
        let (server, api) = (Server::start(config), Api::start());
        let id = configure(&server, &api, "main", NUMBER);
        if let Some(max_calls) = max_calls {
            let limit = json!({"max_calls": max_calls});
            expect(&server, 200, "PUT", &format!("{CONFIGS}/{id}"), Some(limit));
            // Whoever asks for a call waits until what was changed before holds.
            let nobody = json!({"to": DESK, "agent": "nobody"});
            expect(&server, 400, "POST", "/api/v1/calls", Some(nobody));
        }
        let (voice, call) = (hook_url(&server, &api, &id, "voice"), call_id(1));
        let stream = until(SOON, "a call that is taken", || offered(&server, &voice, &call));
        let mut media = Media::open(&stream, &call).unwrap();
        media.hears_echo(0x55);
        let ours = server.calls()[0]["id"].as_str().unwrap().to_owned();
        Self { server, api, voice, config: id, call, id: ours, media }
    }

    /// Another call is offered: where its audio goes if it is taken.
    fn offer(&self, number: u32) -> Option<String> {
        offered(&self.server, &self.voice, &call_id(number))
    }

    fn transfer(&self, wanted: &Value) -> (u16, String) {
        let path = format!("/api/v1/calls/{}/transfer", self.id);
        self.server.http("POST", &path, Some(wanted))
    }

    #[track_caller]
    fn hand_over(&self, kind: &str) {
        let (status, body) = self.transfer(&json!({"kind": kind, "destination": DESK}));
        assert_eq!(status, 202, "{body}");
    }

    /// How the last transfer stands.
    fn stands(&self) -> Value {
        let path = format!("/api/v1/calls/{}/transfers", self.id);
        let all = expect(&self.server, 200, "GET", &path, None);
        all["items"].as_array().unwrap().last().cloned().unwrap_or_default()
    }

    #[track_caller]
    fn until_transfer(&self, state: &str) {
        until(SOON, state, || (self.stands()["state"] == state).then_some(()));
    }

    /// What the carrier is asked for to call somebody apart, the `nth` time.
    #[track_caller]
    fn leg(&self, nth: usize) -> support::api_carrier::Asked {
        until(SOON, "a leg", || {
            let all = self.api.asked().into_iter();
            all.filter(|asked| asked.path.ends_with("/Calls.json")).nth(nth)
        })
    }

    /// The document that the caller gets, once it has `part` in it.
    #[track_caller]
    fn document(&self, part: &str) -> String {
        let asked = self.api.hears("another document of the call", |asked| {
            asked.path.ends_with(&format!("/Calls/{}.json", self.call))
                && asked.field("Twiml").is_some_and(|document| document.contains(part))
        });
        asked.field("Twiml").unwrap()
    }

    /// A webhook about a leg.
    #[track_caller]
    fn tell(&self, url: &str, leg: &str, status: &str) {
        let (code, body) = hook(&self.server, url, &about(leg, status, "outbound-api"), false);
        assert!(code == 200 || code == 204, "{code} {body}");
    }

    fn hangups(&self) -> usize {
        let all = self.api.asked().into_iter();
        all.filter(|asked| asked.body.contains("Status=completed")).count()
    }

    /// The caller hangs up, and nothing is left.
    #[track_caller]
    fn end(mut self, hangups: usize) {
        self.media.stop(&self.call.clone());
        ended(&self.server);
        self.api.hears_hangup(&self.call);
        self.server.wait_idle();
        assert_eq!(self.hangups(), hangups, "each once");
        self.server.stop();
    }
}

/// Offers a call: where its audio goes if it is taken.
#[track_caller]
fn offered(server: &Server, voice: &str, call: &str) -> Option<String> {
    let (status, document) = hook(server, voice, &about(call, "ringing", "inbound"), false);
    assert_eq!(status, 200, "{document}");
    let taken = document.contains("<Stream ");
    assert!(taken || document.contains("<Reject reason=\"busy\""), "{document}");
    taken.then(|| attribute(&document, "Stream", "url"))
}

/// A leg that the carrier calls counts as a call of the configuration as long as it lives: while
/// it is called, and after caller and destination were joined, though the call is over for us then.
/// Both places are free again when the carrier tells the end, be it another server that hears so.
#[test]
fn a_leg_holds_its_place() {
    let mut talk = Talk::begin("", Some(2));
    talk.hand_over("bridge");
    talk.leg(0);
    assert!(talk.offer(2).is_none(), "caller and destination are two");
    let (status, _) = talk.transfer(&json!({"kind": "cancel", "destination": ""}));
    assert_eq!(status, 202);
    talk.until_transfer("cancelled");
    let stream = talk.offer(3).expect("the leg has given its place back");
    let mut other = Media::open(&stream, &call_id(3)).unwrap();
    let (status, body) = talk.transfer(&json!({"kind": "bridge", "destination": DESK}));
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("limit of calls"), "{body}");
    other.stop(&call_id(3));
    talk.api.hears_hangup(&call_id(3));
    until(SOON, "its place", || (talk.server.calls().len() == 1).then_some(()));

    talk.api.will(Some((201, json!({"sid": call_id(8)}))));
    talk.hand_over("bridge");
    let legs = talk.leg(1).field("StatusCallback").unwrap();
    talk.tell(&legs, &call_id(8), "initiated");
    talk.tell(&legs, &call_id(8), "in-progress");
    talk.document("<Conference");
    talk.media.is_closed();
    talk.server.wait_idle();
    assert_eq!(talk.stands()["state"], "bridged");
    assert!(talk.offer(4).is_none(), "both are up at the carrier");
    let Talk { server, api, config, call, .. } = talk;
    let server = started_again(server);
    let voice = hook_url(&server, &api, &config, "voice");
    assert!(offered(&server, &voice, &call_id(6)).is_none(), "they are up all the same");
    let mut over = about(&call, "completed", "inbound");
    over.push(("CallDuration", "7"));
    let status = voice.replace("/voice/", "/status/");
    assert!(matches!(hook(&server, &status, &over, false).0, 200 | 204));
    let stream = offered(&server, &voice, &call_id(5)).expect("both are over");
    let mut last = Media::open(&stream, &call_id(5)).unwrap();
    last.hears_echo(0x2a);
    last.stop(&call_id(5));
    server.wait_idle();
    let server = started_again(server);
    let voice = hook_url(&server, &api, &config, "voice");
    let [one, two] = [7, 9].map(|call| offered(&server, &voice, &call_id(call)));
    assert!(one.is_some() && two.is_some(), "what is over holds nothing");
    server.stop();
}

/// The server, stopped and started again with what it has kept.
#[track_caller]
fn started_again(mut server: Server) -> Server {
    let (key, dir) = (server.key.clone(), server.dir.clone());
    server.leave_files();
    server.stop();
    let mut server = Server::start_on(Ports::claim(), dir, "");
    server.key = key;
    server
}

/// A leg beyond a limit is not asked for, and whoever asked is told why: the API, the agent, and
/// the transfer's state.
#[test]
fn a_leg_beyond_a_limit() {
    let agents = Agents::listen();
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n[[agents]]\n\
         name = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n",
        agents.url()
    );
    let talk = Talk::begin(&config, Some(1));
    for kind in ["bridge", "blind"] {
        let (status, body) = talk.transfer(&json!({"kind": kind, "destination": DESK}));
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("limit of calls of the trunk is reached (1)"), "{body}");
    }
    let (status, body) = talk.transfer(&json!({"kind": "agent", "destination": "bot"}));
    assert_eq!(status, 202, "{body}");
    let mut agent = agents.accept();
    talk.until_transfer("bridged");
    let before = talk.api.asked().len();
    agent.say(&json!({"event": "transfer", "kind": "bridge", "destination": DESK}));
    let told = agent.event("transfer");
    assert_eq!((&told["state"], &told["cause"]), (&json!("failed"), &json!("limit_reached")));
    assert_eq!(talk.api.asked().len(), before, "the carrier was asked for nothing");
    talk.end(1);
}

/// Legs that we call ourselves count for the trunk that they go through, before they are called.
#[test]
fn a_leg_on_a_trunk() {
    let mut desk = Callee::ulaw();
    let server = Server::start(&format!(
        "[[trunks]]\nname = \"in\"\npeers = \"127.0.0.1\"\n[[trunks]]\nname = \"out\"\n\
         peers = \"192.0.2.1\"\ntargets = \"sip:{}\"\nmax_calls = 1\n",
        desk.address()
    ));
    let mut callers = [Phone::up(&server, "echo"), Phone::up(&server, "echo")];
    let ids: Vec<_> = server.calls().iter().map(|call| call["id"].clone()).collect();
    let transfer = |id: &Value, wanted: &Value| {
        server.http(
            "POST",
            &format!("/api/v1/calls/{}/transfer", id.as_str().unwrap()),
            Some(wanted),
        )
    };
    let bridge = json!({"kind": "bridge", "destination": DESK, "options": {"trunk": "out"}});
    assert_eq!(transfer(&ids[0], &bridge).0, 202);
    desk.wait_call();
    desk.ring();
    let (status, body) = transfer(&ids[1], &bridge);
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("of the trunk is reached (1)"), "{body}");
    assert_eq!(transfer(&ids[0], &json!({"kind": "cancel", "destination": ""})).0, 202);
    desk.wait_cancel();
    assert_eq!(transfer(&ids[1], &bridge).0, 202);
    desk.wait_call();
    desk.answer();
    assert_eq!(transfer(&ids[0], &bridge).0, 503, "whoever answered still counts");
    for caller in &mut callers {
        caller.hang_up();
    }
    desk.wait_request("BYE");
    server.wait_idle();
    server.stop();
}

/// Whoever is beyond a limit of its own uses up nothing of the server's rate, by whichever way the
/// calls come: others still have theirs.
#[test]
fn limits_of_ones_own_come_first() {
    let config = "[http]\nkey_requests_per_second = 1000\n[limits]\ncalls_per_second = 5\n[[agents]]\nname = \"echo\"\nkind = \"builtin\"\n\
                  builtin = \"echo\"\n[[agents]]\nname = \"narrow\"\nkind = \"builtin\"\n\
                  builtin = \"echo\"\nmax_calls = 1\n";
    let talk = Talk::begin(config, Some(1));
    let phone =
        |agent: &str| talk.server.http("POST", "/api/v1/phone", Some(&json!({"agent": agent}))).0;
    assert_eq!(phone("narrow"), 201);
    let wanted = json!({"to": DESK, "agent": "echo", "telephony_configuration_id": talk.config});
    for number in 10..30 {
        assert!(talk.offer(number).is_none());
        assert_eq!(phone("narrow"), 503);
        let (status, body) = talk.server.http("POST", "/api/v1/calls", Some(&wanted));
        assert!(status == 503 && body.contains("of the trunk"), "{body}");
    }
    assert_eq!(phone("echo"), 201, "the others have used up the server's rate");
    for call in talk.server.calls() {
        if call["id"] != talk.id {
            talk.server.hang_up(call["id"].as_str().unwrap());
        }
    }
    talk.end(1);
}

/// Each transfer of a call has a room of its own. What is told late of one that was given up does
/// not count for the next.
#[test]
fn transfers_have_names() {
    let talk = Talk::begin("", None);
    let mut rooms = Vec::new();
    let mut hooks = Vec::new();
    for nth in 0..2 {
        let leg = call_id(9 - u32::try_from(nth).unwrap());
        talk.api.will(Some((201, json!({"sid": leg}))));
        talk.hand_over("bridge");
        let asked = talk.leg(nth);
        let document = asked.field("Twiml").unwrap();
        let room = document.split_once("</Conference>").unwrap().0.rsplit_once('>').unwrap().1;
        rooms.push(room.to_owned());
        hooks.push(asked.field("StatusCallback").unwrap());
        talk.until_transfer("dialling");
        if nth == 0 {
            let (status, _) = talk.transfer(&json!({"kind": "cancel", "destination": ""}));
            assert_eq!(status, 202);
            talk.until_transfer("cancelled");
            talk.api.hears_hangup(&call_id(9));
        }
    }
    assert_ne!(rooms[0], rooms[1]);
    talk.tell(&hooks[0], &call_id(9), "completed");
    assert_eq!(talk.stands()["state"], "dialling", "it is the other that has failed");
    talk.tell(&hooks[1], &call_id(8), "busy");
    talk.until_transfer("failed");
    talk.end(3);
}

/// A leg whose id was not told when it was asked for names itself: it is let go with the transfer,
/// be it known by then, or show itself only when the transfer, or the call, is over.
#[test]
fn a_leg_that_was_not_named() {
    for (tells, call_goes_on) in [(true, true), (false, true), (false, false)] {
        let mut talk = Talk::begin("", None);
        talk.api.will(None);
        talk.hand_over("bridge");
        let legs = talk.leg(0).field("StatusCallback").unwrap();
        if tells {
            talk.tell(&legs, &call_id(7), "initiated");
            talk.until_transfer("dialling");
        }
        if call_goes_on {
            let (status, _) = talk.transfer(&json!({"kind": "cancel", "destination": ""}));
            assert_eq!(status, 202);
        } else {
            talk.media.stop(&talk.call.clone());
            ended(&talk.server);
            talk.server.wait_idle();
        }
        talk.until_transfer("cancelled");
        if !tells {
            talk.tell(&legs, &call_id(7), "in-progress");
        }
        talk.api.hears_hangup(&call_id(7));
        talk.tell(&legs, &call_id(7), "in-progress");
        if call_goes_on {
            talk.media.hears_echo(0x2a);
            talk.end(2);
        } else {
            talk.api.hears_hangup(&talk.call);
            assert_eq!(talk.hangups(), 2, "each once");
            talk.server.stop();
        }
    }
}

/// Whoever answered hangs up while the carrier is asked to join the two, and it joins the caller
/// with nobody all the same: the caller comes back to the agent over another socket, once, whether
/// the end of its stream or the answer to the request tells so first.
#[test]
fn a_caller_who_was_joined_with_nobody() {
    for stream_ends_first in [true, false] {
        let mut talk = Talk::begin("", None);
        talk.hand_over("bridge");
        let legs = talk.leg(0).field("StatusCallback").unwrap();
        talk.until_transfer("dialling");
        talk.api.hold(true);
        talk.tell(&legs, &call_id(9), "in-progress");
        talk.document("<Conference");
        talk.tell(&legs, &call_id(9), "completed");
        talk.until_transfer("failed");
        if stream_ends_first {
            talk.media.stop(&talk.call.clone());
            talk.media.close();
            talk.document("<Connect");
            talk.api.hold(false);
        } else {
            talk.api.hold(false);
            talk.document("<Connect");
            talk.media.stop(&talk.call.clone());
            talk.media.close();
        }
        let stream = attribute(&talk.document("<Connect"), "Stream", "url");
        talk.media = Media::open(&stream, &talk.call).unwrap();
        talk.media.hears_echo(0x33);
        assert_eq!(talk.server.calls()[0]["id"], talk.id);
        let back = talk.api.asked().into_iter();
        let back = back.filter(|it| it.field("Twiml").is_some_and(|it| it.contains("<Connect")));
        assert_eq!(back.count(), 1, "once");
        talk.end(2);
    }
}

/// A caller who cannot be taken back is not left alone: the call ends, at the carrier too.
#[test]
fn a_caller_who_cannot_come_back() {
    let talk = Talk::begin("", None);
    talk.hand_over("bridge");
    let legs = talk.leg(0).field("StatusCallback").unwrap();
    talk.until_transfer("dialling");
    talk.api.hold(true);
    talk.tell(&legs, &call_id(9), "in-progress");
    talk.document("<Conference");
    talk.tell(&legs, &call_id(9), "completed");
    talk.until_transfer("failed");
    // To the hang-up of the leg, and to taking the caller back.
    for _ in 0..2 {
        talk.api.will(Some((400, json!({"code": 12_100, "status": 400}))));
    }
    talk.api.hold(false);
    talk.document("<Connect");
    let over = ended(&talk.server);
    assert_eq!((&over["cause"], &over["ended_by"]), (&json!("network_failure"), &json!("carrier")));
    talk.api.hears_hangup(&talk.call);
    talk.server.wait_idle();
    talk.server.stop();
}

/// A call that its carrier does not know any more is over, and not ended there once more.
#[test]
fn a_call_that_is_gone() {
    let talk = Talk::begin("", None);
    talk.api.will(Some((400, json!({"code": 21_220, "status": 400}))));
    drop(talk.media);
    let over = ended(&talk.server);
    assert_eq!((&over["cause"], &over["status"]), (&json!("normal"), &json!("completed")));
    talk.server.wait_idle();
    let hangups = talk.api.asked().into_iter().filter(|it| it.body.contains("Status=completed"));
    assert_eq!(hangups.count(), 0);
    talk.server.stop();
}
