//! From which numbers calls were placed.

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{ConfigurationId, Store, StoreError};

/// Numbers of a line that are counted at most: those of most calls.
const NUMBERS_MAX: u32 = 100_000;

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'l> {
    /// Those by a configuration.
    Configuration(ConfigurationId),
    /// Those through a trunk that belongs to none, by its name.
    Trunk(&'l str),
}

impl Store {
    /// How many calls of an organisation were placed by a line since `since`, by the number that
    /// they were placed from, as it was written.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn calls_from(
        &self,
        organisation: OrganisationId,
        line: Line<'_>,
        since: Timestamp,
    ) -> Result<Vec<(String, u32)>, StoreError> {
        let query = Query::new(
            "SELECT from_number, COUNT(*) AS placed FROM calls WHERE organisation_id = $1 \
             AND created_at >= $2 AND direction = 'outbound' AND from_number <> '' AND ",
        );
        let query = query.bind(organisation).bind(since);
        let query = match line {
            Line::Configuration(id) => query.push("configuration_id = ").push_bind(id),
            Line::Trunk(name) => query.push("trunk = ").push_bind(name),
        };
        let query = query.push(" GROUP BY from_number ORDER BY placed DESC LIMIT ");
        let rows = self.fetch_all(query.push_bind(NUMBERS_MAX)).await?;
        let count = |calls: i64| u32::try_from(calls).unwrap_or(u32::MAX);
        rows.iter().map(|row| Ok((row.get("from_number")?, count(row.get("placed")?)))).collect()
    }

    /// The number that an organisation has called somebody from last; `to` are the ways in which
    /// the called number may be written.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn called_from(
        &self,
        organisation: OrganisationId,
        to: [&str; 2],
    ) -> Result<Option<String>, StoreError> {
        let query = Query::new(
            "SELECT from_number FROM calls WHERE organisation_id = $1 AND to_number IN ($2, $3) \
             AND direction = 'outbound' AND from_number <> '' \
             ORDER BY created_at DESC, id DESC LIMIT 1",
        );
        let query = to.into_iter().fold(query.bind(organisation), |query, to| query.bind(to));
        let row = self.fetch_optional(query).await?;
        row.map(|row| row.get("from_number")).transpose()
    }
}
