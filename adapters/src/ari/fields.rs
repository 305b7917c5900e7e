//! What a configuration says of an Asterisk.

use media::codec::AudioFormat;

use super::reverse::OUTBOUND;
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::flow::MediaChoice;
use crate::media_socket;
use crate::network::HostPort;
use crate::setup::{SetupState, SetupStep};
use crate::spec::{MediaTransport, WireFormat};
use crate::ui::rules::{COUNTRY, HEADER, HOST};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection};

/// Most headers and variables that are read of an incoming call: each is a request.
pub(super) const READ_MAX: usize = 8;
/// Most names of headers, and of variables, that may be set on a call that is placed.
const WRITTEN_MAX: usize = 16;
/// Milliseconds of audio a packet.
const PTIME_MS: u32 = 20;

const ARI_URL: TextRule = TextRule { format: "api-base", chars_max: 255, read: ari_url };
const USER: TextRule = TextRule { format: "ari-user", chars_max: 64, read: user };
const ENDPOINT: TextRule = TextRule { format: "dial-string", chars_max: 200, read: endpoint };
const VARIABLE: TextRule = TextRule { format: "variable", chars_max: 80, read: variable };
const SECTION: TextRule = TextRule { format: "section", chars_max: 64, read: app };
const APP: TextRule = TextRule { format: "stasis-app", chars_max: 64, read: app };

const FORMATS: &[Choice] = &[
    Choice { value: "ulaw", label: "G.711 µ-law, 8 kHz" },
    Choice { value: "alaw", label: "G.711 A-law, 8 kHz" },
    Choice { value: "g722", label: "G.722, 16 kHz" },
    Choice { value: "slin", label: "Linear, 8 kHz" },
    Choice { value: "slin16", label: "Linear, 16 kHz" },
    Choice { value: "slin24", label: "Linear, 24 kHz" },
    Choice { value: "slin48", label: "Linear, 48 kHz" },
];

const EVENTS: &[Choice] = &[
    Choice { value: "inbound", label: "A socket that we open" },
    Choice { value: OUTBOUND, label: "A socket that Asterisk opens (22.5)" },
];

/// The field of the way that was found.
pub(super) const FOUND: &str = "media_found";

const WAYS: &[Choice] = &[
    Choice { value: "auto", label: "The best way that it offers" },
    Choice { value: "rtp", label: "RTP, within one network" },
    Choice { value: "websocket_client", label: "WebSocket that Asterisk opens (22.8)" },
    Choice { value: "websocket_server", label: "WebSocket that we open (22.8)" },
    Choice { value: "audiosocket", label: "AudioSocket: TCP that Asterisk opens" },
];

/// The same without the first.
const WAYS_FOUND: &[Choice] = match WAYS {
    [_, found @ ..] => found,
    [] => &[],
};

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "pbx",
        title: "Asterisk",
        help: "Where its REST interface is, and a user of ari.conf that may write.",
    },
    UiSection { name: "media", title: "Audio", help: "How audio travels to and from Asterisk." },
    UiSection {
        name: "calls",
        title: "Calls",
        help: "How calls are placed, and what agents are told of those that come in.",
    },
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("ari_url", "Address", FieldKind::Text(ARI_URL), "pbx")
        .required()
        .help("Of http.conf; with https over other networks than your own.")
        .placeholder("http://pbx.example.com:8088"),
    UiField::new("username", "User", FieldKind::Text(USER), "pbx")
        .required()
        .help("A section with type=user in ari.conf.")
        .placeholder("talkpath"),
    UiField::new("password", "Password", FieldKind::Password { chars_max: 255 }, "pbx").required(),
    UiField::new("app", "Stasis application", FieldKind::Text(APP), "pbx")
        .managed(true, false)
        .help("The name that the dialplan hands calls to."),
    UiField::new("events", "Events come by", FieldKind::Select(EVENTS), "pbx")
        .default(Literal::Text("inbound"))
        .help("Asterisk can open the socket itself, from behind a translator; see the files below."),
    UiField::new("media", "Audio travels by", FieldKind::Select(WAYS), "media")
        .default(Literal::Text("auto"))
        .help("RTP is the fastest; the others pass translators and firewalls."),
    UiField::new(FOUND, "Way that was found", FieldKind::Select(WAYS_FOUND), "media")
        .managed(true, false)
        .help("What this Asterisk offered last; it is asked again whenever it is reached anew."),
    UiField::new("ws_client", "WebSocket client", FieldKind::Text(SECTION), "media")
        .help("For the WebSocket that Asterisk opens: its section in websocket_client.conf, whose uri is ours.")
        .placeholder("talkpath"),
    UiField::new("format", "Codec", FieldKind::Select(FORMATS), "media").help(
        "By RTP G.711 or G.722, by AudioSocket a linear one; G.711 and linear 8 kHz if empty.",
    ),
    UiField::new("media_host", "Our address", FieldKind::Text(HOST), "media")
        .help(
            "Where Asterisk sends audio, if that is not the address that this server tells peers.",
        )
        .placeholder("198.51.100.7"),
    UiField::new("endpoint", "Dial string", FieldKind::Text(ENDPOINT), "calls")
        .help("Where calls are placed; {number} stands for whom is called.")
        .placeholder("PJSIP/{number}@trunk"),
    UiField::new("country", "Country of bare numbers", FieldKind::Text(COUNTRY), "calls")
        .help("Numbers without + are read as they are dialled there.")
        .placeholder("DE"),
    UiField::new(
        "headers",
        "SIP headers for agents",
        FieldKind::List { rule: HEADER, entries_max: READ_MAX },
        "calls",
    )
    .help("Read of calls that come in by chan_pjsip.")
    .placeholder("X-Tenant"),
    UiField::new(
        "variables",
        "Channel variables for agents",
        FieldKind::List { rule: VARIABLE, entries_max: READ_MAX },
        "calls",
    )
    .help("Read of calls that come in; functions such as CALLERID(rdnis) too.")
    .placeholder("CAMPAIGN"),
    UiField::new(
        "headers_out",
        "SIP headers of calls that are placed",
        FieldKind::List { rule: HEADER, entries_max: WRITTEN_MAX },
        "calls",
    )
    .help("Which of the headers that a call is placed with go out, by chan_pjsip.")
    .placeholder("User-to-User"),
    UiField::new(
        "variables_out",
        "Channel variables of calls that are placed",
        FieldKind::List { rule: VARIABLE, entries_max: WRITTEN_MAX },
        "calls",
    )
    .help("Which of the variables that a call is placed with are set on its channel.")
    .placeholder("CAMPAIGN"),
];

/// `http(s)://host[:port][/prefix]`, without the `/ari` that follows.
fn ari_url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str =
        "not http:// or https://, a host, perhaps a port and the prefix of http.conf";
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix("/ari").unwrap_or(text).trim_end_matches('/');
    let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
    if !matches!(scheme, "http" | "https") {
        return Err(WRONG);
    }
    let (host, prefix) = rest.split_once('/').map_or((rest, ""), |(host, prefix)| (host, prefix));
    let host: HostPort = host.parse().map_err(|_| WRONG)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !prefix.bytes().all(plain) || prefix.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(WRONG);
    }
    let slash = if prefix.is_empty() { "" } else { "/" };
    Ok(format!("{scheme}://{host}{slash}{prefix}"))
}

fn user(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b":[];\"".contains(&byte);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err("not a user of ari.conf") }
}

/// Technology, a slash, and where to; `{number}` once.
fn endpoint(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "not a dial string with {number}, such as PJSIP/{number}@trunk";
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/@:._+-;*#=".contains(&byte);
    let (before, after) = text.split_once(NUMBER).ok_or(WRONG)?;
    let technology = before.split_once('/').ok_or(WRONG)?.0;
    let named = !technology.is_empty() && technology.bytes().all(|b| b.is_ascii_alphanumeric());
    if named && before.bytes().chain(after.bytes()).all(plain) {
        Ok(text.to_owned())
    } else {
        Err(WRONG)
    }
}

/// Stands for whom is called.
pub(super) const NUMBER: &str = "{number}";

fn variable(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-,.()".contains(&byte);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err("not the name of a variable") }
}

fn app(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("not the name of an application")
    }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let chosen = chosen(config);
    let fits = chosen.is_none_or(|way| way.carries(config.text("format")));
    if chosen == Some(Way::WebSocketClient) && config.text("ws_client").is_none() {
        let why = "Asterisk opens the socket by a section of its websocket_client.conf";
        return Err(ConfigErrors::one("ws_client", Problem::Rule(why)));
    }
    if !fits {
        let why = "does not go with how audio travels";
        return Err(ConfigErrors::one("format", Problem::Rule(why)));
    }
    let read = config.texts("headers").len() + config.texts("variables").len();
    if read > READ_MAX {
        return Err(ConfigErrors::one(
            "variables",
            Problem::Rule("with the headers at most eight"),
        ));
    }
    Ok(())
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "application",
            title: "Name the application",
            help: "Tries the credentials and chooses the name that the dialplan hands calls to.",
            done: config.text("app").is_some(),
            blocks_outbound: false,
        },
        SetupStep::inbound_routing(state),
    ]
}

/// How audio travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// RTP, without SIP.
    Rtp,
    /// A WebSocket that Asterisk opens.
    WebSocketClient,
    /// A WebSocket that we open.
    WebSocketServer,
    /// A bare TCP connection that Asterisk opens.
    AudioSocket,
}

impl Way {
    const ALL: [Self; 4] =
        [Self::Rtp, Self::WebSocketClient, Self::WebSocketServer, Self::AudioSocket];

    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::WebSocketClient => "websocket_client",
            Self::WebSocketServer => "websocket_server",
            Self::AudioSocket => "audiosocket",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == word)
    }

    /// Whether it carries a format, or the usual one.
    pub(super) fn carries(self, format: Option<&str>) -> bool {
        match self {
            // What we send is understood with a static payload type alone.
            Self::Rtp => matches!(format, None | Some("ulaw" | "alaw" | "g722")),
            Self::AudioSocket => format.is_none_or(|format| format.starts_with("slin")),
            Self::WebSocketClient | Self::WebSocketServer => true,
        }
    }
}

/// How audio travels by the word of a client; `None` if that is left open.
pub(super) fn chosen(config: &RawConfig) -> Option<Way> {
    config.text("media").and_then(Way::named)
}

/// How audio travels by a configuration. Every version has RTP, so it is that as long as nobody has
/// looked.
pub(super) fn way(config: &RawConfig) -> Way {
    let found = || config.text(FOUND).and_then(Way::named);
    chosen(config).or_else(found).unwrap_or(Way::Rtp)
}

/// The word for the format of external media.
pub(super) fn format(config: &RawConfig) -> &'static str {
    let given = config.text("format");
    let known = FORMATS.iter().find(|choice| Some(choice.value) == given);
    let usual = if way(config) == Way::AudioSocket { "slin" } else { "ulaw" };
    known.map_or(usual, |choice| choice.value)
}

/// The same for the call control.
pub(super) fn media(config: &RawConfig) -> MediaChoice {
    let (transport, buffer_ms) = match way(config) {
        Way::Rtp => (MediaTransport::Rtp, 0),
        Way::AudioSocket => (MediaTransport::Tcp, 0),
        Way::WebSocketClient | Way::WebSocketServer => {
            (MediaTransport::WebSocket, media_socket::BUFFER_MS)
        }
    };
    let audio = media_socket::format(format(config)).unwrap_or(AudioFormat::PCMU);
    MediaChoice { transport, format: WireFormat { audio, ptime_ms: PTIME_MS }, buffer_ms }
}
