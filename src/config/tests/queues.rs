//! Queues and parking.

use super::*;

const QUEUE: &str = r#"
[park]
timeout_s = 45
hold_music = "/etc/talkpath/sorry.wav"

[[agents]]
name = "anna"
kind = "builtin"
builtin = "echo"

[[agents]]
name = "night"
kind = "builtin"
builtin = "tone"

[[trunks]]
name = "out"
targets = ["sip:192.0.2.1"]

[[queues]]
name = "support"
strategy = "in_order"
hold_music = "/etc/talkpath/sorry.wav"
max_waiting = 7
max_wait_s = 90
ring_timeout_s = 15
rest_s = 5
overflow_agent = "night"

[[queues.members]]
agent = "anna"
max_calls = 2

[[queues.members]]
destination = "sip:desk@192.0.2.9"

[[queues.members]]
destination = "+4930123"
trunk = "out"

[[routes]]
to = "100"
agent = "queue:support"

[[routes]]
to = "200"
agent = "anna"
fallback_agent = "queue:support"
"#;

/// Every key arrives; a queue stands where agents are named, and a telephone of its own is an agent
/// whose name is no number.
#[test]
fn a_queue_is_read() {
    let config = parse(QUEUE).unwrap();
    let [queue] = config.queues.as_slice() else { panic!("{:?}", config.queues) };
    assert_eq!((queue.name.as_str(), queue.strategy), ("support", Strategy::InOrder));
    assert_eq!((queue.max_waiting, queue.max_wait), (7, Duration::from_secs(90)));
    let (ring, rest) = (Duration::from_secs(15), Duration::from_secs(5));
    assert_eq!((queue.ring_timeout, queue.rest), (ring, rest));
    assert_eq!(queue.overflow, Some(QueueTarget::Named("night".into())));
    let members: Vec<_> =
        queue.members.iter().map(|one| (one.target.name(), one.max_calls)).collect();
    assert_eq!(members, [("anna", 2), ("queue:support/2", 1), ("queue:support/3", 1)]);
    let QueueTarget::Phone(desk) = &queue.members[1].target else { panic!() };
    let AgentKind::Sip(sip) = &desk.kind else { panic!() };
    assert_eq!((sip.uri.as_str(), sip.ring_timeout), ("sip:desk@192.0.2.9", ring));
    let agent = config.agent("queue:support").unwrap();
    let waits = Builtin::Wait { queue: Some("support".into()) };
    assert_eq!(agent.kind, AgentKind::Builtin(waits));
    assert_eq!(agent.hold_music.as_deref(), Some(Path::new(WAV)));
    assert_eq!(config.agents.len(), 2, "a queue is no agent of its own");
    assert_eq!(config.routes[0].agent, "queue:support");
    assert_eq!(config.routes[1].fallback, Fallback::Agent("queue:support".into()));
    let park = ParkConfig { timeout: Duration::from_secs(45), hold_music: Some(WAV.into()) };
    assert_eq!(config.park, park);
}

/// What a queue is told besides its name and its members has a default; the agent of a server that
/// is told of none can be a member.
#[test]
fn defaults() {
    let config = parse("[[queues]]\nname = \"q\"\n[[queues.members]]\nagent = \"echo\"").unwrap();
    let queue = &config.queues[0];
    assert_eq!((queue.strategy, queue.max_waiting), (Strategy::LongestIdle, 50));
    let times = [queue.max_wait, queue.ring_timeout, queue.rest].map(|time| time.as_secs());
    assert_eq!((times, &queue.overflow), ([600, 20, 30], &None));
    assert_eq!(config.park.timeout, Duration::from_secs(120));
    let config = parse_with(QUEUE, &[("TALKPATH_QUEUES_SUPPORT_MAX_WAITING", "9")]).unwrap();
    assert_eq!(config.queues[0].max_waiting, 9);
}

/// What is wrong is told with its line and what is allowed.
#[test]
fn mistakes() {
    let agent = "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";
    let head = "[[queues]]\nname = \"q\"\n";
    let member = "[[queues.members]]\n";
    for (text, expected) in [
        (head.to_owned(), "5: queues[0].members: missing: who takes its calls"),
        (format!("{head}{member}"), "7: queues[0].members[0].agent: missing: who takes calls"),
        (
            format!("{head}{member}agent = \"b\""),
            "8: queues[0].members[0].agent: no agent is called \"b\"",
        ),
        (
            format!("{head}{member}agent = \"queue:q\""),
            "8: queues[0].members[0].agent: no agent is called \"queue:q\"",
        ),
        (
            format!("{head}{member}destination = \"+49\""),
            "8: queues[0].members[0].destination: \"+49\" is no SIP URI and no user",
        ),
        (
            format!("{head}{member}destination = \"+49\"\ntrunk = \"x\""),
            "8: queues[0].members[0].destination: no trunk is called \"x\"",
        ),
        (
            format!("{head}{member}agent = \"a\"\ndestination = \"sip:x@h\""),
            "9: queues[0].members[0].destination: agent is given, too",
        ),
        (
            format!("{head}{member}agent = \"a\"\ntrunk = \"x\""),
            "9: queues[0].members[0].trunk: means nothing without destination",
        ),
        (
            format!("{head}{member}agent = \"a\"\n{member}agent = \"a\""),
            "10: queues[0].members[1].agent: is a member already",
        ),
        (
            format!("{head}strategy = \"random\"\n{member}agent = \"a\""),
            "7: queues[0].strategy: \"random\": unknown",
        ),
        (
            format!("{head}max_waiting = 0\n{member}agent = \"a\""),
            "7: queues[0].max_waiting: 0; allowed: a whole number from 1 to 10000",
        ),
        (
            format!("{head}overflow_agent = \"b\"\n{member}agent = \"a\""),
            "7: queues[0].overflow_agent: no agent is called \"b\"",
        ),
        (
            format!("{head}{member}agent = \"a\"\n[[queues]]\nname = \"Q\"\n{member}agent = \"a\""),
            "9: queues.name: \"Q\" is taken by \"q\"",
        ),
        (
            "[[routes]]\nto = \"*\"\nagent = \"queue:q\"".to_owned(),
            "7: routes[0].agent: no agent is called \"queue:q\"",
        ),
        ("[park]\ntimeout_s = 0".to_owned(), "6: park.timeout_s: 0; allowed"),
    ] {
        let told = refused(&format!("{agent}{text}"));
        assert!(told.iter().any(|message| message.starts_with(expected)), "{text}: {told:?}");
    }
}
