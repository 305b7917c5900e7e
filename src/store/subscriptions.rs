//! Who wants to be told of events, and where.

use super::id::{OrganisationId, SubscriptionId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::config::Secret;
use crate::seal::Place;

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Names it.
    pub id: SubscriptionId,
    /// Where webhooks go.
    pub url: String,
    /// The types of events that it wants; `call.*` are all that begin so.
    pub events: Vec<String>,
    /// For people.
    pub description: Option<String>,
    /// Events are delivered.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What of a subscription can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFields {
    /// Where webhooks go.
    pub url: String,
    /// The types of events that it wants.
    pub events: Vec<String>,
    /// For people.
    pub description: Option<String>,
    /// Events are delivered.
    pub enabled: bool,
}

/// What signs the webhooks of a subscription that is changed.
#[derive(Clone, Copy, Debug)]
pub enum SigningKey<'k> {
    /// The secret that it has, if its webhooks still go there.
    KeptAt(&'k str),
    /// Another one.
    New(&'k Secret),
}

/// What an event needs to know of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// Names it.
    pub id: SubscriptionId,
    /// The types of events that it wants.
    pub events: Vec<String>,
}

const SELECT: &str = "SELECT id, url, events, description, enabled, created_at, updated_at \
                      FROM subscriptions WHERE deleted_at IS NULL";

fn read(row: &Row) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        id: row.get("id")?,
        url: row.get("url")?,
        events: row.json("events")?,
        description: row.get("description")?,
        enabled: row.get("enabled")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// The subscriptions of an organisation to which events are delivered.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn enabled(
    tx: &mut Tx,
    organisation: OrganisationId,
) -> Result<Vec<Wanting>, StoreError> {
    let query = Query::new(
        "SELECT id, events FROM subscriptions \
         WHERE organisation_id = $1 AND enabled AND deleted_at IS NULL",
    );
    let rows = tx.fetch_all(query.bind(organisation)).await?;
    let wanting = |row: &Row| Ok(Wanting { id: row.get("id")?, events: row.json("events")? });
    rows.iter().map(wanting).collect()
}

const fn place(id: &SubscriptionId) -> Place<'_> {
    Place { table: "subscriptions", row: id.0.as_bytes(), field: "secret" }
}

fn events(fields: &SubscriptionFields) -> Result<String, StoreError> {
    serde_json::to_string(&fields.events).map_err(|_| StoreError::Corrupt { what: "events" })
}

impl Store {
    /// Makes a subscription whose webhooks are signed with `secret`.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn create_subscription(
        &self,
        organisation: OrganisationId,
        fields: &SubscriptionFields,
        secret: &Secret,
        actor: &Actor,
    ) -> Result<Subscription, StoreError> {
        let (id, now) = (SubscriptionId::new(), Timestamp::now());
        let sealed = self.seal(&place(&id), secret.expose().as_bytes())?;
        let query = Query::new(
            "INSERT INTO subscriptions (id, organisation_id, url, events, secret, description, \
             enabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let query = query.bind(id).bind(organisation).bind(&fields.url).bind(events(fields)?);
        let query = query.bind(sealed).bind(fields.description.clone()).bind(fields.enabled);
        let mut tx = self.begin().await?;
        tx.execute(query.bind(now).bind(now)).await?;
        tx.audit(&Audit::new(organisation, actor, "create", "subscription", id)).await?;
        tx.commit().await?;
        let SubscriptionFields { url, events, description, enabled } = fields.clone();
        Ok(Subscription { id, url, events, description, enabled, created_at: now, updated_at: now })
    }

    /// Up to `limit` subscriptions of an organisation after `after`, in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn subscriptions(
        &self,
        organisation: OrganisationId,
        after: Option<SubscriptionId>,
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        self.fetch_all(query.page(after, limit)).await?.iter().map(read).collect()
    }

    /// One subscription.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn subscription(
        &self,
        organisation: OrganisationId,
        id: SubscriptionId,
    ) -> Result<Subscription, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// Where webhooks of a subscription go and what signs them; `None` once it is deleted.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or the secret cannot be opened.
    pub async fn subscription_target(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<(String, Secret)>, StoreError> {
        let query = Query::new(
            "SELECT url, secret FROM subscriptions WHERE id = $1 AND deleted_at IS NULL",
        );
        let Some(row) = self.fetch_optional(query.bind(id)).await? else { return Ok(None) };
        let sealed: Vec<u8> = row.get("secret")?;
        let secret = String::from_utf8(self.unseal(&place(&id), &sealed)?);
        let secret = secret.map_err(|_| StoreError::Corrupt { what: "secret" })?;
        Ok(Some((row.get("url")?, Secret::new(secret))))
    }

    /// Changes a subscription.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id, or it is not where its
    /// secret would be kept.
    pub async fn update_subscription(
        &self,
        organisation: OrganisationId,
        id: SubscriptionId,
        fields: &SubscriptionFields,
        key: SigningKey<'_>,
        actor: &Actor,
    ) -> Result<Subscription, StoreError> {
        let query = Query::new(
            "UPDATE subscriptions SET url = $1, events = $2, description = $3, enabled = $4, \
             updated_at = $5",
        );
        let query = query.bind(&fields.url).bind(events(fields)?).bind(fields.description.clone());
        let query = query.bind(fields.enabled).bind(Timestamp::now());
        let query = match key {
            SigningKey::KeptAt(_) => query,
            SigningKey::New(secret) => {
                let sealed = self.seal(&place(&id), secret.expose().as_bytes())?;
                query.push(", secret = ").push_bind(sealed)
            }
        };
        let query = query.push(" WHERE deleted_at IS NULL AND id = ").push_bind(id);
        let query = query.push(" AND organisation_id = ").push_bind(organisation);
        let query = match key {
            SigningKey::KeptAt(url) => query.push(" AND url = ").push_bind(url),
            SigningKey::New(_) => query,
        };
        let query =
            query.push(" RETURNING id, url, events, description, enabled, created_at, updated_at");
        let mut tx = self.begin().await?;
        let changed = read(&tx.fetch_one(query).await?)?;
        tx.audit(&Audit::new(organisation, actor, "update", "subscription", id)).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Gives a subscription another secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn rotate_subscription(
        &self,
        organisation: OrganisationId,
        id: SubscriptionId,
        secret: &Secret,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let sealed = self.seal(&place(&id), secret.expose().as_bytes())?;
        let query = Query::new(
            "UPDATE subscriptions SET secret = $1, updated_at = $2 \
             WHERE id = $3 AND organisation_id = $4 AND deleted_at IS NULL",
        );
        let query = query.bind(sealed).bind(Timestamp::now()).bind(id).bind(organisation);
        self.change_subscription(organisation, id, query, "rotate", actor).await
    }

    /// Deletes a subscription; what waits to be delivered to it is given up.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn delete_subscription(
        &self,
        organisation: OrganisationId,
        id: SubscriptionId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let query = Query::new(
            "UPDATE subscriptions SET deleted_at = $1, updated_at = $1 \
             WHERE id = $2 AND organisation_id = $3 AND deleted_at IS NULL",
        );
        let query = query.bind(now).bind(id).bind(organisation);
        self.change_subscription(organisation, id, query, "delete", actor).await
    }

    async fn change_subscription(
        &self,
        organisation: OrganisationId,
        id: SubscriptionId,
        query: Query,
        action: &'static str,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if tx.execute(query).await? == 0 {
            return Err(StoreError::NotFound);
        }
        tx.audit(&Audit::new(organisation, actor, action, "subscription", id)).await?;
        tx.commit().await
    }
}
