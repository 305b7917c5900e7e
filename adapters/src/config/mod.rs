//! Configurations of providers: read field by field, masked when shown, merged when saved.

mod error;
mod mask;
mod moved;
mod read;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

pub use error::{ConfigError, ConfigErrors, Problem};
pub use mask::mask;

use crate::event::InboundCall;
use crate::secret::Secret;
use crate::spec::ProviderSpec;

/// The values of a configuration by field, as they are sealed and stored.
///
/// One that came from [`ProviderSpec::read`] holds what its fields demand: every required value,
/// every default, each in its one written form. `Debug` shows the names of the fields only.
#[derive(Clone, Default, PartialEq)]
pub struct RawConfig(Map<String, Value>);

impl RawConfig {
    /// Takes what was stored. `None` if it is not an object.
    pub fn from_stored(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// Everything, secrets in clear: to be sealed, never to be shown.
    pub const fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The value of the field with that dotted name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        get(&self.0, name)
    }

    /// The text of a field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The text of a field that must not be shown. An empty one is none: it would prove anything.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).filter(|text| !text.is_empty()).map(Secret::new)
    }

    /// The number of a field.
    pub fn number<N: TryFrom<i64>>(&self, name: &str) -> Option<N> {
        self.get(name).and_then(Value::as_i64).and_then(|number| N::try_from(number).ok())
    }

    /// The flag of a field; false if it has none.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The texts of a field that is a list; none if it has none.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The texts by name of a field that is a map; none if it has none.
    pub fn map(&self, name: &str) -> BTreeMap<&str, &str> {
        let map = self.get(name).and_then(Value::as_object);
        let entries = map.into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// The entries of a field that has rows; none if it has none.
    pub fn rows(&self, name: &str) -> Vec<Self> {
        let rows = self.get(name).and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(|row| Self::from_stored(row.clone())).collect()
    }

    /// The configuration for operations on a call that was offered: what the call says of the place
    /// where the carrier keeps it, by the names of [`InboundCall::PLACE`], is laid over the fields.
    pub fn of_call(&self, call: &InboundCall) -> Self {
        let mut config = self.clone();
        for (name, value) in &call.extra {
            if InboundCall::PLACE.contains(&name.as_str()) {
                config.set(name, Value::from(value.expose()));
            }
        }
        config
    }

    fn set(&mut self, name: &str, value: Value) {
        let mut map = &mut self.0;
        let mut rest = name;
        while let Some((head, tail)) = rest.split_once('.') {
            let child = map.entry(head.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !child.is_object() {
                *child = Value::Object(Map::new());
            }
            let Some(child) = child.as_object_mut() else { return };
            (map, rest) = (child, tail);
        }
        map.insert(rest.to_owned(), value);
    }
}

impl fmt::Debug for RawConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn get<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    match name.split_once('.') {
        Some((head, rest)) => get(map.get(head)?.as_object()?, rest),
        None => map.get(name),
    }
}

impl ProviderSpec {
    /// Reads a configuration that a client wrote, over the one that is `stored` if there is one.
    ///
    /// - A secret that equals its mask stays as it is stored, nested ones and those in maps too;
    ///   unless a field that [`steers`](crate::ui::UiField::steers) sends it where it did not go.
    /// - What the server manages is ignored and carried over; what belongs to the account is
    ///   dropped when the account changed.
    /// - Fields whose condition does not hold are dropped; empty ones count as absent; absent ones
    ///   get their default.
    /// - Everything else must be as its field demands, and unknown names are errors.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its field. No error tells a secret.
    pub fn read(
        &self,
        given: &Value,
        stored: Option<&RawConfig>,
    ) -> Result<RawConfig, ConfigErrors> {
        let mut config = read::read(self.ui.fields, given, stored)?;
        self.carry_over(&mut config, stored);
        (self.check)(&config)?;
        Ok(config)
    }

    /// Reads the settings of a trunk within a configuration, over those that are `stored`, as
    /// [`ProviderSpec::read`] does; none if its configurations have no trunks.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its field. No error tells a secret.
    pub fn read_trunk(
        &self,
        given: &Value,
        stored: Option<&RawConfig>,
    ) -> Option<Result<RawConfig, ConfigErrors>> {
        let settings = read::read(self.trunk_fields()?, given, stored);
        let check = |settings: &RawConfig| match self.trunks {
            Some(_) => Ok(()),
            None => (self.check)(settings),
        };
        Some(settings.and_then(|settings| check(&settings).map(|()| settings)))
    }

    /// The settings of a trunk as clients may see them: secrets masked.
    pub fn masked_trunk(&self, settings: &RawConfig) -> Value {
        mask::masked(self.trunk_fields().unwrap_or_default(), settings)
    }

    /// The configuration as clients may see it: secrets masked, hidden fields left out.
    pub fn masked(&self, config: &RawConfig) -> Value {
        mask::masked(self.ui.fields, config)
    }

    /// Every text that the configuration keeps secret.
    pub fn secrets<'c>(&self, config: &'c RawConfig) -> Vec<&'c str> {
        mask::secrets(self.ui.fields, config)
    }

    /// Sets fields that the server manages, as `provision` of the provider found them.
    ///
    /// # Errors
    ///
    /// A name that is no field the server manages, or a value that is not what the field demands.
    pub fn set_managed(
        &self,
        config: &mut RawConfig,
        values: &[(&str, Value)],
    ) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for (name, value) in values {
            let managed = |field: &&crate::ui::UiField| field.name == *name && field.is_managed();
            match self.ui.fields.iter().find(managed) {
                None => errors.push(*name, Problem::Unknown),
                Some(field) => {
                    if let Some(value) = read::value(field, field.name, value, &mut errors) {
                        config.set(name, value);
                    }
                }
            }
        }
        errors.into_result()
    }

    fn carry_over(&self, config: &mut RawConfig, stored: Option<&RawConfig>) {
        let Some(stored) = stored else { return };
        let same_account =
            self.account_field.is_none_or(|account| config.get(account) == stored.get(account));
        for field in self.ui.fields {
            let crate::ui::Owner::Server { account_scoped, .. } = field.owner else { continue };
            if (same_account || !account_scoped)
                && let Some(value) = stored.get(field.name)
            {
                config.set(field.name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
