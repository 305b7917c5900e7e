//! What an organisation may spend: refused at the start of a call, and ended in its midst.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Agents;
use support::phone::Phone;
use support::server::Server;
use support::until;

const SOON: Duration = Duration::from_secs(30);

/// Sets what the server's own organisation may spend in a day.
#[track_caller]
fn allow(server: &Server, minutes: &Value) {
    let (_, own) = server.http("GET", "/api/v1/organization", None);
    let own: Value = serde_json::from_str(&own).unwrap();
    let path = format!("/api/v1/organizations/{}", own["id"].as_str().unwrap());
    let change = json!({"minutes_per_day": minutes});
    let (status, text) = server.http("PUT", &path, Some(&change));
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &shown["minutes_per_day"]), (200, minutes), "{text}");
}

/// A call that talks is told that it ends, and does, for that cause; then no other begins, whoever
/// places it, and each is told why; until there is more to be spent.
#[test]
fn what_is_spent_is_spent() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    ));
    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    allow(&server, &json!(0));
    let expiring = agent.event("expiring");
    assert!((1..=15_000).contains(&expiring["left_ms"].as_u64().unwrap()), "{expiring}");
    let placed = json!({"to": "sip:bob@127.0.0.1:9", "agent": "bot"});
    let (status, text) = server.http("POST", "/api/v1/calls", Some(&placed));
    assert!(status == 403 && text.contains("/problems/budget"), "{status} {text}");
    let mut refused = Phone::call(&server, "bot");
    refused.wait_refusal(503);
    // An agent that answers no ping would be lost before.
    until(SOON, "the end", || {
        agent.look();
        phone.is_over().then_some(())
    });
    assert_eq!(agent.event("stop")["cause"], "budget_spent");
    let calls = until(SOON, "both calls are in the log", || {
        let (_, calls) = server.http("GET", "/api/v1/calls?direction=inbound", None);
        let calls: Value = serde_json::from_str(&calls).unwrap();
        let calls = calls["items"].as_array().unwrap().clone();
        (calls.len() == 2 && calls.iter().all(|call| call["state"] == "ended")).then_some(calls)
    });
    assert!(calls.iter().all(|call| call["cause"] == "budget_spent"), "{calls:?}");
    allow(&server, &Value::Null);
    until(SOON, "calls are taken again", || {
        let (status, _) = server.http("POST", "/api/v1/calls", Some(&placed));
        (status == 201).then_some(())
    });
}
