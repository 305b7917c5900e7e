//! From which numbers calls were placed is what the log says.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on_both};
use crate::store::callers::Line;
use crate::store::{ConfigurationId, OrganisationId, Query, Timestamp};

/// Calls that were placed count for the number and the line that they were placed by, each for its
/// own organisation; and the last number that somebody was called from is found.
#[test]
fn numbers_are_remembered() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let theirs = db.organisation(&store, "theirs").await;
        let line = ConfigurationId::new();
        let now = Timestamp::now();
        let ago = |seconds| now.before(Duration::from_secs(seconds));
        // Whose, which way, from, to, by which configuration and trunk, when.
        for (whose, way, from, to, by, trunk, began) in [
            (ours, "outbound", "+4930111", "+4940", Some(line), None, 10),
            (ours, "outbound", "+4930222", "+4940", Some(line), None, 20),
            (ours, "outbound", "+4930111", "+4950", Some(line), None, 30),
            (ours, "outbound", "", "+4940", Some(line), None, 5),
            (ours, "inbound", "+4930111", "+4940", Some(line), None, 1),
            (ours, "outbound", "4930111", "4940", None, Some("gw"), 40),
            (ours, "outbound", "+4930111", "+4940", Some(line), None, 9_000),
            (theirs, "outbound", "+4930333", "+4940", Some(line), None, 2),
        ] {
            let query = Query::new(
                "INSERT INTO calls (id, organisation_id, direction, state, from_number, \
                 to_number, configuration_id, trunk, created_at, updated_at, is_incomplete) \
                 VALUES ($1, $2, $3, 'x', $4, $5, $6, $7, $8, $8, $9)",
            );
            let query = query.bind(Uuid::now_v7()).bind(whose).bind(way).bind(from).bind(to);
            let query = query.bind(by).bind(trunk).bind(ago(began)).bind(false);
            store.execute(query).await.unwrap();
        }
        let count = async |line: Line<'static>| {
            let mut counts = store.calls_from(ours, line, ago(1_000)).await.unwrap();
            counts.sort();
            counts
        };
        let by = |number: &str, calls: u32| (number.to_owned(), calls);
        let counted = count(Line::Configuration(line)).await;
        assert_eq!(counted, [by("+4930111", 2), by("+4930222", 1)]);
        assert_eq!(count(Line::Trunk("gw")).await, [by("4930111", 1)]);
        let last = async |whose: OrganisationId, to: [&'static str; 2]| {
            store.called_from(whose, to).await.unwrap()
        };
        assert_eq!(last(ours, ["+4940", "+4940"]).await.as_deref(), Some("+4930111"));
        assert_eq!(last(ours, ["4940", "4940"]).await.as_deref(), Some("4930111"));
        assert_eq!(last(theirs, ["x", "+4940"]).await.as_deref(), Some("+4930333"));
        assert_eq!(last(ours, ["+4960", "+4960"]).await, None);
    });
}
