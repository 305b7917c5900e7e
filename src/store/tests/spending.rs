//! What calls have talked is what the log says.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on_both};
use crate::store::{Query, Timestamp};

/// Calls count by how long they talked, those that live by how long they do; each for its own
/// organisation, from the day and the month in which it began.
#[test]
fn what_was_talked_is_counted() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let theirs = db.organisation(&store, "theirs").await;
        let now = Timestamp::now();
        let ago = |seconds| now.before(Duration::from_secs(seconds));
        // Whose, when it began, was answered and was over, how long it talked.
        for (whose, began, answered, ended, talked_ms) in [
            (ours, 100, Some(90), Some(60), Some(30_000_i64)),
            (ours, 5_000, Some(4_990), Some(4_000), Some(990_000)),
            (ours, 90_000, Some(89_000), Some(88_000), Some(1_000_000)),
            (ours, 50, Some(40), None, None),
            (ours, 50, None, None, None),
            (ours, 80, None, Some(70), None),
            (theirs, 100, Some(90), Some(60), Some(7_000)),
        ] {
            let query = Query::new(
                "INSERT INTO calls (id, organisation_id, direction, state, from_number, \
                 to_number, created_at, answered_at, ended_at, updated_at, duration_ms, \
                 is_incomplete) VALUES ($1, $2, 'inbound', 'x', '', '', $3, $4, $5, $3, $6, $7)",
            );
            let query = query.bind(Uuid::now_v7()).bind(whose).bind(ago(began));
            let query = query.bind(answered.map(ago)).bind(ended.map(ago));
            store.execute(query.bind(talked_ms).bind(false)).await.unwrap();
        }
        let since = (ago(1_000), ago(10_000));
        let spent = store.spent(ours, since, now).await.unwrap();
        assert_eq!((spent.a_day, spent.talking), (Duration::from_secs(70), 1));
        assert_eq!(spent.a_month, Duration::from_secs(1_060));
        let spent = store.spent(theirs, since, now).await.unwrap();
        assert_eq!((spent.a_month, spent.talking), (Duration::from_secs(7), 0));
    });
}
