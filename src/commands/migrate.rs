//! `talkpath migrate`.

use std::io::{self, Write};

use serde_json::json;
use thiserror::Error;

use crate::config::Config;
use crate::store::inspect::{Inspection, inspect, latest};
use crate::store::{Store, StoreError, StoreSettings};

/// Why the command failed.
#[derive(Debug, Error)]
pub(super) enum MigrateError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Brings the tables up to date and says from where to where.
pub(super) async fn run(
    config: &Config,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), MigrateError> {
    let settings = StoreSettings::new(config);
    let from = match inspect(&settings).await? {
        Inspection::Missing => 0,
        Inspection::Outdated { step, .. } => step,
        Inspection::Ready { .. } => latest(),
    };
    Store::open(&settings).await?.close().await;
    let (url, to) = (&settings.url, latest());
    if json {
        let answer = json!({ "database": url.to_string(), "from": from, "to": to });
        writeln!(out, "{answer}")?;
    } else if from == to {
        writeln!(out, "{url}: up to date, at step {to}")?;
    } else {
        writeln!(out, "{url}: brought from step {from} to {to}")?;
    }
    Ok(())
}
