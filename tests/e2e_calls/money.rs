//! What calls may cost: held while they live, refused beyond it, ended when it is used up; and
//! rates, made over HTTP and by the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Agents;
use support::callee::Callee;
use support::gateway::{Gateway, Manner};
use support::phone::{Phone, header};
use support::server::Server;
use support::{until, until_told};

const SOON: Duration = Duration::from_secs(30);
const RATES: &str = "/api/v1/rates";

/// One request that must be answered with `status`.
#[track_caller]
fn expect(server: &Server, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// Sets what the calls of the server's own organisation may cost.
#[track_caller]
fn allow(server: &Server, change: &Value) -> Value {
    let own = expect(server, 200, "GET", "/api/v1/organization", None);
    let path = format!("/api/v1/organizations/{}", own["id"].as_str().unwrap());
    expect(server, 200, "PUT", &path, Some(change))
}

#[track_caller]
fn spending(server: &Server) -> Value {
    expect(server, 200, "GET", "/api/v1/organization/spending", None)
}

fn place(server: &Server, to: &str, agent: &str) -> (u16, Value) {
    let wanted = json!({"to": to, "agent": agent, "trunk": "out"});
    let (status, text) = server.http("POST", "/api/v1/calls", Some(&wanted));
    (status, serde_json::from_str(&text).unwrap())
}

/// Places a call once what may be spent is known.
#[track_caller]
fn place_when_known(server: &Server, to: &str, agent: &str) -> Value {
    until(SOON, "what may be spent is known", || {
        let (status, call) = place(server, to, agent);
        assert!([201, 503].contains(&status), "{status} {call}");
        (status == 201).then_some(call)
    })
}

fn server(gateway: &Gateway, agents: &Agents) -> Server {
    Server::start(&format!(
        "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         connect_timeout_ms = 30000\n\
         [[trunks]]\nname = \"in\"\npeers = \"127.0.0.1\"\n\
         [[trunks]]\nname = \"out\"\ntargets = [\"sip:{}\"]\n\
         [[rates]]\nprefix = \"+49\"\ncurrency = \"EUR\"\nper_minute = \"0.60\"\n\
         increment_s = 1\nconnection = \"0.05\"\n",
        agents.url(),
        gateway.address
    ))
}

/// A call holds what it will cost; what it holds is not there for another; it is told that it ends
/// when there is no more, and does, for that cause; and costs what the rates say.
#[test]
fn what_is_held_is_spent() {
    let (gateway, agents) = (Gateway::start(Manner::Rings), Agents::listen());
    let server = server(&gateway, &agents);
    let none = json!({"currency": null, "day": null, "month": null, "held": null});
    assert_eq!(spending(&server), none);
    let shown = allow(&server, &json!({"currency": "EUR", "spend_per_day": "0.08"}));
    assert_eq!(
        (&shown["spend_per_day"], &shown["spend_per_month"]),
        (&json!("0.08"), &json!(null))
    );
    let call = place_when_known(&server, "+4930123456", "bot");
    // Who is there before the answer hears all that follows from it.
    let mut agent = agents.accept();
    let first = spending(&server);
    assert_eq!((&first["held"], &first["day"]["left"]), (&json!("0.06"), &json!("0.02")));
    until(SOON, "an INVITE", || gateway.heard("INVITE ").pop());
    gateway.answer_invite();
    agent.event("answered");
    let expiring = agent.event("expiring");
    assert!((1..=2_500).contains(&expiring["left_ms"].as_u64().unwrap()), "{expiring}");
    let held = spending(&server);
    assert_eq!(
        (&held["held"], &held["day"]["left"], &held["day"]["spent"]),
        (&json!("0.08"), &json!("0.00"), &json!("0.00"))
    );
    let (status, problem) = place(&server, "+4930123456", "bot");
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/budget")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("money"), "{problem}");
    until(SOON, "the end", || {
        agent.look();
        server.calls().is_empty().then_some(())
    });
    assert_eq!(agent.event("stop")["cause"], "budget_spent");
    let path = format!("/api/v1/calls/{}", call["id"].as_str().unwrap());
    let over = until(SOON, "the estimate", || {
        let shown = expect(&server, 200, "GET", &path, None);
        (!shown["cost_estimate"].is_null()).then_some(shown)
    });
    assert_eq!((&over["cause"], &over["cost"]), (&json!("budget_spent"), &Value::Null));
    // A late end costs an increment more at most.
    let estimate = &over["cost_estimate"];
    assert_eq!(estimate["currency"], "EUR");
    let amount = estimate["amount"].as_str().unwrap();
    assert!(["0.08", "0.09"].contains(&amount), "{over}");
    let spent = spending(&server);
    assert_eq!((&spent["held"], &spent["day"]["spent"]), (&json!("0.00"), &json!(amount)));
    // Now all calls are refused, those that come in among them.
    let (status, problem) = place(&server, "+4930123456", "bot");
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/budget")), "{problem}");
    until(SOON, "no call is taken", || {
        let placed = json!({"to": "sip:bob@127.0.0.1:9", "agent": "echo"});
        let (status, _) = server.http("POST", "/api/v1/calls", Some(&placed));
        (status == 403).then_some(())
    });
    allow(&server, &json!({"spend_per_day": null, "spend_per_month": "50"}));
    place_when_known_after(&server);
}

/// An agent that is connected when its call has been told to end soon already is told so behind its
/// start: its call was answered before, with less money left than is warned of.
#[test]
fn an_agent_that_comes_late_is_told() {
    let (gateway, agents) = (Gateway::start(Manner::Answers), Agents::listen());
    let server = server(&gateway, &agents);
    allow(&server, &json!({"currency": "EUR", "spend_per_day": "0.35"}));
    let call = place_when_known(&server, "+4930123456", "bot");
    let id = call["id"].as_str().unwrap();
    // The server has dialled the agent, which does not shake hands before.
    until_told(SOON, "the call ends soon", || {
        let path = format!("/api/v1/calls/{id}/events?limit=200");
        let events = expect(&server, 200, "GET", &path, None);
        let mut events = events["items"].as_array().unwrap().iter();
        events.any(|event| event["type"] == "call.expiring").then_some(())
    });
    let mut agent = agents.accept();
    assert_eq!(agent.start["state"], "answered", "{}", agent.start);
    let expiring = agent.event("expiring");
    assert!((1..=30_000).contains(&expiring["left_ms"].as_u64().unwrap()), "{expiring}");
    server.hang_up(id);
    agent.event("stop");
    let told = agent.said.iter().filter(|event| event["event"] == "expiring").count();
    assert_eq!(told, 1, "{:?}", agent.said);
    server.wait_idle();
}

/// Calls are placed again once there is more to be spent.
#[track_caller]
fn place_when_known_after(server: &Server) {
    let call = until(SOON, "calls are placed again", || {
        let (status, call) = place(server, "+4930123456", "echo");
        (status == 201).then_some(call)
    });
    server.hang_up(call["id"].as_str().unwrap());
}

/// A leg that a call which came in is handed to costs as a call does: the call ends when there is
/// no more for it, and has what it cost in its record.
#[test]
fn legs_cost_too() {
    let (gateway, agents) = (Gateway::start(Manner::Refuses("486 Busy Here")), Agents::listen());
    let server = server(&gateway, &agents);
    allow(&server, &json!({"currency": "EUR", "spend_per_day": "0.08"}));
    place_when_known(&server, "+4930123456", "echo");
    server.wait_idle();
    gateway.set(Manner::Answers);
    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    agent.say(&json!({
        "event": "transfer", "kind": "bridge", "destination": "+4930123456",
        "options": {"trunk": "out"},
    }));
    until(SOON, "the end", || {
        agent.look();
        phone.is_over().then_some(())
    });
    let over = until(SOON, "the record", || {
        let calls = expect(&server, 200, "GET", "/api/v1/calls?direction=inbound", None);
        let call = calls["items"][0].clone();
        (call["state"] == "ended").then_some(call)
    });
    assert_eq!(over["cause"], "budget_spent", "{over}");
    let amount = over["cost_estimate"]["amount"].as_str().unwrap();
    assert!(["0.08", "0.09"].contains(&amount), "{over}");
    let spent = spending(&server);
    assert_eq!((&spent["held"], &spent["day"]["spent"]), (&json!("0.00"), &json!(amount)));
}

/// A server whose only trunk is the telephone `desk`, and to which everybody on this machine is of
/// that trunk.
fn by_desk(desk: &Callee, agents: &Agents) -> Server {
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[trunks]]\nname = \"out\"\npeers = \"127.0.0.1\"\ntargets = [\"sip:{}\"]\n\
         [[trunks]]\nname = \"nowhere\"\ntargets = [\"sip:127.0.0.1:9\"]\n\
         [[rates]]\nprefix = \"+49\"\ncurrency = \"EUR\"\nper_minute = \"0.60\"\n\
         increment_s = 1\nconnection = \"0.05\"\n",
        agents.url(),
        desk.address()
    ));
    // Priced, without a limit: what is placed holds money once that is known to the routing.
    allow(&server, &json!({"currency": "EUR"}));
    let priced = json!({"to": "+4930123456", "agent": "echo", "trunk": "nowhere"});
    until(SOON, "calls are priced", || {
        let call = expect(&server, 201, "POST", "/api/v1/calls", Some(&priced));
        let holds = spending(&server)["held"] != json!("0");
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        holds.then_some(())
    });
    server
}

/// What legs of a call have cost so far, as its log tells it.
#[track_caller]
fn charged(server: &Server, id: &str) -> Vec<Value> {
    let path = format!("/api/v1/calls/{id}/events?limit=200");
    let events = expect(server, 200, "GET", &path, None);
    let events = events["items"].as_array().unwrap().iter();
    events.filter(|event| event["type"] == "call.leg_charged").cloned().collect()
}

/// A caller whose agent has it called on through the trunk, and talks with whom that reaches: the
/// caller, the id of its call, and the INVITE to `desk`.
#[track_caller]
fn called_on(server: &Server, agents: &Agents, desk: &mut Callee) -> (Phone, String, String) {
    let mut phone = Phone::call(server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    agent.say(&json!({
        "event": "transfer", "kind": "bridge", "destination": "+4930123456",
        "options": {"trunk": "out"},
    }));
    let invite = desk.wait_call();
    desk.answer();
    agent.event("stop");
    (phone, agent.start["call_id"].as_str().unwrap().to_owned(), invite)
}

/// A leg in whose place another telephone calls in (RFC 3891) is paid for as long as it was there;
/// who has called costs nothing.
#[test]
fn a_leg_that_is_replaced_costs_no_more() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let server = by_desk(&desk, &agents);
    let (mut phone, id, invite) = called_on(&server, &agents, &mut desk);
    let ours = header(&invite, "From").split("tag=").nth(1).unwrap();
    let call = header(&invite, "Call-ID");
    let replaces =
        format!("Require: replaces\r\nReplaces: {call};to-tag={ours};from-tag=callee\r\n");
    let mut next = Phone::call_at(server.sip, "bot", &replaces);
    next.wait_answer();
    desk.wait_request("BYE");
    until_told(SOON, "what the leg cost", || charged(&server, &id).pop());
    assert_eq!(server.calls().len(), 1, "the call goes on");
    next.hang_up();
    phone.wait_bye();
    server.wait_idle();
    assert_eq!(charged(&server, &id).len(), 1);
}

/// A called party in whose place another telephone calls in is paid for as long as it was there;
/// who has called costs nothing, and that is what the record of the call says.
#[test]
fn a_called_party_that_is_replaced_costs_no_more() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let server = by_desk(&desk, &agents);
    let (status, call) = place(&server, "+4930123456", "echo");
    assert_eq!(status, 201, "{call}");
    let id = call["id"].as_str().unwrap();
    let invite = desk.wait_call();
    desk.answer();
    until_told(SOON, "the answer", || {
        server.calls().iter().any(|call| call["state"] == "answered").then_some(())
    });
    let ours = header(&invite, "From").split("tag=").nth(1).unwrap();
    let dialog = header(&invite, "Call-ID");
    let replaces =
        format!("Require: replaces\r\nReplaces: {dialog};to-tag={ours};from-tag=callee\r\n");
    let mut next = Phone::call_at(server.sip, "bot", &replaces);
    next.wait_answer();
    desk.wait_request("BYE");
    let leg = until_told(SOON, "what the called party cost", || charged(&server, id).pop());
    assert_eq!(server.calls().len(), 1, "the call goes on");
    next.hang_up();
    server.wait_idle();
    let path = format!("/api/v1/calls/{id}");
    let over = until(SOON, "the estimate", || {
        let shown = expect(&server, 200, "GET", &path, None);
        (!shown["cost_estimate"].is_null()).then_some(shown)
    });
    assert_eq!(over["cost_estimate"]["amount"], leg["data"]["amount"], "{over}");
    assert_eq!(charged(&server, id).len(), 1);
}

/// A leg that a peer asks for (REFER) costs what one costs that the agent asks for: at either end
/// of the call, from its answer on.
#[test]
fn legs_that_peers_ask_for_cost_too() {
    let agents = Agents::listen();
    let (mut desk, mut next) = (Callee::ulaw(), Callee::ulaw());
    let server = by_desk(&desk, &agents);
    let to = format!("sip:+4930999999@{}", next.address());
    let (mut phone, id, _) = called_on(&server, &agents, &mut desk);
    let taken = desk.request("REFER", &format!("Refer-To: <{to}>\r\n"), "");
    assert!(taken.starts_with("SIP/2.0 202 "), "{taken}");
    next.wait_call();
    next.answer();
    let told = |desk: &mut Callee| desk.wait_request("NOTIFY").contains("SIP/2.0 200 ");
    until(SOON, "the last NOTIFY", || told(&mut desk).then_some(()));
    desk.wait_request("BYE");
    until_told(SOON, "what the first cost", || charged(&server, &id).pop());
    next.hang_up("");
    phone.wait_bye();
    server.wait_idle();
    until_told(SOON, "what both cost", || (charged(&server, &id).len() == 2).then_some(()));

    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    phone.refer(&to);
    next.wait_call();
    next.answer();
    phone.wait_bye();
    next.hang_up("");
    agent.event("stop");
    server.wait_idle();
    until_told(SOON, "what the leg in the peer's place cost", || charged(&server, &id).pop());
}

/// A call that is redirected goes nowhere that costs more than where it was to go: it holds money
/// for that, and is charged for it.
#[test]
fn redirections_cost_no_more() {
    let (good, moved) = (Gateway::start(Manner::Answers), Gateway::start(Manner::Rings));
    let server = Server::start(&format!(
        "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[trunks]]\nname = \"out\"\npeers = \"127.0.0.1\"\ntargets = [\"sip:{}\"]\n\
         [[rates]]\nprefix = \"+49\"\ncurrency = \"EUR\"\nper_minute = \"0.60\"\n\
         [[rates]]\nprefix = \"+4917\"\ncurrency = \"EUR\"\nper_minute = \"5.00\"\n",
        moved.address
    ));
    allow(&server, &json!({"currency": "EUR"}));
    for (to, followed) in [("+4917123456", false), ("+4930222222", true)] {
        let line = format!("302 Moved Temporarily\nContact: <sip:{to}@{}>", good.address);
        moved.set(Manner::Refuses(line.leak()));
        let (status, call) = place(&server, "+4930123456", "echo");
        assert_eq!(status, 201, "{call}");
        if followed {
            until(SOON, "it is followed", || good.heard("INVITE ").pop());
            server.hang_up(call["id"].as_str().unwrap());
        }
        server.wait_idle();
        assert_eq!(good.heard("INVITE ").is_empty(), !followed, "{to}");
    }
}

/// Calls that are not answered cost nothing and give back what they held; those that no rate prices
/// are not placed where money is counted; and a limit wants a currency.
#[test]
fn what_is_not_priced_is_not_placed() {
    let (gateway, agents) = (Gateway::start(Manner::Refuses("486 Busy Here")), Agents::listen());
    let server = server(&gateway, &agents);
    // Without a limit calls go wherever they do.
    let (status, _) = place(&server, "+33123456789", "echo");
    assert_eq!(status, 201);
    server.wait_idle();
    let own = expect(&server, 200, "GET", "/api/v1/organization", None);
    let path = format!("/api/v1/organizations/{}", own["id"].as_str().unwrap());
    let problem = expect(&server, 422, "PUT", &path, Some(&json!({"spend_per_day": "1"})));
    assert_eq!(problem["errors"][0]["field"], "currency", "{problem}");
    let wrong = json!({"currency": "EUR", "spend_per_day": 1, "spend_per_month": "1,5"});
    let problem = expect(&server, 422, "PUT", &path, Some(&wrong));
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    allow(&server, &json!({"currency": "EUR", "spend_per_day": "1.00"}));
    // The limit holds at once, though nobody knows yet what was spent.
    let (status, problem) = place(&server, "+33123456789", "echo");
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/destination")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("no rate"), "{problem}");
    place_when_known(&server, "+4930123456", "echo");
    server.wait_idle();
    let spent = spending(&server);
    assert_eq!((&spent["held"], &spent["day"]["spent"]), (&json!("0.00"), &json!("0.00")));
}

/// Rates are made, changed and deleted over HTTP, by whoever runs the server; those of the file are
/// listed and stay; the longest prefix holds.
#[test]
fn rates_are_kept() {
    let (gateway, agents) = (Gateway::start(Manner::Refuses("486 Busy Here")), Agents::listen());
    let mut server = server(&gateway, &agents);
    let wanted = json!({"prefix": "+33", "currency": "EUR", "per_minute": "0.02"});
    let made = expect(&server, 201, "POST", RATES, Some(&wanted));
    assert_eq!((&made["increment_s"], &made["connection"]), (&json!(60), &json!("0.00")));
    expect(&server, 409, "POST", RATES, Some(&wanted));
    let listed = expect(&server, 200, "GET", RATES, None);
    let all: Vec<_> = listed["items"].as_array().unwrap().iter().collect();
    let of = |origin: &str| all.iter().find(|rate| rate["origin"] == origin).unwrap();
    assert_eq!((all.len(), &of("file")["prefix"]), (2, &json!("+49")));
    let one = |rate: &Value| format!("{RATES}/{}", rate["id"].as_str().unwrap());
    expect(&server, 409, "DELETE", &one(of("file")), None);
    let wrong = json!({"prefix": "33", "currency": "euro", "per_minute": 1, "increment_s": 0});
    let problem = expect(&server, 422, "PUT", &one(&made), Some(&wrong));
    assert_eq!(problem["errors"].as_array().unwrap().len(), 4, "{problem}");
    let dear = json!({"prefix": "+331", "currency": "EUR", "per_minute": "5", "increment_s": 1});
    let changed = expect(&server, 200, "PUT", &one(&made), Some(&dear));
    assert_eq!(expect(&server, 200, "GET", &one(&made), None), changed);
    allow(&server, &json!({"currency": "EUR", "spend_per_month": "0.06"}));
    place_when_known(&server, "+4930123456", "echo");
    // A second of it costs more than there is.
    let (status, problem) = place(&server, "+33123456789", "echo");
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/budget")), "{problem}");
    server.wait_idle();
    let (status, _) = place(&server, "+4930123456", "echo");
    assert_eq!(status, 201);
    expect(&server, 204, "DELETE", &one(&made), None);
    expect(&server, 404, "GET", &one(&made), None);
    let key = json!({"name": "tenant"});
    let tenant = expect(&server, 201, "POST", "/api/v1/organizations", Some(&key));
    server.key = tenant["first_key"]["key"].as_str().unwrap().to_owned();
    expect(&server, 403, "GET", RATES, None);
    expect(&server, 403, "POST", RATES, Some(&wanted));
    assert_eq!(spending(&server)["currency"], Value::Null);
}
