//! `talkpath emulate`: plays a carrier for a server, and a person who telephones through it.

mod drive;
mod figures;
mod person;
mod server;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adapters::config::ConfigErrors;
use adapters::emulate::{EmulatorSpec, EmulatorStart, Quirks};
use adapters::spec::ProviderSpec;
use adapters::table::PROVIDERS;
use http::StatusCode;
use tokio::net::TcpListener;

use super::fail;
use crate::cli::EmulateArgs;
use crate::emulate::{self, Event, Running};

use drive::{Drive, Way};
use server::{Configuration, Server};

/// Longest wait for the server to use what it was told.
const IN_USE_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Attempts to remove the configuration: while its last call ends it is in use.
const REMOVALS: u32 = 50;
/// How long a person rings before it answers, in milliseconds, if no quirk says otherwise.
const ANSWER_MS: u32 = 1_000;
/// Everybody's: what an emulator makes up is the same in every run.
const SEED: u64 = 1;

/// Why a carrier cannot be played.
#[derive(Debug, thiserror::Error)]
enum EmulateError {
    /// No carrier is called so, or none that can be played.
    #[error("no carrier called {name:?} can be played; there are: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A quirk makes no sense.
    #[error("--quirk {quirk}: {why}")]
    Quirk {
        /// As it was given.
        quirk: String,
        /// What is wrong with it.
        why: String,
    },
    /// The emulator's own configuration is refused.
    #[error("the account that is made up is not accepted: {0}")]
    Config(#[from] ConfigErrors),
    /// A socket could not be had.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// Nobody answers at the server's address.
    #[error("no answer from {0}: is a server running there? --server names another address")]
    NoServer(String),
    /// The key is none, or may not do what it must.
    #[error("the server does not accept the API key for this: --key wants one of scope admin")]
    Key,
    /// No agent has that name.
    #[error("the server has no agent called {0:?}: --agent names another")]
    NoAgent(String),
    /// The server refused.
    #[error("{what}: {status}: {why}")]
    Refused {
        /// Method and path.
        what: String,
        /// Status of the answer.
        status: StatusCode,
        /// What it says.
        why: String,
    },
    /// The server never takes webhooks.
    #[error("the server does not take the carrier's webhooks at {0}")]
    Deaf(String),
    /// A sound file cannot be used.
    #[error(transparent)]
    Audio(#[from] crate::workers::audio::AudioError),
    /// What was heard cannot be written.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: String,
        /// Why.
        source: hound::Error,
    },
}

/// Plays the carrier; successful if all calls were answered and heard.
pub(super) fn run(args: &EmulateArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    match runtime.block_on(play(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(error),
    }
}

/// The provider of that name, and its emulator.
fn named(name: &str) -> Result<(&'static ProviderSpec, &'static EmulatorSpec), EmulateError> {
    let mut all = PROVIDERS.iter().filter_map(|spec| Some((*spec, spec.emulator?)));
    let known = || {
        let names = PROVIDERS.iter().filter(|spec| spec.emulator.is_some()).map(|spec| spec.name);
        names.collect::<Vec<_>>().join(", ")
    };
    all.find(|(spec, _)| spec.name == name)
        .ok_or_else(|| EmulateError::Unknown { name: name.to_owned(), known: known() })
}

fn quirks(args: &EmulateArgs) -> Result<Quirks, EmulateError> {
    let mut quirks = Quirks { answer_after_ms: Some(ANSWER_MS), ..Quirks::default() };
    for quirk in &args.quirks {
        let wrong = |why| EmulateError::Quirk { quirk: quirk.clone(), why };
        quirks.set(quirk).map_err(wrong)?;
    }
    Ok(quirks)
}

async fn play(args: &EmulateArgs) -> Result<bool, EmulateError> {
    let (spec, emulator) = named(&args.name)?;
    let quirks = quirks(args)?;
    let listener = TcpListener::bind(args.listen).await?;
    let api = format!("http://{}", listener.local_addr()?);
    let mut fields = (emulator.config)(&api);
    for (name, value) in &args.fields {
        fields[name.as_str()] = value.as_str().into();
    }
    let config = spec.read(&fields, None)?;
    let way = match (args.wait, args.outbound) {
        (true, _) => Way::Wait,
        (_, true) => Way::Out,
        _ => Way::In,
    };
    let mut drive = Drive::new(args, emulator.audio, way)?;
    drive.say(&format!("{} in miniature, its API on {api}", spec.ui.display_name));
    let server = Server::new(&args.server, &args.key);
    fields["provider"] = spec.name.into();
    let name = format!("emulated {}", spec.name);
    let number = (args.number.as_str(), args.agent.as_str());
    let made = server.configure(&name, &fields, number).await?;
    // An account that is not set up by requests is told the address by people. A PBX has no hooks:
    // its files name the server.
    let typed = match (spec.events, spec.calls.provision) {
        (Some(_), _) => Ok(Some(args.server.clone())),
        (None, None) => server.inbound_url(&made).await,
        (None, Some(_)) => Ok(None),
    };
    let (done, running) = match typed {
        Ok(voice_url) => {
            let hook = voice_url.clone().filter(|_| spec.events.is_none());
            let numbers = vec![args.number.clone()];
            let start = EmulatorStart { config, numbers, voice_url, seed: SEED, quirks };
            let mut running = emulate::start((emulator.open)(start), listener);
            let with = (&mut running, hook);
            let done = on_server((&server, &made), spec, args, &mut drive, with).await;
            (done, Some(running))
        }
        Err(error) => (Err(error), None),
    };
    if !removed(&server, &made).await {
        eprintln!("talkpath: the configuration {name:?} could not be removed from the server");
    }
    // While the server has the configuration it may ask the carrier for something, or listen to it.
    drop(running);
    let good = done?;
    drive.finish()?;
    Ok(good)
}

/// What happens while the server has the configuration.
async fn on_server(
    (server, made): (&Server, &Configuration),
    spec: &'static ProviderSpec,
    args: &EmulateArgs,
    drive: &mut Drive<'_>,
    (running, mut hook): (&mut Running, Option<String>),
) -> Result<bool, EmulateError> {
    server.bind(made).await?;
    while let Ok(event) = running.events.try_recv() {
        if let Event::Asked { request, .. } = &event {
            hook = hook.or_else(|| emulate::hook_in(request, spec.name));
        }
        drive.note(&event);
    }
    if let Some(hook) = hook {
        let until = Instant::now() + IN_USE_WAIT;
        while !server.listens_at(&hook).await {
            if Instant::now() >= until {
                let (hook, _) = hook.rsplit_once('/').unwrap_or((&hook, ""));
                return Err(EmulateError::Deaf(format!("{hook}/…")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    if args.outbound {
        // Where events are awaited by a socket, calls are placed once that is up.
        let until = Instant::now() + IN_USE_WAIT;
        while let Err(error) = server.place(made, &args.person, &args.agent).await {
            if spec.events.is_none() || Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(drive.run(running).await?)
}

/// Removes the configuration, once its calls are over.
async fn removed(server: &Server, made: &Configuration) -> bool {
    for _ in 0..REMOVALS {
        if server.remove(made).await {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}
