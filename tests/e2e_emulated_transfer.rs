//! Calls handed over by the carriers' own means, every carrier against its emulator on real
//! sockets: connected, joined, refused by the destination, given up; each ends in the right state,
//! at the carrier too, and whoever talks goes on talking.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use adapters::emulate::Command;
use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::api_carrier::expect;
use support::emulated::{Carrier, Emulated, SOON, called, each, record, start, talk};
use support::server::Server;
use support::until;

/// Who gets a call.
const DESK: &str = "+15550100003";

/// A person who talks with an agent, and is to be handed over.
struct Talk {
    server: Server,
    /// Holds the agent's socket open.
    _agents: Agents,
    emulated: Emulated,
    agent: Agent,
    /// The call, as the carrier knows it.
    call: String,
    /// The same, as the server does.
    id: String,
}

impl Talk {
    #[track_caller]
    fn begin(carrier: &Carrier) -> Self {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, agent) = called(&agents, &mut emulated);
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        Self { server, _agents: agents, emulated, agent, call, id }
    }

    /// Hands the call over; the leg that rings at the destination.
    #[track_caller]
    fn hand_over(&mut self, kind: &str) -> String {
        let wanted = json!({"kind": kind, "destination": DESK, "options": {"timeout_s": 30}});
        let path = format!("/api/v1/calls/{}/transfer", self.id);
        expect(&self.server, 202, "POST", &path, Some(wanted));
        self.emulated.rings()
    }

    #[track_caller]
    fn until_transfer(&self, state: &str) -> Value {
        let path = format!("/api/v1/calls/{}/transfers", self.id);
        until(SOON, state, || {
            let all = expect(&self.server, 200, "GET", &path, None);
            let last = all["items"].as_array()?.last()?.clone();
            (last["state"] == state).then_some(last)
        })
    }

    /// The caller hangs up; what the record says of the call.
    #[track_caller]
    fn caller_leaves(&mut self) -> Value {
        self.emulated.does(Command::Hangup(self.call.clone()));
        self.emulated.ends(&self.call);
        record(&self.server, &self.id)
    }

    fn stop(mut self) {
        self.emulated.assert_content();
        self.server.stop();
    }
}

/// The carrier connects the caller with the destination; for us the call is over, for them it is
/// not, until one of them hangs up.
#[test]
fn a_caller_is_connected() {
    each(|carrier| {
        let mut talk = Talk::begin(carrier);
        let leg = talk.hand_over("blind");
        talk.emulated.does(Command::Answer(leg.clone()));
        // It tells no more than that it is over.
        let told_late = carrier.name == "cloudonix";
        if told_late {
            assert!(!talk.emulated.is_over(&talk.call), "they talk");
            talk.emulated.does(Command::Hangup(leg));
        }
        let record = record(&talk.server, &talk.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("transferred")),
            "{record}"
        );
        assert_eq!(talk.until_transfer("bridged")["kind"], json!("blind"));
        if told_late {
            talk.emulated.ends(&talk.call);
        } else {
            assert!(!talk.emulated.is_over(&talk.call), "they talk");
            talk.caller_leaves();
        }
        talk.stop();
    });
}

/// Nobody is reached: the caller is back with the agent, and both hear each other again.
#[test]
fn a_caller_comes_back() {
    each(|carrier| {
        let mut talk_on = Talk::begin(carrier);
        let leg = talk_on.hand_over("blind");
        talk_on.emulated.does(Command::Busy(leg));
        // There the stream went on all the while.
        if carrier.name != "telnyx" {
            talk_on.emulated.streams(&talk_on.call);
        }
        talk_on.until_transfer("failed");
        talk(&mut talk_on.emulated, &talk_on.call, &mut talk_on.agent, 71);
        let record = talk_on.caller_leaves();
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        talk_on.stop();
    });
}

/// The destination is called while the caller talks on with the agent, and joined with the caller
/// when it answers.
#[test]
fn a_caller_is_joined() {
    each(|carrier| {
        let mut joined = Talk::begin(carrier);
        let leg = joined.hand_over("bridge");
        talk(&mut joined.emulated, &joined.call, &mut joined.agent, 73);
        joined.emulated.does(Command::Answer(leg));
        let record = record(&joined.server, &joined.id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("transferred")),
            "{record}"
        );
        joined.until_transfer("bridged");
        assert!(!joined.emulated.is_over(&joined.call), "they talk");
        joined.caller_leaves();
        joined.stop();
    });
}

/// A destination that declines changes nothing: the caller talks on with the agent.
#[test]
fn a_destination_declines() {
    each(|carrier| {
        let mut declined = Talk::begin(carrier);
        let leg = declined.hand_over("bridge");
        declined.emulated.does(Command::Decline(leg));
        declined.until_transfer("failed");
        talk(&mut declined.emulated, &declined.call, &mut declined.agent, 79);
        let record = declined.caller_leaves();
        assert_eq!(record["status"], json!("completed"), "{record}");
        declined.stop();
    });
}

/// A caller who leaves while the destination still rings takes it along.
#[test]
fn a_destination_is_let_go() {
    each(|carrier| {
        let mut left = Talk::begin(carrier);
        let leg = left.hand_over("bridge");
        left.until_transfer("dialling");
        left.emulated.does(Command::Hangup(left.call.clone()));
        left.emulated.ends(&leg);
        let record = record(&left.server, &left.id);
        assert_eq!(record["status"], json!("completed"), "{record}");
        left.stop();
    });
}
