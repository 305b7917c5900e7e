//! What the sub-commands do.

mod call;
mod chirp;
#[cfg(feature = "emulate")]
mod emulate;
mod migrate;
mod organization;
mod output;
mod provider;
mod seal;
mod serve;

use std::process::ExitCode;

use output::{Output, say};

use crate::cli::{Cli, Command, ConfigArgs};
use crate::config::{Config, ConfigErrors};

/// Carries out a command line.
pub fn run(cli: &Cli) -> ExitCode {
    match &cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check(args),
        Command::Key(args) => with_config(&args.config, async |config, out| {
            crate::keys::command::run(config, &args.command, out).await
        }),
        Command::Organization(args) => with_config(&args.config, async |config, out| {
            organization::run(config, &args.command, out).await
        }),
        Command::Migrate(args) => with_config(&args.config, async |config, out| {
            migrate::run(config, args.json, out).await
        }),
        Command::Seal(args) => with_config(&args.config, async |config, out| {
            seal::run(config, &args.command, out).await
        }),
        Command::Call(args) => call::run(args),
        #[cfg(feature = "bench")]
        Command::Bench(bench) => bench.run(),
        #[cfg(feature = "emulate")]
        Command::Emulate(args) => emulate::run(args),
        Command::Provider(args) => provider(args),
    }
}

/// Reads the configuration that the arguments name.
fn load(args: &ConfigArgs) -> Result<Config, ConfigErrors> {
    let dialects: Vec<&str> = adapters::dialect::DIALECTS.iter().map(|spec| spec.name).collect();
    Config::load(args.config.as_deref(), args.data_dir.as_deref(), &dialects)
}

/// Says why a command failed.
fn fail(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("talkpath: {error}");
    ExitCode::FAILURE
}

fn check(args: &crate::cli::CheckArgs) -> ExitCode {
    let config = load(&args.config);
    let report = crate::check::run(config.as_ref(), &crate::check::Machine::default());
    match args.json {
        true => say(&format!("{}\n", report.to_json())),
        false => say(&report.to_text()),
    }
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Carries out a command on what the configuration points to.
fn with_config<E: std::fmt::Display>(
    args: &ConfigArgs,
    command: impl AsyncFn(&Config, &mut std::io::Stdout) -> Result<(), E>,
) -> ExitCode {
    let config = match load(args) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    match runtime.block_on(command(&config, &mut std::io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

fn provider(args: &crate::cli::ProviderArgs) -> ExitCode {
    use crate::cli::ProviderCommand as Does;
    match provider::run(&args.command, &mut Output::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // That a request is wrong and that it could not be judged are told apart.
        Err(error) if matches!(args.command, Does::Verify { .. } | Does::Parse { .. }) => {
            fail(error);
            ExitCode::from(2)
        }
        Err(error) => fail(error),
    }
}
