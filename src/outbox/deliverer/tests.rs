use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Deliverer, Targets, UNDER_WAY_MAX};
use crate::config::{Allowed, Secret};
use crate::outbox::backoff::ATTEMPTS_MAX;
use crate::outbox::busy::{PER_ORGANISATION_MAX, PER_SUBSCRIPTION_MAX};
use crate::outbox::{Guard, signature};
use crate::store::deliveries::{Delivery, DeliveryState, New};
use crate::store::subscriptions::SubscriptionFields;
use crate::store::tests::on_both;
use crate::store::{Actor, NodeId, OrganisationId, Query, Store, SubscriptionId};

const SECRET: &str = "whsec_test";

/// A webhook as it came.
#[derive(Clone, Debug)]
struct Came {
    head: String,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// A receiver that answers with `statuses`, one after the other, and with 200 after that.
async fn receiver(statuses: Vec<u16>) -> (u16, Arc<Mutex<Vec<Came>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came: Arc<Mutex<Vec<Came>>> = Arc::default();
    let (seen, mut statuses) = (Arc::clone(&came), statuses.into_iter());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let (head, body) = loop {
                let mut piece = [0; 4_096];
                let read = stream.read(&mut piece).await.unwrap();
                text.extend_from_slice(&piece[..read]);
                let all = String::from_utf8(text.clone()).unwrap();
                if let Some((head, body)) = all.split_once("\r\n\r\n") {
                    let came = Came { head: head.to_owned(), body: body.to_owned() };
                    if came.header("content-length").parse() == Ok(body.len()) || read == 0 {
                        break (came.head, came.body);
                    }
                }
            };
            seen.lock().unwrap().push(Came { head, body });
            let status = statuses.next().unwrap_or(200);
            // Nobody goes there.
            let answer = format!(
                "HTTP/1.1 {status} x\r\nlocation: http://127.0.0.1:{port}/elsewhere\r\n\
                 content-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, came)
}

/// A receiver that takes connections and answers nothing; how many it has open, and had at most.
async fn silent() -> (u16, Arc<[AtomicU32; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts: Arc<[AtomicU32; 2]> = Arc::default();
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            counted[1].fetch_max(counted[0].fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::spawn(async move {
                let mut piece = [0; 4_096];
                while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {}
                counted[0].fetch_sub(1, SeqCst);
            });
        }
    });
    (port, counts)
}

/// A subscription of an organisation to everything.
async fn subscribe(store: &Store, organisation: OrganisationId, url: String) -> SubscriptionId {
    let fields =
        SubscriptionFields { url, events: vec!["*".into()], description: None, enabled: true };
    let (secret, actor) = (Secret::new(SECRET.into()), Actor::Server);
    store.create_subscription(organisation, &fields, &secret, &actor).await.unwrap().id
}

/// Delivers what a store has.
fn deliver(store: &Store, guard: Guard) -> Targets {
    let targets = Targets::new(guard);
    let (commits, receiver) = watch::channel(0_u64);
    let deliverer = Deliverer::new(store.clone(), NodeId::new(), targets.clone(), receiver);
    tokio::spawn(async move {
        deliverer.run().await;
        drop(commits);
    });
    targets
}

/// A store with one subscription to `url`, whose deliveries are under way.
async fn delivering(store: &Store, url: String, guard: Guard) -> (SubscriptionId, Targets) {
    let made = subscribe(store, store.default_organisation(), url).await;
    (made, deliver(store, guard))
}

async fn append(store: &Store, subscription: SubscriptionId, event_id: &str) {
    append_of(store, store.default_organisation(), subscription, event_id).await;
}

async fn append_of(
    store: &Store,
    organisation: OrganisationId,
    subscription: SubscriptionId,
    event_id: &str,
) {
    let (kind, payload) = ("call.ended", "{\"a\":1}");
    let new = New { organisation, subscription, event_id, kind, payload };
    store.append_delivery(&new).await.unwrap();
}

/// The only delivery once it stands as `wanted` says.
async fn until(
    store: &Store,
    subscription: SubscriptionId,
    wanted: impl Fn(&Delivery) -> bool,
) -> Delivery {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let ours = store.default_organisation();
        let mut all = store.deliveries(ours, subscription, None, None, 10).await.unwrap();
        assert_eq!(all.len(), 1);
        let one = all.remove(0);
        if wanted(&one) {
            return one;
        }
        assert!(Instant::now() < end, "{one:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn loopback() -> Guard {
    Guard::new(Allowed::parse(&["127.0.0.0/8"]).unwrap())
}

/// A webhook is signed, is tried again with the same id until it is taken, and is taken once. The
/// same event appended again is no second one; replayed it comes again with its id.
#[test]
fn webhooks_are_tried_until_taken() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(vec![500]).await;
        let url = format!("http://127.0.0.1:{port}/hook?x=1");
        let (subscription, targets) = delivering(&store, url, loopback()).await;
        append(&store, subscription, "7").await;
        append(&store, subscription, "7").await;
        targets.wake.notify_one();
        let is_taken = |one: &Delivery| one.state == DeliveryState::Delivered;
        let taken = until(&store, subscription, is_taken).await;
        assert_eq!((taken.attempts, taken.status), (2, Some(200)));
        let seen = came.lock().unwrap().clone();
        assert_eq!(seen.len(), 2);
        for one in &seen {
            assert!(one.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", one.head);
            assert_eq!((one.header("talkpath-event-id"), one.body.as_str()), ("7", "{\"a\":1}"));
            let at = one.header("talkpath-timestamp").parse().unwrap();
            let expected = signature(&Secret::new(SECRET.into()), at, &one.body);
            assert_eq!(one.header("talkpath-signature"), expected);
        }
        let ours = store.default_organisation();
        let replayed = store.replay_deliveries(ours, subscription, Some(taken.id)).await.unwrap();
        assert_eq!(replayed, 1);
        targets.wake.notify_one();
        until(&store, subscription, is_taken).await;
        assert_eq!(came.lock().unwrap().len(), 3);
        assert_eq!(came.lock().unwrap()[2].header("talkpath-event-id"), "7");
    });
}

/// A receiver that says it is gone is believed; what was given up can be delivered again.
#[test]
fn the_gone_are_believed() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, _) = receiver(vec![410]).await;
        let url = format!("http://127.0.0.1:{port}/");
        let (subscription, targets) = delivering(&store, url, loopback()).await;
        append(&store, subscription, "1").await;
        targets.wake.notify_one();
        let dead = until(&store, subscription, |one| one.state == DeliveryState::Dead).await;
        assert_eq!((dead.attempts, dead.status), (1, Some(410)));
        let ours = store.default_organisation();
        assert_eq!(store.replay_deliveries(ours, subscription, None).await.unwrap(), 1);
        targets.wake.notify_one();
        until(&store, subscription, |one| one.state == DeliveryState::Delivered).await;
        assert_eq!(store.replay_deliveries(ours, subscription, None).await.unwrap(), 0);
    });
}

/// A redirection is a failure like any other: it is not followed, and the webhook is tried again
/// where it was.
#[test]
fn redirections_are_not_followed() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(vec![302]).await;
        let url = format!("http://127.0.0.1:{port}/hook");
        let (subscription, targets) = delivering(&store, url, loopback()).await;
        append(&store, subscription, "1").await;
        targets.wake.notify_one();
        let failed = until(&store, subscription, |one| one.attempts > 0).await;
        assert_eq!((failed.state, failed.status), (DeliveryState::Pending, Some(302)));
        until(&store, subscription, |one| one.state == DeliveryState::Delivered).await;
        let came = came.lock().unwrap();
        assert_eq!(came.len(), 2);
        assert!(came.iter().all(|one| one.head.starts_with("POST /hook HTTP/1.1\r\n")), "{came:?}");
    });
}

/// What has failed as often as anything is tried is given up, and says why.
#[test]
fn what_always_fails_is_given_up() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(vec![500]).await;
        let url = format!("http://127.0.0.1:{port}/hook");
        let subscription = subscribe(&store, store.default_organisation(), url).await;
        append(&store, subscription, "1").await;
        let tried = Query::new("UPDATE deliveries SET attempts = $1");
        let tried = tried.bind(i64::from(ATTEMPTS_MAX) - 1);
        assert_eq!(store.execute(tried).await.unwrap(), 1);
        let _targets = deliver(&store, loopback());
        let dead = until(&store, subscription, |one| one.state == DeliveryState::Dead).await;
        assert_eq!((dead.attempts, dead.status), (i64::from(ATTEMPTS_MAX), Some(500)));
        assert!(dead.error.unwrap().contains("500") && dead.ended_at.is_some());
        assert_eq!(came.lock().unwrap().len(), 1);
    });
}

/// However many receivers of one organisation never answer, another organisation's webhook comes.
#[test]
fn slow_receivers_hold_up_no_other_organisation() {
    on_both(async |db| {
        let store = db.store().await;
        let theirs = db.organisation(&store, "theirs").await;
        let (port, counts) = silent().await;
        // More than there is room for in all.
        for number in 0..=UNDER_WAY_MAX as u32 / PER_SUBSCRIPTION_MAX {
            let url = format!("http://127.0.0.1:{port}/{number}");
            let slow = subscribe(&store, theirs, url).await;
            for event in 0..PER_SUBSCRIPTION_MAX {
                append_of(&store, theirs, slow, &event.to_string()).await;
            }
        }
        let targets = deliver(&store, loopback());
        let end = Instant::now() + Duration::from_secs(30);
        while counts[1].load(SeqCst) < PER_ORGANISATION_MAX {
            assert!(Instant::now() < end, "nothing is sent");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (port, came) = receiver(Vec::new()).await;
        let url = format!("http://127.0.0.1:{port}/hook");
        let ours = subscribe(&store, store.default_organisation(), url).await;
        append(&store, ours, "1").await;
        targets.wake.notify_one();
        until(&store, ours, |one| one.state == DeliveryState::Delivered).await;
        assert_eq!(came.lock().unwrap().len(), 1);
        // On a slow machine those that were given up meanwhile close while the next begin.
        let most = counts[1].load(SeqCst);
        assert!(most <= 2 * PER_ORGANISATION_MAX, "{most} at once");
    });
}

/// A webhook does not reach what only this server can reach, whatever name leads there.
#[test]
fn private_targets_are_not_reached() {
    on_both(async |db| {
        let store = db.store().await;
        let (port, came) = receiver(Vec::new()).await;
        let url = format!("https://localhost:{port}/");
        let (subscription, targets) = delivering(&store, url, Guard::default()).await;
        append(&store, subscription, "1").await;
        targets.wake.notify_one();
        let refused = until(&store, subscription, |one| one.attempts > 0).await;
        assert!(refused.error.unwrap().contains("not public"));
        assert_eq!(refused.state, DeliveryState::Pending);
        assert!(came.lock().unwrap().is_empty());
    });
}

/// What a killed node had taken is tried again at once when it is back, and by nobody else before
/// its claim is over.
#[test]
fn claims_end_with_their_node() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let fields = SubscriptionFields {
            url: "https://example.com/".into(),
            events: vec!["*".into()],
            description: None,
            enabled: true,
        };
        let secret = Secret::new(SECRET.into());
        let made = store.create_subscription(ours, &fields, &secret, &Actor::Server).await.unwrap();
        append(&store, made.id, "1").await;
        let (killed, other) = (NodeId::new(), NodeId::new());
        let minute = Duration::from_secs(60);
        let claim = async |node| store.claim_deliveries(made.id, node, minute, 10).await.unwrap();
        assert_eq!(claim(killed).await.len(), 1);
        assert!(claim(other).await.is_empty() && claim(killed).await.is_empty());
        assert_eq!(store.release_deliveries(other).await.unwrap(), 0);
        assert_eq!(store.release_deliveries(killed).await.unwrap(), 1);
        assert_eq!(claim(killed).await.len(), 1);
    });
}
