//! Rates: what calls cost by their destination.

use super::id::{OrganisationId, RateId, Timestamp};
use super::object::{Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::quota::amount::{Amount, Currency};
use crate::quota::rates::Rate;

pub(super) const RATE: Kind = kind!("rates", "rate", 20_000);

/// What of a rate can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFields {
    /// Digits that numbers begin with, with the calling code and without `+`; none for all others.
    pub prefix: String,
    /// What calls there cost.
    pub rate: Rate,
}

/// A rate of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRow {
    /// Names it.
    pub id: RateId,
    /// What is set.
    pub fields: RateFields,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, currency, prefix, per_minute_micros, \
                      increment_s, connection_micros, origin, created_at, updated_at FROM rates \
                      WHERE deleted_at IS NULL";

fn read(row: &Row) -> Result<RateRow, StoreError> {
    let amount = |name| row.get(name).map(Amount::of_stored);
    let increment_s: i64 = row.get("increment_s")?;
    let rate = Rate {
        currency: row.parse("currency", |text| Currency::parse(text).ok())?,
        per_minute: amount("per_minute_micros")?,
        increment_s: u32::try_from(increment_s)
            .map_err(|_| StoreError::Corrupt { what: "increment_s" })?,
        connection: amount("connection_micros")?,
    };
    let fields = RateFields { prefix: row.get("prefix")?, rate };
    Ok(RateRow { id: row.get("id")?, fields, stamp: Stamp::read(row)? })
}

impl Store {
    /// Makes a rate.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if there is one of its currency and prefix.
    pub async fn create_rate(
        &self,
        organisation: OrganisationId,
        fields: &RateFields,
        actor: &Actor,
    ) -> Result<RateId, StoreError> {
        let mut tx = self.begin_change().await?;
        tx.room(&RATE, organisation).await?;
        let id = RateId::new();
        insert(&mut tx, organisation, id, fields, Origin::Api).await?;
        tx.audit(&Audit::new(organisation, actor, "create", RATE.name, id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One rate.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn rate(
        &self,
        organisation: OrganisationId,
        id: RateId,
    ) -> Result<RateRow, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// Up to `limit` rates after `after`, in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn rates(
        &self,
        organisation: OrganisationId,
        after: Option<RateId>,
        limit: u32,
    ) -> Result<Vec<RateRow>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        self.fetch_all(query.page(after, limit)).await?.iter().map(read).collect()
    }

    /// Changes a rate.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::Conflict`] if there is
    /// another of its currency and prefix.
    pub async fn update_rate(
        &self,
        organisation: OrganisationId,
        id: RateId,
        fields: &RateFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&RATE, organisation, id, Origin::Api).await?;
        write(&mut tx, id, fields).await?;
        tx.audit(&Audit::new(organisation, actor, "update", RATE.name, id)).await?;
        tx.commit().await
    }

    /// Deletes a rate.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] or [`StoreError::ReadOnly`].
    pub async fn delete_rate(
        &self,
        organisation: OrganisationId,
        id: RateId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&RATE, organisation, id, Origin::Api).await?;
        tx.execute(Query::new(RATE.delete).bind(id).bind(Timestamp::now())).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", RATE.name, id)).await?;
        tx.commit().await
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: RateId,
    fields: &RateFields,
    origin: Origin,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let query = Query::new(
        "INSERT INTO rates (currency, prefix, per_minute_micros, increment_s, connection_micros, \
         id, organisation_id, origin, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    let query = bind(query, fields).bind(id).bind(organisation).bind(origin.as_str());
    tx.execute(query.bind(now).bind(now)).await.map(drop)
}

pub(super) async fn write(tx: &mut Tx, id: RateId, fields: &RateFields) -> Result<(), StoreError> {
    let query = Query::new(
        "UPDATE rates SET currency = $1, prefix = $2, per_minute_micros = $3, increment_s = $4, \
         connection_micros = $5, updated_at = $6 WHERE id = $7",
    );
    tx.execute(bind(query, fields).bind(Timestamp::now()).bind(id)).await.map(drop)
}

/// Binds what can be set, in the order of the columns above.
fn bind(query: Query, fields: &RateFields) -> Query {
    let RateFields { prefix, rate } = fields;
    let query = query.bind(rate.currency.as_str()).bind(prefix).bind(rate.per_minute.stored());
    query.bind(i64::from(rate.increment_s)).bind(rate.connection.stored())
}
