//! Calls that two telephones have are handed on: by the API, by an agent's successor, by a REFER of
//! either telephone. Who is not part of that hears nothing of it but another voice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::agent::Agents;
use support::callee::Callee;
use support::files;
use support::joined::{at_desk, begin, by_bot, sound, talk, wait_message};
use support::phone::{self, Phone, header};
use support::server::Server;
use support::{until, wav};

const SOON: Duration = Duration::from_secs(15);
/// The tone of a message that is fetched.
const MESSAGE_HZ: f64 = 1336.0;

/// Two that were called say numbered packets until each has heard some of the other's, byte for
/// byte.
#[track_caller]
fn talk_across(one: &mut Callee, other: &mut Callee, n: u8) {
    let (mine, yours) = (sound(n), sound(n ^ 0x80));
    let mut heard = [false; 2];
    until(SOON, "both ways", || {
        one.say(&mine);
        other.say(&yours);
        heard[0] |= other.hear().is_some_and(|packet| packet.payload == mine);
        heard[1] |= one.hear().is_some_and(|packet| packet.payload == yours);
        (heard == [true; 2]).then_some(())
    });
}

/// A server whose agent `desk` is the telephone `callee`, and a caller that talks with it.
#[track_caller]
fn joined(callee: &mut Callee, more: &str) -> (Server, Phone, String) {
    let server = at_desk(callee, more);
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, callee, 1);
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    (server, caller, id)
}

/// Asks for a transfer; the status and the answer.
#[track_caller]
fn transfer(server: &Server, call: &str, wanted: &Value) -> (u16, String) {
    server.http("POST", &format!("/api/v1/calls/{call}/transfer"), Some(wanted))
}

#[track_caller]
fn bridge(server: &Server, call: &str, to: &Callee) {
    let wanted = json!({ "kind": "bridge", "destination": to.uri() });
    let (status, body) = transfer(server, call, &wanted);
    assert_eq!(status, 202, "{body}");
}

/// The transfers of a call: kinds, states and causes, in their order.
#[track_caller]
fn transfers(server: &Server, call: &str) -> Vec<(String, String, String)> {
    let (status, body) = server.http("GET", &format!("/api/v1/calls/{call}/transfers"), None);
    assert_eq!(status, 200, "{body}");
    let page: Value = serde_json::from_str(&body).unwrap();
    let word = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let told = |one: &Value| (word(one, "kind"), word(one, "state"), word(one, "cause"));
    page["items"].as_array().unwrap().iter().map(told).collect()
}

fn told(kind: &str, state: &str, cause: &str) -> (String, String, String) {
    (kind.to_owned(), state.to_owned(), cause.to_owned())
}

/// Waits until the last transfer of a call stands so.
#[track_caller]
fn wait_transfer(server: &Server, call: &str, expected: (String, String, String)) {
    until(SOON, "the transfer", || (transfers(server, call).last()? == &expected).then_some(()));
}

/// Asks the server to call somebody in its place.
#[track_caller]
fn refer(callee: &mut Callee, to: &str) -> String {
    callee.request("REFER", &format!("Refer-To: <{to}>\r\n"), "")
}

/// Waits for the NOTIFY that tells this status.
#[track_caller]
fn wait_notify(callee: &mut Callee, status: u16) -> String {
    let line = format!("SIP/2.0 {status} ");
    until(SOON, "a NOTIFY", || {
        Some(callee.wait_request("NOTIFY")).filter(|notify| notify.contains(&line))
    })
}

/// Fails unless what the caller heard is one stream without a gap, whose time goes on; by how much
/// where one telephone follows another, the clock says.
#[track_caller]
fn assert_one_stream(caller: &Phone) {
    for pair in caller.packets().windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert_eq!((after.ssrc, after.seq), (before.ssrc, before.seq.wrapping_add(1)));
        let step = after.ts.wrapping_sub(before.ts);
        assert!((1..80_000).contains(&step), "time: {step}");
    }
}

/// A call that was bridged is bridged again, and once more: until the next answers the one before
/// goes on; one that refuses, and one that is wanted no more, change nothing; who has been replaced
/// is hung up. The caller hears one stream.
#[test]
fn a_bridged_call_is_bridged_again() {
    let (mut first, mut second, mut third) = (Callee::ulaw(), Callee::ulaw(), Callee::ulaw());
    let (server, mut caller, id) = joined(&mut first, "");
    bridge(&server, &id, &second);
    second.wait_call();
    second.ring();
    talk(&mut caller, &mut first, 2);
    let busy = json!({ "kind": "bridge", "destination": third.uri() });
    assert_eq!(transfer(&server, &id, &busy).0, 409, "one at a time");
    second.refuse("486 Busy Here");
    wait_transfer(&server, &id, told("bridge", "failed", "busy"));
    talk(&mut caller, &mut first, 3);

    bridge(&server, &id, &second);
    second.wait_call();
    second.ring();
    assert_eq!(transfer(&server, &id, &json!({ "kind": "cancel" })).0, 202);
    second.wait_cancel();
    wait_transfer(&server, &id, told("bridge", "cancelled", "unwanted"));
    talk(&mut caller, &mut first, 4);

    bridge(&server, &id, &second);
    second.wait_call();
    second.answer();
    let bye = first.wait_request("BYE");
    assert!(header(&bye, "Reason").contains("transferred"), "{bye}");
    talk(&mut caller, &mut second, 5);
    bridge(&server, &id, &third);
    third.wait_call();
    third.answer();
    second.wait_request("BYE");
    talk(&mut caller, &mut third, 6);
    let bridged = || told("bridge", "bridged", "");
    assert_eq!(transfers(&server, &id)[2..], [bridged(), bridged()]);
    assert_one_stream(&caller);
    third.hang_up("");
    caller.wait_bye();
    server.finish();
}

/// Both telephones wait while the next is told what it is about; one that takes the call has it,
/// and the one before is hung up. If nobody takes it, the two talk on.
#[test]
fn a_bridged_call_is_handed_on_warmly() {
    let (mut first, mut second) = (Callee::ulaw(), Callee::ulaw());
    let (server, mut caller, id) = joined(&mut first, "");
    for accepts in [false, true] {
        let options = json!({ "accept_digit": "1", "decline_digit": "2" });
        let wanted = json!({ "kind": "warm", "destination": second.uri(), "options": options });
        assert_eq!(transfer(&server, &id, &wanted).0, 202);
        second.wait_call();
        let held = first.wait_request("INVITE");
        assert!(held.contains("a=sendonly"), "{held}");
        let held = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendonly").then_some(());
        caller.until("its hold", held);
        second.answer();
        wait_message(&second);
        // Nothing of the call gets there, and the other waits.
        let mine = sound(20);
        for _ in 0..5 {
            caller.send(&mine, false);
            first.say(&mine);
            assert!(second.hear().is_none_or(|packet| packet.payload != mine));
        }
        second.press(if accepts { '1' } else { '2' });
        let back = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendrecv").then_some(());
        if accepts {
            first.wait_request("BYE");
            caller.until("its return", back);
            talk(&mut caller, &mut second, 21);
        } else {
            second.wait_request("BYE");
            // A copy of the hold may come before.
            let change = |first: &mut Callee| Some(first.wait_request("INVITE"));
            until(SOON, "its return", || change(&mut first)?.contains("a=sendrecv").then_some(()));
            caller.until("its return", back);
            talk(&mut caller, &mut first, 22);
            wait_transfer(&server, &id, told("warm", "failed", "declined"));
        }
    }
    wait_transfer(&server, &id, told("warm", "bridged", ""));
    caller.hang_up();
    second.wait_request("BYE");
    server.finish();
}

/// A call passes from one telephone that is its agent to another, and back: the caller stays, the
/// telephone before is hung up once the next has answered, and the record names who has the call.
/// One that refuses changes nothing.
#[test]
fn one_telephone_agent_hands_over_to_another() {
    let (mut desk, mut other) = (Callee::ulaw(), Callee::ulaw());
    let uri = other.uri();
    let more = format!("[[agents]]\nname = \"other\"\nkind = \"sip\"\nuri = \"{uri}\"\n");
    let (server, mut caller, id) = joined(&mut desk, &more);
    let to = |name: &str| {
        let (status, body) =
            transfer(&server, &id, &json!({ "kind": "agent", "destination": name }));
        assert_eq!(status, 202, "{body}");
    };
    to("other");
    other.wait_call();
    talk(&mut caller, &mut desk, 30);
    other.refuse("603 Decline");
    wait_transfer(&server, &id, told("agent", "failed", "rejected"));
    talk(&mut caller, &mut desk, 31);
    to("other");
    other.wait_call();
    other.answer();
    desk.wait_request("BYE");
    talk(&mut caller, &mut other, 32);
    assert_eq!(server.calls()[0]["agent"], "other");
    to("desk");
    desk.wait_call();
    desk.answer();
    other.wait_request("BYE");
    talk(&mut caller, &mut desk, 33);
    assert_eq!(server.calls()[0]["agent"], "desk");
    assert_one_stream(&caller);
    caller.hang_up();
    desk.wait_request("BYE");
    server.finish();
}

/// The telephone at the agent's end asks for somebody in its place: it is told how that goes, and
/// hung up once it is done; until then, and if nothing comes of it, it has its caller. It may no
/// more than any peer: not to names, and one at a time.
#[test]
fn the_telephone_hands_its_caller_on() {
    let (mut first, mut second) = (Callee::ulaw(), Callee::ulaw());
    let (server, mut caller, id) = joined(&mut first, "");
    assert!(refer(&mut first, "sip:a@example.com").starts_with("SIP/2.0 403 "));
    assert!(refer(&mut first, "tel:+4930123").starts_with("SIP/2.0 416 "));
    assert!(refer(&mut first, "sip:a@192.0.2.1").starts_with("SIP/2.0 403 "));
    let to = second.uri();
    assert!(refer(&mut first, &to).starts_with("SIP/2.0 202 "));
    let invite = second.wait_call();
    assert!(header(&invite, "Referred-By").contains(&first.address().to_string()), "{invite}");
    wait_notify(&mut first, 100);
    second.ring();
    wait_notify(&mut first, 180);
    assert!(refer(&mut first, &to).starts_with("SIP/2.0 491 "), "one at a time");
    talk(&mut caller, &mut first, 40);
    second.refuse("486 Busy Here");
    let last = wait_notify(&mut first, 486);
    assert!(header(&last, "Subscription-State").starts_with("terminated"), "{last}");
    talk(&mut caller, &mut first, 41);

    // It puts its caller on hold first, as telephones do.
    first.reinvite("sendonly");
    caller.until("its hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    assert!(refer(&mut first, &to).starts_with("SIP/2.0 202 "));
    second.wait_call();
    second.answer();
    let last = wait_notify(&mut first, 200);
    assert!(header(&last, "Subscription-State").starts_with("terminated"), "{last}");
    first.wait_request("BYE");
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    talk(&mut caller, &mut second, 42);
    let all = transfers(&server, &id);
    assert_eq!(all, [told("bridge", "failed", "busy"), told("bridge", "bridged", "")]);
    // And on from there.
    assert!(refer(&mut second, &first.uri()).starts_with("SIP/2.0 202 "));
    first.wait_call();
    first.answer();
    wait_notify(&mut second, 200);
    second.wait_request("BYE");
    talk(&mut caller, &mut first, 43);
    first.hang_up("");
    caller.wait_bye();
    server.finish();
}

/// A telephone that hangs up as soon as its REFER was taken loses nothing: the caller waits, with
/// something to hear, and talks with who comes; if nobody comes, the call ends.
#[test]
fn a_telephone_leaves_before_the_next_has_come() {
    for comes in [true, false] {
        let (mut first, mut second) = (Callee::ulaw(), Callee::ulaw());
        let (server, mut caller, id) = joined(&mut first, "");
        assert!(refer(&mut first, &second.uri()).starts_with("SIP/2.0 202 "));
        second.wait_call();
        second.ring();
        wait_notify(&mut first, 100);
        first.hang_up("");
        let before = caller.packets().len();
        until(SOON, "an open line", || (caller.packets().len() > before + 25).then_some(()));
        if comes {
            second.answer();
            talk(&mut caller, &mut second, 50);
            wait_transfer(&server, &id, told("bridge", "bridged", ""));
            caller.hang_up();
            second.wait_request("BYE");
        } else {
            second.refuse("480 Temporarily Unavailable");
            caller.wait_bye();
        }
        server.finish();
    }
}

/// A telephone that calls in to take the place of the one at the agent's end (RFC 3891) has its
/// caller from then on, and that one is hung up; so has whoever takes its place in turn. Who names
/// no call, or calls while somebody else is being called, is refused, and nothing changes.
#[test]
fn another_telephone_takes_the_place_of_the_agents() {
    let (mut first, mut second) = (Callee::ulaw(), Callee::ulaw());
    let server = at_desk(&first, "");
    let mut caller = Phone::call(&server, "desk");
    let invite = first.wait_call();
    first.answer();
    caller.wait_answer();
    talk(&mut caller, &mut first, 50);
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let ours = header(&invite, "From").split("tag=").nth(1).unwrap().to_owned();
    let replaces = |theirs: &str| {
        let call = header(&invite, "Call-ID");
        format!("Require: replaces\r\nReplaces: {call};to-tag={ours};from-tag={theirs}\r\n")
    };
    Phone::call_at(server.sip, "desk", &replaces("nobody")).wait_refusal(481);
    bridge(&server, &id, &second);
    second.wait_call();
    Phone::call_at(server.sip, "desk", &replaces("callee")).wait_refusal(486);
    second.refuse("486 Busy Here");
    wait_transfer(&server, &id, told("bridge", "failed", "busy"));
    talk(&mut caller, &mut first, 51);

    let mut third = Phone::call_at(server.sip, "desk", &replaces("callee"));
    third.wait_answer();
    first.wait_request("BYE");
    let (mine, yours) = (sound(52), sound(53));
    until(SOON, "both ways", || {
        caller.send(&mine, false);
        third.send(&yours, false);
        let hears = |phone: &Phone, what: &[u8]| {
            phone.packets().iter().any(|packet| packet.payload == what)
        };
        (hears(&caller, &yours) && hears(&third, &mine)).then_some(())
    });
    assert_eq!(server.calls().len(), 1, "it is the same call");
    assert_one_stream(&caller);
    Phone::call_at(server.sip, "desk", &replaces("callee")).wait_refusal(481);
    third.hang_up();
    caller.wait_bye();
    server.finish();
}

/// The caller of a call that two telephones have hands its end on: the new one talks with the
/// telephone, which stays in its call.
#[test]
fn the_caller_hands_its_end_on() {
    let (mut desk, mut next) = (Callee::ulaw(), Callee::ulaw());
    let (server, mut caller, id) = joined(&mut desk, "");
    caller.refer(&next.uri());
    next.wait_call();
    next.answer();
    caller.wait_bye();
    talk_across(&mut next, &mut desk, 60);
    // The call is the same, and can be handed on at its other end too.
    let mut third = Callee::ulaw();
    bridge(&server, &id, &third);
    third.wait_call();
    third.answer();
    desk.wait_request("BYE");
    talk_across(&mut next, &mut third, 61);
    next.hang_up("");
    third.wait_request("BYE");
    server.finish();
}

/// A caller that leaves while the next is called or told what it is about has both ends hung up.
#[test]
fn a_caller_leaves_meanwhile() {
    let (mut first, mut second) = (Callee::ulaw(), Callee::ulaw());
    let (server, mut caller, _) = joined(&mut first, "");
    assert!(refer(&mut first, &second.uri()).starts_with("SIP/2.0 202 "));
    second.wait_call();
    second.ring();
    caller.hang_up();
    second.wait_cancel();
    wait_notify(&mut first, 487);
    first.wait_request("BYE");
    server.finish();
}

/// Replaces (RFC 3891) for the dialog that this INVITE of the server opened: the first tag is that
/// of whoever gets the header.
fn replacing(invite: &str) -> String {
    let (id, from) = (header(invite, "Call-ID"), header(invite, "From"));
    let own = from.split("tag=").nth(1).unwrap();
    format!("Require: replaces\r\nReplaces: {id};to-tag={own};from-tag=callee\r\n")
}

/// Both callers say numbered packets until both have heard some of the other's, byte for byte.
#[track_caller]
fn talk_between(one: &mut Phone, other: &mut Phone, n: u8) {
    let (mine, yours) = (sound(n), sound(n ^ 0x80));
    let heard =
        |phone: &Phone, what: &[u8]| phone.packets().iter().any(|packet| packet.payload == what);
    until(SOON, "both ways", || {
        one.send(&mine, false);
        other.send(&yours, false);
        (heard(other, &mine) && heard(one, &yours)).then_some(())
    });
}

/// A telephone that calls with Replaces takes the place of the one at the agent's end, whoever
/// makes the offer: that one is hung up, the caller stays in its call and stream, out of the hold
/// that it was put on, and hangs up the new one.
#[test]
fn a_telephone_takes_the_place_of_the_agents() {
    for offers in [true, false] {
        let mut desk = Callee::ulaw();
        let server = at_desk(&desk, "");
        let mut caller = Phone::call(&server, "desk");
        let invite = desk.wait_call();
        desk.answer();
        caller.wait_answer();
        talk(&mut caller, &mut desk, 70);
        let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
        // Whoever asks another to take its place puts the caller on hold first.
        desk.reinvite("sendonly");
        let held = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendonly").then_some(());
        caller.until("its hold", held);
        let headers = replacing(&invite);
        let mut next = if offers {
            let mut next = Phone::call_at(server.sip, "desk", &headers);
            next.wait_answer();
            next
        } else {
            let mut next = Phone::call_without_offer(server.sip, "desk", &headers);
            next.wait_offer();
            next
        };
        let bye = desk.wait_request("BYE");
        assert!(header(&bye, "Reason").contains("transferred"), "{bye}");
        let back = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendrecv").then_some(());
        caller.until("its return", back);
        talk_between(&mut caller, &mut next, 71);
        assert_one_stream(&caller);
        let calls = server.calls();
        assert_eq!(calls.len(), 1, "the new leg is no call of its own: {calls:?}");
        assert_eq!(calls[0]["id"], *id);
        // The place that it took can be taken again, and the one that was left is none any more.
        let mut late = Phone::call_at(server.sip, "desk", &headers);
        late.wait_refusal(481);
        if offers {
            caller.hang_up();
            next.wait_bye();
        } else {
            next.hang_up();
            caller.wait_bye();
        }
        server.finish();
    }
}

/// Who may not, or does not know the call, replaces nothing: wrong tags, a dialog that is asked for
/// only while it is early, one that is not answered yet, one of which a transfer is under way, and
/// an offer that cannot be taken. The two talk on.
#[test]
fn the_telephone_of_an_agent_is_not_replaced_by_anybody() {
    let (mut desk, mut second) = (Callee::ulaw(), Callee::ulaw());
    let server = at_desk(&desk, "");
    let mut caller = Phone::call(&server, "desk");
    let invite = desk.wait_call();
    desk.ring();
    caller.wait_status(180);
    let headers = replacing(&invite);
    let refused = |headers: &str, status: u16| {
        Phone::call_at(server.sip, "desk", headers).wait_refusal(status);
    };
    refused(&headers, 481);
    desk.answer();
    caller.wait_answer();
    talk(&mut caller, &mut desk, 80);
    refused(&headers.replace("from-tag=callee", "from-tag=other"), 481);
    refused(&headers.replace("to-tag=", "to-tag=x"), 481);
    refused(&headers.replace("from-tag=callee", "from-tag=callee;early-only"), 486);
    let video =
        |port: u16| phone::offer("127.0.0.1", port, "sendrecv").replace("m=audio", "m=video");
    Phone::call_sdp(server.sip, "desk", &headers, video).wait_refusal(488);
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    bridge(&server, &id, &second);
    second.wait_call();
    second.ring();
    refused(&headers, 486);
    second.refuse("486 Busy Here");
    wait_transfer(&server, &id, told("bridge", "failed", "busy"));
    talk(&mut caller, &mut desk, 81);
    assert_eq!(server.calls().len(), 1);
    caller.hang_up();
    desk.wait_request("BYE");
    server.finish();
}

/// Waits until a telephone hears the tone of the message.
#[track_caller]
fn hears_message(callee: &mut Callee) {
    let mut heard: Vec<i16> = Vec::new();
    until(SOON, "the message", || {
        let packet = callee.hear()?;
        heard.extend(packet.payload.iter().map(|code| wav::ulaw(*code)));
        let last = heard.rchunks_exact(800).next()?;
        (wav::amplitude(last, MESSAGE_HZ) > 7_000.0).then_some(())
    });
}

/// What is said to who answers may be a file that is named by a URL: it is fetched before anybody
/// is called, and said over and over until the key is pressed. Where there is none, nobody is
/// called, and whoever asked is told so; a redirection is not followed, and text is not spoken.
#[test]
fn a_message_is_fetched() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let short = files::tone(&server, MESSAGE_HZ, 0.4);
    let port = files::serve(vec![
        files::answer("302 Found\r\nLocation: http://127.0.0.1:1/", b""),
        files::answer("200 OK", b"no sound"),
        files::answer("200 OK", &files::tone(&server, MESSAGE_HZ, 130.0)),
        files::answer("200 OK", &short),
        files::answer("200 OK", &short),
    ]);
    let url = format!("http://127.0.0.1:{port}/a.wav?key=secret");
    let to = callee.uri();
    let wanted = |whisper: &str| {
        json!({
            "kind": "warm", "destination": to,
            "options": { "whisper": whisper, "accept_digit": "1", "hold": "false" },
        })
    };
    for (whisper, why) in [
        (url.as_str(), "302"),
        (url.as_str(), "no WAV file"),
        (url.as_str(), "longer"),
        ("http://127.0.0.1:1/", "cannot connect"),
        ("Somebody wants to know the time.", "text is not spoken"),
    ] {
        let (status, body) = transfer(&server, &id, &wanted(whisper));
        assert_eq!(status, 400, "{whisper}: {body}");
        assert!(body.contains("options.whisper") && body.contains(why), "{whisper}: {body}");
    }
    let mut asks = wanted("http://127.0.0.1:1/gone.wav");
    asks["event"] = json!("transfer");
    agent.say(&asks);
    let (told, cause) = agent.transfer_states("failed");
    assert_eq!(told, ["requested", "failed"], "nobody is called");
    assert_eq!(cause, "bad_whisper");

    let mut asks = wanted(&url);
    asks["event"] = json!("transfer");
    agent.say(&asks);
    callee.wait_call();
    callee.answer();
    hears_message(&mut callee);
    callee.hang_up("");
    assert_eq!(agent.transfer_states("failed").1, "hung_up");

    let (status, body) = transfer(&server, &id, &wanted(&url));
    assert_eq!(status, 202, "{body}");
    callee.wait_call();
    callee.answer();
    hears_message(&mut callee);
    callee.press('1');
    assert_eq!(agent.event("stop")["cause"], "transferred");
    talk(&mut caller, &mut callee, 70);
    let (_, body) = server.http("GET", &format!("/api/v1/calls/{id}/events?limit=200"), None);
    assert!(!body.contains("secret"), "{body}");
    assert!(!server.log().contains("secret"));
    caller.hang_up();
    callee.wait_request("BYE");
    server.finish();
}
