//! Places the calls of orders that are due, on one node at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::hours::open_at;
use super::policy::Outcome;
use crate::callers;
use crate::calls::log::LogHandle;
use crate::calls::request::{Handle, Request, RequestError};
use crate::directory::Directory;
use crate::store::call_orders::CallOrder;
use crate::store::call_recipients::Recipient;
use crate::store::nodes::Lease;
use crate::store::{NodeId, OrganisationId, Store, StoreError, Timestamp};

/// What one node at a time holds.
const LEASE: &str = "call-orders";
/// How long it is held without being renewed.
const HELD: Duration = Duration::from_secs(15);
/// It is renewed when so much is left of it.
const RENEW: Duration = Duration::from_secs(10);
/// Pause between looks while something is to be called.
const LOOK: Duration = Duration::from_millis(200);
/// Pause between looks while nothing is, but will be.
const IDLE: Duration = Duration::from_secs(1);
/// Pause between looks while there are no orders, unless somebody makes one here.
const QUIET: Duration = SEEK_EVERY;
/// Orders that are looked at in one turn.
const ORDERS_MAX: u32 = 200;
/// Calls of one order that are placed in one turn: then come the others.
const TURN_MAX: u32 = 10;
/// Calls that are being placed at once.
const PLACING_MAX: usize = 64;
/// How long an organisation waits that has no room for another call.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// How long an organisation waits that is suspended, or has used up what it may of a day.
const SUSPENDED_PAUSE: Duration = Duration::from_secs(60);
/// How often is looked for calls that a server took and that none has placed.
const SEEK_EVERY: Duration = Duration::from_secs(30);
/// How old those are: longer than anything takes before a call is in the log.
const LOST_AFTER: Duration = Duration::from_secs(120);
/// Calls of these that are ended in one go.
const LOST_MAX: u32 = 100;

/// Places the calls of orders.
pub struct Runner {
    /// What is kept.
    pub store: Store,
    /// Which node this is.
    pub node: NodeId,
    /// Places calls.
    pub calls: Handle,
    /// What calls are placed by.
    pub directory: Directory,
    /// What calls tell.
    pub log: LogHandle,
    /// True once the server drains.
    pub drain: watch::Receiver<bool>,
    /// Somebody has ordered something.
    pub wake: Arc<Notify>,
    /// Told when webhooks are to be sent that follow from no fact about a call.
    pub told: Arc<Notify>,
}

/// A call that is to be placed.
struct Due {
    order: Arc<CallOrder>,
    recipient: Recipient,
}

/// What came of asking for a call.
struct Placed {
    organisation: OrganisationId,
    /// The organisation is to wait so long before its next.
    pause: Option<Duration>,
}

/// What a turn found.
enum Found {
    /// There is more to be done soon.
    Due,
    /// Something may become due.
    Later,
    /// There are no orders.
    Nothing,
}

/// What is remembered from turn to turn.
#[derive(Default)]
struct Memory {
    /// Organisations without room, and until when they wait.
    waiting: HashMap<OrganisationId, Timestamp>,
    placing: JoinSet<Placed>,
    lease: Option<Lease>,
    sought: Option<Timestamp>,
}

impl Runner {
    /// Places calls until the server drains.
    pub async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let pause = match self.look(&mut memory).await {
                Ok(Found::Due) => LOOK,
                Ok(Found::Later) => IDLE,
                Ok(Found::Nothing) => QUIET,
                Err(error) => {
                    tracing::warn!(%error, "orders of calls cannot be looked at");
                    IDLE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                _ = self.drain.wait_for(|drains| *drains) => break,
            }
        }
        // What was asked for is answered, so that nothing stays taken.
        while memory.placing.join_next().await.is_some() {}
    }

    /// One turn, if it is this node's.
    async fn look(&self, memory: &mut Memory) -> Result<Found, StoreError> {
        while let Some(placed) = memory.placing.try_join_next() {
            if let Ok(Placed { organisation, pause: Some(pause) }) = placed {
                memory.waiting.insert(organisation, Timestamp::now().after(pause));
            }
        }
        let now = Timestamp::now();
        if !self.holds(&mut memory.lease, now).await? {
            return Ok(Found::Later);
        }
        if self.store.expire_orders(now, ORDERS_MAX).await? > 0 {
            self.told.notify_one();
        }
        if memory.sought.is_none_or(|sought| sought.after(SEEK_EVERY) <= now) {
            memory.sought = Some(now);
            self.seek(now).await?;
        }
        memory.waiting.retain(|_, until| *until > now);
        let orders = self.store.due_orders(now, ORDERS_MAX).await?;
        let any = !orders.is_empty();
        for due in in_turn(self.due(orders, memory, now).await?) {
            if memory.placing.len() >= PLACING_MAX {
                break;
            }
            self.place(due, memory, now).await?;
        }
        if any || !memory.placing.is_empty() {
            return Ok(Found::Due);
        }
        // Orders that another node takes are told to nobody here.
        let may_come = self.store.is_shared() || self.store.has_open_orders().await?;
        Ok(if may_come { Found::Later } else { Found::Nothing })
    }

    /// Whether this node places calls.
    async fn holds(&self, lease: &mut Option<Lease>, now: Timestamp) -> Result<bool, StoreError> {
        if !self.store.is_shared() {
            return Ok(true);
        }
        if let Some(held) = lease {
            if held.expires_at > now.after(RENEW) {
                return Ok(true);
            }
            if self.store.renew(held, now, HELD).await? {
                return Ok(true);
            }
            *lease = None;
        }
        *lease = self.store.acquire(LEASE, self.node, now, HELD).await?;
        Ok(lease.is_some())
    }

    /// Whom these orders are to call now, by organisation.
    async fn due(
        &self,
        orders: Vec<CallOrder>,
        memory: &Memory,
        now: Timestamp,
    ) -> Result<Vec<VecDeque<Due>>, StoreError> {
        let mut all: Vec<(OrganisationId, VecDeque<Due>)> = Vec::new();
        for order in orders {
            if memory.waiting.contains_key(&order.organisation) {
                continue;
            }
            let room = self.room(&order, now).await?;
            if room == 0 {
                continue;
            }
            let order = Arc::new(order);
            for recipient in self.store.due_recipients(order.id, now, room).await? {
                if !self.is_open(&order, &recipient, now).await? {
                    continue;
                }
                let due = Due { order: Arc::clone(&order), recipient };
                match all.iter_mut().find(|(whose, _)| *whose == order.organisation) {
                    Some((_, own)) => own.push_back(due),
                    None => all.push((order.organisation, VecDeque::from([due]))),
                }
            }
        }
        Ok(all.into_iter().map(|(_, own)| own).collect())
    }

    /// How many calls of an order may be placed now.
    async fn room(&self, order: &CallOrder, now: Timestamp) -> Result<u32, StoreError> {
        let since = now.before(Duration::from_secs(60));
        let (living, placed) = self.store.order_load(order.id, since).await?;
        let rules = &order.rules;
        let rate = rules.calls_per_minute.map_or(TURN_MAX, |most| most.saturating_sub(placed));
        Ok(rules.max_calls.saturating_sub(living).min(rate).min(TURN_MAX))
    }

    /// Whether a recipient may be called now; if not, it is called when it may be.
    async fn is_open(
        &self,
        order: &CallOrder,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let hours = order.rules.hours.as_ref();
        match open_at(hours, recipient.time_zone.as_deref(), now) {
            Some(open) if open <= now => return Ok(true),
            Some(open) => self.store.defer_recipient(recipient.id, open).await?,
            None => {
                let why = "its hours never come";
                self.store.expire_recipient(order.id, recipient.id, why).await?;
            }
        }
        Ok(false)
    }

    /// Writes a call down, and asks for it.
    async fn place(&self, due: Due, memory: &mut Memory, now: Timestamp) -> Result<(), StoreError> {
        let Due { order, recipient } = due;
        let id = Uuid::now_v7();
        if !self.store.begin_try(order.id, recipient.id, id, now).await? {
            return Ok(());
        }
        let organisation = order.organisation;
        let mut call = order.template.call(organisation.0, id, &recipient.to, &recipient.variables);
        callers::recall(&self.store, &self.directory, &mut call).await;
        let (store, told) = (self.store.clone(), Arc::clone(&self.told));
        // Asked for here and not by the task, so that whoever comes first has the room there is.
        let asked = self.calls.post(|reply| Request::Place { call, reply }).await;
        memory.placing.spawn(async move {
            let answer = match asked {
                Some(reply) => reply.await.ok(),
                None => None,
            };
            // Without an answer the server goes down, and nobody knows whether it was placed.
            let pause = match answer {
                Some(Err(error)) => {
                    let pause = refused(&store, id, &error).await;
                    told.notify_one();
                    pause
                }
                Some(Ok(_)) | None => None,
            };
            Placed { organisation, pause }
        });
        Ok(())
    }

    /// Ends calls that a server has written down and that are in no log: nobody knows whether they
    /// were placed, so they are not placed again.
    async fn seek(&self, now: Timestamp) -> Result<(), StoreError> {
        // What was told is in the log first.
        if self.log.is_behind() || !self.log.flush().await {
            return Ok(());
        }
        for call in self.store.lost_tries(now.before(LOST_AFTER), LOST_MAX).await? {
            tracing::warn!(%call, "nobody knows whether a call of an order was placed");
            self.store.lose_try(call).await?;
            self.told.notify_one();
        }
        Ok(())
    }
}

/// Nothing was dialled: the recipient is called later, or never if that is of no use. How long its
/// organisation waits.
async fn refused(store: &Store, call: Uuid, error: &RequestError) -> Option<Duration> {
    let pause = match error {
        RequestError::Limit(limit) if limit.is_lasting() => Some(SUSPENDED_PAUSE),
        RequestError::Limit(_) | RequestError::Full => Some(FULL_PAUSE),
        RequestError::Suspended => Some(SUSPENDED_PAUSE),
        RequestError::Draining => Some(Duration::ZERO),
        _ => None,
    };
    let done = match (pause, error) {
        (Some(pause), _) => store.take_back(call, Timestamp::now().after(pause)).await,
        (None, RequestError::Destination(_)) => {
            store.refuse_try(call, Outcome::Refused, &error.to_string()).await
        }
        // A name that is not found today may be tomorrow.
        (None, _) => store.refuse_try(call, Outcome::Failed, &error.to_string()).await,
    };
    if let Err(error) = done {
        // It is found later, as one that nobody has placed.
        tracing::warn!(%error, %call, "what became of a call of an order is not written");
    }
    pause
}

/// One of each organisation, then another of each, and so on.
fn in_turn<T>(mut all: Vec<VecDeque<T>>) -> impl Iterator<Item = T> {
    let mut turns = Vec::with_capacity(all.iter().map(VecDeque::len).sum());
    while all.iter().any(|own| !own.is_empty()) {
        turns.extend(all.iter_mut().filter_map(VecDeque::pop_front));
    }
    turns.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::orders::{Policy, Rules, Template};
    use crate::store::call_orders::NewOrder;
    use crate::store::call_recipients::NewRecipient;
    use crate::store::tests::on_both;
    use crate::store::{Actor, CallOrderId};

    /// An order whose calls may all be placed at once.
    async fn order(store: &Store, recipients: &[NewRecipient]) {
        let template: Template = serde_json::from_str(r#"{"agent": "bot"}"#).unwrap();
        let rules =
            Rules { hours: None, retry: Policy::default(), max_calls: 100, calls_per_minute: None };
        let new = NewOrder {
            id: CallOrderId::new(),
            name: None,
            paused: false,
            template: &template,
            rules: &rules,
            begins_at: Timestamp::now(),
            expires_at: None,
            recipients,
        };
        let organisation = store.default_organisation();
        store.create_call_order(organisation, &new, &Actor::Server).await.unwrap();
    }

    /// Whoever was added first is asked for first, and all of a turn before it ends: if there is
    /// not room for all, the first have it.
    #[test]
    fn calls_are_asked_for_in_their_order() {
        on_both(async |db| {
            let store = db.store().await;
            let to: Vec<String> = (0..TURN_MAX).map(|n| format!("+4930123456{n:02}")).collect();
            let one = |to: &String| NewRecipient {
                to: to.clone(),
                time_zone: None,
                variables: [].into(),
            };
            order(&store, &to.iter().map(one).collect::<Vec<_>>()).await;
            let (calls, mut requests) = Handle::pair(to.len());
            // Nobody writes a log.
            let (log, _) = LogHandle::new(Arc::default());
            let (_draining, drain) = watch::channel(false);
            let (wake, told) = (Arc::default(), Arc::default());
            let node = NodeId::new();
            let sources = Sources {
                file: None,
                environment: &[],
                data_dir: None,
                dialects: &[],
                readable: &|_| Ok(()),
            };
            let config = Config::parse(&sources).unwrap();
            let snapshot = crate::directory::read(&store, &config).await.unwrap();
            let directory = Directory::new(snapshot);
            let runner = Runner { store, node, calls, directory, log, drain, wake, told };
            let mut memory = Memory::default();
            runner.look(&mut memory).await.unwrap();
            let mut asked = Vec::new();
            while let Ok(Request::Place { call, .. }) = requests.try_recv() {
                asked.push(call.to);
            }
            assert_eq!(asked, to);
        });
    }

    /// Whoever has many calls keeps nobody else waiting, and each has its own in their order.
    #[test]
    fn organisations_take_turns() {
        let all = [&["a1", "a2", "a3"][..], &[], &["b1"], &["c1", "c2"]];
        let all = all.map(|own| own.iter().copied().collect()).to_vec();
        assert_eq!(in_turn(all).collect::<Vec<_>>(), ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }
}
