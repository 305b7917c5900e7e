//! Calls that a dialler in front owns: who the customer is, is told by headers; the dialler hangs
//! up on the customer, hands it to an in-group and keeps what was learned, or does nothing of it,
//! and the call goes on all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::{SOON, expect};
use support::ari_pbx::AriPbx;
use support::phone::Phone;
use support::server::Server;
use support::vicidial::{CUSTOM, Customer, Mood, PASSWORD, USER, Vicidial};
use support::{talk, until};

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// How long the dialler may take, in seconds: the machine may be busy.
const TIMEOUT_S: u64 = 12;
/// The same where it says nothing and is waited for in vain.
const SHORT_TIMEOUT_S: u64 = 2;

struct Stage {
    dialler: Vicidial,
    server: Server,
    agents: Agents,
    configuration: String,
}

fn dialler_fields(dialler: &Vicidial) -> Value {
    json!({
        "type": "vicidial",
        "agent_api_url": format!("http://{}/agc/api.php", dialler.at),
        "lead_api_url": format!("http://{}/vicidial/non_agent_api.php", dialler.at),
        "user": USER, "password": PASSWORD, "groups": {"sales": "SALESLINE"},
        "lead_fields": {"comments": "{cause} by {agent}", "status": "AI"},
        "hangup_status": "AIHUP", "transfer_status": "AIXFER",
        "lead_headers": ["first_name"], "timeout_s": TIMEOUT_S,
    })
}

/// A server with this configuration; its agent takes the calls of 700.
#[track_caller]
fn configured(config: &Value) -> (Server, Agents, String) {
    let (server, agents) = talk::server("routes = []");
    let wanted = json!({"name": "dialler", "config": config});
    let made = expect(&server, 201, "POST", CONFIGS, Some(wanted));
    assert!(!made.to_string().contains(PASSWORD), "{made}");
    let configuration = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CONFIGS}/{configuration}");
    if config["provider"] == "ari" {
        expect(&server, 200, "POST", &format!("{path}/provision"), None);
    }
    let all = expect(&server, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    let wanted = json!({"address": "700", "inbound_agent_id": bot["id"]});
    expect(&server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    (server, agents, configuration)
}

#[track_caller]
fn stage_with(more: &Value) -> Stage {
    let dialler = Vicidial::start();
    let mut fields = dialler_fields(&dialler);
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    let config = json!({
        "provider": "sip_trunk", "inbound": {"networks": ["127.0.0.1"]}, "external_pbx": fields,
    });
    let (server, agents, configuration) = configured(&config);
    Stage { dialler, server, agents, configuration }
}

#[track_caller]
fn stage() -> Stage {
    stage_with(&json!({}))
}

impl Stage {
    /// A customer of the dialler whom the agent talks with.
    #[track_caller]
    fn talking(&self) -> (Phone, Agent) {
        self.talking_with(&Vicidial::headers())
    }

    /// A caller with these headers whom the agent talks with. What was just stored is routed by in
    /// a moment: until then nobody has the number.
    #[track_caller]
    fn talking_with(&self, headers: &str) -> (Phone, Agent) {
        let (mut phone, mut agent) = until(SOON, "the agent is dialled", || {
            let mut phone = Phone::call_at(self.server.sip, "700", headers);
            let agent = phone.until("an outcome", |phone| match self.agents.try_accept() {
                Some(agent) => Some(Ok(agent)),
                None => phone.refused().map(Err),
            });
            match agent {
                Ok(agent) => Some((phone, agent)),
                Err(status) => {
                    assert_eq!(status, 404);
                    None
                }
            }
        });
        phone.wait_answer();
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        (phone, agent)
    }

    /// The record of a call, once it is over.
    #[track_caller]
    fn ended(&self, agent: &Agent) -> Value {
        let path = format!("/api/v1/calls/{}", id(agent));
        until(SOON, "the end of the call", || {
            let call = expect(&self.server, 200, "GET", &path, None);
            (call["state"] == "ended").then_some(call)
        })
    }

    /// What the log of a call says of the dialler, once it says so much.
    #[track_caller]
    fn told(&self, agent: &Agent, times: usize) -> Vec<Value> {
        let path = format!("/api/v1/calls/{}/events", id(agent));
        until(SOON, "the dialler's part in the log", || {
            let events = expect(&self.server, 200, "GET", &path, None);
            let ours = events["items"].as_array().unwrap().iter();
            let ours = ours.filter(|event| event["type"] == "call.external_pbx");
            let ours: Vec<_> = ours.map(|event| event["data"].clone()).collect();
            (ours.len() >= times).then_some(ours)
        })
    }

    /// Nothing is left, and no secret was told.
    #[track_caller]
    fn finish(self) {
        self.server.wait_idle();
        let log = self.server.log();
        assert!(!log.contains(PASSWORD), "the log tells the password");
        assert!(!log.contains("api.php?"), "the log tells a query");
        self.server.stop();
    }
}

fn id(agent: &Agent) -> String {
    agent.start["call_id"].as_str().unwrap().to_owned()
}

/// Who the customer is becomes variables; the agent's hang-up is the dialler's first, told once and
/// with the status of the configuration, after what is written at the end.
#[test]
fn an_agent_hangs_up() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking();
    let variables = &agent.start["variables"];
    assert_eq!(variables["vicidial_lead_id"], "4242", "{}", agent.start);
    assert_eq!(variables["vicidial_callerid"], "V1129");
    assert_eq!(variables["vicidial_first_name"], "Ada");
    assert!(agent.start["features"].to_string().contains("update"));
    agent.order("hangup");
    phone.wait_bye();
    assert_eq!(stage.dialler.customer(), Customer::Gone(Some("AIHUP".into())));
    assert_eq!(stage.dialler.lead("comments").as_deref(), Some("normal by bot"));
    assert_eq!(stage.dialler.lead("status").as_deref(), Some("AI"));
    assert_eq!(stage.ended(&agent)["ended_by"], "agent");
    let told = stage.told(&agent, 2);
    assert_eq!(
        told[0],
        json!({"action": "update", "state": "done", "fields": ["comments", "status"]})
    );
    assert_eq!(told[1], json!({"action": "hangup", "state": "done"}));
    let (hangups, updates) = (stage.dialler.asked("HANGUP"), stage.dialler.asked("update_lead"));
    assert_eq!((hangups.len(), updates.len()), (1, 1));
    let asked = hangups[0].line.as_str();
    assert!(asked.starts_with("POST /agc/api.php HTTP"), "{asked}");
    let asked = updates[0].line.as_str();
    assert!(asked.contains("&comments=") && !asked.contains(PASSWORD), "{asked}");
    stage.finish();
}

/// A customer that hangs up is not hung up on; what is written at the end is.
#[test]
fn the_customer_hangs_up() {
    let stage = stage();
    let (mut phone, agent) = stage.talking();
    phone.hang_up();
    assert_eq!(stage.ended(&agent)["ended_by"], "caller");
    let told = stage.told(&agent, 1);
    assert_eq!((told.len(), &told[0]["action"]), (1, &json!("update")));
    assert_eq!(stage.dialler.customer(), Customer::Here);
    stage.finish();
}

/// The agent's and the API's updates are made at once, custom fields too; a status among them is
/// that of the call, and stands.
#[test]
fn leads_are_updated_by_order() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking();
    agent.say(&json!({"event": "update", "fields": {
        "status": "SALE", "owner": "", CUSTOM: "blue & green",
    }}));
    until(SOON, "the custom field", || {
        stage.dialler.lead(CUSTOM).filter(|it| it == "blue & green")
    });
    assert_eq!(stage.dialler.lead("status").as_deref(), Some("SALE"));
    assert_eq!(stage.dialler.lead("owner"), None);
    let path = format!("/api/v1/calls/{}/update", id(&agent));
    let wanted = json!({"fields": {"owner": "bot"}});
    expect(&stage.server, 204, "POST", &path, Some(wanted));
    until(SOON, "the owner", || stage.dialler.lead("owner"));
    for wrong in [json!({"lead_id": "1"}), json!({"pass": "x"}), json!({"owner": ""})] {
        let wanted = json!({ "fields": wrong });
        expect(&stage.server, 400, "POST", &path, Some(wanted));
        agent.say(&json!({"event": "update", "fields": wrong}));
        assert_eq!(agent.event("error")["code"], "failed");
    }
    agent.order("hangup");
    phone.wait_bye();
    assert_eq!(stage.dialler.customer(), Customer::Gone(Some("SALE".into())));
    assert_eq!(stage.dialler.lead("status").as_deref(), Some("SALE"));
    assert_eq!(stage.told(&agent, 4).len(), 4);
    assert_eq!(stage.dialler.asked("update_lead").len(), 3);
    stage.finish();
}

/// The customer is handed to an in-group by the configuration's name for it; our leg goes then, and
/// the dialler hangs up on nobody.
#[test]
fn a_customer_is_handed_on() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking();
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:nobody"}));
    let told = agent.event("transfer");
    assert_eq!((&told["state"], &told["cause"]), (&json!("failed"), &json!("bad_destination")));
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:sales"}));
    let mut last = agent.event("transfer");
    while last["state"] != "bridged" {
        assert_ne!(last["state"], "failed", "{last}");
        last = agent.event("transfer");
    }
    phone.wait_bye();
    let customer = Customer::In("SALESLINE".into(), Some("AIXFER".into()));
    assert_eq!(stage.dialler.customer(), customer);
    assert_eq!(stage.ended(&agent)["cause"], "transferred");
    let told = stage.told(&agent, 2);
    assert_eq!((&told[0]["action"], &told[0]["state"]), (&json!("transfer"), &json!("done")));
    // The status is the group's business now.
    assert_eq!(told[1]["fields"], json!(["comments"]));
    assert!(stage.dialler.asked("HANGUP").is_empty());
    assert_eq!(stage.dialler.asked("INGROUPTRANSFER").len(), 1);
    stage.finish();
}

/// An agent that orders a transfer and leaves in the same breath: our leg waits for the dialler,
/// and the customer is not hung up on.
#[test]
fn an_agent_leaves_while_it_is_handed_on() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking();
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:source"}));
    agent.say(&json!({"event": "hangup", "after": "now"}));
    phone.wait_bye();
    let customer = Customer::In("AI_IN".into(), Some("AIXFER".into()));
    assert_eq!(stage.dialler.customer(), customer);
    stage.ended(&agent);
    stage.told(&agent, 2);
    assert!(stage.dialler.asked("HANGUP").is_empty());
    stage.finish();
}

/// A dialler that refuses: the agent is told, the call goes on, what it repeats is told nobody; and
/// the call ends.
#[test]
fn the_dialler_refuses() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking();
    stage.dialler.feels(Mood::Refuses);
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:sales"}));
    let mut told = agent.event("transfer");
    while told["state"] != "failed" {
        told = agent.event("transfer");
    }
    agent.say(&json!({"event": "update", "fields": {"owner": "bot"}}));
    assert_eq!(agent.event("error")["code"], "failed");
    agent.order("hangup");
    phone.wait_bye();
    let events = stage.told(&agent, 4);
    assert!(events.iter().all(|event| event["state"] == "failed"), "{events:?}");
    assert!(events.iter().all(|event| event["cause"] == "refused"), "{events:?}");
    let all = serde_json::to_string(&events).unwrap();
    assert!(all.contains("it will not") && !all.contains(PASSWORD), "{all}");
    assert_eq!(stage.ended(&agent)["cause"], "normal");
    stage.finish();
}

/// A dialler that says nothing: the call goes on, and its end waits for no longer than a request
/// may take; what may have been done is not asked for again.
#[test]
fn the_dialler_says_nothing() {
    let stage = stage_with(&json!({"lead_fields": {}, "timeout_s": SHORT_TIMEOUT_S}));
    let (mut phone, mut agent) = stage.talking();
    stage.dialler.feels(Mood::Hangs);
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:sales"}));
    let mut told = agent.event("transfer");
    while told["state"] != "failed" {
        told = agent.event("transfer");
    }
    assert_eq!(told["cause"], "no_response", "{told}");
    assert_eq!(stage.told(&agent, 1)[0]["state"], "unknown");
    // Nobody knows where the customer is: it is not hung up on.
    agent.order("hangup");
    phone.wait_bye();
    stage.ended(&agent);
    assert!(stage.dialler.asked("HANGUP").is_empty());
    assert_eq!(stage.dialler.asked("INGROUPTRANSFER").len(), 1);

    let (mut phone, mut agent) = stage.talking();
    let began = Instant::now();
    agent.order("hangup");
    phone.wait_bye();
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(SHORT_TIMEOUT_S + 3), "{waited:?}");
    assert_eq!(stage.ended(&agent)["ended_by"], "agent");
    assert_eq!(stage.told(&agent, 1)[0]["state"], "unknown");
    assert_eq!(stage.dialler.asked("HANGUP").len(), 1);
    stage.finish();
}

/// Nobody is there: the call is taken and ends as if there were no dialler. A wrong password is
/// told as such, and not shown.
#[test]
fn no_dialler() {
    let nowhere = json!({"agent_api_url": "http://127.0.0.1:9/agc/api.php", "lead_api_url": ""});
    let stage = stage_with(&nowhere);
    let (mut phone, mut agent) = stage.talking();
    agent.order("hangup");
    phone.wait_bye();
    stage.ended(&agent);
    let told = stage.told(&agent, 2);
    assert!(told.iter().all(|event| event["state"] == "failed"), "{told:?}");
    stage.finish();

    let stage = stage_with(&json!({"password": "wrong-and-secret"}));
    let (mut phone, mut agent) = stage.talking();
    agent.order("hangup");
    phone.wait_bye();
    let told = stage.told(&agent, 2);
    assert!(told.iter().all(|event| event["cause"] == "credentials"), "{told:?}");
    assert!(!stage.server.log().contains("wrong-and-secret"));
    assert_eq!(stage.dialler.customer(), Customer::Here);
    stage.finish();
}

/// A call of the same trunk without the dialler's code is a call like any other.
#[test]
fn a_call_of_somebody_else() {
    let stage = stage();
    let (mut phone, mut agent) = stage.talking_with("X-VICIDIAL-lead_id: 4242\r\n");
    assert!(!agent.start["features"].to_string().contains("update"));
    assert!(!agent.start["variables"].to_string().contains("vicidial"));
    agent.say(&json!({"event": "update", "fields": {"owner": "bot"}}));
    assert_eq!(agent.event("error")["code"], "unsupported");
    let path = format!("/api/v1/calls/{}/update", id(&agent));
    expect(&stage.server, 409, "POST", &path, Some(json!({"fields": {"owner": "bot"}})));
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:sales"}));
    assert_eq!(agent.event("transfer")["cause"], "not_supported");
    agent.order("hangup");
    phone.wait_bye();
    stage.ended(&agent);
    assert!(stage.dialler.asked("HANGUP").is_empty());
    assert!(stage.dialler.asked("update_lead").is_empty());
    stage.finish();
}

/// What is captured of a call shows what the dialler was asked for, and no password, whichever way
/// that went.
#[test]
fn captures_hide_the_password() {
    for sent_by in ["post", "get"] {
        let stage = stage_with(&json!({ "sent_by": sent_by }));
        let (mut phone, mut agent) = stage.talking();
        let path = format!("/api/v1/calls/{}", id(&agent));
        expect(&stage.server, 204, "POST", &format!("{path}/capture"), None);
        agent.order("hangup");
        phone.wait_bye();
        stage.ended(&agent);
        assert_eq!(stage.dialler.customer(), Customer::Gone(Some("AIHUP".into())), "{sent_by}");
        let kept = until(SOON, "what was captured", || {
            let kept = expect(&stage.server, 200, "GET", &format!("{path}/messages"), None);
            let kept = kept.to_string();
            (kept.matches("SUCCESS: ra_call_control").count() > 0).then_some(kept)
        });
        assert!(kept.contains("stage=HANGUP") && !kept.contains(PASSWORD), "{kept}");
        stage.finish();
    }
}

/// The same by an Asterisk that is controlled over its REST interface: the headers are read there,
/// and the dialler hangs up before the channel goes.
#[test]
fn by_an_asterisk() {
    let (pbx, dialler) = (AriPbx::start(), Vicidial::start());
    let config = json!({
        "provider": "ari", "ari_url": format!("http://{}", pbx.at), "username": "pbx",
        "password": "secret", "external_pbx": dialler_fields(&dialler),
    });
    let (server, agents, configuration) = configured(&config);
    let stage = Stage { dialler, server, agents, configuration };
    until(SOON, "the socket of events", || {
        (pbx.asked("eventFilter") > 0 && pbx.sockets() > 0).then_some(())
    });
    pbx.gives_headers(&Vicidial::headers());
    // As above: until what was stored is routed by, callers are refused.
    let (caller, mut agent) = until(SOON, "the agent is dialled", || {
        let caller = pbx.calls("700", "+15550100002");
        until(SOON, "an outcome", || match stage.agents.try_accept() {
            Some(agent) => Some(Some(agent)),
            None => pbx.state_of(&caller).is_none().then_some(None),
        })
        .map(|agent| (caller, agent))
    });
    let variables = &agent.start["variables"];
    assert_eq!(variables["vicidial_callerid"], "V1129", "{}", agent.start);
    assert_eq!(variables["vicidial_first_name"], "Ada");
    // The list of names, and each of those that are wanted; again if the socket was just opened.
    assert!(pbx.asked("/variable") > 6);
    until(SOON, "it is answered", || (pbx.state_of(&caller) == Some("Up")).then_some(()));
    agent.say(&json!({"event": "transfer", "kind": "blind", "destination": "group:sales"}));
    until(SOON, "the channel is gone", || pbx.state_of(&caller).is_none().then_some(()));
    let customer = Customer::In("SALESLINE".into(), Some("AIXFER".into()));
    assert_eq!(stage.dialler.customer(), customer);
    assert_eq!(stage.ended(&agent)["cause"], "transferred");

    let caller = pbx.calls("700", "+15550100002");
    let mut agent = talk::answered(&stage.agents);
    agent.order("hangup");
    until(SOON, "the channel is gone", || pbx.state_of(&caller).is_none().then_some(()));
    // The customer is with the group, so that the dialler has no such call, and the end goes on.
    stage.ended(&agent);
    let told = stage.told(&agent, 2);
    assert_eq!((&told[1]["action"], &told[1]["state"]), (&json!("hangup"), &json!("failed")));
    let path = format!("{CONFIGS}/{}", stage.configuration);
    let shown = expect(&stage.server, 200, "GET", &path, None).to_string();
    assert!(shown.contains("external_pbx") && !shown.contains(PASSWORD), "{shown}");
    stage.finish();
}
