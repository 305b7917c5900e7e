use adapters::agent::{
    AgentCommand, Configure, Direction, FormatWish, Framing, RecordOrder, StreamFormat,
};
use media::codec::AudioFormat;
use media::playout::{MarkReport, UtterancePlayed};

use super::*;

const QUEUE_MS: u32 = 30_000;

struct Rig {
    session: AgentSession,
    now: MonoTime,
}

fn info() -> StreamInfo {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    StreamInfo {
        call_id: "call".to_owned(),
        stream: 1,
        direction: Direction::Inbound,
        from: "from".to_owned(),
        to: "to".to_owned(),
        provider: "provider".to_owned(),
        trunk: None,
        state: CallState::Ringing,
        to_agent: format,
        from_agent: format,
        framing: Framing::Rtp,
        variables: Vec::new(),
        headers: Vec::new(),
        resumed: false,
        features: vec![feature::DTMF, feature::ANSWER, feature::QUALITY, feature::TRANSFER],
    }
}

impl Rig {
    /// A stream whose `start` has been sent.
    fn new() -> Self {
        Self::with(info())
    }

    fn with(info: StreamInfo) -> Self {
        let now = MonoTime::from_nanos(1_000_000_000);
        let mut rig = Self { session: AgentSession::new(now, info, QUEUE_MS), now };
        assert_eq!(rig.shown(), ["start"]);
        rig
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.session.handle_timeout(self.now);
    }

    fn command(&mut self, command: AgentCommand) -> Vec<String> {
        assert_eq!(self.session.receive(self.now, Ok(AgentInput::Command(command))), None);
        self.shown()
    }

    fn fault(&mut self, error: WireError) -> Vec<String> {
        assert_eq!(self.session.receive(self.now, Err(error)), None);
        self.shown()
    }

    fn audio(&mut self) -> bool {
        self.session.receive(self.now, Ok(AgentInput::Audio(&[1, 2]))).is_some()
    }

    /// What was to be done, one word or two each.
    fn shown(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_action()).map(show).collect()
    }
}

fn show(action: Action) -> String {
    match action {
        Action::Send(Outgoing::Start(_)) => "start".to_owned(),
        Action::Send(Outgoing::Configured(_)) => "configured".to_owned(),
        Action::Send(Outgoing::Error { code, fatal, .. }) => {
            format!("{} {code}", if fatal { "fatal" } else { "error" })
        }
        Action::Send(Outgoing::Mark { name, status, samples, .. }) => {
            format!("mark {name} {status:?} {samples}")
        }
        Action::Send(Outgoing::Cleared { dropped_ms, utterances, .. }) => {
            format!("cleared {dropped_ms} {}", utterances.len())
        }
        Action::Send(event) => format!("{:?}", event.event()),
        Action::Ping(payload) => format!("ping {}", u64::from_be_bytes(payload)),
        Action::Close(code) => format!("close {}", code.code()),
        Action::Abort => "abort".to_owned(),
        Action::Call(Control::Dtmf { digits, duration_ms, gap_ms }) => {
            format!("Dtmf {digits} {duration_ms} {gap_ms}")
        }
        Action::Call(control) => format!("{control:?}"),
    }
}

fn configure(codec: &str) -> AgentCommand {
    let wish = FormatWish { codec: codec.to_owned(), rate_hz: Some(16_000), ptime_ms: None };
    AgentCommand::Configure(Configure {
        from_agent: Some(wish),
        wants: vec!["quality".to_owned(), "speech".to_owned(), "new".to_owned()],
        ..Configure::default()
    })
}

fn dtmf(digits: &str, duration_ms: Option<u32>, gap_ms: Option<u32>) -> AgentCommand {
    AgentCommand::Dtmf { digits: digits.to_owned(), duration_ms, gap_ms }
}

fn bad_frame() -> WireError {
    WireError::BadFrame("x")
}

const QUALITY: Quality = Quality {
    loss: 0.0,
    jitter_ms: 0.0,
    buffer_ms: 0,
    mos: 4.4,
    round_trip_ms: None,
    underruns: 0,
};

/// `configure` changes what it names and nothing else, and is answered with what holds; event
/// groups that are not offered, or not known, are not wanted.
#[test]
fn configure_settles_the_stream() {
    let mut rig = Rig::new();
    rig.session.quality(QUALITY);
    assert_eq!(rig.shown(), [""; 0], "nothing is wanted yet");
    let now = rig.now;
    rig.session.receive(now, Ok(AgentInput::Command(configure("l16le"))));
    let Some(Action::Call(Control::Configured { to_agent, from_agent, framing })) =
        rig.session.poll_action()
    else {
        panic!("the call learns first")
    };
    let wide = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    assert_eq!((to_agent, from_agent, framing), (info().to_agent, wide, Framing::Rtp));
    let Some(Action::Send(Outgoing::Configured(held))) = rig.session.poll_action() else {
        panic!("then the agent")
    };
    assert_eq!((held.0.from_agent, held.1.as_slice()), (wide, &["quality"][..]));
    rig.session.quality(QUALITY);
    rig.session.speech(now, true);
    rig.session.underrun(20);
    assert_eq!(rig.shown().len(), 1);
}

/// A second `configure`, one behind audio, one for a codec that does not exist and one that cannot
/// be read close the socket with 4400.
#[test]
fn a_refused_configure_closes_with_4400() {
    let lost = "Lost(Refused(ConfigureRefused))";
    let mut twice = Rig::new();
    assert_eq!(twice.command(configure("l16le")).len(), 2);
    let refused = twice.command(configure("l16le"));
    assert_eq!(refused, ["fatal bad_state", "close 4400", lost]);
    let mut late = Rig::new();
    assert!(late.audio());
    assert_eq!(late.command(configure("l16le")), ["fatal bad_state", "close 4400", lost]);
    let mut unknown = Rig::new();
    let refused = unknown.command(configure("G729"));
    assert_eq!(refused, ["fatal unknown_codec", "close 4400", lost]);
    let mut unread = Rig::new();
    let error = WireError::BadField { field: "configure.framing", problem: String::new() };
    assert_eq!(unread.fault(error), ["fatal bad_field", "close 4400", lost]);
    assert!(!unread.audio(), "nothing is heard behind a close");
    assert_eq!(unread.command(AgentCommand::Clear), [""; 0]);
    assert_eq!(unread.session.deadline(), None);
}

/// An empty frame is no audio: `configure` may follow it.
#[test]
fn an_empty_frame_does_not_preclude_configure() {
    let mut rig = Rig::new();
    assert_eq!(rig.session.receive(rig.now, Ok(AgentInput::Audio(&[]))), Some(&[][..]));
    assert_eq!(rig.command(configure("l16le")).len(), 2);
}

/// Text that is not JSON closes with 1007, a message over the limit with 1009, both after an error
/// that says so.
#[test]
fn unreadable_messages_close_at_once() {
    let mut rig = Rig::new();
    let shown = rig.fault(WireError::BadJson("x".to_owned()));
    assert_eq!(shown, ["fatal bad_json", "close 1007", "Lost(Refused(NotJson))"]);
    let mut rig = Rig::new();
    rig.session.too_big();
    assert_eq!(rig.shown(), ["fatal too_big", "close 1009", "Lost(Refused(TooBig))"]);
    rig.session.too_big();
    assert_eq!(rig.shown(), [""; 0]);
}

/// Nonsense is answered until there is too much of it within a time; then 1008. Mistakes that are
/// rare enough are borne for ever.
#[test]
fn repeated_nonsense_closes_with_1008() {
    let mut rig = Rig::new();
    for _ in 1..FAULTS_MAX {
        assert_eq!(rig.fault(bad_frame()), ["error bad_frame"]);
    }
    let closed = rig.fault(bad_frame());
    assert_eq!(closed, ["fatal bad_frame", "close 1008", "Lost(Refused(Nonsense))"]);

    let mut rare = Rig::new();
    for _ in 0..10 * FAULTS_MAX {
        assert_eq!(rare.fault(bad_frame()), ["error bad_frame"]);
        rare.now += FAULT_FORGIVEN_AFTER;
    }
    // Silence is not saved up: after it the limit is what it was.
    rare.now += 100 * FAULT_FORGIVEN_AFTER;
    for _ in 1..FAULTS_MAX {
        assert_eq!(rare.fault(bad_frame()), ["error bad_frame"]);
    }
    assert_eq!(rare.fault(bad_frame()).len(), 3);
}

/// Refused audio is told at once and then at most once a second, with nothing left out of the sum,
/// and never counts as nonsense.
#[test]
fn a_full_queue_is_told_once_a_second() {
    let mut rig = Rig::new();
    let mut told = Vec::new();
    for _ in 0..101 {
        rig.session.refused(rig.now, 160);
        while let Some(action) = rig.session.poll_action() {
            let Action::Send(Outgoing::Error { code, message, fatal: false }) = action else {
                panic!("{action:?}")
            };
            assert_eq!(code, "queue_full");
            told.push(message.split(' ').next().unwrap().parse::<usize>().unwrap());
        }
        rig.now += Duration::from_millis(20);
    }
    assert_eq!(told, [160, 50 * 160, 50 * 160]);
}

/// The route decides whether the agent answers, and it can do so once.
#[test]
fn the_agent_answers_if_the_route_lets_it() {
    let mut rig = Rig::new();
    for bad in [("Via", "x"), ("X-A", "b\r\nVia: c"), ("a b", "c")] {
        let headers = vec![(bad.0.to_owned(), bad.1.to_owned())];
        assert_eq!(rig.command(AgentCommand::Answer { headers }), ["error bad_field"], "{bad:?}");
    }
    let headers = vec![("X-A".to_owned(), "secret".to_owned())];
    assert_eq!(rig.command(AgentCommand::Answer { headers }), ["Answer { headers: 1 }"]);
    assert_eq!(rig.command(AgentCommand::Reject { cause: None }), ["error bad_state"]);
    let mut up = Rig::with(StreamInfo { state: CallState::Answered, ..info() });
    assert_eq!(up.command(AgentCommand::Answer { headers: Vec::new() }), ["error bad_state"]);
    let mut barred = Rig::with(StreamInfo { features: Vec::new(), ..info() });
    assert_eq!(barred.command(AgentCommand::Answer { headers: Vec::new() }), ["error not_allowed"]);
    let mut busy = Rig::new();
    let rejected = busy.command(AgentCommand::Reject { cause: Some("busy".to_owned()) });
    assert_eq!(rejected, ["Reject { cause: Some(\"busy\") }"]);
}

/// Only what `features` names is carried out; the rest says so.
#[test]
fn what_is_not_offered_is_unsupported() {
    let transfer = |kind: &str, to: &str| AgentCommand::Transfer {
        kind: kind.to_owned(),
        destination: to.to_owned(),
        options: Vec::new(),
        headers: Vec::new(),
    };
    let mut rig = Rig::with(StreamInfo { features: Vec::new(), ..info() });
    for command in [
        AgentCommand::Mute,
        AgentCommand::Unmute,
        AgentCommand::Hold,
        AgentCommand::Resume,
        AgentCommand::Record(RecordOrder::Start),
        dtmf("1", None, None),
        transfer("blind", "x"),
        update(&[("status", "SALE")]),
    ] {
        assert_eq!(rig.command(command), ["error unsupported"]);
    }
    let all = vec![feature::MUTE, feature::HOLD, feature::RECORD, feature::TRANSFER];
    let mut rig = Rig::with(StreamInfo { features: all, ..info() });
    assert_eq!(rig.command(AgentCommand::Mute), ["Mute(true)"]);
    assert_eq!(rig.command(AgentCommand::Unmute), ["Mute(false)"]);
    assert_eq!(rig.command(AgentCommand::Hold), ["Hold(true)"]);
    assert_eq!(rig.command(AgentCommand::Resume), ["Hold(false)"]);
    let record = AgentCommand::Record(RecordOrder::Pause);
    assert_eq!(rig.command(record), ["Record(Pause)"]);
    assert_eq!(rig.command(transfer("blind", "x")), ["Transfer { kind: \"blind\", .. }"]);
    assert_eq!(rig.command(transfer("warm", "x")), ["Transfer { kind: \"warm\", .. }"]);
    assert_eq!(rig.command(transfer("cancel", "")), ["Transfer { kind: \"cancel\", .. }"]);
    assert_eq!(rig.command(transfer("leave", "")), ["Transfer { kind: \"leave\", .. }"]);
    assert_eq!(rig.command(transfer("agent", "")), ["error bad_field"]);
    assert_eq!(rig.command(transfer("hot", "x")), ["error bad_field"]);
    assert_eq!(rig.command(transfer("blind", "")), ["error bad_field"]);
    assert_eq!(rig.command(transfer("blind", "a\r\nb")), ["error bad_field"]);
}

fn update(fields: &[(&str, &str)]) -> AgentCommand {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    AgentCommand::Update { fields: fields.iter().map(owned).collect() }
}

/// An update has some fields, and none that is too long; what it may change is judged elsewhere.
#[test]
fn updates_are_bounded() {
    let mut rig = Rig::with(StreamInfo { features: vec![feature::UPDATE], ..info() });
    assert_eq!(rig.command(update(&[("status", "SALE"), ("a", "")])), ["Update(2)"]);
    assert_eq!(rig.command(update(&[("a", &"ü".repeat(512))])), ["Update(1)"]);
    assert_eq!(rig.command(update(&[("a", &"x".repeat(513))])), ["error bad_field"]);
    assert_eq!(rig.command(update(&[(&"a".repeat(257), "x")])), ["error bad_field"]);
    assert_eq!(rig.command(update(&[])), ["error bad_field"]);
    assert_eq!(rig.command(update(&[("a", "b"); 33])), ["error bad_field"]);
}

/// Digits are the sixteen of the keypad, within lengths that every receiver hears.
#[test]
fn digits_are_checked() {
    let mut rig = Rig::new();
    assert_eq!(rig.command(dtmf("0189*#aD", None, None)), ["Dtmf 0189*#AD 100 100"]);
    assert_eq!(rig.command(dtmf("1", Some(40), Some(8000))), ["Dtmf 1 40 8000"]);
    let long = "1".repeat(DTMF_DIGITS_MAX + 1);
    for wrong in [
        dtmf("", None, None),
        dtmf("E", None, None),
        dtmf("1 2", None, None),
        dtmf("١", None, None),
        dtmf(&long, None, None),
        dtmf("1", Some(39), None),
        dtmf("1", Some(8001), None),
        dtmf("1", None, Some(0)),
        dtmf("1", None, Some(u32::MAX)),
    ] {
        assert_eq!(rig.command(wrong), ["error bad_field"]);
    }
}

/// Names too long or empty do not reach the queue; what the queue itself refuses is told too.
#[test]
fn marks_and_utterances_go_to_the_queue() {
    let mut rig = Rig::new();
    let long = "n".repeat(257);
    let mark = |name: &str| AgentCommand::Mark { name: name.to_owned() };
    let utterance = |id: &str| AgentCommand::Utterance { id: id.to_owned() };
    assert_eq!(rig.command(mark("m")), ["Mark { name: \"m\" }"]);
    assert_eq!(rig.command(utterance("u")), ["Utterance { id: \"u\" }"]);
    for wrong in [mark(""), mark(&long), utterance(""), utterance(&long)] {
        assert_eq!(rig.command(wrong), ["error bad_field"]);
    }
    for (error, code) in [
        (PlayoutError::BadName, "error bad_field"),
        (PlayoutError::TooManyMarks, "error too_many_marks"),
        (PlayoutError::TooManyUtterances, "error too_many_utterances"),
    ] {
        rig.session.playout_error(rig.now, error);
        assert_eq!(rig.shown(), [code]);
    }
}

/// A clear is answered by the marks it ended, then by itself.
#[test]
fn a_clear_is_answered_by_marks_and_then_itself() {
    let mut rig = Rig::new();
    assert_eq!(rig.command(AgentCommand::Clear), ["Clear"]);
    for (name, cleared) in [("a", false), ("b", true)] {
        let report = MarkReport { name: name.to_owned(), cleared, samples: 160, played_ms: 20 };
        rig.session.playout_event(PlayoutEvent::Mark(report), Basis::Wire);
    }
    let utterances = vec![UtterancePlayed { id: "u".to_owned(), samples: 160, complete: false }];
    let cleared = Cleared { dropped_ms: 40, samples: 160, played_ms: 20, utterances };
    rig.session.cleared(cleared, Basis::Wire);
    assert_eq!(rig.shown(), ["mark a Played 160", "mark b Cleared 160", "cleared 40 1"]);
}

/// A hang-up after playout lets the queue run out, hears no more audio, still lets the agent clear,
/// and waits no longer than a full queue can last.
#[test]
fn a_hangup_waits_for_the_queue() {
    let hangup = |now| AgentCommand::Hangup { now, cause: Some("done".to_owned()) };
    let over = "Hangup { cause: Some(\"done\") }";
    let mut rig = Rig::new();
    assert_eq!(rig.command(hangup(false)), ["Flush"]);
    assert!(rig.session.awaits_drain());
    assert!(!rig.audio());
    assert_eq!(rig.command(hangup(false)), [""; 0]);
    assert_eq!(rig.command(AgentCommand::Clear), ["Clear"]);
    assert_eq!(rig.command(AgentCommand::Answer { headers: Vec::new() }), [""; 0]);
    rig.session.drained();
    assert_eq!(rig.shown(), [over]);
    rig.session.drained();
    assert_eq!(rig.shown(), [""; 0]);

    let mut at_once = Rig::new();
    assert_eq!(at_once.command(hangup(true)), [over]);
    let mut impatient = Rig::new();
    impatient.command(hangup(false));
    assert_eq!(impatient.command(hangup(true)), [over]);

    let mut stuck = Rig::new();
    stuck.command(hangup(false));
    stuck.session.socket_closed(stuck.now, None);
    assert_eq!(stuck.shown(), [""; 0], "an agent that has hung up is not missed");
    let latest = stuck.now + Duration::from_millis(31_000);
    assert_eq!(stuck.session.deadline(), Some(latest));
    stuck.wait(31_000);
    assert_eq!(stuck.shown(), [over]);
}

/// An agent that closes with 1000 hangs up after playout; every other end is a loss.
#[test]
fn how_the_socket_ends_decides_what_follows() {
    let mut good = Rig::new();
    good.session.socket_closed(good.now, Some(1000));
    assert_eq!(good.shown(), ["Flush"]);
    good.session.drained();
    assert_eq!(good.shown(), ["Hangup { cause: None }"]);
    for code in [None, Some(1001), Some(1006), Some(1011), Some(4000)] {
        let mut rig = Rig::new();
        rig.session.socket_closed(rig.now, code);
        assert_eq!(rig.shown(), [format!("Lost(Closed({code:?}))")]);
        rig.session.dtmf('1', 100, DtmfSource::Rtp);
        rig.session.socket_closed(rig.now, Some(1000));
        assert_eq!(rig.shown(), [""; 0], "it is over");
    }
}

/// A ping every ten seconds; dead after five without its pong; a pong that answers no ping of ours
/// is none.
#[test]
fn a_silent_agent_is_dropped() {
    let mut rig = Rig::new();
    let opened = rig.now;
    let after = |seconds| Some(opened + Duration::from_secs(seconds));
    assert_eq!(rig.session.deadline(), after(10));
    rig.wait(9_999);
    assert_eq!(rig.shown(), [""; 0]);
    rig.wait(1);
    assert_eq!(rig.shown(), ["ping 1"]);
    assert_eq!(rig.session.deadline(), after(15));
    rig.now += Duration::from_millis(30);
    rig.session.pong(rig.now, &1u64.to_be_bytes());
    assert_eq!(rig.session.round_trip(), Some(Duration::from_millis(30)));
    assert_eq!(rig.session.deadline(), after(20));
    rig.wait(9_970);
    assert_eq!(rig.shown(), ["ping 2"]);
    for stray in [&b""[..], &1u64.to_be_bytes(), &3u64.to_be_bytes()] {
        rig.session.pong(rig.now, stray);
    }
    rig.wait(4_999);
    assert_eq!(rig.shown(), [""; 0]);
    rig.wait(1);
    assert_eq!(rig.shown(), ["abort", "Lost(Silent)"]);
    assert_eq!(rig.session.deadline(), None);
}

/// The end of the call is told last, and nothing after it, neither to the agent nor to the call.
#[test]
fn stop_is_last() {
    for code in [CloseCode::CallEnded, CloseCode::Draining] {
        let mut rig = Rig::new();
        rig.command(AgentCommand::Hangup { now: false, cause: None });
        rig.session.stop("normal".to_owned(), EndedBy::Caller, 5, code);
        let shown = rig.shown();
        assert!(shown[0].starts_with("Stop { cause: \"normal\""), "{shown:?}");
        assert_eq!(shown[1..], [format!("close {}", code.code())]);
        rig.session.state(CallState::Answered);
        rig.session.drained();
        rig.session.socket_closed(rig.now, Some(1000));
        rig.wait(60_000);
        assert_eq!(rig.shown(), [""; 0]);
    }
    let mut rig = Rig::new();
    rig.session.replaced();
    assert_eq!(rig.shown(), ["close 4409"]);
}

/// The agent learns of changes of state only, and `at_ms` counts from `start`.
#[test]
fn the_call_is_told_to_the_agent() {
    let features = vec![feature::SPEECH, feature::UNDERRUN];
    let mut rig = Rig::with(StreamInfo { features, ..info() });
    let wants = vec!["speech".to_owned(), "underrun".to_owned()];
    rig.command(AgentCommand::Configure(Configure { wants, ..Configure::default() }));
    rig.session.state(CallState::Ringing);
    rig.session.state(CallState::Answered);
    rig.session.state(CallState::Answered);
    rig.now += Duration::from_millis(1500);
    rig.session.speech(rig.now, true);
    rig.session.underrun(40);
    rig.session.transfer("failed", Some("busy".to_owned()));
    rig.session.failed("the hold was refused".to_owned());
    assert_eq!(
        rig.shown(),
        [
            "State(Answered)",
            "Speech { started: true, at_ms: 1500 }",
            "Underrun { ms: 40 }",
            "Transfer { state: \"failed\", cause: Some(\"busy\") }",
            "error failed",
        ]
    );
    assert!(rig.session.is_open() && rig.session.wants(feature::SPEECH));
    assert_eq!(rig.session.info().state, CallState::Answered);
}
