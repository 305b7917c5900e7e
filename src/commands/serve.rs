//! `talkpath serve`.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::{fail, load};
use crate::app::{App, DRAIN, Starting};
use crate::cli::ServeArgs;
use crate::keys::NewKey;
use crate::telemetry;

/// What a shell adds to the number of a signal that ended a program: its exit code.
const SIGNALLED: u8 = 128;

/// Runs the server until a signal ends it. One that comes while it starts calls that off, whatever
/// the start waits for.
pub(super) fn run(args: &ServeArgs) -> ExitCode {
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(error),
    };
    let starting = Arc::new(Starting::new(show));
    let started = match begin(args.clone(), Arc::clone(&starting)) {
        Ok(started) => started,
        Err(error) => return fail(error),
    };
    let (app, signals) = match signals.wait_started(started, &starting) {
        Ok(running) => running,
        Err(code) => return code,
    };
    for (transport, address) in &app.reach.sip {
        tracing::info!(transport = transport.as_str(), %address, "SIP listens");
    }
    if let Some(https) = app.https {
        println!("talkpath serves HTTPS on https://{https}");
    }
    let sip = app.reach.sip.first().map_or_else(|| "nothing".to_owned(), |(_, at)| at.to_string());
    println!("talkpath listens: SIP on {sip}, HTTP on http://{}", app.http);
    signals.end(&app);
    app.stop();
    ExitCode::SUCCESS
}

/// Shows the first key of all.
fn show(first: &NewKey) {
    println!("API key, shown only now: {}", first.key.expose());
}

/// How a start ended: with a server, or with what the process says of it.
type Started = oneshot::Receiver<Result<App, ExitCode>>;

/// Starts the server on a thread of its own: what a start waits for may be nothing that can be
/// given up, such as a file that is a pipe, or the system's look-up of a name.
fn begin(args: ServeArgs, starting: Arc<Starting>) -> io::Result<Started> {
    let (tell, started) = oneshot::channel();
    std::thread::Builder::new().name("start".into()).spawn(move || {
        // Nobody hears of a start that was called off.
        let _ = tell.send(start(&args, &starting));
    })?;
    Ok(started)
}

/// Reads the configuration and starts what it says; what is wrong is said here.
fn start(args: &ServeArgs, starting: &Starting) -> Result<App, ExitCode> {
    let config = load(&args.config).map_err(fail)?;
    telemetry::log::init(&config.log).map_err(fail)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    App::start_unless(config, starting).map_err(fail)
}

/// The signals that end the server. Those that come before anybody waits for them are kept.
struct Signals {
    /// Where they are waited for: the threads of the server are not there yet.
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    /// One of them has come.
    is_told: bool,
}

/// Waits for the next signal.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    }
}

impl Signals {
    /// From here on no such signal kills the process.
    fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let within = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        drop(within);
        Ok(Self { runtime, interrupt, terminate, is_told: false })
    }

    /// Waits for the server. A signal calls the start off; if it comes when the server begins to
    /// serve, it is one to a server that runs.
    ///
    /// # Errors
    ///
    /// What the process ends with if there is no server.
    fn wait_started(
        self,
        mut started: Started,
        starting: &Starting,
    ) -> Result<(App, Self), ExitCode> {
        let Self { runtime, mut interrupt, mut terminate, .. } = self;
        let (ended, is_told) = runtime.block_on(async {
            let told = tokio::select! {
                biased;
                ended = &mut started => return (ended, false),
                told = next(&mut interrupt, &mut terminate) => told,
            };
            if starting.call_off() {
                return (Ok(Err(called_off(told))), true);
            }
            (started.await, true)
        });
        // A start that panicked has said so already.
        let app = ended.unwrap_or_else(|_| Err(fail("the start broke off")))?;
        Ok((app, Self { runtime, interrupt, terminate, is_told }))
    }

    /// Waits for the first signal, drains, and returns when the last call is over, when the time
    /// for that is, or at a second signal.
    fn end(self, app: &App) {
        let Self { runtime, mut interrupt, mut terminate, is_told } = self;
        runtime.block_on(async {
            if !is_told {
                next(&mut interrupt, &mut terminate).await;
            }
            tracing::info!(calls = *app.reach.live.borrow(), "draining");
            app.begin_drain().await;
            let mut live = app.reach.live.clone();
            tokio::select! {
                _ = live.wait_for(|live| *live == 0) => {}
                () = tokio::time::sleep(DRAIN) => {
                    tracing::warn!("calls are ended: the time to drain is over");
                }
                _ = next(&mut interrupt, &mut terminate) => {}
            }
        });
    }
}

/// Says that a signal has called the start off; the exit code, as a shell has it of a program that
/// the signal killed.
fn called_off(by: SignalKind) -> ExitCode {
    let name = if by == SignalKind::interrupt() { "SIGINT" } else { "SIGTERM" };
    eprintln!("talkpath: {name} while it started: it ends, and has served nobody");
    ExitCode::from(u8::try_from(by.as_raw_value()).map_or(SIGNALLED, |number| SIGNALLED + number))
}
