//! Each way a transfer can go, and what an agent may ask for.

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Run {
    transfer: Transfer,
    now: MonoTime,
}

impl Run {
    fn new() -> Self {
        let mut effects = Vec::new();
        let transfer = Transfer::start(MonoTime::ZERO, s(100), &mut effects);
        assert_eq!(effects, [Effect::Tell("requested", None)]);
        Self { transfer, now: MonoTime::ZERO }
    }

    fn tell(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.transfer.handle(self.now, input, &mut effects);
        effects
    }

    /// Moves to the next deadline, which must be `after` from now, and tells it.
    fn sleep(&mut self, after: Duration) -> Vec<Effect> {
        assert_eq!(self.transfer.deadline(), self.now + after);
        self.now = self.transfer.deadline();
        self.tell(Input::Timeout)
    }
}

const TAKEN: Input = Input::Answered { status: 202, subscribed: true };

const fn news(status: u16) -> Input {
    Input::Progress { status: Some(status), last: status >= 200 }
}

fn failed(cause: &'static str) -> Vec<Effect> {
    vec![Effect::Tell("failed", Some(cause)), Effect::Forget]
}

/// Taken, trying, ringing, answered; the peer does not hang up, so we do.
#[test]
fn a_transfer_succeeds() {
    let mut run = Run::new();
    assert!(!run.transfer.explains_bye());
    assert_eq!(run.tell(TAKEN), [Effect::Tell("accepted", None)]);
    assert!(run.transfer.explains_bye());
    assert_eq!(run.tell(news(100)), [Effect::Tell("trying", None)]);
    assert_eq!(run.tell(news(100)), []);
    assert_eq!(run.tell(news(180)), [Effect::Tell("ringing", None)]);
    assert_eq!(run.tell(news(183)), []);
    assert_eq!(run.tell(news(100)), [], "news that is old");
    assert_eq!(run.tell(news(200)), [Effect::Tell("answered", None)]);
    assert_eq!(run.tell(news(486)), [], "an outcome is the last");
    assert_eq!(run.sleep(RELEASE_LIMIT), [Effect::Release]);
    assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    assert!(run.transfer.explains_bye());
}

/// A NOTIFY that overtakes the 202 counts; the 202 changes nothing then.
#[test]
fn news_may_overtake_the_answer() {
    let mut run = Run::new();
    assert_eq!(run.tell(news(180)), [Effect::Tell("ringing", None)]);
    assert_eq!(run.tell(TAKEN), []);
    assert_eq!(run.transfer.deadline(), MonoTime::ZERO + s(100));
    assert_eq!(run.tell(news(200)), [Effect::Tell("answered", None)]);
}

/// Refused, refused later, ended without an outcome, silent, slow: each has its word, and nothing
/// that comes later changes it.
#[test]
fn a_transfer_fails() {
    for (status, cause) in [
        (405, "not_supported"),
        (501, "not_supported"),
        (420, "not_supported"),
        (408, "no_response"),
        (403, "rejected"),
        (603, "rejected"),
        (503, "congestion"),
    ] {
        let mut run = Run::new();
        assert_eq!(run.tell(Input::Answered { status, subscribed: false }), failed(cause));
        assert!(!run.transfer.explains_bye());
        assert_eq!(run.tell(news(200)), []);
        assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    }
    for (status, cause) in
        [(486, "busy"), (404, "not_found"), (480, "no_answer"), (500, "network_failure")]
    {
        let mut run = Run::new();
        run.tell(TAKEN);
        assert_eq!(run.tell(news(status)), failed(cause));
    }
    let mut run = Run::new();
    run.tell(TAKEN);
    assert_eq!(run.tell(Input::Progress { status: Some(180), last: true }), failed("no_outcome"));
    let mut run = Run::new();
    run.tell(TAKEN);
    assert_eq!(run.sleep(NEWS_LIMIT), failed("no_news"));
    let mut run = Run::new();
    run.tell(TAKEN);
    assert_eq!(run.tell(Input::Progress { status: None, last: false }), []);
    assert_eq!(run.sleep(s(100)), failed("timeout"));
}

/// A peer that will tell nothing (RFC 4488) is let go after a while, and its BYE is no surprise.
#[test]
fn a_peer_that_tells_nothing_is_let_go() {
    let mut run = Run::new();
    let taken = Input::Answered { status: 202, subscribed: false };
    assert_eq!(run.tell(taken), [Effect::Tell("accepted", None)]);
    assert!(run.transfer.explains_bye());
    assert_eq!(run.sleep(UNTOLD_LIMIT), [Effect::Release]);
}

/// Whatever comes in whatever order: states never go back, a failure is the last word, and in the
/// end nothing is waited for.
#[test]
fn any_order_of_facts() {
    let order = ["requested", "accepted", "trying", "ringing", "answered", "failed"];
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..5_000 {
        let mut run = Run::new();
        let (mut reached, mut over) = (0, false);
        for _ in 0..random.usize(1..12) {
            let status = [100, 180, 183, 200, 202, 302, 404, 486, 503, 603][random.usize(..10)];
            let (flag, at) = (random.bool(), run.transfer.deadline());
            let input = match random.u8(..4) {
                0 => Input::Answered { status: status.max(200), subscribed: flag },
                1 | 2 => {
                    let status = random.bool().then_some(status);
                    Input::Progress { status, last: flag }
                }
                _ => Input::Timeout,
            };
            if input == Input::Timeout && flag && at < MonoTime::MAX {
                run.now = run.now.max(at);
            }
            for effect in run.tell(input) {
                assert!(!over || effect == Effect::Forget, "{effect:?}");
                let Effect::Tell(word, cause) = effect else { continue };
                let place = order.iter().position(|known| *known == word).unwrap();
                assert!(place > reached, "{word} after {}", order[reached]);
                assert_eq!(cause.is_some(), word == "failed");
                reached = place;
                over = word == "failed";
            }
        }
        for _ in 0..3 {
            if run.transfer.deadline() < MonoTime::MAX {
                run.now = run.transfer.deadline();
                run.tell(Input::Timeout);
            }
        }
        assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    }
}

/// What may be asked for, and what is wrong with the rest.
#[test]
fn wishes() {
    let read = |kind, destination, options: &[(&str, &str)]| {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        let options: Vec<_> = options.iter().map(owned).collect();
        Wish::read(kind, destination, &options, Vec::new())
    };
    let wish = |to| Wish { to, limit: OUTCOME_LIMIT, headers: Vec::new() };
    let uri = |text: &str| Ok(wish(Destination::Uri(text.into())));
    let user = |text: &str| Ok(wish(Destination::User(text.into())));
    assert_eq!(read("blind", "sip:desk@example.org", &[]), uri("sip:desk@example.org"));
    assert_eq!(read("blind", "tel:+4930123", &[("x", "y")]), uri("tel:+4930123"));
    assert_eq!(read("blind", "+4930123", &[]), user("+4930123"));
    assert_eq!(read("blind", "#9", &[]), user("%239"));
    let id = Uuid::from_u128(7);
    let text = id.to_string();
    let read_attended = read("attended", "", &[("call_id", &text), ("timeout_s", "30")]);
    assert_eq!(read_attended, Ok(Wish { limit: s(30), ..wish(Destination::Call(id)) }));
    let bridge = |to: &str, trunk: Option<&str>, limit| {
        let (trunk, from) = (trunk.map(str::to_owned), trunk.map(|_| "+49".to_owned()));
        Destination::Bridge(Bridge { to: to.to_owned(), trunk, from, limit })
    };
    let bridged = read("bridge", "#9", &[]).unwrap();
    assert_eq!(bridged.to, bridge("#9", None, BRIDGE_LIMIT), "a trunk writes the number itself");
    let options = [("timeout_s", "20"), ("trunk", "out"), ("from", "+49")];
    let bridged = read("bridge", "sip:a@b", &options).unwrap();
    assert_eq!(bridged.to, bridge("sip:a@b", Some("out"), s(20)));
    assert!(!format!("{bridged:?}").contains("+49"), "{bridged:?}");
    for (kind, destination, options, error) in [
        ("bridge", "", &[][..], TransferError::Destination),
        ("bridge", "a b", &[], TransferError::Destination),
        ("bridge", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("warm", "a", &[][..], TransferError::Kind),
        ("blind", "", &[], TransferError::Destination),
        ("blind", "a b", &[], TransferError::Destination),
        ("blind", "http://a", &[], TransferError::Destination),
        ("blind", "sip:", &[], TransferError::Destination),
        ("blind", "sip:a@b?Replaces=1", &[], TransferError::Destination),
        ("blind", "sip:a@b>\r\nX: y", &[], TransferError::Destination),
        ("attended", "", &[], TransferError::CallId),
        ("attended", "", &[("call_id", "7")], TransferError::CallId),
        ("blind", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "601")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "x")], TransferError::Timeout),
    ] {
        assert_eq!(read(kind, destination, options), Err(error), "{kind} {destination}");
    }
    assert_eq!(format!("{:?}", Destination::User("+49".into())), "User");
}
