//! The configuration of `talkpath serve`: TOML, the environment over it, defaults under it.
//!
//! Parse, don't validate: a [`Config`] that exists is complete, its names lead somewhere, and its
//! files could be read. Everything wrong is found in one go and reported with file, line, key,
//! value, and what is allowed ([`ConfigErrors`]). `docs/configuration.md` lists every key.
//!
//! - `document` reads TOML into a tree that knows its lines, `environment` lays variables over it;
//! - `section` reads typed values out of the tree;
//! - `server`, `database`, `srtp`, `agents`, `peers`, `routes`, `rates` say what the sections hold;
//! - `values` and `secret` are the types of single values.

mod acme;
mod agents;
mod ambient;
mod assemble;
mod audiosocket;
mod captures;
mod database;
mod declared;
mod document;
mod entry;
mod environment;
mod keep;
mod length;
mod outbound;
mod outward;
mod park;
mod peers;
pub mod problem;
mod queues;
mod rates;
mod registration;
mod retention;
mod routes;
mod secret;
mod section;
mod server;
mod sip;
mod srtp;
#[cfg(test)]
mod tests;
mod values;
mod voicemail;
mod webhooks;

use std::path::{Path, PathBuf};

pub use acme::AcmeConfig;
pub use agents::{
    AgentConfig, AgentKind, Builtin, NATIVE_DIALECT, RtpAgent, SipAgent, WebSocketAgent,
};
pub use ambient::Ambient;
pub use audiosocket::AudioSocketConfig;
pub use captures::CapturesConfig;
pub use database::DatabaseConfig;
pub use declared::Declared;
pub use entry::{RouteEntry, agent_from_json, route_from_json, trunk_from_json};
pub use keep::{Keep, Record};
pub use length::{CallLength, EXPIRING_S_MAX};
pub use outbound::Outbound;
pub use outward::Allowed;
pub use park::{PARK_TIMEOUT_S_MAX, ParkConfig};
pub(crate) use peers::specificity;
pub use peers::{TrunkConfig, UserConfig};
pub use problem::{ConfigErrors, Place, Problem};
pub use queues::{MemberConfig, QUEUE, QueueConfig, QueueTarget, Strategy};
pub use rates::RateConfig;
pub use registration::RegistrationConfig;
pub use retention::RetentionConfig;
pub use routes::{Fallback, RouteConfig};
pub use secret::{Masked, Secret, SecretSettings};
pub use server::{
    HttpConfig, LimitsConfig, LogConfig, LogFormat, MAX_DURATION_S_MAX, MediaConfig, RtpConfig,
    SipTimers,
};
pub use sip::SipConfig;
pub use srtp::SrtpConfig;
pub use values::{AgentUrl, Cidr, PortRange, PublicAddress, PublicUrl};
pub use voicemail::{MESSAGE_S_MAX, SILENCE_S_MAX, Voicemail};
pub use webhooks::WebhooksConfig;

use section::Reader;

use crate::store::SealSource;

/// Everything `talkpath serve` is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Folder of database, keys and recordings.
    pub data_dir: PathBuf,
    /// Address of this server as carriers and agents see it.
    pub public_url: Option<PublicUrl>,
    /// Where everything else is kept.
    pub database: DatabaseConfig,
    /// What seals the secrets in it.
    pub seal: SealSource,
    /// The authority that certifies our names, if one shall.
    pub acme: Option<AcmeConfig>,
    /// The API, health and metrics.
    pub http: HttpConfig,
    /// What organisations are told of events.
    pub webhooks: WebhooksConfig,
    /// Where the server goes for organisations, besides the public network.
    pub outward: Allowed,
    /// How long what is over is kept.
    pub retention: RetentionConfig,
    /// How many calls are captured, and how long that is kept.
    pub captures: CapturesConfig,
    /// Signalling.
    pub sip: SipConfig,
    /// Media from and to SIP peers.
    pub rtp: RtpConfig,
    /// Where a PBX brings calls by AudioSocket.
    pub audiosocket: AudioSocketConfig,
    /// The workers.
    pub media: MediaConfig,
    /// Log lines.
    pub log: LogConfig,
    /// What the server accepts.
    pub limits: LimitsConfig,
    /// Calls that are put aside.
    pub park: ParkConfig,
    /// The agents; at least one, names are unique.
    pub agents: Vec<AgentConfig>,
    /// Where calls wait for agents; names are unique.
    pub queues: Vec<QueueConfig>,
    /// SIP peers that call in; names are unique, no network is in two of them.
    pub trunks: Vec<TrunkConfig>,
    /// Softphones that call in; names are unique.
    pub users: Vec<UserConfig>,
    /// Which agent takes a call; at least one.
    pub routes: Vec<RouteConfig>,
    /// What calls cost; no two have the same currency and prefix.
    pub rates: Vec<RateConfig>,
    /// Agents, trunks and routes as they are written in the file.
    pub declared: Declared,
    /// What is allowed but most likely not meant, for the log and for `talkpath check`.
    pub warnings: Vec<String>,
}

/// What a configuration is read from.
pub struct Sources<'a> {
    /// The file's path and text, if there is a file.
    pub file: Option<(&'a Path, &'a str)>,
    /// Environment variables; those that do not start with `TALKPATH_` are ignored.
    pub environment: &'a [(String, String)],
    /// `--data-dir`, which wins over file and environment.
    pub data_dir: Option<&'a Path>,
    /// Names of the dialects that agents may speak besides the native one.
    pub dialects: &'a [&'a str],
    /// Tells why a file that is to be played cannot be read, if it cannot.
    pub readable: &'a dyn Fn(&Path) -> Result<(), String>,
}

impl Config {
    /// Reads the file at `path`, if one is named, and the process's environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, with its place.
    pub fn load(
        path: Option<&Path>,
        data_dir: Option<&Path>,
        dialects: &[&str],
    ) -> Result<Self, ConfigErrors> {
        let text = match path {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path, text)),
                Err(error) => {
                    return Err(ConfigErrors(vec![Problem {
                        place: Place::Argument("--config, or TALKPATH_CONFIG"),
                        key: String::new(),
                        message: format!("{}: {error}", path.display()),
                    }]));
                }
            },
        };
        let (environment, mut problems) = process_environment();
        let sources = Sources {
            file: text.as_ref().map(|(path, text)| (*path, text.as_str())),
            environment: &environment,
            data_dir,
            dialects,
            readable: &|path| hound::WavReader::open(path).map(drop).map_err(|e| e.to_string()),
        };
        match Self::parse(&sources) {
            Ok(config) if problems.is_empty() => Ok(config),
            Ok(_) => Err(ConfigErrors(problems)),
            Err(ConfigErrors(more)) => {
                problems.extend(more);
                Err(ConfigErrors(problems))
            }
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, with its place.
    pub fn parse(sources: &Sources<'_>) -> Result<Self, ConfigErrors> {
        let mut problems = Vec::new();
        let mut document = match sources.file {
            Some((path, text)) => document::read(path, text, &mut problems),
            None => document::Table::default(),
        };
        // What follows a syntax error was not read, so its absence must not be reported too.
        if !problems.is_empty() {
            return Err(ConfigErrors(problems));
        }
        environment::overlay(&mut document, sources.environment, &mut problems);
        let base = sources.file.and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
        let reader = Reader::new(base, sources.readable, problems);
        let config = assemble::read(&reader, &document, sources);
        let mut problems = reader.into_problems();
        if problems.is_empty() {
            return Ok(config);
        }
        problems.sort_by_key(|problem| match problem.place {
            Place::Line { line, .. } => line,
            _ => usize::MAX,
        });
        Err(ConfigErrors(problems))
    }

    /// The agent called `name`, or what stands for a queue.
    pub fn agent(&self, name: &str) -> Option<&AgentConfig> {
        self.all_agents().find(|agent| agent.name == name)
    }

    /// The agents, and what stands for each queue.
    pub fn all_agents(&self) -> impl Iterator<Item = &AgentConfig> {
        self.agents.iter().chain(self.queues.iter().map(|queue| &queue.agent))
    }

    /// True if nobody but programs on this machine reaches the API: it listens on loopback alone,
    /// and neither a proxy nor a public address leads to it.
    pub fn is_local(&self) -> bool {
        let listens = self.http.tls_listen.iter().chain([&self.http.listen]);
        let public = self.public_url.as_ref().is_some_and(|url| !url.is_loopback());
        listens.into_iter().all(|at| at.ip().is_loopback())
            && self.http.trusted_proxies.is_empty()
            && !public
    }

    /// Folder of recordings that no folder was named for.
    pub fn recordings_folder(&self) -> PathBuf {
        self.data_dir.join("recordings")
    }

    /// Folder of the messages that callers leave.
    pub fn voicemail_folder(&self) -> PathBuf {
        self.data_dir.join("voicemail")
    }

    /// True if some calls are captured from their beginning.
    pub fn expects_captures(&self) -> bool {
        let keeps = self.agents.iter().map(|agent| &agent.keep);
        let mut keeps = keeps.chain(self.routes.iter().map(|route| &route.keep));
        keeps.any(|keep| keep.capture == Some(true)) || self.trunks.iter().any(|it| it.capture)
    }

    /// Every folder in which recordings may lie.
    pub fn recording_folders(&self) -> Vec<PathBuf> {
        let keeps = self.agents.iter().map(|agent| &agent.keep);
        let keeps = keeps.chain(self.routes.iter().map(|route| &route.keep));
        let named = keeps.filter_map(|keep| match &keep.record {
            Some(Record::On { folder }) => folder.clone(),
            _ => None,
        });
        let built_in = self.agents.iter().filter_map(|agent| match &agent.kind {
            AgentKind::Builtin(Builtin::Record { folder }) => Some(folder.clone()),
            _ => None,
        });
        let mut folders: Vec<_> = named.chain(built_in).collect();
        folders.push(self.recordings_folder());
        folders.sort();
        folders.dedup();
        folders
    }

    /// File in which an earlier version kept the API keys.
    pub fn keys_file(&self) -> PathBuf {
        self.data_dir.join("keys.json")
    }
}

/// The process's variables, and a problem for each of ours that is not Unicode.
fn process_environment() -> (Vec<(String, String)>, Vec<Problem>) {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with(environment::PREFIX) {
            continue;
        }
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) => problems.push(Problem {
                place: Place::Variable(name),
                key: String::new(),
                message: "not UTF-8".to_owned(),
            }),
        }
    }
    (variables, problems)
}
