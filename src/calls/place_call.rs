//! A call that is to be placed, as whoever wants it says.

use uuid::Uuid;

use super::presented::Privacy;

/// A call to be placed.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceCall {
    /// Whom to call: a SIP URI, such as `sip:bob@example.com`; with a trunk also a number.
    pub to: String,
    /// Name or id of the trunk that the call goes through.
    pub trunk: Option<String>,
    /// The stored configuration that the call is placed by; with a trunk, the one that has it.
    pub telephony_configuration_id: Option<Uuid>,
    /// Name of the agent that talks.
    pub agent: String,
    /// User part of our From; that of the configuration or trunk when absent.
    pub from: Option<String>,
    /// The name that is displayed beside it.
    pub from_name: Option<String>,
    /// Whether it is withheld from the called party; as the trunk says when absent.
    pub privacy: Option<Privacy>,
    /// Header fields to add to the INVITE.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// A carrier shall tell whether a machine answered, if it can.
    #[serde(default)]
    pub amd: bool,
    /// How long it may ring, in seconds.
    pub ring_timeout_s: Option<u64>,
    /// How long the call may last, in seconds.
    pub max_duration_s: Option<u64>,
    /// Whose call it is; that of the file's objects if absent. Never of the request's body.
    #[serde(skip)]
    pub organisation: Option<Uuid>,
    /// The id that it gets; any if absent. Never of the request's body.
    #[serde(skip)]
    pub id: Option<Uuid>,
    /// It is of an order, which is told itself if there is no room for it. Never of the request's
    /// body.
    #[serde(skip)]
    pub ordered: bool,
    /// The number that the called party was called from last, if that counts. Never of the
    /// request's body.
    #[serde(skip)]
    pub called_from: Option<String>,
    /// Variables for the agent.
    #[serde(default)]
    pub variables: std::collections::BTreeMap<String, String>,
}
