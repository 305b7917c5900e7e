//! Puts the parts of the server together and takes them apart again.

mod listeners;
mod signalling;
mod starting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

pub use starting::Starting;

use crate::callers;
use crate::calls::cause::Cause;
use crate::calls::control::{Control, Parts, Reach};
use crate::calls::log::writer::Writer;
use crate::calls::log::{LogHandle, watchdog};
use crate::calls::request::Request;
use crate::capture;
use crate::carrier::{EventSockets, Exchanges, Leftovers, Pricing, Reachable};
use crate::config::{Cidr, Config, PublicUrl};
use crate::directory::{self, Directory};
use crate::http;
use crate::keys::{Keys, NewKey};
use crate::listen::audiosocket::Doors;
use crate::node;
use crate::orders::Runner;
use crate::outbox::{Deliverer, Guard, Targets};
use crate::outward::OutwardPolicy;
use crate::retention::Retention;
use crate::spending::Spending;
use crate::store::carrier_calls::HandedOver;
use crate::store::{NodeId, Store, StoreError, StoreSettings, Timestamp};
use crate::telemetry::Metrics;
use crate::workers::command::EVENTS_MAX;
use crate::workers::{Care, Purpose, WorkerHandle};

/// How long calls may go on after the first signal to end.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long the last facts of calls may take to be written.
const LAST_FACTS: Duration = Duration::from_secs(3);
/// Threads for what may take time: HTTP, TLS handshakes, dialling agents.
const IO_THREADS: usize = 2;

/// A running server.
pub struct App {
    /// Reaches the calls; tells where SIP listens.
    pub reach: Reach,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where HTTP over TLS listens, if it does.
    pub https: Option<SocketAddr>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is kept.
    pub store: Store,
    /// The log of calls.
    pub log: LogHandle,
    /// Which node this is.
    pub node: NodeId,
    /// The first key of all, if this start made it.
    pub first_key: Option<NewKey>,
    drain: watch::Sender<bool>,
    control: Option<std::thread::JoinHandle<()>>,
    io: Option<tokio::runtime::Runtime>,
}

/// How many media threads there are: as configured, or one for each core.
fn media_threads(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.media.workers.unwrap_or_else(cores)
}

/// How the workers look after calls.
fn care(config: &Config) -> Care {
    Care { media_timeout: config.limits.media_timeout, quality_every: config.media.quality_every }
}

/// Opens the store on a thread of the runtime: the store's own threads are like the one that starts
/// them.
fn open_within(
    io: &tokio::runtime::Runtime,
    config: Arc<Config>,
    show: fn(&NewKey),
) -> io::Result<(Store, Keys, Option<NewKey>)> {
    let opened = io.spawn(async move { open_store(&config, show).await });
    io.block_on(opened).map_err(io::Error::other)?
}

/// What asks carriers.
fn exchanges(io: &tokio::runtime::Runtime, config: &Config, metrics: &Metrics) -> Exchanges {
    let _within = io.enter();
    Exchanges::new(reachable(config), Arc::clone(&metrics.carriers))
}

/// The threads on which what may wait runs.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("io")
        .on_thread_start(|| Purpose::Rest.take_place())
        .enable_all()
        .build()
}

impl App {
    /// Starts everything; nothing stays half started.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened, an address cannot be bound or a thread cannot be started;
    /// the message says which.
    pub fn start(config: Config) -> io::Result<Self> {
        Self::start_unless(config, &Starting::new(|_| {}))
    }

    /// The same, unless it is called off before it serves anybody.
    ///
    /// # Errors
    ///
    /// As [`Self::start`]'s, and when it was called off.
    pub fn start_unless(config: Config, starting: &Starting) -> io::Result<Self> {
        let (config, io) = (Arc::new(config), runtime()?);
        let (store, keys, first_key) = open_within(&io, Arc::clone(&config), starting.show())?;
        let (workers, (drain, drains)) = (media_threads(&config), watch::channel(false));
        let trunks = config.trunks.iter().map(|trunk| trunk.name.clone());
        let metrics = Metrics::new(workers, &Cause::WORDS, trunks);
        let mut logging = Logging::start(&io, &config, &store, &metrics, &drains)?;
        let mut bound = listeners::bind(&io, &config)?;
        let (http, https) = bound.addresses()?;
        let (events, worker_events) = mpsc::channel(EVENTS_MAX);
        let start = |(number, metrics): (usize, &Arc<_>)| {
            WorkerHandle::start(number, Arc::clone(metrics), events.clone(), care(&config))
        };
        let workers = (0..workers).zip(&metrics.workers).map(start).collect::<io::Result<_>>()?;
        let public_url = Arc::new(public_url(&config, http));
        let exchanges = exchanges(&io, &config, &metrics);
        let parts = Parts {
            exchanges: exchanges.clone(),
            public_url: Arc::clone(&public_url),
            node: logging.node.0,
            directory: follow(&io, &store, &config)?,
            endpoint: signalling::endpoint(&config),
            config: Arc::clone(&config),
            workers,
            worker_events,
            io: io.handle().clone(),
            metrics: Arc::clone(&metrics),
            log: logging.log.clone(),
            handed_over: handed_over(&io, &config, &store, logging.node)?,
        };
        let guard = guard(&io, &config, &store)?;
        // From here on nothing is waited for.
        starting.go_on()?;
        let (reach, control) = run_control(parts)?;
        forget(&io, &config, (&store, logging.node), &reach, &metrics);
        Doors::new(reach.handle.clone()).open(&io, std::mem::take(&mut bound.doors));
        let (log, node) = (logging.log.clone(), logging.node);
        follow_carriers(&io, &store, (&reach, &exchanges), &mut logging);
        let router = http::router(http::State {
            calls: reach.handle.clone(),
            directory: reach.directory.clone(),
            recordings: reach.recordings.clone(),
            voicemails: reach.voicemails.clone(),
            captures: Arc::clone(&reach.captures),
            keys,
            outward: OutwardPolicy::new(&config, store.default_organisation().0),
            store: store.clone(),
            log: log.clone(),
            orders: follow_calls(&io, &store, &reach, &logging, &drains),
            commits: logging.commits,
            webhooks: logging.targets,
            streams: http::Streams::default(),
            listeners: http::Streams::default(),
            agent_tests: http::Streams::of_tests(),
            metrics: Arc::clone(&metrics),
            drain: drains.clone(),
            guard,
            public_url: config.public_url.clone().map(Arc::new),
            base_url: public_url.to_string().into(),
            exchanges,
            told: Arc::new(http::Told::new(node.0, &config, &reach.told)),
            document: Arc::default(),
        });
        let (trusted, counted) = (&config.http.trusted_proxies, Arc::clone(&metrics));
        let server = http::server::Server::new(router, trusted, counted, drains);
        bound.serve(&io, server);
        let (control, io) = (Some(control), Some(io));
        Ok(Self { reach, http, https, metrics, store, log, node, first_key, drain, control, io })
    }

    /// Runs a future on the server's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        self.io.as_ref().map(|io| io.block_on(future))
    }

    /// Takes no new calls; the calls that live go on.
    pub async fn begin_drain(&self) {
        let _ = self.drain.send(true);
        self.reach.handle.send(Request::Drain).await;
    }

    /// Ends all calls and everything else.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let handle = self.reach.handle.clone();
        self.block_on(async move { handle.send(Request::Stop).await });
        if let Some(control) = self.control.take() {
            // A control that panicked has said so already.
            let _ = control.join();
        }
        if let Some(io) = self.io.take() {
            // What the calls told at their end; a store that is away is not waited for.
            let last = async {
                self.log.flush().await;
                capture::keep_last(&self.reach.captures, &self.store).await;
                self.store.stop_node(self.node, Timestamp::now()).await
            };
            let _ = io.block_on(async { tokio::time::timeout(LAST_FACTS, last).await });
            io.block_on(self.store.close());
            io.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.end();
        }
    }
}

/// Our address as others see it; without one that is configured, where HTTP listens.
fn public_url(config: &Config, http: SocketAddr) -> PublicUrl {
    let listens = || PublicUrl { tls: false, authority: http.to_string(), path: String::new() };
    config.public_url.clone().unwrap_or_else(listens)
}

/// Where carriers may be: not in networks of our own, but for a server that nobody else reaches.
fn reachable(config: &Config) -> Reachable {
    let mut allowed = config.outward.clone().and(&config.webhooks.allow_networks);
    // Behind a proxy it listens on loopback too, and serves whoever comes.
    if config.is_local() {
        let local = ["127.0.0.0/8", "::1"].into_iter().flat_map(Cidr::parse);
        allowed = allowed.and(&local.collect::<Vec<_>>());
    }
    Reachable(allowed)
}

/// Opens the store, takes over the keys of an earlier version, and makes and shows the first key of
/// all.
async fn open_store(
    config: &Config,
    show: fn(&NewKey),
) -> io::Result<(Store, Keys, Option<NewKey>)> {
    let store = Store::open(&StoreSettings::new(config)).await.map_err(named)?;
    let keys = Keys::new(store.clone());
    keys.import(&config.keys_file()).await.map_err(io::Error::other)?;
    let first = keys.create_first().await.map_err(io::Error::other)?;
    first.iter().for_each(show);
    let imported = store.import(config).await.map_err(io::Error::other)?;
    for name in &imported.taken {
        tracing::warn!(name, "not listed: something made over HTTP has this name of the file's");
    }
    Ok((store, keys, first))
}

/// Why the store does not open, with the keys that say where it is.
fn named(error: StoreError) -> io::Error {
    let keys = match error {
        StoreError::Sealed(_) => "seal.keys, seal.keys_file, data_dir",
        _ => "database.url",
    };
    io::Error::other(format!("{keys}: {error}"))
}

/// The log of calls at work.
struct Logging {
    node: NodeId,
    log: LogHandle,
    commits: watch::Receiver<u64>,
    targets: Targets,
    /// Calls that turn out to be lost.
    lost: Option<mpsc::Receiver<Uuid>>,
}

impl Logging {
    /// Lets facts be written and webhooks be sent, and closes the calls that a server of before has
    /// left.
    fn start(
        io: &tokio::runtime::Runtime,
        config: &Config,
        store: &Store,
        metrics: &Metrics,
        drains: &watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let node = node::id(&config.data_dir)?;
        let listen = || format!("http://{}", config.http.listen);
        let address = config.public_url.as_ref().map_or_else(listen, ToString::to_string);
        let ours = node::describe(node, address);
        io.block_on(store.start_node(&ours)).map_err(io::Error::other)?;
        let (log, mut queue) = LogHandle::new(Arc::clone(&metrics.log));
        let lost = queue.take_lost();
        let (writer, commits) = Writer::new(store.clone(), node, queue);
        io.spawn(writer.run());
        let closed = io.block_on(watchdog::close_orphans(store, node, &log));
        let closed = closed.map_err(io::Error::other)?;
        if closed > 0 {
            tracing::warn!(closed, "calls that were cut off are closed");
        }
        io.spawn(node::live(store.clone(), ours, log.clone(), drains.clone()));
        let allowed = config.outward.clone().and(&config.webhooks.allow_networks);
        let guard = Guard::new(allowed);
        let targets = Targets::new(guard);
        let deliverer = Deliverer::new(store.clone(), node, targets.clone(), commits.clone());
        io.spawn(deliverer.run());
        Ok(Self { node, log, commits, targets, lost })
    }
}

/// Does what goes on behind the calls: closes those that went silent, keeps what was captured of
/// them, looks after what is spent, takes in what other servers have written, and places those that
/// are ordered; what is told when there are new orders.
fn follow_calls(
    io: &tokio::runtime::Runtime,
    store: &Store,
    reach: &Reach,
    logging: &Logging,
    drains: &watch::Receiver<bool>,
) -> Arc<Notify> {
    let (node, log, calls) = (logging.node, logging.log.clone(), reach.handle.clone());
    io.spawn(watchdog::watch(store.clone(), node, log.clone(), calls.clone()));
    io.spawn(capture::keep(Arc::clone(&reach.captures), store.clone()));
    io.spawn(store.clone().follow());
    let (seen, told) = (store.clone(), calls.clone());
    io.spawn(Spending { store: seen, node, log: log.clone(), calls: told }.watch());
    io.spawn(callers::watch(store.clone(), reach.directory.clone(), calls.clone()));
    let (wake, told) = (Arc::<Notify>::default(), Arc::clone(&logging.targets.wake));
    let (store, drain) = (store.clone(), drains.clone());
    let (directory, wakes) = (reach.directory.clone(), Arc::clone(&wake));
    let runner = Runner { store, node, calls, directory, log, drain, wake: wakes, told };
    io.spawn(runner.run());
    wake
}

/// Forgets what is over for as long as the configuration says.
fn forget(
    io: &tokio::runtime::Runtime,
    config: &Config,
    (store, node): (&Store, NodeId),
    reach: &Reach,
    metrics: &Arc<Metrics>,
) {
    let retention = Retention {
        config: config.retention,
        store: store.clone(),
        node,
        recordings: reach.recordings.clone(),
        voicemails: reach.voicemails.clone(),
        metrics: Arc::clone(metrics),
    };
    io.spawn(retention.run());
}

/// What calls are routed by, kept as the store is.
fn follow(
    io: &tokio::runtime::Runtime,
    store: &Store,
    config: &Arc<Config>,
) -> io::Result<Directory> {
    let snapshot = io.block_on(directory::read(store, config)).map_err(io::Error::other)?;
    let directory = Directory::new(snapshot);
    io.spawn(directory::follow(store.clone(), Arc::clone(config), directory.clone()));
    Ok(directory)
}

/// The calls that this node's server of before has left to their carriers, and that may go on.
fn handed_over(
    io: &tokio::runtime::Runtime,
    config: &Config,
    store: &Store,
    node: NodeId,
) -> io::Result<Vec<HandedOver>> {
    let node = store.is_shared().then_some(node);
    let longest = config.limits.max_duration;
    io.block_on(store.handed_over(node, Timestamp::now(), longest)).map_err(io::Error::other)
}

/// Asks carriers for what they tell late, hears what they tell by themselves, and ends at them what
/// a server that was killed left.
fn follow_carriers(
    io: &tokio::runtime::Runtime,
    store: &Store,
    (reach, exchanges): (&Reach, &Exchanges),
    logging: &mut Logging,
) {
    let (store, directory, exchanges) = (store.clone(), reach.directory.clone(), exchanges.clone());
    let (node, log) = (logging.node, logging.log.clone());
    let events = EventSockets {
        store: store.clone(),
        node,
        directory: directory.clone(),
        exchanges: exchanges.clone(),
        calls: reach.handle.clone(),
    };
    io.spawn(events.follow());
    if let Some(lost) = logging.lost.take() {
        let (store, directory, exchanges) = (store.clone(), directory.clone(), exchanges.clone());
        io.spawn(Leftovers { store, directory, exchanges, log: log.clone() }.follow(lost));
    }
    io.spawn(Pricing { store, node, directory, exchanges, log }.follow());
}

/// What requests over HTTP are judged by: it knows whose keys hold before the first of them comes.
fn guard(
    io: &tokio::runtime::Runtime,
    config: &Config,
    store: &Store,
) -> io::Result<Arc<http::Guard>> {
    let guard = Arc::new(http::Guard::new(&config.http, config.is_local()));
    io.block_on(guard.known.read(store)).map_err(io::Error::other)?;
    io.spawn(http::follow_keys(Arc::clone(&guard), store.clone()));
    Ok(guard)
}

/// Starts the thread of the call control.
fn run_control(parts: Parts) -> io::Result<(Reach, std::thread::JoinHandle<()>)> {
    let (bound, wait) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        Purpose::Signalling.take_place();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = bound.send(Err(error));
                return;
            }
        };
        runtime.block_on(async {
            match Control::bind(parts) {
                Ok((control, reach)) => {
                    let _ = bound.send(Ok(reach));
                    control.run().await;
                }
                Err(error) => {
                    let _ = bound.send(Err(error));
                }
            }
        });
    })?;
    let reach = wait.recv().map_err(|_| io::Error::other("the call control did not start"))??;
    Ok((reach, thread))
}
