//! Organisations: whose everything is.

use std::time::Duration;

use super::id::{OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::quota::amount::{Amount, Currency};
use crate::quota::budget::Budget;
use crate::quota::credit::Cap;

/// Name of the organisation that is there from the start.
pub const FIRST: &str = "default";
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Names it.
    pub id: OrganisationId,
    /// For people; unique.
    pub name: String,
    /// Calls at once; as many as the server takes if absent.
    pub max_calls: Option<i64>,
    /// New calls a second; as many as the server takes if absent.
    pub calls_per_second: Option<i64>,
    /// What else is set, as JSON: an object.
    pub settings: serde_json::Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The setting that says that an organisation has no new calls.
const SUSPENDED: &str = "suspended";
/// The setting that says how long its calls last, in seconds.
const MAX_DURATION: &str = "max_duration_s";
/// The settings that say how many minutes its calls talk.
pub const MINUTES: [&str; 2] = ["minutes_per_day", "minutes_per_month"];

/// The settings that say how much money its calls may cost.
pub const MONEY: [&str; 2] = ["spend_per_day", "spend_per_month"];
/// The setting that says which currency that is in.
pub const CURRENCY: &str = "currency";

impl Organisation {
    /// What its calls may cost; none if they are not priced.
    pub fn cap(&self) -> Option<Cap> {
        let text = |name| self.settings.get(name)?.as_str();
        let currency = Currency::parse(text(CURRENCY)?).ok()?;
        let [a_day, a_month] = MONEY.map(|name| Amount::parse(text(name)?).ok());
        Some(Cap { currency, a_day, a_month })
    }

    /// Whether it has no new calls.
    pub fn is_suspended(&self) -> bool {
        self.settings.get(SUSPENDED).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// How long its calls last at most, if it has a limit of its own.
    pub fn max_duration(&self) -> Option<Duration> {
        self.settings.get(MAX_DURATION)?.as_u64().map(Duration::from_secs)
    }

    /// What its calls may spend.
    pub fn budget(&self) -> Budget {
        let [a_day, a_month] = MINUTES.map(|name| {
            let minutes = self.settings.get(name)?.as_u64()?;
            Some(u32::try_from(minutes).unwrap_or(u32::MAX))
        });
        Budget { a_day, a_month }
    }
}

/// What of an organisation can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationFields {
    /// For people; unique.
    pub name: String,
    /// Calls at once.
    pub max_calls: Option<i64>,
    /// New calls a second.
    pub calls_per_second: Option<i64>,
    /// What else is set, as JSON: an object.
    pub settings: serde_json::Value,
}

impl OrganisationFields {
    /// Whether it has no new calls from now on.
    pub fn suspend(&mut self, suspended: bool) {
        if let Some(settings) = self.settings.as_object_mut() {
            settings.insert(SUSPENDED.to_owned(), suspended.into());
        }
    }

    /// How long its calls last at most from now on, in seconds.
    pub fn set_max_duration(&mut self, seconds: Option<i64>) {
        if let Some(settings) = self.settings.as_object_mut() {
            settings.insert(MAX_DURATION.to_owned(), seconds.into());
        }
    }

    /// What its calls may cost from now on, of what [`Organisation::cap`] is made of.
    pub fn set_money(&mut self, cap: Option<Cap>) {
        let Some(settings) = self.settings.as_object_mut() else { return };
        let [a_day, a_month] = MONEY;
        let text = |amount: Option<Amount>| serde_json::json!(amount);
        settings.insert(CURRENCY.to_owned(), serde_json::json!(cap.map(|cap| cap.currency)));
        settings.insert(a_day.to_owned(), text(cap.and_then(|cap| cap.a_day)));
        settings.insert(a_month.to_owned(), text(cap.and_then(|cap| cap.a_month)));
    }

    /// What its calls may spend from now on, of what [`Organisation::budget`] is made of.
    pub fn set_minutes(&mut self, name: &str, minutes: Option<i64>) {
        if let Some(settings) = self.settings.as_object_mut() {
            settings.insert(name.to_owned(), minutes.into());
        }
    }
}

const SELECT: &str = "SELECT id, name, max_calls, calls_per_second, settings, created_at, \
                      updated_at FROM organisations WHERE deleted_at IS NULL";

fn read(row: &Row) -> Result<Organisation, StoreError> {
    Ok(Organisation {
        id: row.get("id")?,
        name: row.get("name")?,
        max_calls: row.get("max_calls")?,
        calls_per_second: row.get("calls_per_second")?,
        settings: row.json("settings")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// The first organisation, made if it is missing.
pub(super) async fn first(tx: &mut Tx) -> Result<OrganisationId, StoreError> {
    const META: &str = "default_organisation";
    let insert =
        Query::new("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    let id = OrganisationId::new();
    if tx.execute(insert.bind(META).bind(id)).await? == 0 {
        let found = Query::new("SELECT value FROM meta WHERE name = $1").bind(META);
        return tx.fetch_one(found).await?.get("value");
    }
    let fields = OrganisationFields {
        name: FIRST.to_owned(),
        max_calls: None,
        calls_per_second: None,
        settings: serde_json::json!({}),
    };
    insert_row(tx, id, &fields, "file").await?;
    Ok(id)
}

async fn insert_row(
    tx: &mut Tx,
    id: OrganisationId,
    fields: &OrganisationFields,
    origin: &str,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let query = Query::new(
        "INSERT INTO organisations (id, name, max_calls, calls_per_second, settings, origin, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
    let query = query.bind(id).bind(&fields.name).bind(fields.max_calls);
    let query = query.bind(fields.calls_per_second).bind(fields.settings.to_string());
    tx.execute(query.bind(origin).bind(now).bind(now)).await?;
    Ok(())
}

impl Store {
    /// Makes an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another has the name.
    pub async fn create_organisation(
        &self,
        fields: &OrganisationFields,
        actor: &Actor,
    ) -> Result<OrganisationId, StoreError> {
        let id = OrganisationId::new();
        let mut tx = self.begin_change().await?;
        insert_row(&mut tx, id, fields, "api").await?;
        tx.audit(&Audit::new(id, actor, "create", "organisation", id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id.
    pub async fn organisation(&self, id: OrganisationId) -> Result<Organisation, StoreError> {
        let query = Query::new(SELECT).push(" AND id = ").push_bind(id);
        read(&self.fetch_one(query).await?)
    }

    /// All organisations in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn organisations(&self) -> Result<Vec<Organisation>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY id")).await?;
        rows.iter().map(read).collect()
    }

    /// Up to `limit` organisations after `after`, in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn organisations_after(
        &self,
        after: Option<OrganisationId>,
        limit: u32,
    ) -> Result<Vec<Organisation>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).page(after, limit)).await?;
        rows.iter().map(read).collect()
    }

    /// Changes an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id, [`StoreError::Conflict`] if another
    /// has the name.
    pub async fn update_organisation(
        &self,
        id: OrganisationId,
        fields: &OrganisationFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        let query = Query::new(
            "UPDATE organisations SET name = $1, max_calls = $2, calls_per_second = $3, \
             settings = $4, updated_at = $5 WHERE id = $6 AND deleted_at IS NULL",
        );
        let query = query.bind(&fields.name).bind(fields.max_calls).bind(fields.calls_per_second);
        let query = query.bind(fields.settings.to_string()).bind(Timestamp::now()).bind(id);
        if tx.execute(query).await? == 0 {
            return Err(StoreError::NotFound);
        }
        tx.audit(&Audit::new(id, actor, "update", "organisation", id)).await?;
        tx.commit().await
    }
}
