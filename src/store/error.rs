//! Why the store does not do what it was asked.

use thiserror::Error;

use crate::seal::SealError;

/// Why the store does not do what it was asked. Says nothing of the values it was given.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such thing, or it belongs to another organisation.
    #[error("there is no such thing")]
    NotFound,
    /// Something else holds what must be unique.
    #[error("{what} is taken")]
    Conflict {
        /// What must be unique, such as `name`.
        what: &'static str,
    },
    /// It refers to something that the organisation does not have.
    #[error("there is no such {what}")]
    NoSuch {
        /// What it refers to, such as `agent`.
        what: &'static str,
    },
    /// Something refers to it.
    #[error("{what}")]
    InUse {
        /// What refers to it.
        what: &'static str,
    },
    /// The organisation has as many as it may.
    #[error("an organisation has at most {max} of this kind: {what}")]
    Full {
        /// What it has so many of, such as `agent`.
        what: &'static str,
        /// How many.
        max: u32,
    },
    /// It comes from the configuration file and is changed there.
    #[error("it is declared in the configuration file and can only be changed there")]
    ReadOnly,
    /// The database cannot be reached, or has no time.
    #[error("the database cannot be reached: {reason}")]
    Unavailable {
        /// What it said.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error("the database holds something unexpected in {what}")]
    Corrupt {
        /// The column.
        what: &'static str,
    },
    /// A sealed value cannot be opened, or none can be sealed.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// The database cannot be opened.
    #[error("{place}: {reason}")]
    Open {
        /// The file, or the kind of the server.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The tables cannot be brought to this version.
    #[error("the tables cannot be brought to this version: {reason}")]
    Migration {
        /// What is wrong.
        reason: String,
    },
    /// The database refuses a statement: a defect of this program.
    #[error("the database refuses a statement: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Unique keys: the name that PostgreSQL tells, the columns that SQLite tells, what they mean.
pub(super) const UNIQUE: &[(&str, &str, &str)] = &[
    ("organisations_name", "organisations.name", "name"),
    ("api_keys_sha256", "api_keys.sha256", "key"),
    ("configurations_name", "configurations.organisation_id, configurations.name", "name"),
    ("configurations_default", "configurations.organisation_id", "default outbound"),
    ("configurations_token", "configurations.token_sha256", "token"),
    ("trunks_name", "trunks.configuration_id, trunks.name", "name"),
    ("trunks_name_alone", "trunks.organisation_id, trunks.name", "name"),
    ("agents_name", "agents.organisation_id, agents.name", "name"),
    ("rates_prefix", "rates.organisation_id, rates.currency, rates.prefix", "prefix"),
    (
        "numbers_routing_key",
        "numbers.provider, numbers.account_sha256, numbers.address_normalised",
        "routing key",
    ),
    ("numbers_address", "numbers.configuration_id, numbers.address_normalised", "address"),
    ("numbers_default", "numbers.configuration_id", "default caller id"),
    (
        "call_events_source",
        "call_events.call_id, call_events.source, call_events.source_id",
        "event",
    ),
    ("deliveries_event", "deliveries.subscription_id, deliveries.event_id", "delivery"),
];

impl StoreError {
    /// True if it may work later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match error {
            Error::RowNotFound => Self::NotFound,
            Error::Database(error) => refused(error.as_ref()),
            Error::Io(error) => Self::Unavailable { reason: error.kind().to_string() },
            Error::Tls(_) => Self::Unavailable { reason: "TLS".to_owned() },
            Error::PoolTimedOut => Self::Unavailable { reason: "no connection is free".to_owned() },
            Error::PoolClosed | Error::WorkerCrashed => {
                Self::Unavailable { reason: "the connection is closed".to_owned() }
            }
            Error::ColumnDecode { .. } | Error::Decode(_) => Self::Corrupt { what: "a column" },
            other => Self::Refused { reason: other.to_string() },
        }
    }
}

fn refused(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    if error.is_unique_violation() {
        let message = error.message();
        let columns = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or_default();
        let found = UNIQUE
            .iter()
            .find(|(index, named, _)| error.constraint() == Some(index) || columns == *named);
        return StoreError::Conflict { what: found.map_or("the identifier", |(_, _, what)| what) };
    }
    if error.is_foreign_key_violation() {
        return StoreError::InUse {
            what: "it refers to something that is not there, or is in use",
        };
    }
    let reason = error.message().to_owned();
    match error.code().as_deref() {
        // SQLite: busy, locked, out of memory or disk, cannot open. PostgreSQL: connections,
        // resources, the operator's intervention, a deadlock or a conflict of transactions, a
        // server that only reads until it takes the place of another.
        Some("5" | "6" | "7" | "10" | "13" | "14" | "261" | "517" | "25006") => {
            StoreError::Unavailable { reason }
        }
        Some(code)
            if code.len() == 5
                && ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) =>
        {
            StoreError::Unavailable { reason }
        }
        _ => StoreError::Refused { reason },
    }
}
