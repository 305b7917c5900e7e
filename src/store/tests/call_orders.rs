//! Orders of calls: each recipient is called by one server at a time, and again only by policy.

use std::collections::BTreeMap;
use std::time::Duration;

use adapters::agent::Direction;
use adapters::config::RawConfig;
use uuid::Uuid;

use super::{Db, on_both};
use crate::calls::cause::Cause;
use crate::calls::log::{Began, CallFact, Ended, Fold, Source, What};
use crate::config::Secret;
use crate::orders::{Hours, Outcome, Policy, Rule, Rules, Template};
use crate::store::call_orders::{NewOrder, OPEN_MAX, OrderState, Progress};
use crate::store::call_recipients::{NewRecipient, RecipientState};
use crate::store::calls::{self, CallRecord};
use crate::store::configurations::ConfigurationFields;
use crate::store::object::CallLimits;
use crate::store::subscriptions::SubscriptionFields;
use crate::store::{
    Actor, CallOrderId, OrganisationId, Query, Store, StoreError, Timestamp, call_tries,
};

/// An order that calls `count` recipients and tries again twice, after a minute, who is busy.
async fn order(
    store: &Store,
    organisation: OrganisationId,
    count: usize,
    change: impl FnOnce(&mut Rules),
) -> CallOrderId {
    let busy = Some(Rule { tries: 2, delay_s: 60, delay_max_s: None });
    let mut rules = Rules {
        hours: None,
        retry: Policy { busy, ..Policy::default() },
        max_calls: 5,
        calls_per_minute: None,
    };
    change(&mut rules);
    let template: Template = serde_json::from_str(r#"{"agent": "bot"}"#).unwrap();
    let one = |number: usize| NewRecipient {
        to: format!("+49301234{number:03}"),
        time_zone: None,
        variables: [("n".to_owned(), number.to_string())].into(),
    };
    let id = CallOrderId::new();
    let recipients: Vec<_> = (0..count).map(one).collect();
    let new = NewOrder {
        id,
        name: Some("reminders"),
        paused: false,
        template: &template,
        rules: &rules,
        begins_at: Timestamp::now(),
        expires_at: None,
        recipients: &recipients,
    };
    store.create_call_order(organisation, &new, &Actor::Server).await.unwrap();
    id
}

fn later(seconds: u64) -> Timestamp {
    Timestamp::now().after(Duration::from_secs(seconds))
}

/// Takes the next recipient that is due at `now`; its call.
async fn take(store: &Store, order: CallOrderId, now: Timestamp) -> Option<Uuid> {
    let due = store.due_recipients(order, now, 1).await.unwrap().pop()?;
    let call = Uuid::now_v7();
    store.begin_try(order, due.id, call, now).await.unwrap().then_some(call)
}

/// A call of an order is over, as its log says.
async fn end(store: &Store, organisation: OrganisationId, call: Uuid, cause: Cause, talked: bool) {
    let began = Began {
        organisation: organisation.0,
        direction: Direction::Outbound,
        from: "us".into(),
        to: "them".into(),
        trunk: None,
        agent: "bot".into(),
        configuration: None,
    };
    let ended = Ended { answered: Some(talked), ..Ended::new(cause) };
    let facts = [What::Initiated(Box::new(began)), What::Ended(Box::new(ended))];
    let mut fold = Fold::default();
    for (number, what) in (1_i64..).zip(facts) {
        let id = number.to_string();
        fold.apply(&CallFact { call, source: Source::Node, id, at_us: number, what });
    }
    let record = CallRecord {
        id: call,
        organisation,
        node: None,
        is_incomplete: false,
        updated_at: Timestamp::now(),
        summary: fold.summary(),
    };
    let mut tx = store.begin().await.unwrap();
    calls::write(&mut tx, &record).await.unwrap();
    // What is told twice counts once.
    call_tries::ended(&mut tx, &record).await.unwrap();
    call_tries::ended(&mut tx, &record).await.unwrap();
    tx.commit().await.unwrap();
}

async fn told(store: &Store) -> Vec<String> {
    let query = Query::new("SELECT kind FROM deliveries ORDER BY id");
    let rows = store.fetch_all(query).await.unwrap();
    rows.iter().map(|row| row.get("kind").unwrap()).collect()
}

/// A recipient that is busy is called again as often as the policy says and not sooner; each try
/// has its outcome, and the order is over when nobody is left, which is told once.
#[test]
fn orders_are_carried_out() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let fields = SubscriptionFields {
            url: "https://example.com/".into(),
            events: vec!["order.*".into()],
            description: None,
            enabled: true,
        };
        let secret = Secret::new("whsec_test".into());
        store.create_subscription(ours, &fields, &secret, &Actor::Server).await.unwrap();
        let id = order(&store, ours, 2, |_| {}).await;
        let now = Timestamp::now();
        assert_eq!(store.due_orders(now, 9).await.unwrap().len(), 1);
        let (one, two) = (take(&store, id, now).await.unwrap(), take(&store, id, now).await);
        let two = two.unwrap();
        assert_eq!(take(&store, id, now).await, None);
        assert!(store.due_orders(now, 9).await.unwrap().is_empty());
        assert_eq!(store.order_load(id, now.before(Duration::from_secs(1))).await.unwrap(), (2, 2));
        end(&store, ours, one, Cause::Normal, true).await;
        end(&store, ours, two, Cause::Busy, false).await;
        for _ in 0..2 {
            let waits = store.recipients(id, Some(RecipientState::Waiting), None, 9).await.unwrap();
            assert_eq!((waits.len(), waits[0].outcome), (1, Some(Outcome::Busy)));
            assert_eq!(take(&store, id, later(50)).await, None, "its pause is not over");
            let again = take(&store, id, later(70)).await.unwrap();
            end(&store, ours, again, Cause::Busy, false).await;
        }
        let is = store.call_order(ours, id).await.unwrap();
        assert_eq!(is.state, OrderState::Done);
        assert!(is.ended_at.is_some());
        let progress = Progress { reached: 1, failed: 1, ..Progress::default() };
        assert_eq!(store.order_progress(id).await.unwrap(), progress);
        let tries = store.tries(id, None, 9).await.unwrap();
        let numbers: Vec<_> = tries.iter().map(|it| (it.number, it.outcome.unwrap())).collect();
        let busy = |number| (number, Outcome::Busy);
        assert_eq!(numbers, [(1, Outcome::Reached), busy(1), busy(2), busy(3)]);
        let kinds = told(&store).await;
        let of = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
        assert_eq!((of("order.call_ended"), of("order.ended"), kinds.len()), (4, 1, 5));
    });
}

/// Of several servers that want the same recipient one gets it; a call that was surely not placed
/// leaves no trace, and one of which nobody knows is never placed again.
#[test]
fn nobody_is_called_twice() {
    on_both(async |db: &Db| {
        let (store, other) = (db.store().await, db.store().await);
        let ours = store.default_organisation();
        let retried = |rules: &mut Rules| {
            let rule = Some(Rule { tries: 5, delay_s: 5, delay_max_s: None });
            rules.retry = Policy { busy: rule, no_answer: rule, failed: rule, machine: rule };
        };
        let id = order(&store, ours, 1, retried).await;
        let now = Timestamp::now();
        let due = store.due_recipients(id, now, 9).await.unwrap().remove(0);
        let calls = [Uuid::now_v7(), Uuid::now_v7()];
        let (one, two) = tokio::join!(
            store.begin_try(id, due.id, calls[0], now),
            other.begin_try(id, due.id, calls[1], now),
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(one != two, "{one} {two}");
        let call = if one { calls[0] } else { calls[1] };
        store.take_back(call, later(3)).await.unwrap();
        store.take_back(call, later(3)).await.unwrap();
        let waits = store.recipients(id, None, None, 9).await.unwrap().remove(0);
        assert_eq!((waits.state, waits.tries), (RecipientState::Waiting, 0));
        assert_eq!(take(&store, id, now).await, None);
        let call = take(&store, id, later(4)).await.unwrap();
        // What is in the log is not lost.
        assert_eq!(store.lost_tries(later(60), 9).await.unwrap(), [call]);
        assert!(store.lost_tries(now, 9).await.unwrap().is_empty(), "it is too young");
        store.lose_try(call).await.unwrap();
        let ended = store.recipients(id, None, None, 9).await.unwrap().remove(0);
        assert_eq!(ended.state, RecipientState::Failed);
        assert_eq!(ended.outcome, Some(Outcome::Uncertain));
        assert_eq!(store.call_order(ours, id).await.unwrap().state, OrderState::Done);
        // Its end comes late: what was said stands.
        end(&store, ours, call, Cause::Busy, false).await;
        let ended = store.recipients(id, None, None, 9).await.unwrap().remove(0);
        assert_eq!(ended.outcome, Some(Outcome::Uncertain));
        assert!(store.lost_tries(later(60), 9).await.unwrap().is_empty());
    });
}

/// What is paused calls nobody and expires all the same; what is given up calls nobody again, not
/// even who was being called; and what is over takes nobody more.
#[test]
fn orders_are_paused_and_given_up() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let id = order(&store, ours, 3, |_| {}).await;
        let now = Timestamp::now();
        let call = take(&store, id, now).await.unwrap();
        store.pause_order(ours, id, true, &Actor::Server).await.unwrap();
        assert!(store.due_orders(now, 9).await.unwrap().is_empty());
        assert_eq!(take(&store, id, now).await, None);
        store.pause_order(ours, id, false, &Actor::Server).await.unwrap();
        assert_eq!(store.due_orders(now, 9).await.unwrap().len(), 1);
        assert_eq!(store.cancel_order(ours, id, &Actor::Server).await.unwrap(), [call]);
        assert_eq!(store.call_order(ours, id).await.unwrap().ended_at, None);
        end(&store, ours, call, Cause::Busy, false).await;
        let is = store.call_order(ours, id).await.unwrap();
        assert!(is.state == OrderState::Cancelled && is.ended_at.is_some());
        let progress = Progress { cancelled: 3, ..Progress::default() };
        assert_eq!(store.order_progress(id).await.unwrap(), progress);
        assert!(store.cancel_order(ours, id, &Actor::Server).await.unwrap().is_empty());
        for changed in [
            store.pause_order(ours, id, true, &Actor::Server).await,
            store.add_recipients(ours, id, &[], &Actor::Server).await,
        ] {
            assert!(matches!(changed, Err(StoreError::InUse { .. })), "{changed:?}");
        }
        // Of another organisation, none of it is there.
        let theirs = db.organisation(&store, "theirs").await;
        let next = order(&store, ours, 1, |_| {}).await;
        for seen in [
            store.call_order(theirs, next).await.map(drop),
            store.cancel_order(theirs, next, &Actor::Server).await.map(drop),
            store.pause_order(theirs, next, true, &Actor::Server).await,
            store.add_recipients(theirs, next, &[], &Actor::Server).await,
        ] {
            assert!(matches!(seen, Err(StoreError::NotFound)), "{seen:?}");
        }
        assert!(store.call_orders(theirs, None, None, 9).await.unwrap().is_empty());
        let (all, over) = (store.call_orders(ours, None, None, 9), Some(true));
        assert_eq!(all.await.unwrap().len(), 2);
        assert_eq!(store.call_orders(ours, over, None, 9).await.unwrap().len(), 1);
        // Forgotten with all that belongs to it, once it is old.
        assert_eq!(store.forget_orders(now, 9).await.unwrap(), 0);
        assert_eq!(store.forget_orders(later(60), 9).await.unwrap(), 1);
        assert!(store.recipients(id, None, None, 9).await.unwrap().is_empty());
    });
}

/// An organisation has so many orders that are not over, and keeps no other from its own.
#[test]
fn orders_are_bounded() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let theirs = db.organisation(&store, "theirs").await;
        let now = Timestamp::now();
        let held = i64::from(OPEN_MAX);
        let many = Query::new(
            "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n \
             WHERE i < $2) \
             INSERT INTO call_orders (id, organisation_id, name, state, call, rules, begins_at, \
             served_at, created_at, updated_at) SELECT CAST('x' || i AS ",
        );
        let many = match db.settings().url {
            crate::store::DatabaseUrl::Sqlite(_) => many.push("BLOB"),
            crate::store::DatabaseUrl::Postgres(_) => many.push("BYTEA"),
        };
        let many = many.push("), $1, 'x', 'active', 'x', 'x', 0, 0, 0, 0 FROM n");
        store.execute(many.bind(ours).bind(held)).await.unwrap();
        let template: Template = serde_json::from_str(r#"{"agent": "bot"}"#).unwrap();
        let rules: Rules = serde_json::from_str(r#"{"max_calls": 1}"#).unwrap();
        let new = NewOrder {
            id: CallOrderId::new(),
            name: None,
            paused: false,
            template: &template,
            rules: &rules,
            begins_at: now,
            expires_at: None,
            recipients: &[],
        };
        let full = store.create_call_order(ours, &new, &Actor::Server).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        assert!(store.create_call_order(theirs, &new, &Actor::Server).await.is_ok());
    });
}

/// A configuration by which an order places its calls stays until the order is over; another
/// goes.
#[test]
fn what_orders_name_stays() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, by) = (store.default_organisation(), &Actor::Server);
        let make = async |name: &str| {
            let fields = ConfigurationFields {
                name: name.to_owned(),
                provider: "acme".to_owned(),
                config: RawConfig::default(),
                account: None,
                settings: serde_json::json!({}),
                is_default_outbound: false,
                limits: CallLimits::default(),
            };
            store.create_configuration(ours, &fields, by).await.unwrap()
        };
        let (named, other) = (make("named").await, make("other").await);
        let template = serde_json::json!({"agent": "bot", "telephony_configuration_id": named});
        let template: Template = serde_json::from_value(template).unwrap();
        let rules: Rules = serde_json::from_str(r#"{"max_calls": 1}"#).unwrap();
        let id = CallOrderId::new();
        let new = NewOrder {
            id,
            name: None,
            paused: true,
            template: &template,
            rules: &rules,
            begins_at: Timestamp::now(),
            expires_at: None,
            recipients: &[],
        };
        store.create_call_order(ours, &new, by).await.unwrap();
        let kept = store.delete_configuration(ours, named, by).await;
        assert!(matches!(kept, Err(StoreError::InUse { .. })), "{kept:?}");
        store.delete_configuration(ours, other, by).await.unwrap();
        store.cancel_order(ours, id, by).await.unwrap();
        store.delete_configuration(ours, named, by).await.unwrap();
    });
}

/// Whoever adds recipients is in the audit log.
#[test]
fn who_adds_recipients_is_noted() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let id = order(&store, ours, 1, |_| {}).await;
        let more = NewRecipient { to: "+4930".into(), time_zone: None, variables: BTreeMap::new() };
        let actor = Actor::Key("0a0b0c0d".to_owned());
        store.add_recipients(ours, id, &[more], &actor).await.unwrap();
        let noted = store.audit_entries(ours, None, 1).await.unwrap().remove(0);
        assert_eq!((noted.actor.as_str(), noted.action.as_str()), ("key:0a0b0c0d", "extend"));
        assert_eq!(noted.object_id, id.to_string());
        assert_eq!(noted.details, serde_json::json!({"recipients": 1}), "and no number");
    });
}

/// Who waits when the time of an order is over is not called; a retry that would come after it, or
/// that would find the hours closed until then, does not come.
#[test]
fn orders_expire() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let id = order(&store, ours, 2, |_| {}).await;
        let now = Timestamp::now();
        let until = now.after(Duration::from_secs(40));
        let expires = Query::new("UPDATE call_orders SET expires_at = $1");
        store.execute(expires.bind(until)).await.unwrap();
        let call = take(&store, id, now).await.unwrap();
        end(&store, ours, call, Cause::Busy, false).await;
        let progress = Progress { waiting: 1, failed: 1, ..Progress::default() };
        assert_eq!(store.order_progress(id).await.unwrap(), progress, "no retry in time");
        store.expire_orders(now, 9).await.unwrap();
        assert_eq!(store.order_progress(id).await.unwrap(), progress);
        assert!(store.due_orders(until, 9).await.unwrap().is_empty());
        assert_eq!(take(&store, id, until).await, None);
        store.expire_orders(until, 9).await.unwrap();
        let progress = Progress { expired: 1, failed: 1, ..Progress::default() };
        assert_eq!(store.order_progress(id).await.unwrap(), progress);
        assert_eq!(store.call_order(ours, id).await.unwrap().state, OrderState::Done);
        // The hours of a retry: the only window of the week is that of another day.
        let closed = |rules: &mut Rules| {
            let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday();
            let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let far = usize::try_from(today.to_monday_zero_offset()).unwrap() + 3;
            let open = vec![format!("{} 10:00-12:00", days[far % 7])];
            rules.hours = Some(Hours { open, closed: Vec::new(), time_zone: "UTC".into() });
        };
        let id = order(&store, ours, 1, closed).await;
        let call = take(&store, id, Timestamp::now()).await.unwrap();
        end(&store, ours, call, Cause::Busy, false).await;
        let waits = store.recipients(id, None, None, 9).await.unwrap().remove(0);
        assert!(waits.due_at > later(2 * 86_400) && waits.due_at < later(4 * 86_400));
    });
}
