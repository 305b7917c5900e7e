use proptest::prelude::*;

use super::*;

fn target(number: u8) -> Target {
    let peer = std::net::SocketAddr::from(([192, 0, 2, number], 5060));
    Target { transport: Transport::Udp, peer, name: "x".into() }
}

const BUSY: Failure = Failure::Status { status: 503, retry_after: None };

/// What is worth another server: silence, 408 and 503, until somebody's telephone rings.
#[test]
fn only_some_failures_are_worth_another_server() {
    for (failure, again) in [
        (Failure::Unreachable, true),
        (BUSY, true),
        (Failure::Status { status: 408, retry_after: None }, true),
        (Failure::Status { status: 404, retry_after: None }, false),
        (Failure::Status { status: 486, retry_after: None }, false),
        (Failure::Status { status: 500, retry_after: None }, false),
        (Failure::Status { status: 603, retry_after: None }, false),
    ] {
        let mut attempts = Attempts::new(vec![1, 2, 3], |_| false);
        assert_eq!(attempts.take_next(), Some(1));
        assert_eq!(attempts.after(failure), again.then_some(2), "{failure:?}");
    }
    let mut attempts = Attempts::new(vec![1, 2, 3], |_| false);
    attempts.take_next();
    attempts.provisional(100);
    assert_eq!(attempts.after(BUSY), Some(2));
    attempts.provisional(183);
    assert_eq!(attempts.after(BUSY), None);
    assert!(attempts.has_more());
}

/// Telephones of one user are tried to the last, also after one has rung, until somebody declines.
#[test]
fn telephones_are_hunted() {
    let mut attempts = Attempts::hunting(vec![1, 2, 3, 4]);
    assert_eq!(attempts.take_next(), Some(1));
    attempts.provisional(180);
    assert_eq!(attempts.after(Failure::Unreachable), Some(2));
    assert_eq!(attempts.after(Failure::Status { status: 486, retry_after: None }), Some(3));
    assert_eq!(attempts.after(Failure::Status { status: 603, retry_after: None }), None);
}

/// Whom a redirection names is tried next, past one that is busy; other servers of the old address
/// are not tried any more, other telephones of a user are.
#[test]
fn redirections_come_first() {
    let status = |status| Failure::Status { status, retry_after: None };
    let mut servers = Attempts::new(vec![1, 2], |_| false);
    assert_eq!(servers.take_next(), Some(1));
    servers.redirect(vec![8, 9]);
    assert_eq!(servers.after(status(302)), Some(8));
    assert_eq!(servers.after(status(486)), Some(9));
    assert_eq!(servers.after(status(486)), None);
    let mut phones = Attempts::hunting(vec![1, 2]);
    assert_eq!(phones.take_next(), Some(1));
    phones.redirect(vec![8]);
    assert_eq!(phones.after(status(302)), Some(8));
    assert_eq!(phones.after(BUSY), Some(2));
    let mut nowhere = Attempts::new(vec![1, 2], |_| false);
    nowhere.redirect(vec![]);
    assert_eq!(nowhere.after(status(302)), None);
}

/// A server that failed is avoided for as long as the failure says, and not longer than allowed.
#[test]
fn failed_servers_are_avoided_for_a_while() {
    let second = |n| MonoTime::ZERO + Duration::from_secs(n);
    let retry = |s| Failure::Status { status: 503, retry_after: Some(Duration::from_secs(s)) };
    for (failure, seconds) in
        [(Failure::Unreachable, 60), (BUSY, 15), (retry(40), 40), (retry(100_000), 300)]
    {
        let mut avoided = Avoided::default();
        avoided.failed(second(0), &target(1), failure);
        assert!(avoided.is_avoided(second(seconds - 1), &target(1)), "{failure:?}");
        assert!(!avoided.is_avoided(second(seconds), &target(1)), "{failure:?}");
        assert!(!avoided.is_avoided(second(0), &target(2)));
        avoided.answered(&target(1));
        assert!(!avoided.is_avoided(second(0), &target(1)));
    }
    let mut avoided = Avoided::default();
    avoided.failed(second(0), &target(1), Failure::Status { status: 486, retry_after: None });
    assert!(!avoided.is_avoided(second(0), &target(1)));
}

/// Retry-After with and without what may follow the seconds.
#[test]
fn retry_after_is_read() {
    for (text, seconds) in [("5", Some(5)), ("18000;duration=3600", Some(18000)), ("", None)] {
        assert_eq!(retry_after(text), seconds.map(Duration::from_secs), "{text}");
    }
    assert_eq!(retry_after("120 (I'm in a meeting)"), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("soon"), None);
    assert_eq!(retry_after("99999999999999999999999"), None);
}

/// One lost probe is no reason to change, two in a row are; back up the same way.
#[test]
fn health_has_hysteresis() {
    let mut health = Health::default();
    let changes: Vec<_> = [false, true, false, false, true, false, true, true, true]
        .into_iter()
        .map(|answered| health.probed(answered))
        .collect();
    let expected = [None, None, None, Some(false), None, None, None, Some(true), None];
    assert_eq!(changes, expected);
    assert!(health.is_up());
}

proptest! {
    /// Each server is tried at most once, avoided ones last, and never after the call has reached
    /// somebody.
    #[test]
    fn attempts_try_each_once(
        count in 0_usize..20,
        avoided in any::<u32>(),
        steps in proptest::collection::vec(0_u8..6, 0..40),
    ) {
        let is_avoided = |n: &usize| avoided >> n & 1 == 1;
        let mut attempts = Attempts::new((0..count).collect(), is_avoided);
        let mut tried: Vec<usize> = attempts.take_next().into_iter().collect();
        let mut settled = false;
        for step in steps {
            let next = match step {
                0 => { attempts.provisional(100); None }
                1 => { attempts.provisional(180); settled = true; None }
                2 => attempts.after(Failure::Status { status: 486, retry_after: None }),
                3 => attempts.after(BUSY),
                _ => attempts.after(Failure::Unreachable),
            };
            prop_assert!(!(settled || step < 3) || next.is_none());
            tried.extend(next);
        }
        let mut once = tried.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), tried.len());
        let rank = |n: &usize| (is_avoided(n), *n);
        prop_assert!(tried.is_sorted_by_key(rank));
    }

    /// However many servers fail, what is remembered is bounded.
    #[test]
    fn avoided_servers_are_bounded(peers in proptest::collection::vec(any::<u32>(), 0..3000)) {
        let mut avoided = Avoided::default();
        for (at, peer) in peers.into_iter().enumerate() {
            let peer = std::net::SocketAddr::from((std::net::Ipv4Addr::from(peer), 5060));
            let target = Target { peer, ..target(1) };
            avoided.failed(MonoTime::from_nanos(at as u64), &target, Failure::Unreachable);
            prop_assert!(avoided.0.len() <= AVOIDED_MAX);
        }
    }
}
