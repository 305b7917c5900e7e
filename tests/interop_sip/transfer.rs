//! Transfers with real peers: who asks whom, what is told, and who talks with whom afterwards
//! (RFC 3515, RFC 3891, RFC 5589).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::baresip::{self, Baresip};
use support::ear::{self, Ear};
use support::phone::{Phone, header};
use support::scenario::{change, in_call, news, request, respond, server_ends};
use support::server::Server;
use support::sipp::{self, Run, Sipp};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// An agent on a WebSocket that takes every call.
fn start(more: &str) -> (Server, Agents) {
    let agents = Agents::listen();
    let url = agents.url();
    let config =
        format!("[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}");
    (Server::start(&config), agents)
}

/// SIPp calls, and is asked to call `pattern`; it answers and tells as given.
#[track_caller]
fn referred(server: &Server, pattern: &str, answer: &str, news: &str, end: &str) -> Sipp {
    let asked = format!(
        r#"<recv request="REFER"><action>
      <ereg regexp="{pattern}" search_in="hdr" header="Refer-To:" check_it="true" assign_to="to"/>
      <ereg regexp="sip:bot@" search_in="hdr" header="Referred-By:" check_it="true" assign_to="by"/>
    </action></recv><Reference variables="to,by"/>{}"#,
        respond(answer)
    );
    in_call(server, "", &(asked + news + end), None)
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

/// The agent ends its call, with whomever SIPp plays; no call is left.
#[track_caller]
fn end(server: Server, mut agent: Agent, sipp: Sipp) {
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    assert_eq!(agent.event("stop")["cause"], "normal");
    sipp.succeed();
    server.finish();
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
    let sipp = referred(&server, pattern, "202 Accepted", &told.concat(), &server_ends());
    let mut agent = agents.accept();
    assert!(agent.start["features"].as_array().unwrap().contains(&json!("transfer")));
    agent.event("answered");
    let to = "sip:desk@192.0.2.9;x=y";
    agent.say(&json!({ "event": "transfer", "kind": "blind", "destination": to }));
    let states = states(&mut agent, "bridged");
    assert_eq!(words(&states), ["requested", "dialling", "ringing", "answered", "bridged"]);
    assert!(states.iter().all(|state| state["cause"].is_null()));
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("transferred"), &json!("agent")));
    assert_eq!(agent.wait_close(), 1000);
    sipp.succeed();
    server.finish();
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
    let begun: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &begun["state"]), (202, &json!("requested")), "{body}");
    let stop = agent.event("stop");
    assert_eq!(stop["cause"], "transferred");
    sipp.succeed();
    server.wait_idle();
    let (_, body) = server.http("GET", &format!("/api/v1/calls/{id}/transfers"), None);
    let page: Value = serde_json::from_str(&body).unwrap();
    let kept = &page["items"][0];
    assert_eq!((&kept["id"], &kept["kind"]), (&begun["id"], &json!("blind")), "{body}");
    assert_eq!((&kept["state"], &kept["destination"]), (&json!("bridged"), &json!("+4930123")));
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
        let sipp = referred(&server, "sip:desk@192.0.2.9", answer, &told, &server_ends());
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
        end(server, agent, sipp);
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
        ("transfer", json!({ "kind": "hot", "destination": "1" }), 400, "kind"),
        ("transfer", json!({ "kind": "agent", "destination": "nobody" }), 400, "agent"),
        ("transfer", json!({ "kind": "cancel" }), 409, "given up"),
        ("transfer", json!({ "kind": "blind", "destination": "a b" }), 400, "destination"),
        ("transfer", json!({ "kind": "attended", "options": { "call_id": id } }), 400, "call_id"),
        ("transfer", json!({ "kind": "blind" }), 400, "destination"),
        ("transfer", json!({ "to": "x" }), 400, "unknown field"),
        ("dtmf", json!({ "digits": "1x" }), 400, "digits"),
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
    server.finish();
}

/// The tones of two callers and of the agent.
const A_HZ: f64 = 697.0;
const B_HZ: f64 = 1336.0;
const AGENT_HZ: f64 = 1000.0;
/// How much of a tone must be heard, in seconds.
const HEARD_S: f64 = 0.8;

/// What SIPp plays: a tone of this length.
fn tone(server: &Server, hz: f64, seconds: f64) -> String {
    let file = server.dir.join(format!("{hz}-{seconds}.pcap"));
    ear::write_capture(&file, 0, &wav::to_ulaw(&wav::sine(hz, seconds)));
    sipp::play(&file)
}

/// SIPp asks the server to call somebody else, and is told `outcome`.
fn refers(to: &str, headers: &str, told: &[&str]) -> String {
    let refer = request("REFER", 2, &format!("Refer-To: {to}\r\n{headers}"));
    let mut then = refer + r#"<recv response="202"/>"#;
    for (index, told) in told.iter().enumerate() {
        let it = format!("n{index}");
        then += &format!(
            r#"<recv request="NOTIFY"><action>
      <ereg regexp="SIP/2.0 {told}" search_in="body" check_it="true" assign_to="{it}"/>
    </action></recv><Reference variables="{it}"/>{}"#,
            respond("200 OK")
        );
    }
    then
}

/// Somebody whom SIPp plays: is called with a header that fits, says a tone, is hung up on.
#[track_caller]
fn target(server: &Server, header: &str, pattern: &str, play: &str, media_port: u16) -> Sipp {
    let fields = [("HEADER", header), ("PATTERN", pattern), ("PLAY", play)];
    let media_port = Some(media_port);
    let scenario = "target.xml";
    Run { scenario, fields: &fields, media_port, ..Run::default() }.wait_for_call(server)
}

/// Reads all that the server has sent to the agent up to now: what it is asked for here is refused
/// at once, and that comes behind everything else.
#[track_caller]
fn catch_up(agent: &mut Agent) {
    agent.order("answer");
    assert_eq!(agent.event("error")["code"], "not_allowed");
}

/// The last second and a half of what an agent has heard is `now`, the first is `before`; it is one
/// stream whose numbers and time never jump back.
#[track_caller]
fn assert_taken_over(agent: &Agent, before: f64, now: f64) {
    let frames = &agent.frames;
    let (first, last) = (&frames[..70], &frames[frames.len() - 75..]);
    wav::assert_heard(&ear::samples(first), before, now, HEARD_S);
    wav::assert_heard(&ear::samples(last), now, before, HEARD_S);
    for pair in frames.windows(2) {
        let [one, two] = pair else { unreachable!() };
        assert_eq!(two.ssrc, one.ssrc);
        assert_eq!(two.seq, one.seq.wrapping_add(1), "numbers jump");
        let step = two.ts.wrapping_sub(one.ts);
        assert!((1..8_000 * 10).contains(&step), "time jumps by {step}");
    }
}

/// The peer asks us to call somebody else: it is told how that goes and let go; the agent goes on
/// in the same stream and talks with the new party, each known by its tone.
#[test]
fn the_peer_transfers_blind() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let (server, agents) = start("");
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let play = tone(&server, B_HZ, 6.0);
    let b = target(&server, "Referred-By", "sip:sipp@127", &play, media_port);
    let to = format!("<sip:b@127.0.0.1:{}?X-Secret=1>", b.port);
    let a_play = tone(&server, A_HZ, 1.6) + r#"<pause milliseconds="1700"/>"#;
    let told = ["100 Trying", "180 Ringing", "200 OK"];
    let then = a_play + &refers(&to, "", &told) + &server_ends();
    let a = in_call(&server, "", &then, None);
    let mut agent = agents.accept();
    agent.event("answered");
    let said = wav::to_ulaw(&wav::sine(AGENT_HZ, 8.0));
    agent.play(0, &said);
    a.succeed();
    catch_up(&mut agent);
    let so_far = agent.frames.len();
    agent.wait_frames(so_far + 150);
    assert_eq!(server.calls().len(), 1);
    assert_taken_over(&agent, A_HZ, B_HZ);
    wav::assert_heard(&ear::samples(&ear.packets()), AGENT_HZ, B_HZ, HEARD_S);
    assert!(!b.messages().contains("X-Secret"), "a header that nobody allowed");
    end(server, agent, b);
}

/// The peer joins us with somebody it talks with (RFC 5589 7): the new call carries the Replaces
/// that Refer-To has, unescaped.
#[test]
fn the_peer_transfers_attended() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let pattern = "abc@127.0.0.1;to-tag=b;from-tag=a";
    let b = target(&server, "Replaces", pattern, "", server.ports.run(4));
    let replaces = "abc%40127.0.0.1%3Bto-tag%3Db%3Bfrom-tag%3Da";
    let to = format!("<sip:b@127.0.0.1:{}?Replaces={replaces}>", b.port);
    let then = refers(&to, "", &["100 Trying", "180 Ringing", "200 OK"]) + &server_ends();
    let a = in_call(&server, "", &then, None);
    let mut agent = agents.accept();
    agent.event("answered");
    a.succeed();
    end(server, agent, b);
}

/// The new party is busy, or is nowhere that the peer may have us call: it is told, and everything
/// stays as it was.
#[test]
fn the_peers_transfer_fails() {
    let Some(()) = sipp::installed() else { return };
    for case in ["busy", "elsewhere", "name", "refused"] {
        let peers = "\n[[trunks]]\nname = \"pbx\"\npeers = [\"127.0.0.1\"]\nrefer = ";
        let refer = if case == "refused" { "\"refuse\"\n" } else { "\"allow\"\n" };
        let (server, agents) = start(&format!("{peers}{refer}"));
        let fields = [("STATUS", "486 Busy Here")];
        let b = Run { scenario: "declines.xml", fields: &fields, ..Run::default() };
        let b = (case == "busy").then(|| b.wait_for_call(&server));
        let to = match (&b, case) {
            (Some(b), _) => format!("<sip:b@127.0.0.1:{}>", b.port),
            (None, "name") => "<sip:b@localhost>".to_owned(),
            (None, "refused") => "<sip:b@127.0.0.1>".to_owned(),
            (None, _) => "<sip:+1900555@192.0.2.9>".to_owned(),
        };
        let told = ["100 Trying", "486 Busy Here"];
        let then = match case {
            "busy" => refers(&to, "", &told),
            _ => {
                let refer = request("REFER", 2, &format!("Refer-To: {to}\r\n"));
                refer + r#"<recv response="403"/>"#
            }
        };
        let a = in_call(&server, "", &(then + &server_ends()), None);
        let mut agent = agents.accept();
        agent.event("answered");
        if let Some(b) = b {
            b.succeed();
        }
        let refused = || a.messages().contains("SIP/2.0 403").then_some(());
        if case != "busy" {
            until(SOON, "the refusal", refused);
        }
        agent.say(&json!({ "event": "mark", "name": "still here" }));
        assert_eq!(agent.event("mark")["name"], "still here");
        end(server, agent, a);
    }
}

/// A call that replaces another (RFC 3891) takes its place: the old peer is hung up, the agent goes
/// on with the new one; what replaces nothing is refused.
#[test]
fn a_call_replaces_another() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let (server, agents) = start("");
    let play = tone(&server, A_HZ, 6.0);
    let a = in_call(&server, "", &(play + &server_ends()), None);
    let mut agent = agents.accept();
    agent.event("answered");
    agent.wait_frames(75);
    let messages = a.messages();
    let answer = messages.split("SIP/2.0 200").nth(1).unwrap();
    let (id, tag) = (header(answer, "Call-ID"), header(answer, "To").split("tag=").nth(1).unwrap());
    let from = header(answer, "From").split("tag=").nth(1).unwrap();
    let replaces = format!("Require: replaces\r\nReplaces: {id};to-tag={tag};from-tag={from}\r\n");
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    // It plays longer than the busiest machine takes to hear enough of it.
    let play = tone(&server, B_HZ, 20.0) + &server_ends();
    let b = in_call(&server, &replaces, &play, Some(media_port));
    a.succeed();
    catch_up(&mut agent);
    let so_far = agent.frames.len();
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 4.0)));
    agent.wait_frames(so_far + 150);
    assert_taken_over(&agent, A_HZ, B_HZ);
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    assert_eq!(agent.event("stop")["cause"], "normal");
    b.succeed();
    wav::assert_heard(&ear::samples(&ear.packets()), AGENT_HZ, B_HZ, HEARD_S);
    let mut phone = Phone::call_at(server.sip, "bot", &replaces);
    phone.wait_refusal(481);
    let mut phone = Phone::call_at(server.sip, "bot", "Replaces: x;to-tag=1\r\n");
    phone.wait_refusal(400);
    server.finish();
}

/// On hold the caller is told so and hears the agent's music, the agent hears nothing and what it
/// says waits; both go on afterwards, whoever asked.
#[test]
fn hold_and_resume() {
    const MUSIC_HZ: f64 = 852.0;
    let Some(()) = sipp::installed_with_audio() else { return };
    let agents = Agents::listen();
    let dir = support::server::folder();
    wav::write(&dir.join("music.wav"), &wav::sine(MUSIC_HZ, 1.0));
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         hold_music = \"{{dir}}/music.wav\"\n",
        agents.url()
    );
    let server = Server::start_in(dir, &config);
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let then = tone(&server, A_HZ, 15.0)
        + &change("sendonly", "recvonly")
        + &change("sendrecv", "sendrecv")
        + &server_ends();
    // SIPp puts its own port where the scenario says so.
    let a = in_call(&server, "", &then, Some(media_port));
    let mut agent = agents.accept();
    assert!(agent.start["features"].as_array().unwrap().contains(&json!("hold")));
    agent.event("answered");
    agent.wait_frames(40);
    agent.order("hold");
    let acked = || a.messages().matches("\nACK ").count();
    until(SOON, "the hold", || (acked() >= 1).then_some(()));
    // What was on its way has arrived with the mark.
    agent.say(&json!({ "event": "mark", "name": "held" }));
    agent.event("mark");
    let (frames, packets) = (agent.frames.len(), ear.packets().len());
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 2.0)));
    until(SOON, "music", || (ear.packets().len() >= packets + 90).then_some(()));
    agent.say(&json!({ "event": "clear" }));
    agent.event("cleared");
    assert!(agent.frames.len() <= frames + 1, "the agent hears a caller on hold");
    let held: Vec<_> = ear.packets().split_off(packets + 20);
    wav::assert_heard(&ear::samples(&held), MUSIC_HZ, AGENT_HZ, HEARD_S);
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/calls/{id}/hold");
    assert_eq!(server.http("POST", &path, Some(&json!({ "on": false }))).0, 204);
    until(SOON, "the end of it", || (acked() >= 2).then_some(()));
    let packets = ear.packets().len();
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 2.0)));
    agent.wait_frames(frames + 60);
    until(SOON, "the agent", || (ear.packets().len() >= packets + 90).then_some(()));
    let back: Vec<_> = ear.packets().split_off(packets + 35);
    wav::assert_heard(&ear::samples(&back), AGENT_HZ, MUSIC_HZ, HEARD_S);
    end(server, agent, a);
}

/// A call that is sent elsewhere follows the addresses by preference, past one that is busy, but to
/// no other host, and not in a circle.
#[test]
fn a_placed_call_is_redirected() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let busy = [("STATUS", "486 Busy Here")];
    let busy = Run { scenario: "declines.xml", fields: &busy, ..Run::default() };
    let busy = busy.wait_for_call(&server);
    let answers = target(&server, "To", "sip:x@127.0.0.1", "", server.ports.run(4));
    let contacts = format!(
        "<sip:c@127.0.0.1:{}>;q=0.2, <sip:evil@192.0.2.9>, <sip:b@127.0.0.1:{}>;q=0.5",
        answers.port, busy.port
    );
    let fields = [("CONTACTS", contacts.as_str())];
    let moved = Run { scenario: "moves.xml", fields: &fields, ..Run::default() };
    let moved = moved.wait_for_call(&server);
    server.place(&format!("sip:x@127.0.0.1:{}", moved.port), "bot");
    let mut agent = agents.accept();
    agent.event("answered");
    moved.succeed();
    busy.succeed();
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    agent.event("stop");
    answers.succeed();
    assert!(server.log().contains("redirection to elsewhere not followed"));
    server.finish();
}

/// A softphone transfers: it asks by its own REFER, is told by NOTIFY and let go, and the agent
/// goes on with the new party in the same stream.
#[test]
fn a_softphone_transfers() {
    let (Some(()), Some(())) = (sipp::installed_with_audio(), baresip::installed()) else {
        return;
    };
    let (server, agents) = start("");
    let b_ear = server.ports.run(4);
    let ear = Ear::overhear(b_ear);
    let b = target(&server, "Referred-By", "alice", &tone(&server, B_HZ, 8.0), b_ear);
    let phone = Baresip::start(&server, "PCMU", Some(&server.uri("bot")));
    let mut agent = agents.accept();
    agent.event("answered");
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 8.0)));
    agent.wait_frames(75);
    let taken = phone.command(&format!("transfer sip:b@127.0.0.1:{}", b.port));
    assert!(taken.contains("\"ok\":true"), "{taken}");
    until(SOON, "the phone is let go", || phone.log().contains("terminated").then_some(()));
    catch_up(&mut agent);
    let so_far = agent.frames.len();
    agent.wait_frames(so_far + 150);
    assert_taken_over(&agent, baresip::HZ, B_HZ);
    wav::assert_heard(&ear::samples(&ear.packets()), AGENT_HZ, B_HZ, HEARD_S);
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    agent.event("stop");
    b.succeed();
    phone.end();
    server.finish();
}

/// An agent joins its caller with the peer of another call: Refer-To names that peer and, escaped,
/// the dialog to take the place of, from that peer's view (RFC 5589 7).
#[test]
fn attended_transfer_succeeds() {
    let Some(()) = sipp::installed() else { return };
    let (server, agents) = start("");
    let mut other = Phone::call(&server, "bot");
    let joined = agents.accept();
    other.wait_answer();
    let to = header(&other.answer, "To").split("tag=").nth(1).unwrap();
    let (from, id) = (header(&other.answer, "From"), header(&other.answer, "Call-ID"));
    let from = from.split("tag=").nth(1).unwrap();
    let id = id.replace('@', "%40");
    let pattern = format!("sip:phone@127.*[?]Replaces={id}%3Bto-tag%3D{from}%3Bfrom-tag%3D{to}");
    let told = news(2, "200 OK", "terminated;reason=noresource");
    let sipp = referred(&server, &pattern, "202 Accepted", &told, &server_ends());
    let mut agent = agents.accept();
    agent.event("answered");
    let options = json!({ "call_id": joined.start["call_id"] });
    agent.say(&json!({ "event": "transfer", "kind": "attended", "options": options }));
    let told = ["requested", "dialling", "answered", "bridged"];
    assert_eq!(words(&states(&mut agent, "bridged")), told);
    assert_eq!(agent.event("stop")["cause"], "transferred");
    sipp.succeed();
    other.hang_up();
    server.finish();
}
