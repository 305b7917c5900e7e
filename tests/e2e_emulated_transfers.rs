//! Calls that carriers hand over, on real sockets against each carrier's emulator: connected at
//! once, or joined after the destination was called apart; answered, refused, given up. The agent
//! is told how it goes, the record says what came of it, and nothing is left at the carrier.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use adapters::emulate::{Command, Told};
use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::expect;
use support::emulated::{CARRIERS, Carrier, Emulated, called, record, start, talk};
use support::server::Server;

/// Who gets a call.
const DESK: &str = "+15550100003";

/// A call that talks with its agent, at a carrier.
struct Talk {
    server: Server,
    _agents: Agents,
    emulated: Emulated,
    agent: Agent,
    /// The carrier's id of it, and ours.
    call: String,
    id: String,
}

impl Talk {
    #[track_caller]
    fn begin(carrier: &Carrier) -> Self {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = called(&agents, &mut emulated);
        talk(&mut emulated, &call, &mut agent, 71);
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        Self { server, _agents: agents, emulated, agent, call, id }
    }

    /// The agent asks for a transfer, and somebody is called: the carrier's id of that leg.
    #[track_caller]
    fn transfer(&mut self, kind: &str) -> String {
        let asks = json!({"event": "transfer", "kind": kind, "destination": DESK});
        self.agent.say(&asks);
        self.emulated.wait("the destination's telephone", |told| match told {
            Told::Rings { call, to, .. } => {
                assert!(DESK.ends_with(to.trim_start_matches('+')), "{to}");
                Some(call.clone())
            }
            _ => None,
        })
    }

    /// What the agent is told, up to the end of the transfer; why, if it failed.
    #[track_caller]
    fn told(&mut self, last: &str) -> Value {
        let mut states = Vec::new();
        loop {
            let event = self.agent.event("transfer");
            states.push(event["state"].as_str().unwrap().to_owned());
            if event["state"] == last {
                assert_eq!(states[0], "requested", "{states:?}");
                let path = format!("/api/v1/calls/{}/transfers", self.id);
                let all = expect(&self.server, 200, "GET", &path, None);
                assert_eq!(all["items"][0]["state"], json!(last), "{all}");
                return event["cause"].clone();
            }
        }
    }

    /// Caller and destination talk: the agent is gone, nothing was ended at the carrier, and the
    /// two can hang up.
    #[track_caller]
    fn ends_handed_over(mut self, leg: &str) {
        self.told("bridged");
        assert_eq!(self.agent.event("stop")["cause"], json!("transferred"));
        let record = record(&self.server, &self.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("transferred")),
            "{record}"
        );
        let over = self.emulated.is_over(&self.call) || self.emulated.is_over(leg);
        assert!(!over, "they talk: {:?}", self.emulated.asked);
        for one in [leg, &self.call] {
            self.emulated.does(Command::Hangup(one.to_owned()));
        }
        let mut left = vec![leg.to_owned(), self.call.clone()];
        self.emulated.wait("the end of both", |told| {
            if let Told::Ended { call, .. } = told {
                left.retain(|one| one != call);
            }
            left.is_empty().then_some(())
        });
        self.emulated.assert_content();
        self.server.stop();
    }

    /// The agent has its caller again, until that hangs up.
    #[track_caller]
    fn goes_on(mut self) {
        talk(&mut self.emulated, &self.call, &mut self.agent, 72);
        self.emulated.does(Command::Hangup(self.call.clone()));
        self.emulated.ends(&self.call);
        let record = record(&self.server, &self.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        self.emulated.assert_content();
        self.server.stop();
    }
}

/// Runs a test with every carrier whose emulator knows telephones beside the caller's.
fn each(test: impl Fn(&Carrier)) {
    let known = ["plivo", "telnyx", "twilio", "vobiz", "vonage"];
    for carrier in CARRIERS.iter().filter(|carrier| known.contains(&carrier.name)) {
        eprintln!("{}", carrier.name);
        test(carrier);
    }
}

/// The carrier connects the caller with whoever answers, in the place of the agent.
#[test]
fn a_caller_is_connected() {
    each(|carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("blind");
        talk.emulated.does(Command::Answer(leg.clone()));
        talk.ends_handed_over(&leg);
    });
}

/// Nobody answers: the caller comes back to its agent.
#[test]
fn a_caller_comes_back() {
    each(|carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("blind");
        talk.emulated.does(Command::Busy(leg));
        talk.told("failed");
        // One carrier keeps the stream while it calls.
        if carrier.name != "telnyx" {
            let call = talk.call.clone();
            talk.emulated.streams(&call);
        }
        talk.goes_on();
    });
}

/// The destination is called while caller and agent talk on, and the two are joined once it
/// answered.
#[test]
fn two_are_joined() {
    each(|carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("bridge");
        support::emulated::talk(&mut talk.emulated, &talk.call, &mut talk.agent, 73);
        talk.emulated.does(Command::Answer(leg.clone()));
        talk.ends_handed_over(&leg);
    });
}

/// A destination that is busy, or that nobody waits for any more, leaves the caller where it is,
/// and nobody's telephone rings on.
#[test]
fn two_are_not_joined() {
    each(|carrier| {
        for gives_up in [false, true] {
            let mut talk = Talk::begin(carrier);
            let leg = talk.transfer("bridge");
            if gives_up {
                talk.agent.say(&json!({"event": "transfer", "kind": "cancel"}));
                assert_eq!(talk.told("cancelled"), json!("unwanted"));
            } else {
                talk.emulated.does(Command::Busy(leg.clone()));
                talk.told("failed");
            }
            talk.emulated.ends(&leg);
            talk.goes_on();
        }
    });
}

/// A caller who hangs up while somebody is called for it takes the other along.
#[test]
fn a_caller_leaves_meanwhile() {
    each(|carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("bridge");
        talk.emulated.does(Command::Hangup(talk.call.clone()));
        let mut left = vec![leg, talk.call.clone()];
        talk.emulated.wait("the end of both", |told| {
            if let Told::Ended { call, .. } = told {
                left.retain(|one| one != call);
            }
            left.is_empty().then_some(())
        });
        assert_eq!(talk.told("cancelled"), json!("call_over"));
        assert_eq!(record(&talk.server, &talk.id)["cause"], json!("normal"));
        talk.emulated.assert_content();
        talk.server.stop();
    });
}
