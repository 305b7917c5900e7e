//! Each exchange with a PBX, and what its answers mean.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ExternalPbx, Identity, closing, find, group, headers, timeout_s, usual_status};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::op::{OpResult, Step};
use crate::pairs::pairs;
use crate::table;

const PASSWORD: &str = "made-up-api-password";

/// A trunk's configuration, with these fields of the PBX besides.
fn config(more: &Value) -> RawConfig {
    let fixture = include_str!("../sip_trunk/fixtures/config_pbx.json");
    let mut fixture: Value = serde_json::from_str(fixture).unwrap();
    for (name, value) in more.as_object().unwrap() {
        fixture["config"]["external_pbx"][name] = value.clone();
    }
    table::find("sip_trunk").unwrap().read(&fixture["config"], None).unwrap()
}

fn pbx() -> &'static ExternalPbx {
    find(&config(&json!({}))).unwrap()
}

fn said(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let usual = [
        ("X-VICIDIAL-callerid", "V1129075601000004242"),
        ("X-VICIDIAL-user", "8001"),
        ("x-vicidial-lead_id", "4242"),
        ("X-VICIDIAL-campaign_id", "AICAMP"),
        ("X-VICIDIAL-ingroup_id", "AI_IN"),
        ("X-VICIDIAL-first_name", " Jörg "),
    ];
    let replaced = |name: &str| more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let usual = usual.iter().filter(|(name, _)| !replaced(name));
    let all = usual.chain(more).filter(|(_, value)| *value != "-");
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn call() -> Identity {
    (pbx().identify)(&config(&json!({})), &said(&[])).unwrap()
}

fn request(op: OpResult<()>) -> HttpRequest {
    match op.unwrap().next(None) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

/// What an answer means to an operation.
fn outcome(op: OpResult<()>, status: u16, body: &str) -> Result<(), CarrierError> {
    let mut op = op.unwrap();
    op.next(None);
    let status = StatusCode::from_u16(status).unwrap();
    let body = Bytes::from(body.to_owned());
    match op.next(Some(HttpResponse { status, headers: HeaderMap::new(), body })) {
        Step::Done(()) => Ok(()),
        Step::Fail(error) => Err(error),
        Step::Send(_) => panic!("another request"),
    }
}

fn parameters(text: &str) -> Vec<(String, String)> {
    pairs(text).collect()
}

fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn body(request: &HttpRequest) -> String {
    String::from_utf8(request.body.to_vec()).unwrap()
}

/// The headers that are read are those of every call, and those that were asked for; a trunk lets
/// them through once each, whoever names them.
#[test]
fn headers_are_read() {
    let config = config(&json!({}));
    let names = headers(&config);
    assert_eq!(names.len(), 7);
    assert_eq!(
        (names[0].as_str(), names[6].as_str()),
        ("X-VICIDIAL-callerid", "X-VICIDIAL-source_id")
    );
    let profile = table::find("sip_trunk").unwrap().sip.unwrap()(&config).unwrap();
    let shown = profile.inbound.unwrap().headers;
    assert_eq!(shown.len(), 2 + 6, "{shown:?}");
    let none = table::find("sip_trunk").unwrap();
    let none = none.read(&json!({"inbound": {"networks": ["192.0.2.1"]}}), None).unwrap();
    assert!(find(&none).is_none() && headers(&none).is_empty());
}

/// A call is one of the PBX's if it has a code; what it says besides becomes variables, but nothing
/// that cannot be what it is said to be.
#[test]
fn calls_are_identified() {
    let config = config(&json!({}));
    let call = call();
    let variables: Vec<_> = call.variables().collect();
    assert_eq!(
        variables,
        of(&[
            ("vicidial_callerid", "V1129075601000004242"),
            ("vicidial_user", "8001"),
            ("vicidial_lead_id", "4242"),
            ("vicidial_campaign_id", "AICAMP"),
            ("vicidial_ingroup_id", "AI_IN"),
            ("vicidial_first_name", "Jörg"),
        ])
    );
    let shown = format!("{call:?}");
    assert!(shown.contains("lead_id") && !shown.contains("4242") && !shown.contains("Jörg"));
    let identify = pbx().identify;
    for wrong in ["-", "", "a b", "a&stage=HANGUP", &"9".repeat(41)] {
        let headers = said(&[("X-VICIDIAL-callerid", wrong)]);
        assert_eq!(identify(&config, &headers), None, "{wrong}");
    }
    let odd = identify(&config, &said(&[("X-VICIDIAL-lead_id", "1&delete_lead=Y")])).unwrap();
    assert_eq!(odd.get("lead_id"), None);
    let other = self::config(&json!({"header_prefix": "X-Dialer-"}));
    assert_eq!(identify(&other, &said(&[])), None);
}

/// The password is in the body, and in nothing that is shown; each request is sent once.
#[test]
fn the_agent_api_is_asked() {
    let (config, call) = (config(&json!({})), call());
    let asked = request((pbx().hangup)(&config, &call, Some("SALE")));
    assert_eq!((&asked.method, asked.repeatable), (&Method::POST, false));
    assert_eq!(asked.url, "https://dialer.example.com/agc/api.php");
    assert!(!format!("{asked:?}").contains(PASSWORD));
    let told = [("user", "6666"), ("pass", PASSWORD), ("source", "talkpath")];
    let about = [("agent_user", "8001"), ("function", "ra_call_control"), ("stage", "HANGUP")];
    let which = [("value", "V1129075601000004242"), ("status", "SALE")];
    assert_eq!(parameters(&body(&asked)), of(&[&told[..], &about, &which].concat()));
    let asked = request((pbx().transfer)(&config, &call, "SALESLINE", None));
    let said = parameters(&body(&asked));
    let transfer = [("stage", "INGROUPTRANSFER"), ("ingroup_choices", "SALESLINE")];
    assert!(of(&transfer).iter().all(|pair| said.contains(pair)), "{said:?}");
    assert!(said.iter().all(|(name, _)| name != "status"), "{said:?}");
    let nobody = said_by_nobody(&config);
    assert!(matches!((pbx().hangup)(&config, &nobody, None), Err(CarrierError::Config(_))));
}

/// A call of the PBX whose user and lead are not told.
fn said_by_nobody(config: &RawConfig) -> Identity {
    let headers = said(&[("X-VICIDIAL-user", "-"), ("X-VICIDIAL-lead_id", "-")]);
    (pbx().identify)(config, &headers).unwrap()
}

/// What the PBX cannot read from a form is in the query, steering parameters first, and never the
/// password; where everything has to be in the query, it is in the same order.
#[test]
fn leads_are_updated() {
    let (config, call) = (config(&json!({})), call());
    let changed = of(&[("comments", "a b&c=ü"), ("favourite_colour", "blue")]);
    let asked = request((pbx().update)(&config, &call, &changed));
    assert_eq!((&asked.method, asked.repeatable), (&Method::POST, false));
    let (url, query) = asked.url.split_once('?').unwrap();
    assert_eq!(url, "https://dialer.example.com/vicidial/non_agent_api.php");
    let steering = [
        ("source", "talkpath"),
        ("function", "update_lead"),
        ("lead_id", "4242"),
        ("format", "text"),
        ("custom_fields", "Y"),
    ];
    let fields = [("comments", "a b&c=ü"), ("favourite_colour", "blue")];
    assert_eq!(parameters(query), of(&[&steering[..], &fields].concat()));
    let credentials = [("user", "6666"), ("pass", PASSWORD)];
    assert_eq!(parameters(&body(&asked)), of(&credentials));

    let get = self::config(&json!({"sent_by": "get", "source": "bots"}));
    let asked = request((pbx().update)(&get, &call, &changed));
    assert_eq!((&asked.method, asked.repeatable), (&Method::GET, false));
    assert!(asked.body.is_empty() && !format!("{asked:?}").contains(PASSWORD));
    let (_, query) = asked.url.split_once('?').unwrap();
    let source = [("source", "bots")];
    assert_eq!(
        parameters(query),
        of(&[&source[..], &credentials, &steering[1..], &fields].concat())
    );

    let nobody = said_by_nobody(&config);
    assert!(matches!((pbx().update)(&config, &nobody, &changed), Err(CarrierError::Config(_))));
    let nowhere = self::config(&json!({"lead_api_url": ""}));
    assert!(matches!((pbx().update)(&nowhere, &call, &changed), Err(CarrierError::Config(_))));
}

/// No field steers the request, stands twice, or holds what cannot be told.
#[test]
fn fields_are_checked() {
    let check = pbx().check;
    assert_eq!(check(&of(&[("comments", "a"), ("status", "SALE"), ("Custom_1", "")])), Ok(()));
    let long = "x".repeat(513);
    for wrong in [
        &[][..],
        &[("lead_id", "1")],
        &[("USER", "1")],
        &[("pass", "1")],
        &[("delete_lead", "Y")],
        &[("insert_if_not_found", "Y")],
        &[("a&b", "1")],
        &[("1a", "1")],
        &[("a", "1"), ("A", "2")],
        &[("a", "1\n2")],
        &[("a", &long)],
        &[("status", "LONGWORD")],
    ] {
        assert!(check(&of(wrong)).is_err(), "{wrong:?}");
    }
    let many: Vec<_> = (0..33).map(|n| (format!("f{n}"), String::new())).collect();
    assert!(check(&many[..32]).is_ok() && check(&many).is_err());
}

/// Only what says success is one; whatever it says else is told without what it repeats.
#[test]
fn answers_are_read() {
    let (config, call) = (config(&json!({})), call());
    let hangup = |status, body: &str| outcome((pbx().hangup)(&config, &call, None), status, body);
    assert_eq!(hangup(200, "SUCCESS: ra_call_control hungup - 8001|V1129|HANGUP\n"), Ok(()));
    let refused = |why: &str| CarrierError::Refused { status: 200, code: Some(why.to_owned()) };
    let cases = [
        (200, "", CarrierError::Answer("it says nothing")),
        (200, " \n", CarrierError::Answer("it says nothing")),
        (200, "<html>SUCCESS</html>", CarrierError::Answer("neither SUCCESS nor ERROR")),
        (
            200,
            "ERROR: Invalid Username/Password: |6666|made-up-api-password|0|1|BAD|\n",
            CarrierError::Credentials,
        ),
        (
            200,
            "ERROR: auth USER DOES NOT HAVE PERMISSION TO USE THIS FUNCTION - 6666|x\n",
            CarrierError::NotPermitted(Some(
                "auth USER DOES NOT HAVE PERMISSION TO USE THIS FUNCTION".to_owned(),
            )),
        ),
        (200, "ERROR: no call found - V1129|made-up-api-password", refused("no call found")),
        (
            200,
            "ERROR: call 1129075601 of made-up&pass=made-up-api-password",
            refused("call 1129****** of made-up"),
        ),
        (404, "SUCCESS", CarrierError::NotFound),
        (503, "SUCCESS", CarrierError::Unavailable),
        (401, "", CarrierError::Credentials),
    ];
    for (status, body, expected) in cases {
        let error = hangup(status, body).unwrap_err();
        assert_eq!(error, expected, "{body}");
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{body}");
    }
    let changed = of(&[("comments", "x")]);
    let update = |body: &str| outcome((pbx().update)(&config, &call, &changed), 200, body);
    let notice = "NOTICE: update_lead CUSTOM FIELDS VALUES UPDATED - 7|4242|";
    for done in ["SUCCESS: update_lead LEAD HAS BEEN UPDATED - 6666|4242", notice] {
        assert_eq!(update(done), Ok(()));
        assert_eq!(update(&format!("ERROR: one thing - x\n{done}\n")), Ok(()));
    }
    let missing = "ERROR: update_lead NO MATCHES FOUND IN THE SYSTEM - 6666|4242|\n";
    assert_eq!(update(missing), Err(refused("update_lead NO MATCHES FOUND IN THE SYSTEM")));
    assert!(update("").is_err() && update("UNSUCCESSFUL").is_err());
}

/// A group is called by the configuration's name for it, or if it names none by its id.
#[test]
fn groups_are_found() {
    let (named, call) = (config(&json!({})), call());
    assert_eq!(group(&named, &call, "sales").as_deref(), Some("SALESLINE"));
    assert_eq!(group(&named, &call, "SALESLINE"), None);
    assert_eq!(group(&named, &call, "source").as_deref(), Some("AI_IN"));
    let open = config(&json!({"groups": {}}));
    assert_eq!(group(&open, &call, "SALESLINE").as_deref(), Some("SALESLINE"));
    assert_eq!(group(&open, &call, "A+B"), None);
    assert_eq!((usual_status(&named, true), timeout_s(&named)), (Some("AIXFER"), 8));
    assert_eq!(usual_status(&named, false), Some("AIHUP"));
}

/// What is written at the end is made of what is known; what would be empty is not written.
#[test]
fn ends_are_written() {
    let config = config(&json!({"lead_fields": {
        "comments": "{cause} after {duration_s} s, {first_name}", "owner": "{nothing}",
    }}));
    let facts = [("cause", "normal".to_owned()), ("duration_s", "12".to_owned())];
    let written = closing(&config, &call(), &facts);
    assert_eq!(written, of(&[("comments", "normal after 12 s, Jörg")]));
    let long = [("cause", "x\u{7}".repeat(900)), ("duration_s", String::new())];
    assert_eq!(closing(&config, &call(), &long)[0].1, "x".repeat(512));
}

/// Fields that could not work are refused where they are written.
#[test]
fn configurations_are_checked() {
    let fixture = include_str!("../sip_trunk/fixtures/config_pbx.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    for (name, wrong) in [
        ("type", json!("3cx")),
        ("agent_api_url", json!("ftp://a.example/x")),
        ("agent_api_url", json!("https://a.example")),
        ("agent_api_url", json!("https://a.example/api.php?user=1")),
        ("agent_api_url", json!("https://u:p@a.example/api.php")),
        ("lead_api_url", json!("https://a.example/../x")),
        ("user", json!("a b")),
        ("password", json!("")),
        ("groups", json!({"a b": "X"})),
        ("groups", json!({"a": "X Y"})),
        ("lead_fields", json!({"lead_id": "1"})),
        ("lead_fields", json!({"comments": "{"})),
        ("lead_fields", json!({"comments": "a}"})),
        ("lead_fields", json!({"comments": "{a b}"})),
        ("hangup_status", json!("LONGWORD")),
        ("lead_headers", json!(["a-b"])),
        ("header_prefix", json!("X Y")),
        ("source", json!("a-b")),
        ("timeout_s", json!(31)),
    ] {
        let mut given = fixture["config"].clone();
        given["external_pbx"][name] = wrong;
        let errors = table::find("sip_trunk").unwrap().read(&given, None).unwrap_err();
        let field = &errors.iter().next().unwrap().field;
        assert!(field.starts_with(&format!("external_pbx.{name}")), "{name}: {errors}");
    }
}

proptest! {
    /// Whatever is answered, nothing of it is told that may be a secret, and nothing panics.
    #[test]
    fn answers_never_tell_secrets(before in "(ERROR: ?)?[ a-zA-Z:|-]{0,20}", after in "\\PC{0,40}") {
        let (config, call) = (config(&json!({})), call());
        let body = format!("{before}|{PASSWORD}|{after}");
        if let Err(error) = outcome((pbx().hangup)(&config, &call, None), 200, &body) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(PASSWORD), "{}", shown);
        }
    }

    /// A template that is taken is filled without its braces; one that is not is refused.
    #[test]
    fn templates_are_filled(template in "[a-c{}_ ]{0,24}") {
        let filled = super::template::filled(&template, |_| Some("X"));
        if super::template::check(&template).is_ok() {
            prop_assert!(!filled.contains(['{', '}']), "{} {}", template, filled);
        }
    }
}
