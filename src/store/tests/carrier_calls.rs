//! Calls are found by what carriers call them, and those without a price by their end.

use std::time::Duration;

use adapters::agent::Direction;
use adapters::event::Price;
use uuid::Uuid;

use super::{Db, on_both};
use crate::calls::cause::Cause;
use crate::calls::log::{Began, CallFact, Ended, Fold, Source, What};
use crate::store::calls::{self, CallRecord};
use crate::store::carrier_calls::HandedOver;
use crate::store::{ConfigurationId, NodeId, OrganisationId, Query, Store, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// What is kept of a call of a carrier's.
struct Kept {
    organisation: OrganisationId,
    node: NodeId,
    configuration: Option<Uuid>,
}

impl Kept {
    /// Writes a call `name` that ended at `ended`, answered or not, priced or not.
    async fn write(
        &self,
        store: &Store,
        name: &str,
        ended: Timestamp,
        (is_answered, is_priced): (bool, bool),
    ) -> Uuid {
        let call = Uuid::now_v7();
        let began = Began {
            organisation: self.organisation.0,
            direction: Direction::Inbound,
            from: "+15550001".into(),
            to: "+15550002".into(),
            trunk: None,
            agent: "echo".into(),
            configuration: self.configuration,
        };
        let at_carrier = What::AtCarrier { provider: "acme".into(), call: name.into() };
        let mut whats = vec![What::Initiated(Box::new(began)), at_carrier];
        whats.extend(is_answered.then_some(What::Answered));
        whats.push(What::Ended(Box::new(Ended::new(Cause::Normal))));
        let price = Price { amount: "0.01".into(), currency: "USD".into() };
        whats.extend(is_priced.then_some(What::Priced(price)));
        let mut fold = Fold::default();
        for (id, what) in whats.into_iter().enumerate() {
            let (source, id) = (Source::Node, id.to_string());
            fold.apply(&CallFact { call, source, id, at_us: ended.0, what });
        }
        let record = CallRecord {
            id: call,
            organisation: self.organisation,
            node: Some(self.node),
            is_incomplete: false,
            updated_at: ended,
            summary: fold.summary(),
        };
        let mut tx = store.begin().await.unwrap();
        calls::write(&mut tx, &record).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.call(self.organisation, call).await.unwrap().summary, record.summary);
        call
    }
}

/// A carrier's call is one of a configuration: another's may be called the same. Prices are wanted
/// of answered calls of one node that have none, by the time of their end.
#[test]
fn calls_of_carriers() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (node, organisation) = (NodeId::new(), store.default_organisation());
        let kept = Kept { organisation, node, configuration: Some(ours) };
        let now = Timestamp::now();
        let call = kept.write(&store, "c1", now, (true, false)).await;
        kept.write(&store, "c2", now, (true, true)).await;
        kept.write(&store, "c3", now, (false, false)).await;
        let old = kept.write(&store, "c4", now.before(SECOND * 60), (true, false)).await;
        let elsewhere = Kept { organisation, node: NodeId::new(), configuration: Some(theirs) };
        let other = elsewhere.write(&store, "c1", now, (true, false)).await;

        let known = async |configuration, name| {
            store.call_at_carrier(ConfigurationId(configuration), name).await.unwrap()
        };
        assert_eq!(known(ours, "c1").await, Some(call));
        assert_eq!(known(theirs, "c1").await, Some(other));
        assert_eq!(known(theirs, "c2").await, None);
        let at_carrier = store.carrier_call(old).await.unwrap().unwrap();
        assert_eq!((at_carrier.call.as_str(), at_carrier.configuration.0), ("c4", ours));
        assert_eq!(store.carrier_call(Uuid::nil()).await.unwrap(), None);

        let unpriced = async |node, after, until| {
            let found = store.unpriced_calls(node, (after, until), 10).await.unwrap();
            found.into_iter().map(|call| call.id).collect::<Vec<_>>()
        };
        assert_eq!(unpriced(node, now.before(SECOND * 90), now).await, [old, call]);
        assert_eq!(unpriced(node, now.before(SECOND * 60), now).await, [call], "not twice");
        assert_eq!(unpriced(elsewhere.node, now.before(SECOND), now).await, [other]);
        assert!(unpriced(node, now, now.after(SECOND)).await.is_empty());
    });
}

/// Calls that their carriers have connected with somebody else are found again by a server that
/// starts, with the transfer that has: those of its node alone, that cannot be over yet, and whose
/// end nobody has told.
#[test]
fn calls_that_were_handed_over() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = Uuid::from_u128(1);
        let (node, organisation) = (NodeId::new(), store.default_organisation());
        let kept = Kept { organisation, node, configuration: Some(ours) };
        let other = Kept { node: NodeId::new(), ..kept };
        let now = Timestamp::now();
        let ended = now.before(3 * SECOND);
        let call = kept.write(&store, "c1", ended, (true, false)).await;
        let told = kept.write(&store, "c2", ended, (true, false)).await;
        let old = kept.write(&store, "c3", now.before(30 * SECOND), (true, false)).await;
        let theirs = other.write(&store, "c4", ended, (true, false)).await;
        kept.write(&store, "normal", ended, (true, false)).await;
        for call in [call, told, old, theirs] {
            let query = Query::new("UPDATE calls SET cause = $1 WHERE id = $2");
            let query = query.bind(Cause::Transferred.as_str()).bind(call);
            store.execute(query).await.unwrap();
        }
        let [before, last] = [(), ()].map(|()| Uuid::now_v7());
        for (transfer, call) in [(before, call), (last, call), (Uuid::now_v7(), told)] {
            let query = Query::new(
                "INSERT INTO transfers (id, organisation_id, call_id, node_id, kind, state, \
                 destination, options, version, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, 'bridge', 'bridged', '', $5, 1, $6, $6)",
            );
            let query = query.bind(transfer).bind(organisation).bind(call).bind(node);
            let query = query.bind("{\"from\":\"+1555\"}").bind(now);
            store.execute(query).await.unwrap();
        }
        let query = Query::new(
            "INSERT INTO call_events (organisation_id, call_id, source, source_id, kind, at, \
             recorded_at, data) VALUES ($1, $2, 'carrier', 'x', 'ended', $3, $3, '{}')",
        );
        store.execute(query.bind(organisation).bind(told).bind(now)).await.unwrap();
        let query = Query::new(
            "INSERT INTO call_events (organisation_id, call_id, source, source_id, kind, at, \
             recorded_at, data) VALUES ($1, $2, 'node', '9', 'ended', $3, $3, $4)",
        );
        let ended_fact =
            What::Ended(Box::new(Ended { held_ms: Some(7_000), ..Ended::new(Cause::Transferred) }));
        let data = serde_json::to_string(&ended_fact).unwrap();
        let query = query.bind(organisation).bind(call).bind(ended).bind(data);
        store.execute(query).await.unwrap();
        let found = async |node| store.handed_over(node, now, 10 * SECOND).await.unwrap();
        let expected = HandedOver {
            id: call,
            configuration: ConfigurationId(ours),
            call: "c1".into(),
            direction: Direction::Inbound,
            number: "+15550002".into(),
            ended_at: ended,
            transfer: Some(last),
            leg_from: Some("+1555".into()),
            held: Some(7 * SECOND),
        };
        assert_eq!(found(Some(node)).await, [expected]);
        let mut all: Vec<_> = found(None).await.into_iter().map(|call| call.call).collect();
        all.sort();
        assert_eq!(all, ["c1", "c4"]);
    });
}
