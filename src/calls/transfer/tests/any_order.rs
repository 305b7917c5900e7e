//! Facts in whatever order.

use proptest::prelude::*;

use super::by_carriers::by_carrier;
use super::*;

fn any_input() -> impl Strategy<Value = Input> {
    let status = prop::sample::select(vec![100, 180, 183, 200, 202, 302, 404, 486, 503, 603]);
    prop_oneof![
        (status.clone(), any::<bool>())
            .prop_map(|(status, subscribed)| Input::Taken { status: status.max(200), subscribed }),
        (prop::option::of(status), any::<bool>())
            .prop_map(|(status, last)| Input::Progress { status, last }),
        Just(Input::Dialling),
        Just(Input::Ringing),
        Just(Input::Answered),
        Just(Input::Whispered),
        prop::sample::select(vec!['1', '2', '9']).prop_map(Input::Digit),
        Just(Input::Refused("busy")),
        Just(Input::Left),
        Just(Input::TakenAway),
        Just(Input::Connected),
        Just(Input::Cancel),
        any::<bool>().prop_map(|by_peer| Input::CallOver { by_peer }),
        Just(Input::Timeout),
    ]
}

proptest! {
    /// Whatever comes in whatever order: states never go back and are told once; there is one end,
    /// with a cause if it is none that was wanted; nobody is joined and dropped; whom the caller
    /// was put on hold for, it is taken back from, unless one of both left; a call that nobody has
    /// any more is ended, once, and no other; and in the end nothing is waited for.
    #[test]
    fn any_order_of_facts(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        keys in any::<bool>(),
        inputs in prop::collection::vec((any_input(), any::<bool>()), 0..16),
    ) {
        let accept = if keys { ACCEPT } else { Accept::default() };
        let holds = kind == Kind::Warm;
        let plan = Plan { kind, limit: s(100), accept, holds, by_carrier: false, stay: Stay::No };
        let mut run = Run::new(plan);
        let mut told = vec![State::Requested];
        let (mut joined, mut dropped, mut resumed, mut forgotten, mut hung_up) = (0, 0, 0, 0, 0);
        let (mut over, mut left) = (false, false);
        let mut take = |run: &mut Run, input: Input| {
            let awaited = run.transfer.is_awaited();
            over |= awaited && matches!(input, Input::CallOver { .. });
            left |= awaited && input == Input::Left;
            for effect in run.tell(input) {
                prop_assert!(forgotten == 0, "{effect:?} after the end");
                match effect {
                    Effect::Tell(state, cause) => {
                        prop_assert!(state > *told.last().unwrap(), "{told:?}, {state:?}");
                        let bad = matches!(state, State::Failed | State::Cancelled);
                        prop_assert_eq!(cause.is_some(), bad);
                        prop_assert!(!told.last().unwrap().is_over());
                        told.push(state);
                    }
                    Effect::Join => joined += 1,
                    Effect::Drop => dropped += 1,
                    Effect::Resume => resumed += 1,
                    Effect::Forget => forgotten += 1,
                    Effect::Whisper => prop_assert_eq!(kind, Kind::Warm),
                    Effect::Release => prop_assert!(kind.is_asked()),
                    Effect::HangUp => hung_up += 1,
                    Effect::Hold => prop_assert!(false, "held twice"),
                    Effect::Return => prop_assert!(false, "nobody was taken away"),
                }
            }
            Ok(())
        };
        for (input, late) in inputs {
            let at = run.transfer.deadline();
            if input == Input::Timeout && late && at < MonoTime::MAX {
                run.now = run.now.max(at);
            }
            take(&mut run, input)?;
        }
        for _ in 0..3 {
            if run.transfer.deadline() < MonoTime::MAX {
                run.now = run.transfer.deadline();
                take(&mut run, Input::Timeout)?;
            }
        }
        prop_assert_eq!(run.transfer.deadline(), MonoTime::MAX);
        let last = *told.last().unwrap();
        prop_assert!(last.is_over(), "{told:?}");
        prop_assert_eq!(joined, usize::from(!kind.is_asked() && last == State::Bridged));
        prop_assert_eq!(dropped, usize::from(!kind.is_asked() && last != State::Bridged));
        let alone = left && !over && last != State::Bridged;
        prop_assert_eq!(hung_up, usize::from(alone));
        prop_assert_eq!(resumed, usize::from(plan.holds && !over && !alone));
        if kind == Kind::Warm && keys && last == State::Bridged {
            prop_assert!(told.contains(&State::Accepted));
        }
    }
}

proptest! {
    /// What a carrier tells, in whatever order: states never go back, there is one end, a caller
    /// that was taken away is left where it is or comes back, and never both; whoever was called
    /// is joined or let go.
    #[test]
    fn any_order_of_a_carriers_facts(
        kind in prop::sample::select(vec![Kind::Blind, Kind::Bridge]),
        inputs in prop::collection::vec((any_input(), any::<bool>()), 0..16),
    ) {
        let mut run = Run::new(by_carrier(kind));
        let (mut told, mut effects) = (vec![State::Requested], Vec::new());
        let (mut away, mut over) = (false, false);
        let ends = [(Input::Timeout, true); 3];
        for (input, late) in inputs.into_iter().chain(ends) {
            let (at, was_over) = (run.transfer.deadline(), run.transfer.state().is_over());
            if input == Input::Timeout && late && at < MonoTime::MAX {
                run.now = run.now.max(at);
            }
            away |= input == Input::TakenAway && !was_over;
            over |= matches!(input, Input::CallOver { .. }) && !was_over;
            effects.extend(run.tell(input));
        }
        for effect in &effects {
            if let Effect::Tell(state, cause) = effect {
                let bad = matches!(state, State::Failed | State::Cancelled);
                prop_assert!(state > told.last().unwrap() && !told.last().unwrap().is_over());
                prop_assert_eq!(cause.is_some(), bad);
                told.push(*state);
            }
        }
        let count = |wanted| effects.iter().filter(|effect| **effect == wanted).count();
        let bridged = *told.last().unwrap() == State::Bridged;
        prop_assert!(told.last().unwrap().is_over(), "{told:?}");
        prop_assert_eq!(run.transfer.deadline(), MonoTime::MAX);
        prop_assert_eq!(count(Effect::Forget), 1);
        prop_assert_eq!(effects.last(), Some(&Effect::Forget));
        prop_assert_eq!(count(Effect::Release), usize::from(bridged && !over));
        prop_assert_eq!(count(Effect::Return), usize::from(away && !bridged && !over));
        prop_assert_eq!(count(Effect::Drop), usize::from(kind == Kind::Bridge && !bridged));
        prop_assert!(count(Effect::Join) <= usize::from(kind == Kind::Bridge));
    }
}
