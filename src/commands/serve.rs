//! `talkpath serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{fail, load};
use crate::app::{App, DRAIN};
use crate::cli::ServeArgs;
use crate::telemetry;

/// Runs the server until a signal ends it.
pub(super) fn run(args: &ServeArgs) -> ExitCode {
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
    let status = app.block_on(signals(&app));
    app.stop();
    match status {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => fail(error),
        None => ExitCode::FAILURE,
    }
}

/// Waits for the first signal, drains, and returns when the last call is over, when the time for
/// that is, or at a second signal.
async fn signals(app: &App) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!(calls = *app.reach.live.borrow(), "draining");
    app.begin_drain().await;
    let mut live = app.reach.live.clone();
    tokio::select! {
        _ = live.wait_for(|live| *live == 0) => {}
        () = tokio::time::sleep(DRAIN) => tracing::warn!("calls are ended: the time to drain is over"),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
