//! Calls that carriers hand over, on real sockets against each carrier's emulator: connected at
//! once, or joined after the destination was called apart; answered, refused, given up; at the
//! agent's wish and at the API's. The agent is told how it goes, the record says what came of it,
//! nothing is left at the carrier, and whoever talks goes on talking.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use adapters::emulate::{Command, Told};
use adapters::spec::ProviderSpec;
use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::expect;
use support::emulated::{Carrier, Emulated, SOON, called, each_that, record, start, talk};
use support::server::Server;
use support::until_told;

/// Who gets a call.
const DESK: &str = "+15550100003";

/// Carriers that hand calls over.
const fn transfers(spec: &ProviderSpec) -> bool {
    spec.calls.transfer.is_some()
}

/// Who wants a call to be handed over.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Agent,
    Api,
}

/// A call that talks with its agent, at a carrier.
struct Talk {
    server: Server,
    /// Holds the agent's socket open.
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

    /// Somebody asks for a transfer, and somebody is called: the carrier's id of that leg.
    #[track_caller]
    fn transfer(&mut self, kind: &str, by: By) -> String {
        let mut wanted = json!({"kind": kind, "destination": DESK, "options": {"timeout_s": 30}});
        if by == By::Api {
            let path = format!("/api/v1/calls/{}/transfer", self.id);
            expect(&self.server, 202, "POST", &path, Some(wanted));
        } else {
            wanted["event"] = json!("transfer");
            self.agent.say(&wanted);
        }
        self.emulated.wait("the destination's telephone", |told| match told {
            Told::Rings { call, to, .. } => {
                assert!(DESK.ends_with(to.trim_start_matches('+')), "{to}");
                Some(call.clone())
            }
            _ => None,
        })
    }

    /// What the agent is told, up to the end of the transfer, which the API tells too; why, if it
    /// failed.
    #[track_caller]
    fn told(&mut self, last: &str) -> Value {
        let mut states = Vec::new();
        let cause = loop {
            let event = self.agent.event("transfer");
            states.push(event["state"].as_str().unwrap().to_owned());
            if event["state"] == last {
                break event["cause"].clone();
            }
        };
        assert_eq!(states[0], "requested", "{states:?}");
        self.until_transfer(last);
        cause
    }

    /// Waits until the API tells so of the last transfer.
    #[track_caller]
    fn until_transfer(&self, state: &str) -> Value {
        let path = format!("/api/v1/calls/{}/transfers", self.id);
        until_told(SOON, state, || {
            let all = expect(&self.server, 200, "GET", &path, None);
            let last = all["items"].as_array()?.last()?.clone();
            (last["state"] == state).then_some(last)
        })
    }

    /// The agent and its caller hear each other.
    #[track_caller]
    fn talks(&mut self, seed: u32) {
        talk(&mut self.emulated, &self.call, &mut self.agent, seed);
    }

    /// For us the call is over, as it was handed over.
    #[track_caller]
    fn is_handed_over(&mut self) {
        self.told("bridged");
        assert_eq!(self.agent.event("stop")["cause"], json!("transferred"));
        let record = record(&self.server, &self.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("transferred")),
            "{record}"
        );
    }

    /// Waits until none of these lives at the carrier.
    #[track_caller]
    fn all_end(&mut self, calls: &[&str]) {
        let mut left = calls.to_vec();
        self.emulated.wait("the end of all", |told| {
            if let Told::Ended { call, .. } = told {
                left.retain(|one| one != call);
            }
            left.is_empty().then_some(())
        });
    }

    /// Caller and destination talk, nothing was ended at the carrier, and the two can hang up.
    #[track_caller]
    fn two_talk(mut self, leg: &str) {
        let over = self.emulated.is_over(&self.call) || self.emulated.is_over(leg);
        assert!(!over, "they talk: {:?}", self.emulated.asked);
        let call = self.call.clone();
        for one in [leg, &call] {
            self.emulated.does(Command::Hangup(one.to_owned()));
        }
        self.all_end(&[leg, &call]);
        self.stop();
    }

    /// The agent has its caller again, until that hangs up.
    #[track_caller]
    fn goes_on(mut self) {
        self.talks(72);
        self.emulated.does(Command::Hangup(self.call.clone()));
        self.emulated.ends(&self.call);
        let record = record(&self.server, &self.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        self.stop();
    }

    fn stop(mut self) {
        self.emulated.assert_content();
        self.server.stop();
    }
}

/// The carrier connects the caller with whoever answers, in the place of the agent; for us the call
/// is over, for them it is not, until one of them hangs up.
#[test]
fn a_caller_is_connected() {
    each_that(transfers, |carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("blind", By::Agent);
        talk.emulated.does(Command::Answer(leg.clone()));
        if carrier.name != "cloudonix" {
            talk.is_handed_over();
            return talk.two_talk(&leg);
        }
        // It tells no more than that it is over.
        assert!(!talk.emulated.is_over(&talk.call), "they talk");
        talk.emulated.does(Command::Hangup(leg));
        talk.is_handed_over();
        talk.emulated.ends(&talk.call);
        talk.stop();
    });
}

/// Nobody is reached: the caller is back with its agent, and both hear each other again.
#[test]
fn a_caller_comes_back() {
    each_that(transfers, |carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("blind", By::Api);
        talk.emulated.does(Command::Busy(leg));
        talk.told("failed");
        // One carrier keeps the stream while it calls.
        if carrier.name != "telnyx" {
            talk.emulated.streams(&talk.call);
        }
        talk.goes_on();
    });
}

/// The destination is called while caller and agent talk on, and the two are joined once it
/// answered.
#[test]
fn two_are_joined() {
    each_that(transfers, |carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("bridge", By::Api);
        talk.talks(73);
        talk.emulated.does(Command::Answer(leg.clone()));
        talk.is_handed_over();
        talk.two_talk(&leg);
    });
}

/// A destination that is busy, that declines, or that nobody waits for any more, leaves the caller
/// where it is, and nobody's telephone rings on; one after the other within a call.
#[test]
fn two_are_not_joined() {
    each_that(transfers, |carrier| {
        let mut talk = Talk::begin(carrier);
        let acts: [(fn(String) -> Command, By); 2] =
            [(Command::Busy, By::Agent), (Command::Decline, By::Api)];
        for (seed, (act, by)) in (74..).zip(acts) {
            let leg = talk.transfer("bridge", by);
            talk.emulated.does(act(leg.clone()));
            talk.told("failed");
            talk.emulated.ends(&leg);
            talk.talks(seed);
        }
        let leg = talk.transfer("bridge", By::Agent);
        talk.agent.say(&json!({"event": "transfer", "kind": "cancel"}));
        assert_eq!(talk.told("cancelled"), json!("unwanted"));
        talk.emulated.ends(&leg);
        talk.goes_on();
    });
}

/// A caller who hangs up while somebody is called for it takes the other along.
#[test]
fn a_caller_leaves_meanwhile() {
    each_that(transfers, |carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.transfer("bridge", By::Agent);
        talk.until_transfer("dialling");
        talk.emulated.does(Command::Hangup(talk.call.clone()));
        let call = talk.call.clone();
        talk.all_end(&[&leg, &call]);
        assert_eq!(talk.told("cancelled"), json!("call_over"));
        let record = record(&talk.server, &talk.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        talk.stop();
    });
}
