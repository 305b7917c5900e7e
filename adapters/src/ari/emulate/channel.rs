//! Channels and bridges, as requests are answered and events tell of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use media::time::MonoTime;
use serde_json::{Value, json};

use super::events::iso;
use super::media::Leg;

/// Causes of Q.850 that it tells.
pub(super) const UNALLOCATED: u16 = 1;
pub(super) const NO_ROUTE: u16 = 3;
pub(super) const NORMAL: u16 = 16;
pub(super) const BUSY: u16 = 17;
pub(super) const NO_ANSWER: u16 = 19;
pub(super) const REJECTED: u16 = 21;
pub(super) const FAILURE: u16 = 38;

/// What it calls a cause.
pub(super) const fn cause_text(cause: u16) -> &'static str {
    match cause {
        UNALLOCATED => "Unallocated (unassigned) number",
        NO_ROUTE => "No route to destination",
        NORMAL | 32 => "Normal Clearing",
        BUSY => "User busy",
        18 => "No user responding",
        NO_ANSWER => "User alerting, no answer",
        REJECTED => "Call Rejected",
        26 => "Answered elsewhere",
        28 => "Invalid number format",
        31 => "Normal, unspecified",
        34 => "Circuit/channel congestion",
        FAILURE => "Network out of order",
        58 => "Bearer capability not available",
        127 => "Interworking, unspecified",
        _ => "Unknown",
    }
}

/// The status of SIP and the cause that a reason stands for while a channel is not answered; `None`
/// if there is no such reason.
pub(super) fn reason(word: &str) -> Option<(u16, u16)> {
    Some(match word {
        "" | "normal" => (603, NORMAL),
        "busy" => (486, BUSY),
        "congestion" => (503, 34),
        "no_answer" => (480, NO_ANSWER),
        "timeout" => (408, 18),
        "rejected" => (403, REJECTED),
        "unallocated" => (404, UNALLOCATED),
        "normal_unspecified" => (480, 31),
        "number_incomplete" => (484, 28),
        "codec_mismatch" => (488, 58),
        "interworking" => (500, 127),
        "failure" => (500, FAILURE),
        "answered_elsewhere" => (603, 26),
        _ => return None,
    })
}

/// What a channel is for.
#[derive(Debug)]
pub(super) enum Kind {
    /// A person on the telephone; what it has yet to say.
    Person(VecDeque<u8>),
    /// Audio to and from the server.
    Media(Box<Leg>),
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    /// `Technology/resource-unique`.
    pub(super) name: String,
    pub(super) state: &'static str,
    /// Who is called, and who calls.
    pub(super) exten: String,
    pub(super) caller: String,
    /// The application that it is for, and what that is told.
    pub(super) app: String,
    pub(super) args: Vec<String>,
    /// The application has it.
    pub(super) entered: bool,
    /// The application is told of it to its end.
    pub(super) subscribed: bool,
    /// It came by the dialplan.
    pub(super) inbound: bool,
    /// The person was told that audio flows.
    pub(super) streaming: bool,
    pub(super) created_ms: u64,
    /// When it answers by itself.
    pub(super) answers_at: Option<MonoTime>,
    /// When nobody waits for it any more.
    pub(super) ends_at: Option<MonoTime>,
    /// When its connection is cut off.
    pub(super) cut_at: Option<MonoTime>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) kind: Kind,
}

impl Channel {
    /// One that nobody has answered yet.
    pub(super) fn new(id: String, name: String, kind: Kind, created_ms: u64) -> Self {
        Self {
            id,
            name,
            state: "Down",
            exten: String::new(),
            caller: String::new(),
            app: String::new(),
            args: Vec::new(),
            entered: false,
            subscribed: true,
            inbound: false,
            streaming: false,
            created_ms,
            answers_at: None,
            ends_at: None,
            cut_at: None,
            variables: BTreeMap::new(),
            kind,
        }
    }

    pub(super) const fn is_person(&self) -> bool {
        matches!(self.kind, Kind::Person(_))
    }

    /// How it is described.
    pub(super) fn to_json(&self) -> Value {
        let (app, data) = match (self.entered, self.is_person()) {
            (true, _) => {
                let all = std::iter::once(&self.app).chain(&self.args).map(String::as_str);
                ("Stasis", all.collect::<Vec<_>>().join(","))
            }
            (false, true) if !self.inbound => ("AppDial2", "(Outgoing Line)".to_owned()),
            (false, _) => ("", String::new()),
        };
        json!({
            "id": self.id, "name": self.name, "state": self.state, "protocol_id": "",
            "caller": {"name": "", "number": self.caller},
            "connected": {"name": "", "number": ""},
            "accountcode": "",
            "dialplan": {
                "context": "default", "exten": self.exten, "priority": 1, "app_name": app,
                "app_data": data,
            },
            "creationtime": iso(self.created_ms), "language": "en",
        })
    }
}

/// A bridge.
#[derive(Debug, Default)]
pub(super) struct Bridge {
    pub(super) members: BTreeSet<String>,
    /// The name and format of what is recorded of it, and since when.
    pub(super) recording: Option<(String, String, u64)>,
}

impl Bridge {
    /// How it is described.
    pub(super) fn to_json(&self, id: &str) -> Value {
        json!({
            "id": id, "name": "", "technology": "simple_bridge", "bridge_type": "mixing",
            "bridge_class": "stasis", "creator": "Stasis", "channels": self.members,
        })
    }
}
