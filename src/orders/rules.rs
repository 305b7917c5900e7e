//! What is ordered: the calls, and when they are placed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hours::Hours;
use super::policy::Policy;
use crate::calls::presented::Privacy;
use crate::calls::request::PlaceCall;

/// How the calls of an order are placed: all of `POST /api/v1/calls` but whom.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Name of the agent that talks.
    pub agent: String,
    /// Name or id of the trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// The stored configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telephony_configuration_id: Option<Uuid>,
    /// User part of our From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The name that is displayed beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    /// Whether it is withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
    /// Header fields to add to the INVITE.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A carrier shall tell whether a machine answered.
    #[serde(default)]
    pub amd: bool,
    /// How long it may ring, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_timeout_s: Option<u64>,
    /// How long a call may last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<u64>,
    /// Variables for the agent; those of a recipient come before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// Without variables and headers: they say who is called, and why.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Template");
        fields.field("agent", &self.agent).field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

impl Template {
    /// The call to a recipient, of this organisation and with this id.
    pub fn call(
        &self,
        organisation: Uuid,
        id: Uuid,
        to: &str,
        own: &BTreeMap<String, String>,
    ) -> PlaceCall {
        let mut variables = self.variables.clone();
        variables.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        PlaceCall {
            to: to.to_owned(),
            trunk: self.trunk.clone(),
            telephony_configuration_id: self.telephony_configuration_id,
            agent: self.agent.clone(),
            from: self.from.clone(),
            from_name: self.from_name.clone(),
            privacy: self.privacy,
            headers: self.headers.clone(),
            amd: self.amd,
            ring_timeout_s: self.ring_timeout_s,
            max_duration_s: self.max_duration_s,
            organisation: Some(organisation),
            id: Some(id),
            ordered: true,
            called_from: None,
            variables,
        }
    }
}

/// Calls of an order at once if nothing is said.
pub const CALLS_AT_ONCE: u32 = 10;
/// Most calls of an order at once.
pub const CALLS_AT_ONCE_MAX: u32 = 1_000;
/// Most calls of an order a minute.
pub const CALLS_PER_MINUTE_MAX: u32 = 6_000;

/// When the calls of an order are placed, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Hours within which recipients are called; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// When is tried again.
    #[serde(default)]
    pub retry: Policy,
    /// Calls at once.
    pub max_calls: u32,
    /// Calls a minute; as many as there is room for if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipient's variables come before those of the order, and the call has the id and the
    /// owner that it was given; what is written down is read back as it was.
    #[test]
    fn calls_are_made_of_templates() {
        let text = r#"{"agent":"bot","ring_timeout_s":20,"variables":{"a":"1","b":"2"}}"#;
        let template: Template = serde_json::from_str(text).unwrap();
        let own = BTreeMap::from([("b".to_owned(), "3".to_owned())]);
        let (organisation, id) = (Uuid::now_v7(), Uuid::now_v7());
        let call = template.call(organisation, id, "+4930123456", &own);
        assert_eq!((call.organisation, call.id), (Some(organisation), Some(id)));
        assert_eq!((call.to.as_str(), call.ring_timeout_s), ("+4930123456", Some(20)));
        let expected = [("a", "1"), ("b", "3")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(call.variables, BTreeMap::from(expected));
        let again = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&again).unwrap(), template);
        assert!(!format!("{template:?}").contains("\"1\""));
    }
}
