//! Transfers with real peers: who asks whom, what is told, and who talks with whom afterwards
//! (RFC 3515, RFC 3891, RFC 5589).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::server::Server;
use support::sipp::{self, Run, Sipp};

/// An agent on a WebSocket that takes every call.
fn start(more: &str) -> (Server, Agents) {
    let agents = Agents::listen();
    let url = agents.url();
    let config =
        format!("[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}");
    (Server::start(&config), agents)
}

/// A NOTIFY of SIPp with this status line and state, and the response to it.
fn news(cseq: u32, status: &str, state: &str) -> String {
    format!(
        r#"<send retrans="500"><![CDATA[

      NOTIFY [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: "SIPp" <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} NOTIFY
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Event: refer
      Subscription-State: {state}
      Content-Type: message/sipfrag;version=2.0
      Content-Length: [len]

      SIP/2.0 {status}

    ]]></send><recv response="200"/>"#
    )
}

/// The server hangs up.
const SERVER_ENDS: &str = r#"<recv request="BYE"/><send><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

    ]]></send>"#;

/// A request of SIPp within its call, and its 200.
fn request(method: &str, cseq: u32, headers: &str) -> String {
    format!(
        r#"<send retrans="500"><![CDATA[

      {method} [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: "SIPp" <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} {method}
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      {headers}Content-Length: 0

    ]]></send>"#
    )
}

/// SIPp calls, and is asked to call `pattern`; it answers and tells as given.
#[track_caller]
fn referred(server: &Server, pattern: &str, answer: &str, news: &str, end: &str) -> Sipp {
    let fields = [("PATTERN", pattern), ("ANSWER", answer), ("NEWS", news), ("END", end)];
    let run = Run { scenario: "referred.xml", fields: &fields, user: "bot", ..Run::default() };
    run.call(server)
}

/// The states that the agent is told, up to and with `last`.
#[track_caller]
fn states(agent: &mut Agent, last: &str) -> Vec<Value> {
    let mut states = Vec::new();
    loop {
        let event = agent.event("transfer");
        let done = event["state"] == last;
        states.push(event);
        if done {
            return states;
        }
    }
}

fn words(states: &[Value]) -> Vec<&str> {
    states.iter().map(|state| state["state"].as_str().unwrap()).collect()
}

/// A blind transfer that the peer carries out: every piece of news reaches the agent, the peer does
/// not hang up, so we do, and the agent learns why.
#[test]
fn blind_transfer_succeeds() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let told = [
        news(2, "100 Trying", "active;expires=60"),
        news(3, "180 Ringing", "active;expires=55"),
        news(4, "200 OK", "terminated;reason=noresource"),
    ];
    let pattern = "sip:desk@192.0.2.9;x=y";
    let sipp = referred(&server, pattern, "202 Accepted", &told.concat(), SERVER_ENDS);
    let mut agent = agents.accept();
    assert!(agent.start["features"].as_array().unwrap().contains(&json!("transfer")));
    agent.event("answered");
    let to = "sip:desk@192.0.2.9;x=y";
    agent.say(&json!({ "event": "transfer", "kind": "blind", "destination": to }));
    let states = states(&mut agent, "answered");
    assert_eq!(words(&states), ["requested", "accepted", "trying", "ringing", "answered"]);
    assert!(states.iter().all(|state| state["cause"].is_null()));
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("transferred"), &json!("agent")));
    assert_eq!(agent.wait_close(), 1000);
    sipp.succeed();
    server.wait_idle();
    server.stop();
}

/// A peer that takes the REFER, tells nothing and hangs up was transferred.
#[test]
fn peer_hangs_up_instead_of_telling() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let bye = request("BYE", 2, "") + r#"<recv response="200"/>"#;
    let sipp = referred(&server, "sip:.4930123@127.0.0.1:[0-9]*", "202 Accepted", "", &bye);
    let mut agent = agents.accept();
    agent.event("answered");
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    // Asked for over the API, of a number: it is looked for where the peer is.
    let wanted = json!({ "kind": "blind", "destination": "+4930123" });
    let (status, body) =
        server.http("POST", &format!("/api/v1/calls/{id}/transfer"), Some(&wanted));
    assert_eq!((status, body.as_str()), (202, r#"{"state":"requested"}"#));
    let stop = agent.event("stop");
    assert_eq!(stop["cause"], "transferred");
    sipp.succeed();
    server.wait_idle();
    server.stop();
}

/// A peer that knows no REFER, one whose new party is busy: the agent is told why, the call goes
/// on, and the next transfer may be tried.
#[test]
fn transfers_that_fail_leave_the_call() {
    let Some(()) = sipp::installed() else { return };
    let busy = [
        news(2, "100 Trying", "active;expires=60"),
        news(3, "486 Busy Here", "terminated;reason=noresource"),
    ];
    for (answer, told, cause) in [
        ("405 Method Not Allowed", String::new(), "not_supported"),
        ("603 Decline", String::new(), "rejected"),
        ("202 Accepted", busy.concat(), "busy"),
    ] {
        let (server, agents) = start("");
        let sipp = referred(&server, "sip:desk@192.0.2.9", answer, &told, SERVER_ENDS);
        let mut agent = agents.accept();
        agent.event("answered");
        let to =
            json!({ "event": "transfer", "kind": "blind", "destination": "sip:desk@192.0.2.9" });
        agent.say(&to);
        let states = states(&mut agent, "failed");
        assert_eq!(states.last().unwrap()["cause"], cause);
        let heard = agent.frames.len();
        assert_eq!(server.calls()[0]["state"], "answered");
        agent.say(&json!({ "event": "mark", "name": "still here" }));
        assert_eq!(agent.event("mark")["name"], "still here");
        assert!(agent.frames.len() >= heard);
        agent.say(&json!({ "event": "hangup", "after": "now" }));
        assert_eq!(agent.event("stop")["cause"], "normal");
        sipp.succeed();
        server.wait_idle();
        server.stop();
    }
}

/// What cannot be asked for is refused over the API with the reason.
#[test]
fn wishes_that_are_refused() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let fields = [("FORMATS", "0"), ("MAPS", sipp::PCMU.1), ("PLAY", ""), ("HOLD_MS", "2500")];
    let sipp = Run { user: "bot", fields: &fields, ..Run::default() }.call(&server);
    let mut agent = agents.accept();
    agent.event("answered");
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    let post = |what: &str, body: Value| {
        server.http("POST", &format!("/api/v1/calls/{id}/{what}"), Some(&body))
    };
    for (what, body, status, part) in [
        ("transfer", json!({ "kind": "warm", "destination": "1" }), 400, "kind"),
        ("transfer", json!({ "kind": "blind", "destination": "a b" }), 400, "destination"),
        ("transfer", json!({ "kind": "attended", "options": { "call_id": id } }), 400, "call_id"),
        ("transfer", json!({ "kind": "blind" }), 400, "destination"),
        ("transfer", json!({ "to": "x" }), 400, "unknown field"),
        ("dtmf", json!({ "digits": "1x" }), 400, "digits"),
        ("dtmf", json!({ "digits": "1" }), 409, "telephone events"),
        ("mute", json!({ "on": "yes" }), 400, "boolean"),
    ] {
        let (got, answer) = post(what, body);
        assert_eq!(got, status, "{answer}");
        assert!(answer.contains(part), "{answer}");
    }
    assert_eq!(post("mute", json!({ "on": true })).0, 204);
    agent.play(0, &[0x55; 8_000]);
    agent.say(&json!({ "event": "mark", "name": "cut" }));
    agent.wait_frames(0);
    assert_eq!(post("clear", Value::Null).0, 204);
    assert_eq!(agent.event("mark")["name"], "cut");
    agent.event("cleared");
    let none = "/api/v1/calls/0199e3a2-5d1c-7a44-9c6f-2f8b64d1e0aa/clear";
    assert_eq!(server.http("POST", none, None).0, 404);
    sipp.succeed();
    server.wait_idle();
    server.stop();
}
