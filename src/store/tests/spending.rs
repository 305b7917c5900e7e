//! What calls have talked and cost is what the log says.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on_both};
use crate::quota::amount::{Amount, Currency};
use crate::store::{NodeId, Query, Timestamp};

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
            // Since the day before: it is of that, and of this month.
            (ours, 2_000, Some(1_990), None, None),
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
        assert_eq!((spent.a_day, spent.talking), (Duration::from_secs(70), 2));
        assert_eq!(spent.a_month, Duration::from_secs(3_050));
        let spent = store.spent(theirs, since, now).await.unwrap();
        assert_eq!((spent.a_month, spent.talking), (Duration::from_secs(7), 0));
    });
}

/// A rate as calls have it written down: 0.60 EUR a minute, by the second.
const RATE: &str = r#"{"rate":{"currency":"EUR","per_minute":"0.60","increment_s":1,
    "connection":"0"}}"#;

/// Calls cost what their carriers say, else what the rates do, in the currency that is asked for;
/// those that live elsewhere what they will have cost in a moment, those here nothing: what they
/// hold is known here.
#[test]
fn what_calls_cost_is_counted() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let theirs = db.organisation(&store, "theirs").await;
        let (here, there) = (NodeId::new(), NodeId::new());
        let now = Timestamp::now();
        let ago = |seconds| now.before(Duration::from_secs(seconds));
        let (eur, usd) = (Some("EUR"), Some("USD"));
        // Whose, when it began, what the carrier says, what the rates say.
        for (whose, began, cost, estimate) in [
            (ours, 100, (Some(1_000_000_i64), eur), (Some(9_000_000_i64), eur)),
            (ours, 200, (None, None), (Some(200_000), eur)),
            (ours, 300, (Some(7_000_000), usd), (Some(30_000), eur)),
            (ours, 400, (Some(5_000_000), usd), (None, None)),
            (ours, 500, (None, eur), (Some(4_000), eur)),
            (ours, 600, (None, None), (Some(8_000_000), usd)),
            (ours, 5_000, (Some(10_000_000), eur), (None, None)),
            (theirs, 100, (Some(77_000_000), eur), (None, None)),
        ] {
            let query = Query::new(
                "INSERT INTO calls (id, organisation_id, direction, state, from_number, \
                 to_number, created_at, ended_at, updated_at, cost_micros, currency, \
                 estimate_micros, estimate_currency, is_incomplete) \
                 VALUES ($1, $2, 'outbound', 'x', '', '', $3, $3, $3, $4, $5, $6, $7, $8)",
            );
            let query = query.bind(Uuid::now_v7()).bind(whose).bind(ago(began));
            let query = query.bind(cost.0).bind(cost.1).bind(estimate.0).bind(estimate.1);
            store.execute(query.bind(false)).await.unwrap();
        }
        // Which node has it, when it was answered, what it costs.
        for (node, answered, summary) in [
            (there, Some(50), RATE),
            (there, None, RATE),
            (there, Some(50), "{}"),
            (here, Some(50), RATE),
        ] {
            let query = Query::new(
                "INSERT INTO calls (id, organisation_id, node_id, direction, state, from_number, \
                 to_number, created_at, answered_at, updated_at, summary, is_incomplete) \
                 VALUES ($1, $2, $3, 'outbound', 'x', '', '', $4, $5, $4, $6, $7)",
            );
            let query = query.bind(Uuid::now_v7()).bind(ours).bind(node).bind(ago(60));
            let query = query.bind(answered.map(ago)).bind(summary).bind(false);
            store.execute(query).await.unwrap();
        }
        let since = (ago(1_000), ago(10_000));
        let euro = Currency::parse("EUR").unwrap();
        let spent = store.expense((ours, euro), since, now, here).await.unwrap();
        let amount = |text| Amount::parse(text).unwrap();
        assert_eq!((spent.a_day, spent.a_month), (amount("1.234"), amount("11.234")));
        // 60 seconds of the one, and the first second of the other.
        assert_eq!(spent.elsewhere, amount("0.61"));
        let theirs = store.expense((theirs, euro), since, now, here).await.unwrap();
        assert_eq!((theirs.a_day, theirs.elsewhere), (amount("77"), Amount::ZERO));
    });
}

/// Whatever carriers say of calls of one organisation, what was spent can be added up: nobody's
/// budget stands still for it.
#[test]
fn what_carriers_say_can_be_added_up() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let now = Timestamp::now();
        let began = now.before(Duration::from_secs(100));
        for _ in 0..3 {
            let query = Query::new(
                "INSERT INTO calls (id, organisation_id, direction, state, from_number, \
                 to_number, created_at, answered_at, ended_at, updated_at, duration_ms, \
                 cost_micros, currency, is_incomplete) \
                 VALUES ($1, $2, 'outbound', 'x', '', '', $3, $3, $3, $3, $4, $4, 'EUR', $5)",
            );
            let query = query.bind(Uuid::now_v7()).bind(ours).bind(began).bind(i64::MAX);
            store.execute(query.bind(false)).await.unwrap();
        }
        let since = (began, began);
        let spent = store.spent(ours, since, now).await.unwrap();
        assert_eq!(spent.a_day, Duration::from_secs(3 * 31 * 86_400));
        let euro = Currency::parse("EUR").unwrap();
        let spent = store.expense((ours, euro), since, now, NodeId::new()).await.unwrap();
        assert!(spent.a_day >= Amount::of_stored(i64::MAX), "{spent:?}");
    });
}
