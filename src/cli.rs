//! The command line of `talkpath`.

#[cfg(feature = "emulate")]
mod emulate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "emulate")]
pub use emulate::EmulateArgs;

/// A low-latency SIP/RTP media server that hosts phone calls for voice agents.
#[derive(Clone, Debug, Parser)]
#[command(name = "talkpath", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    ///
    /// Without any configuration it listens on this machine only: HTTP on 127.0.0.1:8080, SIP over
    /// UDP and TCP on 127.0.0.1:5060, RTP on 127.0.0.1:20000-29999, with one agent called `echo`.
    /// Ctrl-C and SIGTERM drain: no new calls, and the end when the last one is over. While it
    /// starts they end it at once, with the exit code 130 or 143.
    Serve(ServeArgs),
    /// Place one SIP call and measure it.
    ///
    /// Prints set-up time, mouth-to-ear latency, loss, jitter and an estimate of the MOS.
    Call(CallArgs),
    /// Examine the configuration and this machine, and say what to do about what is wrong.
    Check(CheckArgs),
    /// Show the providers that calls can come from.
    Provider(ProviderArgs),
    /// Play a carrier on this machine: a call through a server without an account anywhere.
    ///
    /// The server gets a configuration of an account that the command makes up, with one number.
    /// A person calls that number (or, with --outbound, is called from it), says a test signal and
    /// measures what comes back. Webhooks are signed, audio travels over the carrier's media
    /// socket, with its pacing, buffer and marks. At the end the configuration is removed.
    #[cfg(feature = "emulate")]
    Emulate(EmulateArgs),
    /// Measure a server, this one or another: latency, density, set-up of calls.
    #[cfg(feature = "bench")]
    Bench(talkpath_perf::bench::Bench),
    /// Create, list and revoke API keys.
    Key(KeyArgs),
    /// Create, list, rename and suspend organisations, and make keys for them.
    ///
    /// The same is to be had over the API with a key of the scope `server`. A running server sees
    /// what was changed within seconds.
    Organization(OrganizationArgs),
    /// Bring the tables of the database up to date, as `serve` does when it starts.
    Migrate(MigrateArgs),
    /// Look after the keys that seal the secrets in the database.
    Seal(SealArgs),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file; every key of it can also be set as TALKPATH_SECTION_KEY.
    #[arg(long, value_name = "FILE", env = "TALKPATH_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Folder for what the server keeps; wins over data_dir in the file and TALKPATH_DATA_DIR.
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of `talkpath serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `talkpath call`.
#[derive(Args, Clone, Debug)]
pub struct CallArgs {
    /// Whom to call: sip:echo@127.0.0.1, "sip:echo@pbx.example;transport=tcp",
    /// sips:echo@pbx.example.
    #[arg(value_name = "URI")]
    pub uri: String,
    /// WAV file to say; a test signal that measures the latency if absent.
    #[arg(long, value_name = "WAV")]
    pub play: Option<PathBuf>,
    /// WAV file to write what is heard to.
    #[arg(long, value_name = "WAV")]
    pub record: Option<PathBuf>,
    /// Length of the call; that of the file to say, or 5 seconds, if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// PEM file of authorities to trust over TLS, instead of those of the system.
    #[arg(long, value_name = "PEM")]
    pub ca: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `talkpath check`.
#[derive(Args, Clone, Debug, Default)]
pub struct CheckArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `talkpath provider`.
#[derive(Args, Clone, Debug)]
pub struct ProviderArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProviderCommand,
}

/// What to do with providers.
#[derive(Clone, Debug, Subcommand)]
pub enum ProviderCommand {
    /// List all providers.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one provider: what it can do, which fields its configuration has.
    Show {
        /// Name of the provider as `list` prints it.
        name: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether requests are proven to be the carrier's, and which step fails.
    ///
    /// Prints a line of JSON for each request; exits with 0 if all are valid, 1 if one is not, 2 if
    /// the files make no sense.
    Verify {
        /// Name of the provider as `list` prints it.
        name: String,
        /// JSON {method, url, headers, body or body_base64, from}, or such objects line by line; -
        /// reads from standard input.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// JSON of the provider's fields, as `show` prints them.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Address of this server as the carrier sees it: takes the place of scheme and host in the
        /// requests' addresses.
        #[arg(long, value_name = "URL")]
        public_url: Option<String>,
        /// The time of the requests in seconds since 1970; now if absent.
        #[arg(long, value_name = "UNIX")]
        now: Option<u64>,
        /// The hook that they came to; the first one if absent.
        #[arg(long, value_name = "HOOK")]
        hook: Option<String>,
    },
    /// Say what requests mean, without verifying them.
    ///
    /// Prints a line of JSON for each request; exits with 0 if all are understood, 1 if one is not,
    /// 2 if the files make no sense.
    Parse {
        /// Name of the provider as `list` prints it.
        name: String,
        /// The hook that they came to.
        #[arg(long, value_name = "HOOK")]
        hook: String,
        /// JSON {method, url, headers, body or body_base64, from}, or such objects line by line; -
        /// reads from standard input.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// JSON of the provider's fields, as `show` prints them.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Arguments of `talkpath key`.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What to do with API keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Create a key and print it: the only time it is shown.
    Create {
        /// A name to know the key by.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// What the key may do.
        #[arg(long, value_enum, default_value = "calls")]
        scope: ScopeArg,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the keys that hold, without the keys themselves.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key invalid, at once and for good.
    Revoke {
        /// Id of the key as `list` prints it.
        id: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `talkpath organization`.
#[derive(Args, Clone, Debug)]
pub struct OrganizationArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: OrganizationCommand,
}

/// What to do with organisations.
#[derive(Clone, Debug, Subcommand)]
pub enum OrganizationCommand {
    /// Create an organisation and print its first key, of scope admin: the only time it is shown.
    Create {
        /// A name to know the organisation by; no two have the same.
        name: String,
        /// Calls at once; as many as the server takes if absent.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000))]
        max_calls: Option<i64>,
        /// New calls a second; as many as the server takes if absent.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000))]
        calls_per_second: Option<i64>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the organisations in the order they were made.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an organisation another name.
    Rename {
        /// Name or id of the organisation.
        organization: String,
        /// The new name.
        name: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let an organisation have no new calls; those that live go on.
    Suspend {
        /// Name or id of the organisation.
        organization: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a suspended organisation have calls again.
    Resume {
        /// Name or id of the organisation.
        organization: String,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Create a key of an organisation and print it: the only time it is shown.
    Key {
        /// Name or id of the organisation.
        organization: String,
        /// A name to know the key by.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// What the key may do.
        #[arg(long, value_enum, default_value = "admin")]
        scope: ScopeArg,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `talkpath migrate`.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `talkpath seal`.
#[derive(Args, Clone, Debug)]
pub struct SealArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: SealCommand,
}

/// What to do with the keys that seal.
#[derive(Clone, Debug, Subcommand)]
pub enum SealCommand {
    /// Seal everything again under the newest key; may be broken off and run again at any time.
    ///
    /// Servers may run meanwhile. The older keys may be removed when nothing was sealed again in a
    /// run and a day has passed.
    Rotate {
        /// Make a new key first and put it in front of the others in their file.
        #[arg(long)]
        new_key: bool,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// Everything, and the organisations of the server.
    Server,
    /// Everything of its organisation, other keys included.
    Admin,
    /// Place, steer and see calls.
    Calls,
    /// See calls.
    Read,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    /// The definition is consistent, and every command and argument has a help text.
    #[test]
    fn everything_is_explained() {
        fn visit(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {} has no help", argument.get_id());
            }
            command.get_subcommands().for_each(visit);
        }
        Cli::command().debug_assert();
        visit(&Cli::command());
    }

    /// The lines of the documentation mean what they say.
    #[test]
    fn documented_lines_are_understood() {
        let Command::Serve(serve) =
            parse("talkpath serve --config a.toml --data-dir d").unwrap().command
        else {
            panic!("not serve")
        };
        assert_eq!(serve.config.config, Some("a.toml".into()));
        assert_eq!(serve.config.data_dir, Some("d".into()));
        let line =
            "talkpath call sip:echo@127.0.0.1 --play a.wav --record b.wav --seconds 5 --json";
        let Command::Call(call) = parse(line).unwrap().command else { panic!("not call") };
        assert_eq!(call.uri, "sip:echo@127.0.0.1");
        assert_eq!((call.seconds, call.json), (Some(5), true));
        assert!(matches!(
            parse("talkpath key create --name ci --scope read").unwrap().command,
            Command::Key(KeyArgs {
                command: KeyCommand::Create { scope: ScopeArg::Read, json: false, .. },
                ..
            })
        ));
        assert!(parse("talkpath key list --json").is_ok());
        assert!(parse("talkpath key list --config a.toml --data-dir d").is_ok());
        assert!(parse("talkpath migrate --json").is_ok());
        assert!(parse("talkpath organization create acme --max-calls 20 --json").is_ok());
        assert!(parse("talkpath organization list").is_ok());
        assert!(parse("talkpath organization rename acme acme2").is_ok());
        assert!(parse("talkpath organization suspend acme").is_ok());
        assert!(parse("talkpath organization resume acme").is_ok());
        assert!(parse("talkpath organization key acme --scope calls").is_ok());
        assert!(parse("talkpath seal rotate --new-key --json").is_ok());
        assert!(parse("talkpath key revoke k1").is_ok());
        assert!(parse("talkpath provider list").is_ok());
        assert!(parse("talkpath provider show sip_trunk --json").is_ok());
        assert!(parse("talkpath check --json").is_ok());
    }

    /// Wrong lines are refused.
    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "talkpath",
            "talkpath call",
            "talkpath call sip:a@b --seconds 0",
            "talkpath serve --port 1",
            "talkpath key create --scope root",
            "talkpath organization create",
            "talkpath organization create a --max-calls 0",
            "talkpath nonsense",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
