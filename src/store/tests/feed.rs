//! What one node changes, every other is told of.

use std::time::Duration;

use super::{Db, on_both};

/// A change that another store commits arrives by itself, one that was made before anybody followed
/// too: those of other nodes, and on SQLite those of commands.
#[test]
fn changes_of_others_are_told() {
    on_both(async |db: &Db| {
        let (ours, theirs) = (db.store().await, db.store().await);
        let mut changes = ours.changes();
        let mut expect = async |what: &str| {
            let told = tokio::time::timeout(Duration::from_secs(20), changes.changed()).await;
            told.expect(what).unwrap();
            *changes.borrow_and_update()
        };
        db.organisation(&theirs, "before").await;
        let follower = tokio::spawn(ours.clone().follow());
        let first = expect("the change before").await;
        for round in 0..if ours.is_shared() { 3 } else { 1 } {
            db.organisation(&theirs, &format!("o{round}")).await;
            assert_eq!(expect("a change").await, first + 1 + round);
        }
        ours.close().await;
        tokio::time::timeout(Duration::from_secs(10), follower).await.unwrap().unwrap();
    });
}
