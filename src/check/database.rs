//! The database and what seals it.

use super::Report;
use super::system;
use crate::config::Config;
use crate::store::inspect::{Inspection, inspect};
use crate::store::{DatabaseUrl, StoreError, StoreSettings};

/// Looks at the data folder and at the database; how many of its configurations have carriers that
/// send webhooks.
pub(super) fn database(report: &mut Report, config: &Config) -> usize {
    let folder = &config.data_dir;
    if folder.exists() {
        match system::writable_by_others(folder) {
            Some(found) => report.warn("data_dir", found, "chmod 700 the folder"),
            None => report.ok("data_dir", folder.display().to_string()),
        }
    } else {
        let found = format!("{} does not exist yet; `talkpath serve` makes it", folder.display());
        report.ok("data_dir", found);
    }
    let settings = StoreSettings::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = match runtime {
        Ok(runtime) => runtime.block_on(inspect(&settings)),
        Err(error) => {
            report.fail("database", error.to_string(), "free some memory");
            return 0;
        }
    };
    let url = &config.database.url;
    match found {
        Ok(Inspection::Missing) => {
            report.ok("database", format!("{url} does not exist yet; `talkpath serve` makes it"));
        }
        Ok(Inspection::Outdated { step, latest }) if step > latest => report.fail(
            "database",
            format!("{url} is of a later version (step {step}, this program knows {latest})"),
            "run the later version",
        ),
        Ok(Inspection::Outdated { step, latest }) => {
            let found =
                format!("{url}, at step {step} of {latest}; `talkpath serve` does the rest");
            report.ok("database", found);
        }
        Ok(Inspection::Ready { keys, hooked }) => {
            report.ok("database", format!("{url}, {keys} API keys"));
            return hooked;
        }
        Err(error @ StoreError::Sealed(_)) => report.fail(
            "database",
            error.to_string(),
            "give back the keys that it was sealed with: seal.keys, seal.keys_file, or the file \
             seal.keys in data_dir",
        ),
        Err(error) => report.fail("database", error.to_string(), advice(url)),
    }
    0
}

const fn advice(url: &DatabaseUrl) -> &'static str {
    match url {
        DatabaseUrl::Sqlite(_) => "restore the file from a backup, or correct database.url",
        DatabaseUrl::Postgres(_) => "start the server, or correct database.url",
    }
}
