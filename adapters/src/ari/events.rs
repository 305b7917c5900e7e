//! Events, in words of our own. Unknown ones, and what is unknown in known ones, are ignored.

use serde::{Deserialize, Serialize};

use crate::hook::HookError;
use crate::timestamp::rfc3339_ms;

/// A channel as events and answers describe it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Channel {
    pub(super) id: String,
    /// `Technology/resource-unique`.
    pub(super) name: String,
    pub(super) state: String,
    pub(super) caller: Party,
    pub(super) dialplan: Dialplan,
    pub(super) creationtime: String,
    pub(super) caller_rdnis: Option<String>,
    /// The SIP Call-ID, in newer versions.
    pub(super) protocol_id: Option<String>,
    /// What was set when it was made, of external media.
    pub(super) channelvars: serde_json::Map<String, serde_json::Value>,
}

/// Who is at the other end of a channel.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) number: String,
}

/// Where a channel is in the dialplan.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Dialplan {
    pub(super) exten: String,
    pub(super) app_name: String,
    pub(super) app_data: String,
}

impl Channel {
    /// Its technology: `PJSIP`, `Local`, `UnicastRTP`.
    pub(super) fn technology(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// True if it carries audio between Asterisk and a program.
    pub(super) fn is_media(&self) -> bool {
        matches!(self.technology(), "UnicastRTP" | "WebSocket" | "AudioSocket")
    }

    /// True if an application of that name has it.
    pub(super) fn is_in(&self, app: &str) -> bool {
        let named = self.dialplan.app_data.split(',').next().unwrap_or_default();
        self.dialplan.app_name == "Stasis" && named == app
    }

    /// The text of a variable that was set when it was made.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.channelvars.get(name)?.as_str()
    }
}

/// A bridge as events and answers describe it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Bridge {
    pub(super) id: String,
    pub(super) channels: Vec<String>,
}

/// A recording as events describe it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Recorded {
    pub(super) name: String,
    /// `bridge:<id>` or `channel:<id>`.
    pub(super) target_uri: String,
    /// In seconds.
    pub(super) duration: Option<u64>,
}

/// Who wanted a channel to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// The far end.
    Remote,
    /// We.
    Us,
    /// The dialplan.
    Dialplan,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// The channel has entered the application.
    Entered(Vec<String>),
    /// It has left the application, which is not its end.
    Left,
    /// Its state has changed.
    State,
    /// How the call of the channel goes, in the word of `Dial`.
    Dial(String),
    /// The channel is to end.
    HangupRequested { by: By, cause: u16, tech_cause: Option<u16> },
    /// The channel is gone.
    Destroyed { cause: u16, tech_cause: Option<u16> },
    /// A key was pressed.
    Digit(char),
    /// The far end holds, or no longer.
    Hold(bool),
    /// The channel is in the bridge now.
    Joined,
    /// The channel is not in the bridge any more.
    Parted,
    /// The bridge is gone.
    BridgeGone,
    /// A recording is there.
    Recorded(Recorded),
    /// The far end wants to be transferred, which is left to us.
    TransferAsked,
    /// Another socket has taken the application.
    Replaced,
    /// Nothing that matters.
    Other,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// The application that it is told to.
    pub(super) app: String,
    /// When, by Asterisk's clock.
    pub(super) at_unix_ms: Option<u64>,
    /// The channel that it is about.
    pub(super) channel: Option<Channel>,
    /// The channel whose place it has taken.
    pub(super) replaces: Option<String>,
    /// The bridge that it is about.
    pub(super) bridge: Option<Bridge>,
    /// What happened.
    pub(super) what: What,
}

#[derive(Deserialize)]
struct Raw {
    r#type: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    timestamp: String,
    channel: Option<Channel>,
    /// In the place of the channel, of `Dial`.
    peer: Option<Channel>,
    /// In the place of the channel, of `ChannelTransfer`.
    referred_by: Option<Referrer>,
    replace_channel: Option<Channel>,
    bridge: Option<Bridge>,
    /// How far a transfer is of which it is told again.
    state: Option<serde_json::Value>,
    #[serde(default)]
    args: Vec<String>,
    cause: Option<i64>,
    tech_cause: Option<serde_json::Value>,
    #[serde(default)]
    soft: bool,
    #[serde(default)]
    dialstatus: String,
    #[serde(default)]
    digit: String,
    recording: Option<Recorded>,
}

/// Who wants to be transferred.
#[derive(Deserialize)]
struct Referrer {
    source_channel: Option<Channel>,
}

/// The cause of a hang-up that a request of ours asks for.
const CAUSE_BY_ARI: i64 = 32;

impl Raw {
    fn cause(&self) -> u16 {
        self.cause.and_then(|cause| u16::try_from(cause).ok()).unwrap_or(0)
    }

    /// A number; some have expected text.
    fn tech_cause(&self) -> Option<u16> {
        let value = self.tech_cause.as_ref()?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok()
    }

    fn what(&self) -> What {
        match self.r#type.as_str() {
            "StasisStart" => What::Entered(self.args.clone()),
            "StasisEnd" => What::Left,
            "ChannelStateChange" => What::State,
            "Dial" => What::Dial(self.dialstatus.clone()),
            "ChannelHangupRequest" => {
                let by = match (self.soft, self.cause) {
                    (false, _) => By::Remote,
                    (true, Some(CAUSE_BY_ARI)) => By::Us,
                    (true, _) => By::Dialplan,
                };
                let (cause, tech_cause) = (self.cause(), self.tech_cause());
                What::HangupRequested { by, cause, tech_cause }
            }
            "ChannelDestroyed" => {
                What::Destroyed { cause: self.cause(), tech_cause: self.tech_cause() }
            }
            "ChannelDtmfReceived" => self.digit.chars().next().map_or(What::Other, What::Digit),
            "ChannelHold" => What::Hold(true),
            "ChannelUnhold" => What::Hold(false),
            "ChannelEnteredBridge" => What::Joined,
            "ChannelLeftBridge" => What::Parted,
            "BridgeDestroyed" => What::BridgeGone,
            "RecordingFinished" => self.recording.clone().map_or(What::Other, What::Recorded),
            "ChannelTransfer" if self.state.is_none() => What::TransferAsked,
            "ApplicationReplaced" => What::Replaced,
            _ => What::Other,
        }
    }
}

/// Reads an event.
pub(super) fn read(message: &[u8]) -> Result<Event, HookError> {
    let raw: Raw = serde_json::from_slice(message).map_err(|_| HookError::Body("an event"))?;
    let what = raw.what();
    Ok(Event {
        app: raw.application,
        at_unix_ms: rfc3339_ms(&raw.timestamp),
        channel: raw.channel.or(raw.peer).or(raw.referred_by.and_then(|by| by.source_channel)),
        replaces: raw.replace_channel.map(|channel| channel.id),
        bridge: raw.bridge,
        what,
    })
}
