//! Transfers follow from the facts of their call.

use crate::calls::log::Asked;
use crate::calls::transfer::{Kind, State as TransferState};

use super::*;

/// What a call tells of a transfer `id`.
fn moved(id: Uuid, state: &str, cause: Option<&str>) -> What {
    let asked = (state == "requested").then(|| {
        Box::new(Asked {
            kind: "warm".into(),
            destination: "+4930123456".into(),
            other_call: None,
            options: [("accept_digit".to_owned(), "1".to_owned())].into(),
        })
    });
    let (id, cause) = (Some(id), cause.map(str::to_owned));
    What::Transfer { id, state: state.into(), cause, asked }
}

/// Transfers are as far as the facts of their call say, once each however often that is told; with
/// the call ends what is under way, whoever ends it; nobody else sees them.
#[test]
fn transfers_follow_from_facts() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let log = Log::start(&store, NodeId::new());
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let (over, lost) = (Uuid::now_v7(), Uuid::now_v7());
        for call in [over, lost] {
            told(call, ours).into_iter().take(4).for_each(|fact| assert!(log.handle.tell(fact)));
        }
        let steps = [
            moved(first, "requested", None),
            moved(first, "dialling", None),
            moved(first, "failed", Some("busy")),
            // Behind its end nothing changes it.
            moved(first, "bridged", None),
            moved(second, "requested", None),
            moved(second, "ringing", None),
        ];
        for (id, what) in (100..).zip(steps) {
            let step = fact(over, Source::Node, id, i64::from(id), what);
            assert!(log.handle.tell(step.clone()) && log.handle.tell(step));
        }
        let third = Uuid::now_v7();
        let begins = moved(third, "requested", None);
        assert!(log.handle.tell(fact(lost, Source::Node, 100, 100, begins)));
        assert!(log.handle.flush().await);
        let kept = store.transfers(ours, over, None, 10).await.unwrap();
        let states: Vec<_> =
            kept.iter().map(|one| (one.id, one.state, one.cause.as_deref())).collect();
        let expected =
            [(first, TransferState::Failed, Some("busy")), (second, TransferState::Ringing, None)];
        assert_eq!(states, expected);
        assert_eq!(kept[0].created_at, Timestamp(BEGAN_US + 100_000));
        assert_eq!(kept[0].ended_at, Some(Timestamp(BEGAN_US + 102_000)));
        assert_eq!(kept[1].ended_at, None);
        assert_eq!((kept[1].kind, kept[1].options.len()), (Kind::Warm, 1));
        assert!(!format!("{kept:?}").contains("+4930"), "no number in a log");
        let behind = store.transfers(ours, over, Some(first), 10).await.unwrap();
        assert_eq!(behind.len(), 1);

        let ended = Ended::new(Cause::Normal);
        let carrier = What::Ended(Box::new(ended.clone()));
        assert!(log.handle.tell(fact(over, Source::Carrier, 0, 200, carrier)));
        assert!(log.handle.flush().await);
        let state = async |call, at: usize| {
            let kept = store.transfers(ours, call, None, 10).await.unwrap();
            (kept[at].state, kept[at].cause.clone())
        };
        assert_eq!(state(over, 1).await.0, TransferState::Ringing, "the node knows better");
        let node = What::Ended(Box::new(ended));
        assert!(log.handle.tell(fact(over, Source::Node, 200, 300, node)));
        log.handle.lost(lost).await;
        assert!(log.handle.flush().await);
        assert_eq!(state(over, 0).await, (TransferState::Failed, Some("busy".into())));
        assert_eq!(state(over, 1).await, (TransferState::Cancelled, Some("call_over".into())));
        assert_eq!(state(lost, 0).await, (TransferState::Failed, Some("node_lost".into())));
        let theirs = db.organisation(&store, "other").await;
        assert!(store.transfers(theirs, over, None, 10).await.unwrap().is_empty());
        log.kill().await;
    });
}
