//! Messages that callers have left.

use std::time::Duration;

use adapters::agent::Direction;
use uuid::Uuid;

use super::{Db, on_both};
use crate::calls::log::{Began, CallFact, Source, What};
use crate::store::retention::Kept;
use crate::store::voicemails::follow;
use crate::store::{Actor, NodeId, OrganisationId, Store, StoreError, Timestamp, VoicemailId};

/// A message of two seconds; its id.
async fn leave(store: &Store, organisation: OrganisationId, id: Uuid) -> VoicemailId {
    let began = Began {
        organisation: organisation.0,
        direction: Direction::Inbound,
        from: "+4930111".into(),
        to: "+4930222".into(),
        trunk: None,
        agent: "bot".into(),
        configuration: None,
    };
    let fact = CallFact {
        call: Uuid::from_u128(7),
        source: Source::Node,
        id: id.to_string(),
        at_us: 1_700_000_000_000_000,
        what: What::Voicemail { id, agent: "box".into(), duration_ms: 2_000 },
    };
    // The same fact twice is one message.
    for _ in 0..2 {
        let mut tx = store.begin().await.unwrap();
        follow(&mut tx, organisation, NodeId::new(), &fact, Some(&began)).await.unwrap();
        tx.commit().await.unwrap();
    }
    VoicemailId(id)
}

async fn ids(store: &Store, whose: OrganisationId, heard: Option<bool>) -> Vec<VoicemailId> {
    let found = store.voicemails(whose, heard, None, 10).await.unwrap();
    found.iter().map(|message| message.id).collect()
}

/// What was left is listed by its organisation alone, the latest first and by pages; that it was
/// heard is kept with its first time, and taken back; what is deleted is gone, once.
#[test]
fn messages_of_callers() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, theirs) = (store.default_organisation(), db.organisation(&store, "x").await);
        let first = leave(&store, ours, Uuid::now_v7()).await;
        let second = leave(&store, ours, Uuid::now_v7()).await;
        let foreign = leave(&store, theirs, Uuid::now_v7()).await;
        assert_eq!(ids(&store, ours, None).await, [second, first]);
        let page = store.voicemails(ours, None, Some(second), 10).await.unwrap();
        assert_eq!(page.iter().map(|message| message.id).collect::<Vec<_>>(), [first]);
        let message = store.voicemail(ours, first).await.unwrap();
        assert_eq!((message.from.as_str(), message.to.as_str()), ("+4930111", "+4930222"));
        assert_eq!((message.agent.as_str(), message.duration_ms), ("box", 2_000));
        assert_eq!(message.began_at, Timestamp(1_699_999_998_000_000));
        assert_eq!((message.call, message.heard_at), (Uuid::from_u128(7), None));
        assert!(!format!("{message:?}").contains("4930"));

        store.set_voicemail_heard(ours, first, true).await.unwrap();
        let heard_at = store.voicemail(ours, first).await.unwrap().heard_at;
        assert!(heard_at.is_some());
        store.set_voicemail_heard(ours, first, true).await.unwrap();
        assert_eq!(store.voicemail(ours, first).await.unwrap().heard_at, heard_at);
        assert_eq!(ids(&store, ours, Some(true)).await, [first]);
        assert_eq!(ids(&store, ours, Some(false)).await, [second]);
        store.set_voicemail_heard(ours, first, false).await.unwrap();
        assert_eq!(ids(&store, ours, Some(false)).await, [second, first]);

        let none = |result: Result<(), StoreError>| matches!(result, Err(StoreError::NotFound));
        assert!(none(store.set_voicemail_heard(ours, foreign, true).await));
        assert!(none(store.delete_voicemail(ours, foreign, &Actor::Server).await));
        assert!(none(store.voicemail(ours, foreign).await.map(drop)));
        assert_eq!(ids(&store, theirs, Some(false)).await, [foreign]);
        store.delete_voicemail(ours, first, &Actor::Server).await.unwrap();
        assert!(none(store.delete_voicemail(ours, first, &Actor::Server).await));
        assert_eq!(ids(&store, ours, None).await, [second]);
    });
}

/// Messages that are older than their period are forgotten, and no others.
#[test]
fn old_messages_are_forgotten() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let day = Duration::from_secs(86_400);
        let old_ms = u64::try_from(Timestamp::now().before(day * 3).0 / 1_000).unwrap();
        let old = uuid::Builder::from_unix_timestamp_millis(old_ms, &[7; 10]).into_uuid();
        leave(&store, ours, old).await;
        let young = leave(&store, ours, Uuid::now_v7()).await;
        let before = Timestamp::now().before(day * 2);
        let batch = store.forget_batch(Kept::Voicemails, before, 0).await.unwrap();
        assert_eq!((batch.removed, batch.next), (1, None));
        assert_eq!(ids(&store, ours, None).await, [young]);
    });
}
