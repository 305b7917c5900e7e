//! Hooks: only what the carrier signed is believed, and it means what it should.

use std::collections::HashSet;

use adapters::event::Meaning;
use adapters::hook::{EVENT_SOCKET, HookReply, HookRequest, HookUrls, Take, VerifyError};
use adapters::op::Refusal;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::without_credentials;
use crate::support::entry::{Entry, HookFixture, entries};

const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/p/c1/token-of-one-use";

struct Parts {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    unix_s: u64,
}

impl Parts {
    fn of(fixture: &HookFixture) -> Self {
        Self {
            method: fixture.parsed_method(),
            url: fixture.url.clone(),
            headers: fixture.header_map(),
            body: fixture.body.clone().into_bytes(),
            unix_s: fixture.unix_s,
        }
    }

    /// The same with something else where it says what it is about: in its body, or in the query of
    /// one that has none.
    fn saying(fixture: &HookFixture, what: &[u8]) -> Self {
        let parts = Self::of(fixture);
        if !is_in_query(fixture) {
            return Self { body: what.to_vec(), ..parts };
        }
        let (base, _) = fixture.url.split_once('?').unwrap_or((&fixture.url, ""));
        Self { url: format!("{base}?{}", String::from_utf8_lossy(what)), ..parts }
    }

    /// What it says.
    fn said(fixture: &HookFixture) -> &str {
        if !is_in_query(fixture) {
            return &fixture.body;
        }
        fixture.url.split_once('?').map_or("", |(_, query)| query)
    }

    fn request(&self) -> HookRequest<'_> {
        let Self { method, url, headers, body, unix_s } = self;
        HookRequest { method, url, headers, body, unix_s: *unix_s, from: None }
    }
}

/// True for a request that says in its query what it is about. The first message on a socket that
/// offers a call is the body of its request.
fn is_in_query(fixture: &HookFixture) -> bool {
    fixture.parsed_method() == Method::GET && fixture.body.is_empty()
}

fn each(mut run: impl FnMut(&Entry, &str, &HookFixture)) {
    for entry in entries() {
        for (name, fixture) in entry.hooks() {
            run(&entry, &name, &fixture);
        }
    }
}

fn verify(entry: &Entry, fixture: &HookFixture, parts: &Parts) -> Result<(), VerifyError> {
    (entry.spec.hook(&fixture.hook).unwrap().verify)(&parts.request(), &entry.config())
}

/// No hook stands where the server has something else.
#[test]
fn hooks_have_places_of_their_own() {
    for entry in entries() {
        let taken = |name: &str| entry.spec.hooks.iter().any(|hook| hook.name == name);
        assert!(!taken(EVENT_SOCKET), "{}", entry.spec.name);
    }
}

/// Each hook has a fixture; each fixture is verified and means what it says.
#[test]
fn fixtures_mean_what_they_say() {
    for entry in entries() {
        let seen: HashSet<_> = entry.hooks().into_iter().map(|(_, f)| f.hook).collect();
        let all: HashSet<_> = entry.spec.hooks.iter().map(|hook| hook.name.to_owned()).collect();
        assert_eq!(seen, all, "{}", entry.spec.name);
    }
    each(|entry, name, fixture| {
        assert!(!fixture.origin.is_empty(), "{name}");
        let hook = entry.spec.hook(&fixture.hook).unwrap();
        let parts = Parts::of(fixture);
        assert!(hook.methods.contains(&parts.method), "{name}");
        assert_eq!(verify(entry, fixture, &parts), Ok(()), "{name}");
        let handled = (hook.handle)(&parts.request(), &entry.config()).unwrap();
        assert_eq!(serde_json::to_value(&handled.meaning).unwrap(), fixture.meaning, "{name}");
        assert_eq!(handled.reply.status.as_u16(), fixture.reply_status, "{name}");
        assert_eq!(handled.reply.body.is_empty(), handled.reply.content_type.is_empty());
    });
}

/// What a byte is changed by: its lowest bit, or one that makes another kind of character of it.
const LOWEST: u8 = 0x01;
const KIND: u8 = 0x40;

/// Nothing that differs from what was signed in one byte is believed.
fn refuse_changes(entry: &Entry, name: &str, fixture: &HookFixture, change: u8) {
    let signed = if fixture.body_is_signed { fixture.body.len() } else { 0 };
    for at in 0..signed {
        let mut parts = Parts::of(fixture);
        parts.body[at] ^= change;
        assert!(verify(entry, fixture, &parts).is_err(), "{name}: byte {at} of the body");
    }
    let signed = if fixture.url_is_signed { fixture.url.len() } else { 0 };
    for at in 0..signed {
        let mut url = fixture.url.clone().into_bytes();
        url[at] ^= change;
        let parts = Parts { url: String::from_utf8(url).unwrap(), ..Parts::of(fixture) };
        assert!(verify(entry, fixture, &parts).is_err(), "{name}: byte {at} of the URL");
    }
    for header in &fixture.signed_headers {
        let header: HeaderName = header.parse().unwrap();
        let value = Parts::of(fixture).headers[&header].clone();
        for at in 0..value.len() {
            let mut value = value.as_bytes().to_vec();
            value[at] ^= change;
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
            let mut parts = Parts::of(fixture);
            parts.headers.insert(&header, value);
            assert!(verify(entry, fixture, &parts).is_err(), "{name}: byte {at} of {header}");
        }
    }
}

/// One changed byte of body, address or signature, a missing or doubled header, an old or future
/// time, another configuration: nothing of it is believed.
#[test]
fn what_was_changed_is_refused() {
    each(|entry, name, fixture| {
        refuse_changes(entry, name, fixture, LOWEST);
        for header in &fixture.signed_headers {
            let header: HeaderName = header.parse().unwrap();
            let mut parts = Parts::of(fixture);
            let value = parts.headers.remove(&header).unwrap();
            assert!(verify(entry, fixture, &parts).is_err(), "{name}: without {header}");
            let mut parts = Parts::of(fixture);
            parts.headers.append(&header, value);
            assert!(verify(entry, fixture, &parts).is_err(), "{name}: {header} twice");
        }
        if fixture.ages {
            for unix_s in [0, fixture.unix_s - 86_400, fixture.unix_s + 86_400, u64::MAX] {
                let parts = Parts { unix_s, ..Parts::of(fixture) };
                assert_eq!(verify(entry, fixture, &parts), Err(VerifyError::Stale), "{name}");
            }
        }
        for (_, other) in entry.configs().iter().skip(1) {
            let other = entry.spec.read(&other.config, None).unwrap();
            let hook = entry.spec.hook(&fixture.hook).unwrap();
            assert!((hook.verify)(&Parts::of(fixture).request(), &other).is_err(), "{name}");
        }
        let empty = adapters::config::RawConfig::default();
        let hook = entry.spec.hook(&fixture.hook).unwrap();
        let without_key = (hook.verify)(&Parts::of(fixture).request(), &empty);
        assert_eq!(without_key, Err(VerifyError::NoKey), "{name}");
    });
}

/// The same of bytes that have become another kind of character, such as what divides fields.
#[test]
fn what_is_of_another_kind_is_refused() {
    each(|entry, name, fixture| refuse_changes(entry, name, fixture, KIND));
}

/// What explains a verification comes to the same end, names the step, and tells no secret and no
/// signature that would be accepted.
#[test]
fn verification_is_explained() {
    each(|entry, name, fixture| {
        let hook = entry.spec.hook(&fixture.hook).unwrap();
        let (config, secrets) = (entry.config(), entry.secrets());
        let mut changed = Parts::of(fixture);
        changed.body.push(b' ');
        let mut bare = Parts::of(fixture);
        bare.headers.clear();
        for parts in [Parts::of(fixture), changed, bare] {
            let told = (hook.explain)(&parts.request(), &config);
            assert_eq!(told.verdict, (hook.verify)(&parts.request(), &config), "{name}");
            assert!(!told.steps.is_empty(), "{name}");
            let shown = format!("{told:?} {}", serde_json::to_string(&told).unwrap());
            assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{name}: {shown}");
            let signatures = fixture.headers.iter().filter(|(key, _)| key.contains("signature"));
            for (_, signature) in signatures.filter(|(_, value)| value.len() > 20) {
                assert!(!shown.contains(signature.as_str()), "{name}: {shown}");
            }
        }
        let good = (hook.explain)(&Parts::of(fixture).request(), &config);
        // Of a signature by a private key only the carrier knows what it should be.
        assert!(good.expected.is_none() || good.expected == good.got, "{name}: {good:?}");
    });
}

/// Bodies that are cut off anywhere, or are something else, are errors and no panics; no error
/// tells a secret or what stood in the body.
#[test]
fn unknown_bodies_are_errors() {
    each(|entry, name, fixture| {
        let config = entry.config();
        let hook = entry.spec.hook(&fixture.hook).unwrap();
        let said = Parts::said(fixture);
        for len in 0..said.len() {
            let parts = Parts::saying(fixture, &said.as_bytes()[..len]);
            // A form that is cut off may still be one; what is demanded is an answer.
            let _ = (hook.handle)(&parts.request(), &config);
        }
        for body in [&b""[..], b"{", b"[]", b"\xff\xfe\x00", b"not-a-known-field=1", b"{\"a\":1}"] {
            let parts = Parts::saying(fixture, body);
            let error = (hook.handle)(&parts.request(), &config).unwrap_err();
            let shown = format!("{error:?} {error} {:?}", parts.request());
            assert!(!shown.contains("not-a-known-field"), "{name}: {shown}");
            if let Some(inbound) = entry.spec.inbound {
                assert!((inbound.parse)(&parts.request()).is_err());
            }
        }
    });
}

fn text(reply: &HookReply) -> String {
    let text = String::from_utf8(reply.body.to_vec()).unwrap().replace("&amp;", "&");
    without_credentials(&text, "wss://")
}

/// Offered calls are recognised, belong to the account, and are taken by an answer that names where
/// the audio goes; a refusal names it never.
#[test]
fn offered_calls_are_taken_and_refused() {
    let nothing = HookRequest {
        method: &Method::POST,
        url: "https://t.example/",
        headers: &HeaderMap::new(),
        body: b"",
        unix_s: 0,
        from: None,
    };
    for entry in entries() {
        let Some(inbound) = entry.spec.inbound else { continue };
        let config = entry.config();
        assert!(!(inbound.recognise)(&nothing) && (inbound.account)(&nothing).is_none());
        let mut offered = 0;
        for (name, fixture) in entry.hooks().iter().filter(|(_, f)| f.hook == inbound.hook) {
            let parts = Parts::of(fixture);
            assert!((inbound.recognise)(&parts.request()), "{name}");
            // The shared entry takes it for this provider's and no other's.
            if let Some((found, _)) = adapters::table::recognise(&parts.request()) {
                assert_eq!(found.name, entry.spec.name, "{name}");
            }
            let handled =
                (entry.spec.hook(inbound.hook).unwrap().handle)(&parts.request(), &config).unwrap();
            let Meaning::Offered(call) = handled.meaning else { continue };
            offered += 1;
            assert_eq!((inbound.parse)(&parts.request()), Ok(call), "{name}");
            let account = (inbound.account)(&parts.request()).unwrap();
            assert_eq!(Some(account.as_str()), config.text(entry.spec.account_field.unwrap()));
        }
        assert!(offered > 0, "{}: no fixture offers a call", entry.spec.name);
        let hooks = HookUrls::new("https://t.example", entry.spec.name, "tok").of_call("call-1");
        let take = Take { stream_url: STREAM_URL.to_owned(), hooks };
        let taken = (inbound.answer)(&config, &take).unwrap();
        // A carrier that is told by a request of ours, or on the socket that offers the call, has
        // nothing to read in the answer.
        let elsewhere = entry.spec.flow.is_some() || entry.spec.offers_by_socket(&config);
        assert!(text(&taken).contains(STREAM_URL) || elsewhere);
        for refusal in Refusal::ALL {
            let refused = (inbound.refuse)(&config, refusal);
            assert!(!text(&refused).contains(STREAM_URL), "{refusal:?}");
            assert!(!refused.status.is_server_error(), "the carrier would ask again: {refusal:?}");
        }
    }
}

/// Whatever goes wrong, no hook's error or reply tells a secret of the configuration.
#[test]
fn hooks_tell_no_secret() {
    each(|entry, name, fixture| {
        let secrets = entry.secrets();
        let mut parts = Parts::of(fixture);
        parts.body.push(b' ');
        if !fixture.body_is_signed {
            parts.headers.clear();
        }
        if fixture.signed_headers.is_empty() {
            // What it is about is all that proves it, besides the token in its address.
            parts.body.clear();
        }
        let refused = verify(entry, fixture, &parts);
        let hook = entry.spec.hook(&fixture.hook).unwrap();
        let handled = (hook.handle)(&Parts::of(fixture).request(), &entry.config());
        let shown = format!("{refused:?} {} {handled:?}", refused.as_ref().unwrap_err());
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{name}: {shown}");
    });
}
