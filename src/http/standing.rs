//! What lets a stream go on that lasts: the key, or the session, that it was begun by.

use super::auth::Caller;
use super::session::Session;
use crate::store::keys::KeyHash;
use crate::store::{OrganisationId, Store, StoreError};

/// The key, and the session, that a stream was begun by.
#[derive(Debug)]
pub(super) struct Standing {
    organisation: OrganisationId,
    key: String,
    session: Option<KeyHash>,
}

impl Standing {
    /// Of a stream that `caller` begins, by a session if there is one.
    pub(super) fn of(caller: Caller, session: Option<&Session>) -> Self {
        let Caller { organisation, key_id: key, .. } = caller;
        Self { organisation, key, session: session.map(Session::hash) }
    }

    /// Whether it still holds.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub(super) async fn holds(&self, store: &Store) -> Result<bool, StoreError> {
        match &self.session {
            Some(session) => Ok(store.session(session).await?.is_some()),
            None => store.key_holds(self.organisation, &self.key).await,
        }
    }
}
