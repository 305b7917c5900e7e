//! `talkpath seal`.

use std::io::{self, Write};

use serde_json::json;
use thiserror::Error;

use crate::cli::SealCommand;
use crate::config::Config;
use crate::seal::{SealError, SealKeys};
use crate::store::{SealSource, Store, StoreError, StoreSettings};

/// Why the command failed.
#[derive(Debug, Error)]
pub(super) enum CommandError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys refuse.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The keys are not in a file.
    #[error(
        "the sealing keys are not in a file, so no key can be added here; put a new one in front \
         of seal.keys for all servers, restart them, and run this without --new-key"
    )]
    NoFile,
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Carries out the command and writes the answer to `out`.
pub(super) async fn run(
    config: &Config,
    command: &SealCommand,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let SealCommand::Rotate { new_key, json } = command;
    let settings = StoreSettings::new(config);
    // Opened first, so that a new key is not added to keys that are the wrong ones.
    let mut store = Store::open(&settings).await?;
    if *new_key {
        let (SealSource::File(path) | SealSource::Own(path)) = &settings.seal else {
            return Err(CommandError::NoFile);
        };
        SealKeys::add(path)?;
        store.close().await;
        store = Store::open(&settings).await?;
    }
    let done = store.reseal().await;
    store.close().await;
    let (done, key) = (done?, store.seal_keys().newest().to_owned());
    if *json {
        let answer = json!({ "key": key, "sealed": done.sealed, "kept": done.kept });
        writeln!(out, "{answer}")?;
    } else {
        let (sealed, kept) = (done.sealed, done.kept);
        writeln!(out, "key {key}: {sealed} values sealed again, {kept} were so already")?;
    }
    Ok(())
}
