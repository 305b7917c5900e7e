//! Keeps the sockets by which carriers tell what happens: one a configuration, held by one of the
//! servers that share the store, opened again when it is lost.
//!
//! A socket is read by a task that does nothing else: a carrier waits a tenth of a second for a
//! reader that is slow, and then hangs up on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use adapters::event::InboundCall;
use adapters::flow::{EventsSocket, Probed, Routed};
use adapters::op::Managed;
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::lease::Held;
use super::reverse::Line;
use super::socket::{Socket, SocketError};
use super::{Account, Exchanges, Patience};
use crate::calls::request::{Handle, Request};
use crate::calls::tidings::{Tidings, TidingsKind};
use crate::directory::Directory;
use crate::store::{ConfigurationId, NodeId, Store};

/// First pause before a socket is opened again, in milliseconds; doubles.
const PAUSE_MS: u64 = 500;
/// Longest pause, in milliseconds.
const PAUSE_MS_MAX: u64 = 30_000;
/// How long a socket must have been up until the next loss counts as the first, in milliseconds.
const STEADY_MS: u64 = 30_000;
/// Refusals in a row that look lasting, after which it is tried seldom.
const REFUSALS_MAX: u32 = 5;
/// Pause before it is tried again after these, in milliseconds.
const PARKED_MS: u64 = 600_000;
/// How long after the first look what was left behind is looked for again, in milliseconds: the end
/// of calls may not be written yet. Doubles.
const TIDY_MS: u64 = 5_000;
/// How often at last, in milliseconds.
const TIDY_MS_MAX: u64 = 60_000;
/// Messages that may wait for the call control; if more do, the socket is opened anew.
const WAITING_MAX: usize = 8_192;
/// Offered calls of a configuration that are completed at once.
const COMPLETED_MAX: usize = 8;
/// How long that may take, in milliseconds: the caller waits.
const COMPLETE_MS: u64 = 300;
/// The same of a call that a PBX may own, in milliseconds: without what it says of the call nothing
/// can be asked of it afterwards.
const COMPLETE_OWNED_MS: u64 = 2_000;

/// What keeps sockets of events.
#[derive(Clone, Debug)]
pub struct EventSockets {
    /// Has leases, and knows calls that are over.
    pub store: Store,
    /// Holds the leases.
    pub node: NodeId,
    /// The configurations.
    pub directory: Directory,
    /// Asks carriers.
    pub exchanges: Exchanges,
    /// Is told what happens.
    pub calls: Handle,
}

/// A socket that is kept until this is dropped.
struct Kept {
    account: Arc<Account>,
    task: JoinHandle<()>,
    _wanted: watch::Sender<()>,
}

/// Waits until nobody wants the socket any more.
pub(super) async fn unwanted(mut wanted: watch::Receiver<()>) {
    while wanted.changed().await.is_ok() {}
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Another program has taken our place.
    #[error("another program has taken the application")]
    Replaced,
    /// Another server holds the configuration now.
    #[error("another server holds it")]
    LeaseLost,
    /// The configuration has changed, or is gone.
    #[error("nobody wants it any more")]
    Unwanted,
    /// The call control is too far behind.
    #[error("the call control does not keep up")]
    Behind,
    /// The configuration cannot be used.
    #[error("{0}")]
    Unusable(adapters::exchange::CarrierError),
}

impl EventSockets {
    /// Keeps a socket for each configuration that has one, as the directory changes.
    pub async fn follow(self) {
        let mut changes = self.directory.watch();
        let mut kept: HashMap<Uuid, Kept> = HashMap::new();
        loop {
            let wanted = self.directory.load().carriers().with_events();
            let is_wanted =
                |kept: &Kept| wanted.iter().any(|account| is_same(account, &kept.account));
            let mut before: HashMap<Uuid, JoinHandle<()>> = HashMap::new();
            for (id, gone) in kept.extract_if(|_, kept| !is_wanted(kept)) {
                before.insert(id, gone.task);
            }
            for account in wanted {
                let Some(events) = account.spec.events else { continue };
                let before = before.remove(&account.id);
                kept.entry(account.id).or_insert_with(|| {
                    let (sender, receiver) = watch::channel(());
                    let keep = self.clone().keep(Arc::clone(&account), events, receiver, before);
                    Kept { account, task: tokio::spawn(keep), _wanted: sender }
                });
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn tell(&self, account: &Arc<Account>, what: TidingsKind) {
        let account = Arc::clone(account);
        self.calls.send(Request::Tidings(Box::new(Tidings { account, what }))).await;
    }

    /// Keeps the socket of one configuration, once the one before it is gone.
    async fn keep(
        self,
        account: Arc<Account>,
        events: EventsSocket,
        wanted: watch::Receiver<()>,
        before: Option<JoinHandle<()>>,
    ) {
        if let Some(before) = before {
            // One that panicked has said so already.
            drop(before.await);
        }
        if let Some(reverse) = events.reverse.filter(|it| (it.wanted)(&account.config)) {
            return self.keep_reverse(account, (events, reverse), wanted).await;
        }
        let (mut pause_ms, mut refusals, mut again) = (PAUSE_MS, 0, false);
        let configuration = account.id;
        loop {
            let mut held = tokio::select! {
                held = self.lease(&account) => held,
                () = unwanted(wanted.clone()) => return,
            };
            let began = Instant::now();
            let lost = self.lost(&mut held, wanted.clone());
            let end = self.session(&account, events, lost, &mut again).await;
            // Nothing is placed here any more when another server begins.
            self.tell(&account, TidingsKind::Down).await;
            self.give_back(&held).await;
            if began.elapsed() >= Duration::from_millis(STEADY_MS) {
                (pause_ms, refusals) = (PAUSE_MS, 0);
            }
            let lasting = match &end {
                End::Replaced => {
                    tracing::error!(%configuration, why = %end, "the socket of events is given up");
                    return;
                }
                // It is to be completed, and then begins anew.
                End::Unusable(error) => {
                    tracing::info!(%configuration, %error, "no socket of events yet");
                    return;
                }
                End::Unwanted => return,
                End::LeaseLost => continue,
                End::Socket(error) => error.is_lasting(),
                End::Behind => false,
            };
            refusals = if lasting { refusals + 1 } else { 0 };
            let wait_ms = if refusals >= REFUSALS_MAX {
                tracing::error!(%configuration, why = %end, "the socket of events is parked");
                PARKED_MS
            } else {
                tracing::warn!(%configuration, why = %end, pause_ms, "no socket of events");
                pause_ms
            };
            // Many that were lost together shall not come again together.
            let wait = Duration::from_millis(wait_ms).mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                () = sleep(wait) => {}
                () = unwanted(wanted.clone()) => return,
            }
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
    }

    /// One socket from its opening to its end.
    async fn session(
        &self,
        account: &Arc<Account>,
        events: EventsSocket,
        lost: impl Future<Output = End>,
        again: &mut bool,
    ) -> End {
        let request = match (events.connect)(&account.config) {
            Ok(request) => request,
            Err(error) => return End::Unusable(error),
        };
        tokio::pin!(lost);
        // It takes its time to be opened, in which it may be another's.
        let opened = tokio::select! {
            opened = Socket::open(self.exchanges.connector(), &request) => opened,
            end = &mut lost => return end,
        };
        match opened {
            Ok(socket) => self.serve((socket, None), account, events, lost, again).await,
            Err(error) => error.into(),
        }
    }

    /// Waits until a socket is not to be kept any more.
    pub(super) async fn lost(&self, held: &mut Held, wanted: watch::Receiver<()>) -> End {
        tokio::select! {
            () = self.hold(held) => End::LeaseLost,
            () = unwanted(wanted) => End::Unwanted,
        }
    }

    /// One socket that is open, to its end; over some the carrier is asked as well.
    pub(super) async fn serve(
        &self,
        (mut socket, mut line): (Socket, Option<Line>),
        account: &Arc<Account>,
        events: EventsSocket,
        lost: impl Future<Output = End>,
        again: &mut bool,
    ) -> End {
        tracing::info!(configuration = %account.id, "the socket of events is up");
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let passing = self.clone().pass(Arc::clone(account), events, waiting, *again);
        let passing = Dropped(tokio::spawn(passing));
        *again = true;
        tokio::pin!(lost);
        let end = loop {
            tokio::select! {
                read = read(&mut socket, events, &queue, &mut line) => if let Err(end) = read {
                    break end;
                },
                end = &mut lost => break end,
            }
        };
        // Nothing is asked, nor told, by a socket that is another's from now on.
        drop((passing, line));
        socket.close().await;
        end
    }

    /// Passes on what a socket tells, in order, and puts things in order when it was opened.
    async fn pass(
        self,
        account: Arc<Account>,
        events: EventsSocket,
        mut waiting: mpsc::Receiver<(Routed, Bytes)>,
        again: bool,
    ) {
        let found = self.probe(&account, events).await;
        self.tell(&account, TidingsKind::Up { again, found }).await;
        let completing = Arc::new(Semaphore::new(COMPLETED_MAX));
        let tidying = self.clone().tidy(Arc::clone(&account), events, Arc::clone(&completing));
        let _tidying = Dropped(tokio::spawn(tidying));
        // Who is not offered by the end of the socket is found by whoever tidies up.
        let mut offers = JoinSet::new();
        while let Some((routed, message)) = waiting.recv().await {
            while offers.try_join_next().is_some() {}
            match routed {
                Routed::Offered(call) => {
                    let (sockets, account) = (self.clone(), Arc::clone(&account));
                    let turns = Arc::clone(&completing);
                    offers.spawn(sockets.offer(account, events, call, turns));
                }
                routed => self.tell(&account, TidingsKind::Message(routed, message)).await,
            }
        }
    }

    /// Finds out what the carrier runs, before the first call. What is not found out stays as it
    /// was stored.
    async fn probe(&self, account: &Account, events: EventsSocket) -> Managed {
        let Ok(op) = (events.probe)(&account.config) else { return Managed::new() };
        match self.exchanges.run(account, "probe", op, Patience::BRIEF).await {
            Ok(Probed { told, values }) => {
                let told: Vec<_> =
                    told.iter().map(|(name, text)| format!("{name} {text}")).collect();
                tracing::info!(configuration = %account.id, found = told.join("; "), "looked at");
                values
            }
            Err(failure) => {
                tracing::info!(configuration = %account.id, %failure, "what it runs is not known");
                Managed::new()
            }
        }
    }

    /// Offers a call to the call control once all is known of it that can be.
    async fn offer(
        self,
        account: Arc<Account>,
        events: EventsSocket,
        call: InboundCall,
        turns: Arc<Semaphore>,
    ) {
        let owned = adapters::external_pbx::find(&account.config).is_some();
        let within = Duration::from_millis(if owned { COMPLETE_OWNED_MS } else { COMPLETE_MS });
        let completing = async {
            let _turn = turns.acquire().await;
            let op = (events.complete)(&account.config, &call).ok()?;
            self.exchanges.run(&account, "complete", op, Patience::BRIEF).await.ok()
        };
        let call = timeout(within, completing).await.ok().flatten().unwrap_or(call);
        let configuration = ConfigurationId(account.id);
        let known = self.store.call_at_carrier(configuration, &call.call.0).await;
        // A log that cannot be asked keeps no call from being taken.
        let is_known = known.is_ok_and(|known| known.is_some());
        self.tell(&account, TidingsKind::Offered(Box::new(call), is_known)).await;
    }

    /// Says what is wanted of the socket, and ends what was left behind, now and then.
    async fn tidy(self, account: Arc<Account>, events: EventsSocket, turns: Arc<Semaphore>) {
        let configuration = account.id;
        if let Ok(op) = (events.opened)(&account.config)
            && let Err(failure) = self.exchanges.run(&account, "events", op, Patience::LONG).await
        {
            tracing::warn!(%configuration, %failure, "more events come than are wanted");
        }
        let mut pause_ms = TIDY_MS;
        loop {
            self.tidy_once(&account, events, &turns).await;
            sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(TIDY_MS_MAX);
        }
    }

    /// Ends what was left behind, and takes who was not heard.
    async fn tidy_once(
        &self,
        account: &Arc<Account>,
        events: EventsSocket,
        turns: &Arc<Semaphore>,
    ) {
        let configuration = account.id;
        let alive = self.calls.ask(|reply| {
            let (account, what) = (Arc::clone(account), TidingsKind::Alive(reply));
            Request::Tidings(Box::new(Tidings { account, what }))
        });
        let Some(mut alive) = alive.await else { return };
        // Those of a server that had the socket before may go on talking there.
        match self.store.calls_left_by(ConfigurationId(account.id)).await {
            Ok(open) => alive.calls.extend(open.iter().map(Uuid::to_string)),
            Err(error) => return tracing::warn!(%error, "which calls are left is not known"),
        }
        let Ok(op) = (events.tidy)(&account.config, &alive) else { return };
        match self.exchanges.run(account, "tidy", op, Patience::SHORT).await {
            Ok(callers) => {
                for call in callers {
                    let (account, turns) = (Arc::clone(account), Arc::clone(turns));
                    self.clone().offer(account, events, call, turns).await;
                }
            }
            Err(failure) => {
                tracing::info!(%configuration, %failure, "what was left is not found out");
            }
        }
    }
}

/// Reads what has come, and queues what is about calls; what answers requests goes to who asked.
/// Sends what is to be sent.
async fn read(
    socket: &mut Socket,
    events: EventsSocket,
    queue: &mpsc::Sender<(Routed, Bytes)>,
    line: &mut Option<Line>,
) -> Result<(), End> {
    let (mut ended, mut answers) = (None, Vec::new());
    let answer = line.as_ref().map(Line::reads);
    let read = socket.read(Line::next(line), |text| {
        if let Some(answer) = answer.and_then(|answer| answer(text)) {
            return answers.push(answer);
        }
        match (events.route)(text) {
            Ok(Routed::Nothing) => {}
            Ok(Routed::Replaced) => ended = Some(End::Replaced),
            Ok(routed) => {
                if queue.try_send((routed, Bytes::copy_from_slice(text))).is_err() {
                    ended = Some(End::Behind);
                }
            }
            Err(error) => tracing::info!(%error, "an event is not understood"),
        }
    });
    let read = read.await;
    for (number, answer) in answers {
        line.iter_mut().for_each(|line| line.answered(number, answer.clone()));
    }
    match ended {
        Some(ended) => Err(ended),
        None => Ok(read?),
    }
}

/// A task that ends with whoever began it.
struct Dropped(JoinHandle<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a socket that was opened for one is that of the other.
fn is_same(one: &Account, other: &Account) -> bool {
    one.id == other.id && one.config == other.config && one.spec.name == other.spec.name
}
