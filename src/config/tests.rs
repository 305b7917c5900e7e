//! Whole configurations: what is accepted, and what each mistake is told.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use media::codec::AudioFormat;

use super::*;
use crate::store::DatabaseUrl;

mod mistakes;
mod queues;

/// A file that tests pretend to have; every other is missing.
const WAV: &str = "/etc/talkpath/sorry.wav";

fn readable(path: &Path) -> Result<(), String> {
    (path == Path::new(WAV)).then_some(()).ok_or_else(|| "no such file".to_owned())
}

fn parse_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment: Vec<_> =
        environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::parse(&Sources {
        file: Some((Path::new("/etc/talkpath/talkpath.toml"), text)),
        environment: &environment,
        data_dir: None,
        dialects: &["talkpath", "other"],
        readable: &readable,
    })
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &[])
}

/// The messages of a configuration that must be refused, without the name of the file.
fn refused(text: &str) -> Vec<String> {
    let errors = parse(text).expect_err(text);
    errors.0.iter().map(|p| p.to_string().replace("/etc/talkpath/talkpath.toml:", "")).collect()
}

/// With nothing at all the server is what the contract promises.
#[test]
fn zero_configuration() {
    let none = Sources {
        file: None,
        environment: &[],
        data_dir: None,
        dialects: &[],
        readable: &readable,
    };
    let config = Config::parse(&none).unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.sip.listen, ["127.0.0.1:5060".parse().unwrap()]);
    assert!(config.sip.udp && config.sip.tcp);
    assert_eq!(config.rtp.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(config.rtp.ports.to_string(), "20000-29999");
    assert_eq!(config.media.max_queue_ms, 30_000);
    assert_eq!(config.agents.len(), 1);
    assert_eq!(config.agent("echo").unwrap().kind, AgentKind::Builtin(Builtin::Echo));
    assert_eq!(config.routes.iter().map(|route| &*route.agent).collect::<Vec<_>>(), ["echo"]);
    assert_eq!(config.data_dir, Path::new("talkpath-data"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

const WHOLE: &str = r#"
data_dir = "data"
public_url = "https://voice.example.com"

[http]
listen = "0.0.0.0:8080"

[sip]
listen = "0.0.0.0:5060"
transports = ["udp", "tcp"]
advertised = "203.0.113.7"
user_agent = "Talkpath"
codecs = ["PCMA", "pcmu"]
t1_ms = 500
t2_ms = 4000
t4_ms = 5000

[rtp]
address = "0.0.0.0"
ports = "30000-30999"
public_address = "203.0.113.7"

[media]
workers = 2
max_queue_ms = 60000
ptime_ms = 20

[log]
level = "info,talkpath::sip=debug"
format = "json"

[limits]
max_calls = 400
calls_per_second = 50
ring_s = 30
max_duration_s = 3600
media_timeout_s = 0

[[agents]]
name = "support"
kind = "websocket"
url = "wss://agent.example.com/call?token=hunter2"
dialect = "other"
format = { codec = "l16le", rate_hz = 16000, ptime_ms = 20 }
secret = "correct horse battery staple"
connect_timeout_ms = 3000
grace_ms = 2000
max_calls = 100
answers = true

[[agents]]
name = "waiting"
kind = "websocket"
attach = true

[[agents]]
name = "legacy"
kind = "rtp"
url = "rtp://192.0.2.9:4000"
format = { codec = "L16", rate_hz = 8000 }
payload_type = 98

[[agents]]
name = "tone"
kind = "builtin"
builtin = "tone"
frequency_hz = 1000

[[agents]]
name = "sorry"
kind = "builtin"
builtin = "play"
file = "sorry.wav"
repeat = true

[[agents]]
name = "tape"
kind = "builtin"
builtin = "record"
folder = "tapes"

[[agents]]
name = "mailbox"
kind = "builtin"
builtin = "voicemail"
greeting = "sorry.wav"
silence_s = 3

[[trunks]]
name = "carrier"
peers = ["192.0.2.0/24", "2001:db8::1"]
headers = ["X-Tenant"]
codecs = ["PCMU"]

[[users]]
name = "alice"
peers = ["192.0.2.50"]

[[routes]]
to = "+4930*"
trunk = "carrier"
agent = "support"
fallback_agent = "tone"
max_duration_s = 600

[[routes]]
to = "alice-line"
agent = "legacy"
agent_answers = false
fallback_message = "sorry.wav"

[[routes]]
to = "*"
agent = "waiting"
"#;

/// Every key there is, read to the value it says.
#[test]
fn whole_configuration() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/talkpath/data"));
    assert_eq!(config.keys_file(), Path::new("/etc/talkpath/data/keys.json"));
    assert_eq!(config.sip.codecs, [AudioFormat::PCMA, AudioFormat::PCMU]);
    let [address] = config.rtp.addresses[..] else { panic!() };
    assert_eq!(config.rtp.advertised_for(address), "203.0.113.7".parse::<IpAddr>().unwrap());
    assert_eq!(config.media.workers, Some(2));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.limits.ring, Duration::from_secs(30));
    assert_eq!(config.limits.media_timeout, None, "0 means never");
    let AgentKind::WebSocket(support) = &config.agent("support").unwrap().kind else {
        panic!("not a websocket agent")
    };
    assert_eq!(support.dialect, "other");
    assert_eq!(support.format.unwrap().audio, AudioFormat::l16le(16_000));
    assert_eq!(support.secret.as_ref().unwrap().expose(), "correct horse battery staple");
    let AgentKind::Rtp(legacy) = config.agent("legacy").unwrap().kind else { panic!("not rtp") };
    assert_eq!(legacy.payload_type, 98);
    assert_eq!(legacy.format.unwrap().audio, AudioFormat::l16be(8_000));
    let mailbox = Voicemail {
        greeting: Some(WAV.into()),
        longest: Duration::from_secs(180),
        silence: Duration::from_secs(3),
    };
    let builtin = AgentKind::Builtin(Builtin::Voicemail(mailbox));
    assert_eq!(config.agent("mailbox").unwrap().kind, builtin);
    assert_eq!(config.trunks[0].headers, ["X-Tenant"]);
    assert_eq!(config.routes[0].fallback, Fallback::Agent("tone".into()));
    assert_eq!(config.routes[0].max_duration, Duration::from_secs(600));
    assert!(config.routes[0].agent_answers, "the agent's own wish holds");
    assert!(!config.routes[1].agent_answers);
    assert_eq!(config.routes[1].fallback, Fallback::Message(WAV.into()));
    assert_eq!(config.warnings, Vec::<String>::new());
}

/// No secret is in the `Debug` output of a configuration.
#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", parse(WHOLE).unwrap());
    assert!(!shown.contains("horse") && !shown.contains("hunter2"), "{shown}");
}

/// The environment wins over the file, key by key, and is read like it.
#[test]
fn environment_overrides() {
    let config = parse_with(
        WHOLE,
        &[
            ("TALKPATH_HTTP_LISTEN", "127.0.0.1:9090"),
            ("TALKPATH_PUBLIC_URL", "https://other.example.com"),
            ("TALKPATH_SIP_TRANSPORTS", "udp"),
            ("TALKPATH_SIP_CODECS", "PCMU, PCMA"),
            ("TALKPATH_RTP_PORTS", "40000-40999"),
            ("TALKPATH_MEDIA_WORKERS", "3"),
            ("TALKPATH_LOG_FORMAT", ""),
            ("TALKPATH_DATA_DIR", "elsewhere"),
            ("TALKPATH_AGENTS_SUPPORT_SECRET", "0123456789abcdef"),
            ("TALKPATH_AGENTS_SUPPORT_FORMAT_RATE_HZ", "24000"),
            ("TALKPATH_AGENTS_1_ANSWERS", "true"),
            ("TALKPATH_AGENTS_1_RECORD_FOLDER", "kept"),
            ("TALKPATH_RETENTION_CALLS_DAYS", "30"),
            ("TALKPATH_ROUTES_0_RECORD", "true"),
            ("TALKPATH_ROUTES_0_RECORD_FOLDER", "kept"),
            ("TALKPATH_TRUNKS_CARRIER_PEERS", "198.51.100.0/24,10.0.0.1"),
            ("TALKPATH_CONFIG", "ignored"),
            ("TALKPATH_API_KEY", "tp_of-a-client"),
            ("TALKPATH_SIP_PASSWORD", "of-the-meter"),
            ("TALKPATH_SERVICE_HOST", "10.0.0.1"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(config.http.listen.port(), 9090);
    assert_eq!(config.public_url.unwrap().authority, "other.example.com");
    assert!(config.sip.udp && !config.sip.tcp);
    assert_eq!(config.sip.codecs, [AudioFormat::PCMU, AudioFormat::PCMA]);
    assert_eq!(config.rtp.ports.first, 40000);
    assert_eq!(config.media.workers, Some(3));
    assert_eq!(config.log.format, LogFormat::Json, "an empty variable is unset");
    assert_eq!(config.data_dir, Path::new("elsewhere"), "relative to the working folder");
    let AgentKind::WebSocket(support) = &config.agents[0].kind else { panic!() };
    assert_eq!(support.secret.as_ref().unwrap().expose(), "0123456789abcdef");
    assert_eq!(support.format.unwrap().audio.rate_hz, 24_000);
    assert!(config.agents[1].answers);
    let kept = Some(Record::On { folder: Some("kept".into()) });
    assert_eq!((&config.agents[1].keep.record, &config.routes[0].keep.record), (&kept, &kept));
    assert!(config.retention.calls.is_some());
    assert_eq!(config.trunks[0].peers.len(), 2);
}

/// A server can be configured without a file.
#[test]
fn environment_alone() {
    let config = parse_with(
        "",
        &[
            ("TALKPATH_ROUTES_0_AGENT", "bot"),
            ("TALKPATH_ROUTES_0_TO", "*"),
            ("TALKPATH_AGENTS_0_NAME", "bot"),
            ("TALKPATH_AGENTS_0_KIND", "websocket"),
            ("TALKPATH_AGENTS_0_URL", "ws://127.0.0.1:8765/"),
        ],
    )
    .unwrap();
    assert_eq!(config.routes.iter().map(|route| &*route.agent).collect::<Vec<_>>(), ["bot"]);
}

/// Mistakes in the environment name the variable.
#[test]
fn mistakes_in_the_environment_are_explained() {
    let cases = [
        (
            "TALKPATH_RTP_PORTS",
            "1",
            "environment TALKPATH_RTP_PORTS: rtp.ports: \"1\": not a range",
        ),
        ("TALKPATH_SIP_LISTN", "1", "environment TALKPATH_SIP_LISTN: sip.listn: unknown key (did"),
        (
            "TALKPATH_SPI_LISTEN",
            "1",
            "environment TALKPATH_SPI_LISTEN: unknown variable (did you mean",
        ),
        ("TALKPATH_PUBLIC_URI", "1", "environment TALKPATH_PUBLIC_URI: unknown variable (did you"),
        ("TALKPATH_FOO", "1", "environment TALKPATH_FOO: unknown variable; allowed"),
        (
            "TALKPATH_MEDIA_WORKERS",
            "two",
            "environment TALKPATH_MEDIA_WORKERS: media.workers: \"two\"",
        ),
        ("TALKPATH_AGENTS_X_URL", "1", "environment TALKPATH_AGENTS_X_URL: no entry of agents has"),
        ("TALKPATH_ROUTES_9_TO", "1", "environment TALKPATH_ROUTES_9_TO: there are 3 routes"),
        (
            "TALKPATH_USERS_0_PEERS",
            "x",
            "environment TALKPATH_USERS_0_PEERS: users[0].peers: \"x\"",
        ),
        (
            "TALKPATH_DATABASE_URL",
            "x",
            "environment TALKPATH_DATABASE_URL: database.url: the scheme",
        ),
    ];
    for (name, value, expected) in cases {
        let errors = parse_with(WHOLE, &[(name, value)]).expect_err(name);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.to_string().starts_with(expected), "{errors}\n{expected}");
    }
}

/// A secret that is refused is not repeated in the message, nor is the password in a URL.
#[test]
fn errors_show_no_secret() {
    for text in [
        WHOLE.replace("correct horse battery staple", "hush"),
        "[database]\nurl = \"mysql://a:hush@b\"".to_owned(),
        "[database]\nurl = \"postgres://a:hush@b:port/c\"".to_owned(),
        "[seal]\nkeys = \"a:hush\"".to_owned(),
    ] {
        let shown = format!("{0} {0:?}", parse(&text).unwrap_err());
        assert!(!shown.contains("hush"), "{shown}");
    }
}

/// Without a word the database is in the data folder, and the keys that seal it are made there.
#[test]
fn the_database_is_in_the_data_folder() {
    let config = parse("data_dir = \"d\"").unwrap();
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("/etc/talkpath/d/talkpath.db".into()));
    assert_eq!(config.seal, SealSource::Own("/etc/talkpath/d/seal.keys".into()));
    let config = parse("[database]\nurl = \"sqlite:x.db\"\n[seal]\nkeys_file = \"k\"").unwrap();
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("/etc/talkpath/x.db".into()));
    assert_eq!(config.seal, SealSource::File("/etc/talkpath/k".into()));
    let url = ("TALKPATH_DATABASE_URL", "postgres://tp:hunter2@db.example/calls");
    let config = parse_with(WHOLE, &[url]).unwrap();
    assert!(matches!(config.database.url, DatabaseUrl::Postgres(_)));
}

/// What is allowed but most likely wrong is warned of.
#[test]
fn warnings_name_what_is_odd() {
    let text = "[sip]\nlisten = \"192.0.2.1:5060\"\n[rtp]\naddress = \"127.0.0.1\"";
    let warned = parse(text).unwrap().warnings.join("\n");
    for part in ["neither trunks nor users", "rtp.address is loopback"] {
        assert!(warned.contains(part), "{part}: {warned}");
    }
    let config = parse("[[trunks]]\nname = \"t\"\npeers = \"0.0.0.0/0\"").unwrap();
    assert_eq!(config.warnings, ["trunks: 0.0.0.0/0 lets everybody call in"]);
}

/// No cut of a configuration panics, and none is half read without an error or a whole result.
#[test]
fn every_truncation_is_handled() {
    for end in 0..WHOLE.len() {
        if let (true, Ok(config)) = (WHOLE.is_char_boundary(end), parse(&WHOLE[..end])) {
            assert!(!config.agents.is_empty());
        }
    }
}

const DOCUMENT: &str = include_str!("../../docs/configuration.md");

/// The example of the documentation is accepted, without a warning.
#[test]
fn the_documented_example_is_accepted() {
    let example = DOCUMENT.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = parse(example).unwrap();
    assert_eq!(config.agents.len(), 2);
    assert_eq!(config.warnings, Vec::<String>::new());
}

/// Each key that the reader asks for is in the documentation, in the part of its section.
#[test]
fn every_key_is_documented() {
    let agent = "[[agents]]\nname = \"a\"\nkind = ";
    let unknown = "\nunknown_key_for_this_test = 1\n";
    let cases = [
        ("### Outside", unknown.to_owned()),
        ("### `[http]`", format!("[http]{unknown}")),
        ("### `[acme]`", format!("[acme]{unknown}")),
        ("### `[database]`", format!("[database]{unknown}")),
        ("### `[seal]`", format!("[seal]{unknown}")),
        ("### `[sip]`", format!("[sip]{unknown}")),
        ("### `[rtp]`", format!("[rtp]{unknown}")),
        ("### `[audiosocket]`", format!("[audiosocket]{unknown}")),
        ("### `[media]`", format!("[media]{unknown}")),
        ("### `[log]`", format!("[log]{unknown}")),
        ("### `[limits]`", format!("[limits]{unknown}")),
        ("### `[webhooks]`", format!("[webhooks]{unknown}")),
        ("### `[outward]`", format!("[outward]{unknown}")),
        ("### `[retention]`", format!("[retention]{unknown}")),
        ("### `[captures]`", format!("[captures]{unknown}")),
        ("### `[park]`", format!("[park]{unknown}")),
        ("### `[[queues]]`", format!("[[queues]]{unknown}")),
        ("### `[[queues]]`", format!("[[queues]]\n[[queues.members]]{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"builtin\"\nbuiltin = \"tone\"{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"builtin\"\nbuiltin = \"record\"{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"builtin\"\nbuiltin = \"play\"{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"builtin\"\nbuiltin = \"voicemail\"{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"websocket\"{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"websocket\"\n[agents.format]{unknown}")),
        ("### `[[agents]]`", format!("{agent}\"rtp\"{unknown}")),
        ("### `[[trunks]]`", format!("[[trunks]]{unknown}")),
        ("### `[[users]]`", format!("[[users]]{unknown}")),
        ("### `[[routes]]`", format!("[[routes]]{unknown}")),
        ("### `[[rates]]`", format!("[[rates]]{unknown}")),
    ];
    let sections = [
        "acme",
        "agents",
        "audiosocket",
        "captures",
        "database",
        "http",
        "limits",
        "log",
        "media",
        "outward",
        "park",
        "queues",
        "rates",
        "retention",
        "routes",
        "rtp",
        "seal",
        "sip",
        "webhooks",
    ];
    for (heading, text) in cases {
        let messages = refused(&text);
        let message = messages.iter().find(|m| m.contains("unknown_key_for_this_test")).unwrap();
        let keys = message.split("allowed: ").nth(1).unwrap();
        let part = DOCUMENT.split(heading).nth(1).unwrap().split("\n### ").next().unwrap();
        for key in keys.split(", ").filter(|key| !sections.contains(key)) {
            let written = part.contains(&format!("`{key}`"));
            assert!(written || ["trunks", "users"].contains(&key), "{heading} {key}");
        }
    }
}

/// Variables reach each section that the documentation has, and no other.
#[test]
fn every_section_is_reached_by_variables() {
    let heads = DOCUMENT.lines().filter_map(|line| line.strip_prefix("### `[")?.strip_suffix("]`"));
    let (lists, sections): (Vec<&str>, Vec<&str>) = heads.partition(|name| name.starts_with('['));
    let mut bare: Vec<&str> = lists.iter().map(|name| name.trim_matches(['[', ']'])).collect();
    bare.sort_unstable();
    let mut sorted = sections;
    sorted.sort_unstable();
    assert_eq!((sorted.as_slice(), bare.as_slice()), (environment::SECTIONS, environment::LISTS));
}

/// Agents that are called by SIP: as our user, by a URI, and as a number through a trunk; what
/// could never be called is refused.
#[test]
fn telephones_as_agents() {
    let peers = "[[trunks]]\nname = \"out\"\ntargets = [\"sip:192.0.2.1\"]\n\
                 [[trunks]]\nname = \"in\"\npeers = \"192.0.2.2\"\n\
                 [[users]]\nname = \"bob\"\npassword = \"wonderland\"\n";
    let agent =
        |keys: &str| parse(&format!("{peers}[[agents]]\nname = \"desk\"\nkind = \"sip\"\n{keys}"));
    let config = agent(
        "uri = \"+4930123\"\ntrunk = \"out\"\nfrom = \"+4940\"\nring_timeout_s = 20\n\
         early_media = false",
    )
    .unwrap();
    let AgentKind::Sip(sip) = &config.agents[0].kind else { panic!() };
    assert_eq!((sip.uri.as_str(), sip.from.as_deref()), ("+4930123", Some("+4940")));
    assert_eq!((sip.ring_timeout, sip.early_media), (Duration::from_secs(20), false));
    for uri in ["bob", "sip:bob@192.0.2.9", "sips:bob@example.com"] {
        let config = agent(&format!("uri = \"{uri}\"")).unwrap();
        let AgentKind::Sip(sip) = &config.agents[0].kind else { panic!() };
        assert!(sip.early_media && sip.trunk.is_none());
    }
    for (keys, part) in [
        ("", "whom to call"),
        ("uri = \"nobody\"", "no SIP URI and no user"),
        ("uri = \"tel:+4930\"", "no SIP URI and no user"),
        ("uri = \"+4930\"\ntrunk = \"in\"", "has no targets"),
        ("uri = \"+4930\"\ntrunk = \"away\"", "no trunk is called"),
        ("uri = \"a@b\"\ntrunk = \"out\"", "neither a SIP URI nor a number"),
        ("uri = \"bob\"\nfrom = \"a b\"", "neither a number nor a user"),
        ("uri = \"bob\"\nring_timeout_s = 0", "1 to 600"),
    ] {
        let error = agent(keys).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("talkpath.toml:"), "{keys}: {error}");
    }
}

/// `[::]` takes both families where peers can be told an address of IPv4, and nothing that is named
/// is taken twice.
#[test]
fn the_wildcard_of_ipv6_takes_both_families() {
    let listens = |listen: &str, advertised: &str| -> Vec<String> {
        let text = format!("[sip]\nlisten = {listen}\nadvertised = {advertised}\n");
        let config = parse(&text).unwrap();
        config.sip.listen.iter().map(ToString::to_string).collect()
    };
    let both = r#"["203.0.113.7", "2001:db8::7"]"#;
    assert_eq!(listens(r#""[::]:5060""#, both), ["[::]:5060", "0.0.0.0:5060"]);
    assert_eq!(listens(r#""[::]:5060""#, r#""2001:db8::7""#), ["[::]:5060"]);
    let named = r#"["[::]:5060", "192.0.2.1:5060"]"#;
    assert_eq!(listens(named, both), ["[::]:5060", "192.0.2.1:5060"]);
    assert_eq!(listens(r#""[2001:db8::7]:5060""#, both), ["[2001:db8::7]:5060"]);
}

/// `[acme]` certifies what listens for TLS and names no files; what it cannot do without is told.
#[test]
fn certificates_of_an_authority() {
    let acme =
        "[acme]\ndomains = [\"Voice.example.com\", \"b.example.com\"]\nterms_agreed = true\n";
    let listens = "[http]\ntls_listen = \"0.0.0.0:443\"\n";
    let config =
        parse(&format!("{acme}{listens}[sip]\ntls_listen = \"127.0.0.1:5061\"\n")).unwrap();
    let wanted = config.acme.unwrap();
    assert_eq!(wanted.domains, ["voice.example.com", "b.example.com"]);
    assert!(wanted.directory.starts_with("https://acme-v02."), "{}", wanted.directory);
    assert!(wanted.identity().certificate.ends_with("acme/identity.pem"));
    assert_eq!(config.http.tls.unwrap().identity, wanted.identity());
    assert_eq!(config.sip.tls.unwrap().identity, wanted.identity());
    let own = "[sip]\ntls_listen = \"127.0.0.1:5061\"\ntls_certificate = \"a\"\ntls_key = \"b\"\n";
    let config = parse(&format!("{acme}{listens}{own}")).unwrap();
    assert_eq!(config.sip.tls.unwrap().identity.key, Path::new("/etc/talkpath/b"));

    for (text, told) in [
        (acme.to_owned(), "http.tls_listen: missing: [acme] proves the names there"),
        (format!("{acme}{listens}tls_key = \"k\"\n"), "[acme] sees to the certificate"),
        (format!("[acme]\nterms_agreed = true\n{listens}"), "acme.domains: missing"),
        (format!("{}{listens}", acme.replace("true", "false")), "acme.terms_agreed: missing"),
        (format!("{acme}directory = \"http://ca\"\n{listens}"), "not an https URL"),
        (format!("{acme}contacts = \"nobody\"\n{listens}"), "no @ in it"),
        (format!("{}{listens}", acme.replace("b.ex", "*.ex")), "not a name of DNS"),
        (format!("{}{listens}", acme.replace("b.example.com", "192.0.2.1")), "not a name of DNS"),
    ] {
        let found = refused(&text);
        assert!(found.iter().any(|it| it.contains(told)), "{told}: {found:?}");
    }
}

/// `[audiosocket]` takes one address or several; whom calls are for means nothing without any.
#[test]
fn doors_of_audiosocket() {
    let audiosocket = |keys: &str| parse(&format!("[audiosocket]\n{keys}")).unwrap().audiosocket;
    assert_eq!(audiosocket(""), AudioSocketConfig::default());
    let one = audiosocket("listen = \"127.0.0.1:9092\"\nto = \"+4930123\"\n");
    assert_eq!((one.listen.len(), one.to.as_deref()), (1, Some("+4930123")));
    assert_eq!(audiosocket("listen = [\"0.0.0.0:9092\", \"[::]:9092\"]\n").listen.len(), 2);
    for (keys, told) in [
        ("to = \"800\"\n", "audiosocket.listen: missing"),
        ("listen = \"127.0.0.1\"\n", "not an address with a port"),
        ("listen = \"127.0.0.1:1\"\nto = \"a b\"\n", "no number and no user"),
        ("listen = \"127.0.0.1:1\"\nto = \"\"\n", "no number and no user"),
    ] {
        let found = refused(&format!("[audiosocket]\n{keys}"));
        assert!(found.iter().any(|it| it.contains(told)), "{told}: {found:?}");
    }
}
