//! A real Asterisk whose calls are controlled over its REST interface: they come in and are placed,
//! by every way that audio travels, and whatever ends them, nothing is left of them there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use serde_json::json;
use support::api_carrier::expect;
use support::ari_stage::{L16_PT, SOON, call_of, hears_itself, stage};
use support::pbx::{bytes, samples};
use support::{until, wav};

/// A call in and a call out, each with an echo behind it: tones come back, as high as the rate
/// carries; each is ended by one of the two sides.
#[track_caller]
fn echoes(media: &str, format: &str, codec: &str, (rate_hz, hz): (u32, f64)) {
    let Some(stage) = stage(media, format, rate_hz) else { return };
    let (_, mut agent) = stage.calls_in("600", codec);
    assert_eq!(agent.start["provider"], "ari", "{}", agent.start);
    assert_eq!((&agent.start["to"], &agent.start["from"]), (&json!("700"), &json!("+15550001234")));
    hears_itself(&mut agent, rate_hz, hz);
    let call = call_of(&agent);
    stage.hang_up(&call);
    let ended = stage.ended(&call);
    assert_eq!((&ended["cause"], &ended["status"]), (&json!("normal"), &json!("completed")));
    stage.asterisk.wait_idle();

    let call = stage.place("600", 30);
    let mut agent = stage.agent();
    hears_itself(&mut agent, rate_hz, hz);
    agent.order("hangup");
    assert_eq!(stage.ended(&call)["ended_by"], "agent");
    stage.finish();
}

/// RTP at 8 kHz.
#[test]
fn tones_by_rtp_at_8_khz() {
    echoes("rtp", "ulaw", "ulaw", (8_000, 1_000.0));
}

/// RTP at 16 kHz, where a tone of 5.2 kHz passes.
#[test]
fn tones_by_rtp_at_16_khz() {
    echoes("rtp", "g722", "g722", (16_000, 5_200.0));
}

/// A WebSocket that Asterisk opens.
#[test]
fn tones_by_a_websocket_that_asterisk_opens() {
    echoes("websocket_client", "slin16", "slin16", (16_000, 5_200.0));
}

/// A WebSocket that we open.
#[test]
fn tones_by_a_websocket_that_we_open() {
    echoes("websocket_server", "slin16", "slin16", (16_000, 5_200.0));
}

/// AudioSocket.
#[test]
fn tones_by_audiosocket() {
    echoes("audiosocket", "slin16", "slin16", (16_000, 5_200.0));
}

/// Keys of the far end are told once each and in order; those of the agent are heard there.
#[test]
fn keys_both_ways() {
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    let (_, mut agent) = stage.calls_in("602", "ulaw");
    for key in "1234567890*#".chars() {
        assert_eq!(agent.event("dtmf")["digit"], key.to_string());
    }
    agent.order("hangup");
    agent.event("stop");
    stage.server.wait_idle();
    stage.asterisk.wait_idle();
    // Another agent of ours is at the far end, and hears the keys that this one presses.
    let _caller = stage.asterisk.connect("Local/700@test", "780", "ulaw");
    let (mut one, mut other) = (stage.agent(), stage.agent());
    one.say(&json!({"event": "dtmf", "digits": "42#"}));
    for key in "42#".chars() {
        assert_eq!(other.event("dtmf")["digit"], key.to_string());
    }
    one.order("hangup");
    other.event("stop");
    stage.finish();
}

/// Whoever ends a call, and however it comes to nothing: the record says so, and nothing is left.
#[test]
fn every_way_to_end() {
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    // The far end hangs up.
    let call = stage.place("605", 30);
    let mut agent = stage.agent();
    assert_eq!(agent.event("stop")["by"], "caller");
    let ended = stage.ended(&call);
    assert_eq!((&ended["cause"], &ended["ended_by"]), (&json!("normal"), &json!("caller")));
    // Nobody answers in time, somebody is busy, nobody has that number, the network has no room.
    for (to, ring_s, cause, status) in [
        ("606", 2, "no_answer", "no-answer"),
        ("620", 30, "busy", "busy"),
        ("517", 30, "busy", "busy"),
        ("519", 30, "no_answer", "no-answer"),
        ("501", 30, "not_found", "failed"),
        ("534", 30, "congestion", "failed"),
    ] {
        let call = stage.place_for("echo", to, ring_s);
        let ended = stage.ended(&call);
        assert_eq!((&ended["cause"], &ended["status"]), (&json!(cause), &json!(status)), "{to}");
    }
    // We give up while it rings.
    let call = stage.place_for("echo", "606", 60);
    until(SOON, "it rings", || {
        let path = format!("/api/v1/calls/{call}");
        let call = expect(&stage.server, 200, "GET", &path, None);
        (call["ringing_at"].is_string() || call["status"] == "ringing").then_some(())
    });
    stage.hang_up(&call);
    assert_eq!(stage.ended(&call)["status"], "canceled");
    // A number that nobody takes is refused with its cause.
    let caller = stage.asterisk.connect("Local/703@test", "600", "ulaw");
    until(SOON, "the caller is refused", || {
        (stage.asterisk.ari("GET", &format!("/channels/{caller}")).0 == 404).then_some(())
    });
    // The caller hangs up.
    let (caller, mut agent) = stage.calls_in("600", "ulaw");
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/channels/{caller}")).0, 204);
    assert_eq!(agent.event("stop")["by"], "caller");
    // Somebody takes the bridge away.
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    let bridges = stage.asterisk.ari("GET", "/bridges").1;
    let bridge = bridges[0]["id"].as_str().unwrap();
    assert_eq!(stage.asterisk.ari("DELETE", &format!("/bridges/{bridge}")).0, 204);
    agent.event("stop");
    stage.finish();
}

/// Many calls at once: all talk, and nothing is left.
#[test]
fn many_calls() {
    const CALLS: usize = 50;
    let Some(stage) = stage("rtp", "ulaw", 8_000) else { return };
    for _ in 0..CALLS {
        stage.asterisk.connect("Local/700@test", "600", "ulaw");
    }
    let mut agents: Vec<_> = (0..CALLS).map(|_| stage.agent()).collect();
    assert_eq!(stage.asterisk.bridges(), CALLS);
    let tone = bytes(&wav::sine_at(1_000.0, 8_000, 3.0));
    agents.iter_mut().for_each(|agent| agent.play(L16_PT, &tone));
    for agent in &mut agents {
        until(SOON, "each hears itself", || {
            agent.look();
            let heard: Vec<u8> = agent.frames.iter().flat_map(|it| it.payload.clone()).collect();
            wav::has_tone(&samples(&heard), 8_000, 1_000.0).then_some(())
        });
    }
    agents.iter_mut().for_each(|agent| agent.order("hangup"));
    agents.iter_mut().for_each(|agent| drop(agent.event("stop")));
    stage.finish();
}

/// Asterisk is killed in the middle of a call, which ends; soon after it is back calls come again.
#[test]
fn asterisk_dies() {
    let Some(mut stage) = stage("rtp", "ulaw", 8_000) else { return };
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    hears_itself(&mut agent, 8_000, 1_000.0);
    let call = call_of(&agent);
    stage.asterisk.kill();
    stage.asterisk.start_again();
    let ended = stage.ended(&call);
    assert_eq!(ended["cause"], "network_failure", "{ended}");
    stage.wait_listening();
    let (_, mut agent) = stage.calls_in("600", "ulaw");
    hears_itself(&mut agent, 8_000, 1_000.0);
    agent.order("hangup");
    agent.event("stop");
    stage.finish();
}
