//! What each mistake is told.

use super::*;

/// Text and the start of its message.
const MISTAKES: &[(&str, &str)] = &[
    (
        "[[users]]\nname = \"a\"",
        "1: users[0].peers: missing: the addresses that calls come from, or",
    ),
    ("[[users]]\nname = \"a\"\npassword = \"short\"", "3: users[0].password: a secret of 5 bytes"),
    (
        "[[trunks]]\nname = \"a\"",
        "1: trunks[0].peers: missing: the addresses that calls come from,",
    ),
    (
        "[[trunks]]\nname = \"a\"\npeers = \"::1\"\nregister = true\nregistrar = \"sip:[::1]\"",
        "1: trunks[0].username: missing: register = true needs username and password",
    ),
    (
        "[[trunks]]\nname = \"a\"\npeers = \"::1\"\nregister = true\nusername = \"u\"\n\
         password = \"p\"",
        "1: trunks[0].registrar: missing: register = true needs to know with whom",
    ),
    (
        "[[trunks]]\nname = \"a\"\npeers = \"::1\"\nregistrar = \"sip:u@h\"",
        "4: trunks[0].registrar: \"sip:u@h\": not the URI of",
    ),
    (
        "[[trunks]]\nname = \"a\"\npeers = \"::1\"\nregistrar = \"sip:h;transport=sctp\"",
        "4: trunks[0].registrar: \"sip:h;transport=sctp\": no transport: sctp",
    ),
    ("[[trunks]]\nname = \"a\"\nauth = \"digest\"", "1: trunks[0].username: missing: auth ="),
    (
        "[[trunks]]\nname = \"a\"\npeers = \"::1\"\nusername = \"u\"",
        "1: trunks[0].password: missing: username is given",
    ),
    ("[sip]\ndigest = [\"SHA-1\"]", "2: sip.digest: \"SHA-1\": unknown"),
    ("[sip]\nrealm = \"a\\\"b\"", "2: sip.realm: \"a\\\"b\": not fit for a realm"),
    ("[sip]\nlistn = \"0.0.0.0:5060\"", "2: sip.listn: unknown key (did you mean \"listen\"?)"),
    ("[sipp]\n", "1: sipp: unknown key (did you mean \"sip\"?)"),
    ("[sip]\n\nlisten = \"5060\"", "3: sip.listen: \"5060\": not an address with a port; allowed"),
    ("[sip]\nlisten = 5060", "2: sip.listen: 5060 is not text; allowed: ADDRESS:PORT"),
    ("sip = 1", "1: sip: 1; allowed: a table: [sip]"),
    ("[[sip]]\n", "1: sip: a list; allowed: a table: [sip]"),
    ("[agents]\nx = 1", "1: agents: a table; allowed: tables: [[agents]]"),
    ("[sip]\nlisten = \"0.0.0.0:5060\"", "1: sip.advertised: missing: sip.listen is a wildcard"),
    ("[sip]\nadvertised = \"a.example\"", "2: sip.advertised: \"a.example\": not an address;"),
    ("[rtp]\naddress = \"::\"", "1: rtp.public_address: callers must be told an address"),
    ("[rtp]\nports = \"30001-30999\"", "2: rtp.ports: \"30001-30999\": media takes pairs"),
    ("[media]\nworkers = 0", "2: media.workers: 0; allowed: a whole number from 1 to 256"),
    ("[media]\nworkers = -1", "2: media.workers: -1; allowed"),
    ("[media]\nworkers = 1.5", "2: media.workers: 1.5; allowed"),
    ("[media]\nptime_ms = 25", "2: media.ptime_ms: 25: no common length; allowed: 10, 20"),
    (
        "[log]\nformat = \"jsn\"",
        "2: log.format: \"jsn\": unknown (did you mean \"json\"?); allowed",
    ),
    ("[log]\nlevel = \"loud\"", "2: log.level: \"loud\": not a level; allowed: error"),
    ("[sip]\ncodecs = []", "2: sip.codecs: the list is empty; allowed: a list of G722, PCMA, PCMU"),
    ("[sip]\ncodecs = [\"PCMU\", \"pcmu\"]", "2: sip.codecs: \"pcmu\" is doubled"),
    ("[sip]\ncodecs = [\"OPUS\"]", "2: sip.codecs: \"OPUS\": unknown; allowed"),
    ("[sip]\nt1_ms = 600\nt2_ms = 500", "3: sip.t2_ms: shorter than t1_ms"),
    ("[sip]\nuser_agent = \"a\\r\\nEvil: 1\"", "2: sip.user_agent: \"a\\r\\nEvil: 1\": not fit"),
    ("[limits]\nmax_calls = 9999", "2: limits.max_calls: 9999 calls need 9999 pairs of ports"),
    ("[database]\nurl = \"mysql://a:hush@b\"", "2: database.url: the scheme is neither sqlite"),
    ("[seal]\nkeys = \"a:hush\"", "2: seal.keys: sealing key 1: it is not"),
    (
        "[seal]\nkeys = \"a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\nkeys_file = \"k\"",
        "3: seal.keys_file: the keys are given already",
    ),
    ("public_url = \"voice.example.com\"", "1: public_url: \"voice.example.com\": the scheme"),
    ("[http]\nlisten = \"127.0.0.1:8080\"\nlisten = \"[::]:80\"", "3: not TOML: duplicate key"),
    (
        "[http]\ntls_listen = \"[::1]:443\"\ntls_key = \"k\"",
        "1: http.tls_certificate: missing: a PEM file",
    ),
    ("[http]\ntls_key = \"k\"", "2: http.tls_key: nothing listens for TLS"),
    ("[http]\ntrusted_proxies = \"proxy\"", "2: http.trusted_proxies: \"proxy\": not an address"),
    ("[http]\nkey_requests_per_second = 0", "2: http.key_requests_per_second: 0; allowed: a whole"),
    ("a = [1", "1: not TOML: "),
    ("date = 1979-05-27", "1: date: unknown key"),
    ("[media]\nworkers = 99999999999999999999", "2: media.workers: 99999999999999999999; allowed"),
];

/// A rate, and what is wrong with it.
const MISTAKES_IN_RATES: &[(&str, &str)] = &[
    ("currency = \"EUR\"\nper_minute = \"1\"", "1: rates[0].prefix: missing: the start of numbers"),
    (
        "prefix = \"+49\"\ncurrency = \"EUR\"\nper_minute = 0.01",
        "4: rates[0].per_minute: 0.01 is not text; allowed: an amount with a point",
    ),
    (
        "prefix = \"+49\"\ncurrency = \"euro\"\nper_minute = \"1\"",
        "3: rates[0].currency: \"euro\": not a currency; allowed: three capital letters",
    ),
    (
        "prefix = \"0049\"\ncurrency = \"EUR\"\nper_minute = \"1\"",
        "2: rates[0].prefix: \"0049\": it begins with +; allowed: the start of numbers",
    ),
    (
        "prefix = \"+\"\ncurrency = \"EUR\"\nper_minute = \"1\"\nincrement_s = 0",
        "5: rates[0].increment_s: 0; allowed: a whole number from 1 to 3600",
    ),
    (
        "prefix = \"+1\"\ncurrency = \"EUR\"\nper_minute = \"1\"\n[[rates]]\nprefix = \"+1\"\n\
         currency = \"EUR\"\nper_minute = \"2\"",
        "6: rates[1].prefix: another rate in EUR has this prefix",
    ),
];

/// Each mistake in a rate is told with what to do; what is right is read.
#[test]
fn rates_are_explained() {
    for (text, expected) in MISTAKES_IN_RATES {
        let messages = refused(&format!("[[rates]]\n{text}"));
        assert_eq!(messages.len(), 1, "{text}: {messages:#?}");
        assert!(messages[0].starts_with(expected), "{text}\n{}\n{expected}", messages[0]);
    }
    let right = "[[rates]]\nprefix = \"+49\"\ncurrency = \"EUR\"\nper_minute = \"0.0125\"\n\
                 increment_s = 1\nconnection = \"0.05\"";
    let rates = parse(right).unwrap().rates;
    assert_eq!((rates.len(), rates[0].prefix.as_str(), rates[0].rate.increment_s), (1, "49", 1));
    assert_eq!(rates[0].rate.connection.to_string(), "0.05");
}

/// A trunk to somewhere, and what is wrong with its numbers.
const MISTAKES_IN_CALLER_IDS: &[(&str, &str)] = &[
    ("caller_ids = [\"+4930\"]", "4: trunks[0].caller_ids: means nothing without caller_id_policy"),
    (
        "caller_id_policy = \"local\"",
        "4: trunks[0].caller_id_policy: means nothing without caller_ids",
    ),
    (
        "caller_id_daily_cap = 5",
        "4: trunks[0].caller_id_daily_cap: means nothing without caller_ids",
    ),
    (
        "caller_ids = [\"+4930\"]\ncaller_id_policy = \"roundrobin\"",
        "5: trunks[0].caller_id_policy: \"roundrobin\": unknown (did you mean \"round_robin\"?)",
    ),
    (
        "caller_ids = [\"+4930\"]\ncaller_id_daily_cap = 0",
        "5: trunks[0].caller_id_daily_cap: 0; allowed: a whole number from 1 to 1000000",
    ),
    ("caller_ids = [\"a b\"]", "4: trunks[0].caller_ids: \"a b\": not a number or user; allowed"),
];

/// Each mistake in the numbers of a trunk is told; the default is the first of them.
#[test]
fn caller_ids_are_explained() {
    let head = "[[trunks]]\nname = \"out\"\ntargets = \"sip:192.0.2.1\"\n";
    for (text, expected) in MISTAKES_IN_CALLER_IDS {
        let messages = refused(&format!("{head}{text}"));
        assert!(messages[0].starts_with(expected), "{text}\n{}\n{expected}", messages[0]);
    }
    let numbers = "caller_id = \"b\"\ncaller_ids = [\"a\", \"b\"]\ncaller_id_policy = \"sticky\"";
    let config = parse(&format!("{head}{numbers}")).unwrap();
    assert_eq!(config.trunks[0].outbound.caller_ids, ["b", "a"]);
}

/// Each mistake names line, key, value, and what is allowed.
#[test]
fn mistakes_are_explained() {
    for (text, expected) in MISTAKES {
        let messages = refused(text);
        assert_eq!(messages.len(), 1, "{text}: {messages:#?}");
        assert!(messages[0].starts_with(expected), "{text}\n{}\n{expected}", messages[0]);
    }
}

/// The same in entries of lists.
const MISTAKES_IN_ENTRIES: &[(&str, &str)] = &[
    ("[[agents]]\nkind = \"builtin\"\nbuiltin = \"echo\"", "1: agents[0].name: missing"),
    ("[[agents]]\nname = \"a\"", "1: agents[0].kind: missing: allowed: builtin"),
    ("[[agents]]\nname = \"a\"\nkind = \"builtin\"", "1: agents[0].builtin: missing"),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websockets\"",
        "3: agents[0].kind: \"websockets\": unknown (did you mean \"websocket\"?)",
    ),
    ("[[agents]]\nname = \"a\"\nkind = \"websocket\"", "1: agents[0].url: missing"),
    (
        "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"tone\"\nambient_duck_db = 6",
        "5: agents[0].ambient_duck_db: there is no ambient sound",
    ),
    (
        "[[routes]]\nto = \"*\"\nagent = \"echo\"\nambient_gain_db = -90",
        "4: routes[0].ambient_gain_db: -90; allowed: a whole number from -60 to 12",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"http://a\"",
        "4: agents[0].url: \"http://a\": the scheme is neither ws nor wss",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\nattach = true",
        "5: agents[0].attach: the agent has a url",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\ndialect = \"other\"\nmux = true",
        "6: agents[0].mux: true; the dialect other has a socket for each call",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\ndialect = \"othr\"",
        "5: agents[0].dialect: \"othr\": unknown (did you mean \"other\"?); allowed: other, t",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\nsecret = \"pw12\"",
        "5: agents[0].secret: a secret of 4 bytes is too short",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\nsecret = 99",
        "5: agents[0].secret: the secret is not text",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\n[agents.format]\n\
             codec = \"PCMU\"\nrate_hz = 16000",
        "7: agents[0].format.rate_hz: 16000; allowed for this codec: 8000",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"websocket\"\nurl = \"ws://a\"\n[agents.format]\n\
             codec = \"l16le\"",
        "5: agents[0].format.rate_hz: missing",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"rtp\"\nurl = \"rtp://0.0.0.0:1\"",
        "4: agents[0].url: \"rtp://0.0.0.0:1\": nobody can send",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"play\"\nfile = \"no.wav\"",
        "5: agents[0].file: /etc/talkpath/no.wav: no such file; allowed: a WAV file",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\n\
         greeting = \"no.wav\"",
        "5: agents[0].greeting: /etc/talkpath/no.wav: no such file; allowed: a WAV file",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\nsilence_s = 0",
        "5: agents[0].silence_s: 0; allowed: a whole number from 1 to 60",
    ),
    (
        "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"echo\"\nurl = \"ws://a\"",
        "5: agents[0].url: unknown key",
    ),
    ("[[trunks]]\nname = \"t\"", "1: trunks[0].peers: missing"),
    (
        "[[trunks]]\nname = \"t\"\npeers = [\"192.0.2.1/24\"]",
        "3: trunks[0].peers: \"192.0.2.1/24\": bits beyond the prefix are set",
    ),
    (
        "[[trunks]]\nname = \"t\"\npeers = [\"10.0.0.0/8\"]\nheaders = [\"Authorization\"]",
        "4: trunks[0].headers: \"Authorization\": this header carries credentials",
    ),
    (
        "[[trunks]]\nname = \"t\"\npeers = [\"10.0.0.0/8\"]\nheaders_out = [\"X-A\", \"Via\"]",
        "4: trunks[0].headers_out: \"Via\": Via is set by the server alone",
    ),
    (
        "[[trunks]]\nname = \"t\"\ntargets = \"sip:a\"\nasserted_identity = \"+4930\"",
        "4: trunks[0].asserted_identity: means nothing without caller_id_header",
    ),
    (
        "[[trunks]]\nname = \"t\"\ntargets = \"sip:a\"\ncaller_id_header = \"remote_party_id\"\n\
             asserted_identity = \"sip:a@b>,<sip:c\"",
        "5: trunks[0].asserted_identity: \"sip:a@b>,<sip:c\": names no caller",
    ),
    (
        "[[trunks]]\nname = \"t\"\ntargets = [\"sip:a\", \"sip:b\"]\nweights = [1]",
        "4: trunks[0].weights: 1 for 2 targets; allowed: one each",
    ),
    (
        "[[trunks]]\nname = \"t\"\ntargets = \"sip:a\"\nweights = [\"x\"]",
        "4: trunks[0].weights: a list; allowed: a list of whole numbers from 0 to 65535",
    ),
    (
        "[[trunks]]\nname = \"t\"\npeers = \"10.0.0.0/8\"\n[[trunks]]\nname = \"u\"\n\
             peers = [\"10.0.0.0/8\"]",
        "6: trunks[1].peers: 10.0.0.0/8 belongs to trunk \"t\" already",
    ),
    ("[[routes]]\nto = \"1\"\nagent = \"ehco\"", "3: routes[0].agent: no agent is called \"ehco\""),
    ("[[routes]]\nagent = \"echo\"", "1: routes[0].to: missing"),
    (
        "[[routes]]\nto = \"1\"\nagent = \"echo\"\ntrunk = \"x\"",
        "4: routes[0].trunk: no trunk is called \"x\"; allowed: none is configured",
    ),
    (
        "[[routes]]\nto = \"1\"\nagent = \"echo\"\nfallback_agent = \"echo\"",
        "4: routes[0].fallback_agent: the agent cannot stand in for itself",
    ),
    (
        "[[routes]]\nto = \"1\"\nagent = \"echo\"\n[[routes]]\nto = \"1\"\nagent = \"echo\"",
        "5: routes[1].to: an earlier route takes the same calls",
    ),
];

/// The same for entries of lists and what they say about each other.
#[test]
fn mistakes_in_entries_are_explained() {
    let echo = "[[agents]]\nname = \"a\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";
    for (text, expected) in MISTAKES_IN_ENTRIES {
        let messages = refused(text);
        assert_eq!(messages.len(), 1, "{text}: {messages:#?}");
        assert!(messages[0].starts_with(expected), "{text}\n{}\n{expected}", messages[0]);
    }
    let doubled = refused(&format!("{echo}{}", echo.replace("\"a\"", "\"A\"")));
    assert_eq!(doubled, ["5: agents.name: \"A\" is taken by \"a\" above; names are unique"]);
}

/// All mistakes of a file come at once, in its order.
#[test]
fn mistakes_are_gathered() {
    let messages = refused(
        "[http]\nlisten = \"x\"\nport = 1\n[[routes]]\nto = \"*\"\nagent = \"nobody\"\n[log]\n\
         format = \"xml\"",
    );
    let lines: Vec<_> = messages.iter().map(|m| m.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["2", "3", "6", "8"]);
}
