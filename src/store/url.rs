//! Where the database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::config::Secret;

/// Where the database is. What is shown of it holds no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of ours.
    Sqlite(PathBuf),
    /// A server; the URL may hold a password.
    Postgres(Secret),
}

impl DatabaseUrl {
    /// What a URL of a database may be.
    pub const ALLOWED: &str =
        "sqlite:FILE, or postgres://USER:PASSWORD@HOST:PORT/DATABASE with its options";

    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Why it is none, without the URL, as it may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(['?', '\0']) {
                return Err("not the path of a file");
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err("the scheme is neither sqlite nor postgres");
        }
        match PgConnectOptions::from_str(text) {
            Ok(_) => Ok(Self::Postgres(Secret::new(text.to_owned()))),
            Err(_) => Err("not the URL of a PostgreSQL server"),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => match PgConnectOptions::from_str(url.expose()) {
                Ok(options) => write!(
                    f,
                    "PostgreSQL at {}:{}, database {:?}",
                    options.get_host(),
                    options.get_port(),
                    options.get_database().unwrap_or(options.get_username())
                ),
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds are read in the forms that people write.
    #[test]
    fn urls_are_read() {
        for (text, path) in [
            ("sqlite:talkpath.db", "talkpath.db"),
            ("sqlite:/var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:///var/lib/t.db", "/var/lib/t.db"),
            ("sqlite://t.db", "t.db"),
        ] {
            assert_eq!(DatabaseUrl::parse(text), Ok(DatabaseUrl::Sqlite(path.into())));
        }
        for bad in ["", "sqlite:", "sqlite://", "mysql://h/d", "postgres://h:port/d", "t.db"] {
            assert!(DatabaseUrl::parse(bad).is_err(), "{bad}");
        }
    }

    /// The password is shown nowhere.
    #[test]
    fn passwords_are_not_shown() {
        let url = DatabaseUrl::parse("postgres://tp:hunter2@db.example:5433/calls").unwrap();
        let shown = format!("{url} {url:?}");
        assert!(shown.contains("db.example:5433") && !shown.contains("hunter2"), "{shown}");
    }
}
