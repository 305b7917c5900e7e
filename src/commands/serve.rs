//! `talkpath serve`.

use std::io;
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{fail, load};
use crate::app::{App, DRAIN};
use crate::cli::ServeArgs;
use crate::telemetry;

/// Runs the server until a signal ends it. One that comes while it starts ends it once it has: it
/// leaves nothing half done.
pub(super) fn run(args: &ServeArgs) -> ExitCode {
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(error),
    };
    let config = match load(&args.config) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    if let Err(error) = telemetry::log::init(&config.log) {
        return fail(error);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let app = match App::start(config) {
        Ok(app) => app,
        Err(error) => return fail(error),
    };
    if let Some(first) = &app.first_key {
        println!("API key, shown only now: {}", first.key.expose());
    }
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

/// The signals that end the server. Those that come before anybody waits for them are kept.
struct Signals {
    /// Where they are waited for: the threads of the server are not there yet.
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on no such signal kills the process.
    fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let within = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        drop(within);
        Ok(Self { runtime, interrupt, terminate })
    }

    /// Waits for the first signal, drains, and returns when the last call is over, when the time
    /// for that is, or at a second signal.
    fn end(self, app: &App) {
        let Self { runtime, mut interrupt, mut terminate } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!(calls = *app.reach.live.borrow(), "draining");
            app.begin_drain().await;
            let mut live = app.reach.live.clone();
            tokio::select! {
                _ = live.wait_for(|live| *live == 0) => {}
                () = tokio::time::sleep(DRAIN) => {
                    tracing::warn!("calls are ended: the time to drain is over");
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
    }
}
