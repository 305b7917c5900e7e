//! How long calls last: as their agent, their organisation and the server say, with a warning.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::{Duration, Instant};

use serde_json::json;

use support::agent::Agents;
use support::phone::{Phone, header};
use support::server::Server;

/// A code of µ-law silence.
const SILENCE: u8 = 0xff;

/// An agent is told in time that its call ends, its caller hears it, and then it does, for that
/// cause; a call that an organisation limits further is shorter still.
#[test]
fn calls_end_when_their_time_is_over() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\nmax_duration_s = 3\n\
         expiring_s = 1\nexpiring_tone = true\n",
        agents.url()
    ));
    // What lasts at least so long is measured from before it begins, so that it is not taken for
    // shorter where this test has to wait for its turn.
    let before = Instant::now();
    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let expiring = agent.event("expiring");
    assert!((1..=1_000).contains(&expiring["left_ms"].as_u64().unwrap()), "{expiring}");
    assert!(before.elapsed() > Duration::from_millis(1_500), "{:?}", before.elapsed());
    phone.wait_audio("two tones", |audio| {
        (audio.iter().filter(|code| **code != SILENCE).count() > 1_000).then_some(())
    });
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("max_duration"), &json!("server")), "{stop}");
    assert!(before.elapsed() > Duration::from_millis(2_500), "{:?}", before.elapsed());
    assert!(stop["duration_ms"].as_u64().unwrap() > 2_500, "{stop}");
    let bye = phone.wait_bye();
    assert!(header(&bye, "Reason").contains("max_duration"), "{bye}");
    server.wait_idle();
    let (status, own) = server.http("GET", "/api/v1/organization", None);
    assert_eq!(status, 200, "{own}");
    let own: serde_json::Value = serde_json::from_str(&own).unwrap();
    let path = format!("/api/v1/organizations/{}", own["id"].as_str().unwrap());
    let (status, text) = server.http("PUT", &path, Some(&json!({"max_duration_s": 1})));
    assert!(status == 200 && text.contains("\"max_duration_s\":1"), "{status} {text}");
    // What was changed holds within moments.
    support::until(Duration::from_secs(15), "a call that is shorter", || {
        let mut phone = Phone::call(&server, "bot");
        let mut agent = agents.accept();
        phone.wait_answer();
        agent.event("answered");
        let stop = agent.event("stop");
        assert_eq!(stop["cause"], "max_duration");
        phone.wait_bye();
        (stop["duration_ms"].as_u64().unwrap() < 2_500).then_some(())
    });
    server.wait_idle();
    server.stop();
}
