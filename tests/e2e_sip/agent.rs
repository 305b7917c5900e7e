//! Calls that are joined with a telephone: who rings whom, what each hears, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::json;
use support::agent::Agents;
use support::callee::Callee;
use support::joined::{sound, talk};
use support::phone::{self, Phone, header};
use support::server::Server;
use support::{until, wav};

const SOON: Duration = Duration::from_secs(15);

/// A server whose agent is `callee`; `more` are further keys of it, and `rest` further sections.
fn server(callee: &Callee, more: &str, rest: &str) -> Server {
    let uri = callee.uri();
    Server::start(&format!(
        "[[agents]]\nname = \"desk\"\nkind = \"sip\"\nuri = \"{uri}\"\n{more}\n{rest}\n"
    ))
}

/// The caller hears that it rings, then what is heard before the answer; the answer is the
/// telephone's; packets pass untouched; whoever hangs up, the other hears so.
#[test]
fn two_legs_are_joined() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "", "");
    let mut caller = Phone::call(&server, "desk");
    let invite = callee.wait_call();
    assert!(invite.starts_with(&format!("INVITE {} ", callee.uri())), "{invite}");
    assert!(header(&invite, "From").starts_with("<sip:+15550001234@127.0.0.1>;tag="), "{invite}");
    assert_eq!(header(&invite, "Max-Forwards"), "69", "so that a loop over us ends");
    callee.ring();
    caller.wait_status(180);
    callee.early();
    let progress = caller.wait_status(183);
    caller.see_media(&progress);
    let ringback = sound(99);
    until(SOON, "sound before the answer", || {
        callee.say(&ringback);
        caller.packets().iter().any(|packet| packet.payload == ringback).then_some(())
    });
    callee.answer();
    caller.wait_answer();
    assert_eq!(server.calls()[0]["state"], "answered");
    talk(&mut caller, &mut callee, 1);
    caller.assert_one_stream();
    caller.hang_up();
    let bye = callee.wait_request("BYE");
    assert!(header(&bye, "Reason").starts_with("Q.850;cause=16"), "{bye}");
    server.wait_idle();

    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, &mut callee, 2);
    callee.hang_up("Reason: Q.850;cause=31;text=\"away\"\r\n");
    let bye = caller.wait_bye();
    assert_eq!(header(&bye, "Reason"), "Q.850;cause=31;text=\"away\"");
    server.finish();
}

/// What the telephone refuses with is what the caller is refused with, and why.
#[test]
fn refusals_are_passed_on() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "", "");
    for (line, status, reason) in [
        (
            "486 Busy Here\r\nReason: Q.850;cause=17;text=\"busy\"",
            486,
            "Q.850;cause=17;text=\"busy\"",
        ),
        ("404 Not Found", 404, "SIP;cause=404"),
        ("401 Unauthorized", 603, "SIP;cause=401"),
        ("500 Server Internal Error", 480, "SIP;cause=500"),
    ] {
        let mut caller = Phone::call(&server, "desk");
        callee.wait_call();
        callee.refuse(line);
        let refusal = caller.wait_refusal(status);
        assert_eq!(header(&refusal, "Reason"), reason);
        server.wait_idle();
    }
    server.finish();
}

/// A caller that gives up has the telephone stop ringing, and its reason is passed on.
#[test]
fn giving_up_cancels_the_other_leg() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "", "");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.ring();
    caller.wait_status(180);
    caller.cancel("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
    let cancel = callee.wait_cancel();
    assert_eq!(header(&cancel, "Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
    server.finish();
}

/// Nobody answers, or nobody wants to: the caller gets the route's second agent.
#[test]
fn a_second_agent_steps_in() {
    let routes = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
                  [[routes]]\nto = \"*\"\nagent = \"desk\"\nfallback_agent = \"echo\"\n";
    let mut callee = Callee::ulaw();
    let server = server(&callee, "ring_timeout_s = 1", routes);
    for refuses in [true, false] {
        let mut caller = Phone::call(&server, "desk");
        callee.wait_call();
        callee.ring();
        if refuses {
            callee.refuse("603 Decline");
        } else {
            callee.wait_cancel();
        }
        caller.wait_answer();
        let mine = sound(3);
        until(SOON, "the echo", || {
            caller.send(&mine, false);
            caller.packets().iter().any(|packet| packet.payload == mine).then_some(())
        });
        caller.hang_up();
        server.wait_idle();
    }
    server.finish();
}

/// Without a second agent a telephone that nobody answers is a call without an answer.
#[test]
fn nobody_answers() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "ring_timeout_s = 1", "");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.ring();
    callee.wait_cancel();
    let refusal = caller.wait_refusal(480);
    assert!(header(&refusal, "Reason").starts_with("Q.850;cause=19"), "{refusal}");
    server.finish();
}

/// The telephone is offered what the caller offers first; what it takes is what the caller is
/// answered with, if it can be, so that nothing is transcoded.
#[test]
fn one_codec_for_both() {
    let mut callee = Callee::new("8 0", "");
    let server = server(&callee, "", "");
    let offer = |formats: &'static str| {
        move |port| {
            format!(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio {port} RTP/AVP {formats}\r\n"
            )
        }
    };
    for (formats, offered, takes, answered) in [
        ("8 0", " 8 0 ", "8", " 8\r\n"),
        ("0 8", " 0 8 ", "8", " 8\r\n"),
        ("0", " 0 ", "8", " 0\r\n"),
    ] {
        callee.formats = takes.to_owned();
        let mut caller = Phone::call_sdp(server.sip, "desk", "", offer(formats));
        let invite = callee.wait_call();
        let audio = invite.lines().find(|line| line.starts_with("m=audio")).unwrap();
        assert!(audio.contains(offered), "{formats}: {audio}");
        callee.answer();
        caller.wait_answer();
        assert!(caller.answer.contains(answered), "{formats}: {}", caller.answer);
        caller.hang_up();
        callee.wait_request("BYE");
        server.wait_idle();
    }
    server.finish();
}

/// A hold on one side is told to the other. Who holds and says nothing is replaced by a sound of
/// ours; when the caller is back, the telephone hears one stream without a gap.
#[test]
fn holds_are_heard_as_holds() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "", "");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, &mut callee, 4);
    caller.reinvite("inactive");
    let held = callee.wait_request("INVITE");
    assert!(held.contains("a=sendonly"), "{held}");
    let mut heard = Vec::new();
    until(SOON, "a sound of ours", || {
        heard.extend(callee.hear());
        (heard.len() > 30).then_some(())
    });
    caller.reinvite("sendrecv");
    let back = callee.wait_request("INVITE");
    assert!(back.contains("a=sendrecv"), "{back}");
    let mine = sound(5);
    until(SOON, "the caller again", || {
        caller.send(&mine, false);
        heard.extend(callee.hear());
        (heard.last()?.payload == mine).then_some(())
    });
    for pair in heard.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
    // The other way round: the caller is told, and hears what the holder says.
    callee.reinvite("sendonly");
    caller.until("a change", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    let music = sound(77);
    until(SOON, "its music", || {
        callee.say(&music);
        caller.packets().iter().any(|packet| packet.payload == music).then_some(())
    });
    callee.reinvite("sendrecv");
    caller.until("a change", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    talk(&mut caller, &mut callee, 6);
    caller.hang_up();
    callee.wait_request("BYE");
    server.finish();
}

/// Keys pass however each side tells of them: event to event, INFO to event, event to INFO, INFO
/// to INFO.
#[test]
fn keys_pass() {
    for events in [true, false] {
        let mut callee = if events { Callee::ulaw() } else { Callee::new("0", "") };
        let server = server(&callee, "", "");
        let mut caller = Phone::call(&server, "desk");
        callee.wait_call();
        callee.answer();
        caller.wait_answer();
        talk(&mut caller, &mut callee, 8);
        for signalled in [false, true] {
            if signalled {
                caller.info('7', 100);
            } else {
                caller.press(7);
            }
            if events {
                let mut ends = 0;
                until(SOON, "the event", || {
                    let packet = callee.hear()?;
                    let event = packet.pt == 101 && packet.payload[..2] == [7, 0x8a];
                    ends += usize::from(event);
                    (ends == 3).then_some(())
                });
            } else {
                let info = callee.wait_request("INFO");
                assert!(info.contains("Signal=7\r\nDuration=100"), "{info}");
            }
        }
        let body = "Signal=#\r\nDuration=160\r\n";
        let kind = "Content-Type: application/dtmf-relay\r\n";
        assert!(callee.request("INFO", kind, body).starts_with("SIP/2.0 200 "));
        until(SOON, "the event", || {
            let all = caller.packets();
            let ends = |packet: &&support::ear::Rtp| {
                packet.pt == phone::DTMF_PT && packet.payload[..2] == [11, 0x8a]
            };
            (all.iter().filter(ends).count() == 3).then_some(())
        });
        talk(&mut caller, &mut callee, 9);
        caller.hang_up();
        callee.wait_request("BYE");
        server.finish();
    }
}

/// Keys that are told by INFO are told one after the other: the next when the one before has been
/// answered, for whoever gets two at once may refuse the second or take them in the wrong order.
#[test]
fn keys_by_info_wait_for_their_answers() {
    let mut callee = Callee::new("0", "");
    let server = server(&callee, "", "");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, &mut callee, 10);
    for key in ['1', '2', '3'] {
        caller.info(key, 40);
    }
    // The first is sent again because it is not answered, and nothing else is.
    for info in callee.wait_copies("INFO", 3) {
        assert!(info.contains("Signal=1\r\n"), "{info}");
    }
    let mut said = Vec::new();
    while said.last() != Some(&'3') {
        let info = callee.wait_request("INFO");
        let (_, signal) = info.split_once("Signal=").unwrap();
        said.extend(signal.chars().next());
    }
    said.dedup();
    assert_eq!(said, ['1', '2', '3']);
    caller.hang_up();
    callee.wait_request("BYE");
    server.finish();
}

/// True if the key 7 is heard in these packets of µ-law.
fn has_seven(payloads: &[Vec<u8>]) -> bool {
    let samples: Vec<i16> = payloads.concat().iter().map(|code| wav::ulaw(*code)).collect();
    let heard =
        |part: &[i16]| [852.0, 1_209.0].iter().all(|hz| wav::amplitude(part, *hz) > 4_000.0);
    samples.windows(480).step_by(80).any(heard)
}

/// A trunk that takes keys in one way gets them in that way, though its other end would take them
/// as events; and a caller that takes neither events nor INFO hears them.
#[test]
fn keys_get_to_each_side_as_it_takes_them() {
    for mode in ["info", "inband"] {
        let mut callee = Callee::ulaw();
        let server = Server::start(&format!(
            "[[agents]]\nname = \"desk\"\nkind = \"sip\"\nuri = \"+4930\"\ntrunk = \"gate\"\n\
             [[trunks]]\nname = \"gate\"\npeers = \"127.0.0.1\"\ndtmf = \"{mode}\"\n\
             targets = [\"sip:{}\"]\n",
            callee.address(),
        ));
        let codec =
            phone::Codec { event_hz: if mode == "info" { 8_000 } else { 0 }, ..phone::PCMU };
        let mut caller = Phone::call_in(server.sip, "desk", "", codec);
        callee.wait_call();
        callee.answer();
        caller.wait_answer();
        talk(&mut caller, &mut callee, 11);
        let mut heard = Vec::new();
        if mode == "info" {
            caller.press(7);
            let info = callee.wait_request("INFO");
            assert!(info.contains("Signal=7\r\nDuration=100"), "{info}");
        } else {
            caller.info('7', 100);
            until(SOON, "the tones", || {
                caller.send(&sound(12), false);
                heard.extend(callee.hear());
                let payloads: Vec<_> = heard.iter().map(|rtp| rtp.payload.clone()).collect();
                has_seven(&payloads).then_some(())
            });
            let body = "Signal=7\r\nDuration=100\r\n";
            let kind = "Content-Type: application/dtmf-relay\r\n";
            assert!(callee.request("INFO", kind, body).starts_with("SIP/2.0 200 "));
            until(SOON, "the tones at the caller", || {
                callee.say(&sound(13));
                let payloads: Vec<_> =
                    caller.packets().into_iter().map(|rtp| rtp.payload).collect();
                has_seven(&payloads).then_some(())
            });
        }
        talk(&mut caller, &mut callee, 14);
        heard.extend(std::iter::from_fn(|| callee.hear()));
        assert!(heard.iter().all(|packet| packet.pt == 0), "an event has passed");
        caller.assert_one_stream();
        caller.hang_up();
        callee.wait_request("BYE");
        server.finish();
    }
}

/// Who holds may send music; who may and does not is replaced by a sound of ours until it does, and
/// is not taken for lost.
#[test]
fn a_holder_without_music_is_replaced() {
    let mut callee = Callee::ulaw();
    let server = server(&callee, "", "[limits]\nmedia_timeout_s = 2\n");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, &mut callee, 15);
    caller.reinvite("sendonly");
    callee.wait_request("INVITE");
    let mut heard = 0;
    // Three seconds of it, which is longer than the caller may be silent otherwise.
    until(SOON, "a sound of ours", || {
        heard += usize::from(callee.hear().is_some());
        (heard > 150).then_some(())
    });
    let music = sound(16);
    until(SOON, "music of the caller", || {
        caller.send(&music, false);
        (callee.hear()?.payload == music).then_some(())
    });
    caller.reinvite("sendrecv");
    callee.wait_request("INVITE");
    talk(&mut caller, &mut callee, 17);
    caller.hang_up();
    callee.wait_request("BYE");
    server.finish();
}

/// We call somebody for a telephone: it rings once the called party has answered, and both are
/// joined.
#[test]
fn a_call_of_ours_is_joined() {
    let mut desk = Callee::ulaw();
    let mut called = Callee::ulaw();
    let server = server(&desk, "", "");
    server.place(&called.uri(), "desk");
    called.wait_call();
    called.answer();
    desk.wait_call();
    desk.answer();
    let (mine, yours) = (sound(1), sound(2));
    let mut heard = [false; 2];
    until(SOON, "both ways", || {
        desk.say(&mine);
        called.say(&yours);
        heard[0] |= called.hear().is_some_and(|packet| packet.payload == mine);
        heard[1] |= desk.hear().is_some_and(|packet| packet.payload == yours);
        (heard == [true; 2]).then_some(())
    });
    desk.hang_up("");
    called.wait_request("BYE");
    server.finish();
}

/// An agent on a WebSocket hands its call to somebody whom we call: until the answer it goes on
/// talking, and is told how far things are; then it is released, and the two talk. Who hangs up
/// afterwards ends the call.
#[test]
fn an_agent_hands_its_call_over() {
    let listener = Agents::listen();
    let url = listener.url();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n"
    ));
    let mut callee = Callee::ulaw();
    let mut caller = Phone::call(&server, "bot");
    let mut agent = listener.accept();
    caller.wait_answer();
    let hand_over = json!({
        "event": "transfer", "stream": agent.stream(), "kind": "bridge",
        "destination": callee.uri(),
    });
    let state = |agent: &mut support::agent::Agent| {
        let told = agent.event("transfer");
        (told["state"].as_str().unwrap().to_owned(), told["cause"].as_str().map(str::to_owned))
    };
    let told = |state: &str, cause: Option<&str>| (state.to_owned(), cause.map(str::to_owned));
    // Refused: the agent keeps the call.
    agent.say(&hand_over);
    callee.wait_call();
    assert_eq!(state(&mut agent), told("requested", None));
    assert_eq!(state(&mut agent), told("dialling", None));
    callee.ring();
    assert_eq!(state(&mut agent), told("ringing", None));
    callee.refuse("486 Busy Here");
    assert_eq!(state(&mut agent), told("failed", Some("busy")));
    let mine = sound(40);
    until(SOON, "the agent", || {
        agent.play(0, &mine);
        let heard = caller.audio();
        heard.windows(160).any(|window| window == mine).then_some(())
    });
    // A number needs a trunk, and a second one has to wait.
    let mut wrong = hand_over.clone();
    wrong["destination"] = json!("+493012345");
    agent.say(&wrong);
    assert_eq!(state(&mut agent), told("failed", Some("bad_trunk")));
    agent.say(&hand_over);
    callee.wait_call();
    assert_eq!(state(&mut agent), told("requested", None));
    assert_eq!(state(&mut agent), told("dialling", None));
    agent.say(&hand_over);
    assert_eq!(state(&mut agent), told("failed", Some("busy_transferring")));
    callee.answer();
    assert_eq!(state(&mut agent), told("answered", None));
    assert_eq!(state(&mut agent), told("bridged", None));
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("transferred"), &json!("agent")));
    assert_eq!(agent.wait_close(), 1000);
    talk(&mut caller, &mut callee, 41);
    caller.assert_one_stream();
    callee.hang_up("");
    caller.wait_bye();
    server.finish();
}

/// An agent is lost while somebody rings who is to take its place: the route's second agent, a
/// telephone, does, and the other stops ringing.
#[test]
fn a_second_agent_steps_in_while_another_rings() {
    let listener = Agents::listen();
    let (url, mut desk, mut other) = (listener.url(), Callee::ulaw(), Callee::ulaw());
    let server = server(
        &desk,
        "",
        &format!(
            "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\ngrace_ms = 300\n\
             [[routes]]\nto = \"*\"\nagent = \"bot\"\nfallback_agent = \"desk\"\n"
        ),
    );
    let mut caller = Phone::call(&server, "bot");
    let mut agent = listener.accept();
    caller.wait_answer();
    agent.say(&json!({
        "event": "transfer", "stream": agent.stream(), "kind": "bridge",
        "destination": other.uri(),
    }));
    other.wait_call();
    other.ring();
    agent.event("transfer");
    drop((listener, agent));
    desk.wait_call();
    other.wait_cancel();
    desk.answer();
    talk(&mut caller, &mut desk, 50);
    caller.hang_up();
    desk.wait_request("BYE");
    server.finish();
}

/// The API hands a call over too; a caller that leaves while the other rings has that end.
#[test]
fn a_caller_leaves_while_another_rings() {
    let mut callee = Callee::ulaw();
    let server = Server::start("");
    let mut caller = Phone::up(&server, "echo");
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let wanted = json!({ "kind": "bridge", "destination": callee.uri() });
    let path = format!("/api/v1/calls/{id}/transfer");
    let (status, body) = server.http("POST", &path, Some(&wanted));
    assert!((200..300).contains(&status), "{status}: {body}");
    callee.wait_call();
    callee.ring();
    caller.hang_up();
    let cancel = callee.wait_cancel();
    assert!(header(&cancel, "Reason").starts_with("Q.850;cause=16"), "{cancel}");
    server.finish();
}
