use serde_json::json;

use super::*;
use crate::op::{ApiLimits, CallOps};
use crate::ui::{Choice, Connectivity, FieldKind, Literal, UiField, UiMetadata, UiSection, rules};

/// One field of each kind, secrets of each kind, every owner.
const FIELDS: &[UiField] = &[
    UiField::new("account", "Account", FieldKind::Text(rules::LINE), "s").required(),
    UiField::new("password", "Password", FieldKind::Password { chars_max: 40 }, "s").required(),
    UiField::new("pbx.key", "Key", FieldKind::Textarea(rules::PEM), "s").secret(),
    UiField::new("pbx.port", "Port", FieldKind::Number { min: 1, max: 9, unit: "" }, "s"),
    UiField::new("mode", "Mode", FieldKind::Select(MODES), "s").default(Literal::Text("a")),
    UiField::new("codecs", "Codecs", FieldKind::Choices(MODES), "s"),
    UiField::new("nets", "Nets", FieldKind::List { rule: rules::NETWORK, entries_max: 2 }, "s"),
    UiField::new("phones", "Phones", FieldKind::Phones { entries_max: 9 }, "s"),
    UiField::new(
        "keys",
        "Keys",
        FieldKind::Map { key: rules::LINE, value: rules::LINE, entries_max: 2 },
        "s",
    )
    .secret(),
    UiField::new("rows", "Rows", FieldKind::Rows { fields: ROW, entries_max: 2 }, "s"),
    UiField::new("flag", "Flag", FieldKind::Boolean, "s").default(Literal::Flag(false)),
    UiField::new("extra", "Extra", FieldKind::Text(rules::LINE), "s")
        .visible_when("flag", Literal::Flag(true))
        .required(),
    UiField::api_base("s"),
    UiField::new("app", "App", FieldKind::Text(rules::LINE), "s").managed(true, false),
    UiField::new("app_id", "App id", FieldKind::Text(rules::LINE), "s").managed(false, true),
];
const MODES: &[Choice] = &[Choice { value: "a", label: "A" }, Choice { value: "b", label: "B" }];
const ROW: &[UiField] = &[
    UiField::new("host", "Host", FieldKind::Text(rules::HOST), "s").steers().required(),
    UiField::new("weight", "Weight", FieldKind::Number { min: 0, max: 9, unit: "" }, "s")
        .default(Literal::Number(1)),
];

static SPEC: ProviderSpec = ProviderSpec {
    name: "acme",
    ui: UiMetadata {
        display_name: "Acme",
        summary: "",
        docs_url: None,
        connectivity: Connectivity::Api,
        sections: &[UiSection { name: "s", title: "S", help: "" }],
        fields: FIELDS,
    },
    account_field: Some("account"),
    requires_caller_id: true,
    media: &[],
    check: |config| match config.text("account") {
        Some("taken") => Err(ConfigErrors::one("account", Problem::Rule("is taken"))),
        _ => Ok(()),
    },
    checklist: |_, _| Vec::new(),
    hooks: &[],
    inbound: None,
    calls: CallOps::NONE,
    authorize: None,
    limits: ApiLimits::NONE,
    trunks: None,
    flow: None,
    events: None,
    stream: None,
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: None,
};

const KEY: &str = "-----BEGIN KEY-----\nc2VjcmV0\n-----END KEY-----\n";

fn given() -> Value {
    json!({
        "account": " a1 ", "password": "correct horse battery", "pbx": {"key": KEY, "port": 5},
        "codecs": ["b", "a"], "nets": ["10.0.0.0/8", "::1"], "phones": ["+1 (555) 123-4567"],
        "keys": {"k1": "first secret key", "k2": "second secret key"},
        "rows": [{"host": "A.example"}, {"host": "b.example", "weight": 0}],
    })
}

fn problems(given: &Value, stored: Option<&RawConfig>) -> Vec<String> {
    let errors = SPEC.read(given, stored).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

fn with(patch: Value) -> Value {
    let mut value = given();
    for (key, patch) in patch.as_object().unwrap() {
        value[key] = patch.clone();
    }
    value
}

/// Each kind of field comes out in its one written form, with defaults, and reads back by type.
#[test]
fn every_kind_is_read() {
    let config = SPEC.read(&given(), None).unwrap();
    assert_eq!(config.text("account"), Some("a1"));
    assert_eq!(config.secret("password"), Some(Secret::new("correct horse battery")));
    assert_eq!(config.text("pbx.key"), Some(KEY));
    assert_eq!(config.number::<u16>("pbx.port"), Some(5));
    assert_eq!(config.text("mode"), Some("a"), "default");
    assert_eq!(config.texts("codecs"), ["b", "a"]);
    assert_eq!(config.texts("nets"), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.texts("phones"), ["+15551234567"]);
    assert_eq!(config.map("keys")["k2"], "second secret key");
    let rows = config.rows("rows");
    assert_eq!(
        (rows[0].text("host"), rows[0].number::<u8>("weight")),
        (Some("a.example"), Some(1))
    );
    assert_eq!(rows[1].number::<u8>("weight"), Some(0));
    assert!(!config.flag("flag") && config.text("extra").is_none());
    // What was read reads as itself, and comes back from the store.
    let stored = RawConfig::from_stored(Value::Object(config.expose().clone())).unwrap();
    assert_eq!(SPEC.read(&Value::Object(config.expose().clone()), None).unwrap(), stored);
    assert!(RawConfig::from_stored(json!([])).is_none());
}

/// Each fault is reported with its field, all of them at once, and without the value.
#[test]
fn every_fault_has_its_field() {
    let faults = json!({
        "password": " x ", "pbx": {"key": "hunter2", "port": 10, "prot": 1}, "mode": "c",
        "codecs": ["a", "a"], "nets": ["10.0.0.1/8", "x", "y"], "phones": ["030", 7],
        "keys": {"k": "a\u{0}b"}, "rows": [{"weight": "1"}, {"host": "h", "hots": 1}],
        "flag": 1, "extra": "dropped", "app.id": 1, "nonsense\r\n": {"a": {}},
    });
    assert_eq!(
        problems(&faults, None),
        [
            "app.id: no such field",
            "nonsense??: no such field",
            "pbx.prot: no such field",
            "account: missing",
            "password: begins or ends with a blank",
            "pbx.key: not in PEM: -----BEGIN …, lines of base64, -----END …",
            "pbx.port: not from 1 to 9",
            "mode: not one of a, b",
            "codecs[1]: there already",
            "nets: more than 2 entries",
            "phones[0]: not a telephone number with + and calling code",
            "phones[1]: not a text",
            "keys.k: holds a control character",
            "rows[0].host: missing",
            "rows[0].weight: not a whole number",
            "rows[1].hots: no such field",
            "flag: not true or false",
        ]
    );
    assert_eq!(problems(&json!([]), None), [": not an object"]);
    assert_eq!(problems(&with(json!({"pbx": 1})), None), ["pbx: not an object"]);
    assert_eq!(problems(&with(json!({"account": "taken"})), None), ["account: is taken"]);
    assert_eq!(problems(&with(json!({"flag": true})), None), ["extra: missing"]);
    let long = "x".repeat(300);
    assert_eq!(
        problems(&with(json!({"account": long, "password": long})), None),
        ["account: longer than 255 characters", "password: longer than 40 characters"]
    );
    let many: Map<_, _> = (0..1000).map(|i| (format!("f{i}"), json!(1))).collect();
    assert_eq!(problems(&Value::Object(many), None).len(), 100);
}

/// A field whose condition does not hold is dropped; once it holds the field is kept.
#[test]
fn conditions_decide() {
    let hidden = SPEC.read(&with(json!({"flag": false, "extra": "x"})), None).unwrap();
    assert_eq!(hidden.text("extra"), None);
    let shown = SPEC.read(&with(json!({"flag": true, "extra": "x"})), None).unwrap();
    assert_eq!(shown.text("extra"), Some("x"));
}

/// What is shown holds no secret, and written back as it is changes nothing, nested secrets and
/// maps included; a new secret replaces the old, one entry of a map at a time.
#[test]
fn masks_hide_and_keep() {
    let stored = SPEC.read(&given(), None).unwrap();
    let shown = SPEC.masked(&stored);
    let text = shown.to_string();
    for secret in ["correct", "c2VjcmV0", "first secret", "second secret"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(shown["password"], "*****************tery");
    assert_eq!(shown["keys"]["k1"], "************ key");
    assert_eq!(SPEC.read(&shown, Some(&stored)), Ok(stored.clone()));

    let mut changed = shown.clone();
    changed["keys"]["k1"] = json!("third secret key");
    changed["password"] = json!("new password");
    // A form drops the line feed at the end of a text.
    changed["pbx"]["key"] = json!(shown["pbx"]["key"].as_str().unwrap().trim_end());
    let config = SPEC.read(&changed, Some(&stored)).unwrap();
    assert_eq!(config.map("keys")["k1"], "third secret key");
    assert_eq!(config.map("keys")["k2"], "second secret key");
    assert_eq!(config.text("password"), Some("new password"));
    assert_eq!(config.text("pbx.key"), Some(KEY));
}

/// A mask that belongs to no stored secret is refused instead of stored.
#[test]
fn foreign_masks_are_refused() {
    let stored = SPEC.read(&given(), None).unwrap();
    let foreign = with(json!({"password": mask("something else")}));
    for stored in [None, Some(&stored)] {
        assert_eq!(problems(&foreign, stored), ["password: this is a mask, not the value itself"]);
    }
    let moved = with(json!({"keys": {"k3": mask("first secret key")}}));
    assert_eq!(problems(&moved, Some(&stored)), ["keys.k3: this is a mask, not the value itself"]);
}

/// A secret does not follow to another host: of none that would go there a mask is enough. Those
/// that are given go, and so do all if nothing new can be reached.
#[test]
fn masks_keep_nothing_that_moves() {
    let stored = SPEC.read(&given(), None).unwrap();
    let shown = SPEC.masked(&stored);
    let moved = |patch: Value| {
        let mut moved = shown.clone();
        for (key, patch) in patch.as_object().unwrap() {
            moved[key] = patch.clone();
        }
        moved
    };
    let again = |what: &str| {
        ["password", "pbx.key", "keys.k1", "keys.k2"].map(|field| {
            format!("{field}: to be given again, as a change of {what} decides where it goes")
        })
    };
    let elsewhere = json!({"api_base": "https://elsewhere.example"});
    assert_eq!(problems(&moved(elsewhere.clone()), Some(&stored)), again("api_base"));
    let added = json!({"rows": [{"host": "a.example"}, {"host": "elsewhere.example"}]});
    assert_eq!(problems(&moved(added), Some(&stored)), again("rows"));
    // What never held a secret back: fewer hosts, and another share for one of them.
    let fewer =
        SPEC.read(&moved(json!({"rows": [{"host": "a.example", "weight": 7}]})), Some(&stored));
    assert_eq!(fewer.unwrap().secret("password"), stored.secret("password"));

    let mut known = moved(elsewhere);
    known["password"] = json!("correct horse battery");
    known["pbx"]["key"] = json!(KEY);
    known["keys"] = json!({"k1": shown["keys"]["k1"], "k2": "second secret key"});
    assert_eq!(problems(&known, Some(&stored)), [again("api_base")[2].clone()]);
    known["keys"]["k1"] = json!("first secret key");
    let there = SPEC.read(&known, Some(&stored)).unwrap();
    assert_eq!(there.text("api_base"), Some("https://elsewhere.example"));
    // Back to the carrier's own host, and no further.
    let back = SPEC.masked(&there);
    let Value::Object(mut back) = back else { panic!("{back}") };
    back.remove("api_base");
    assert_eq!(SPEC.read(&Value::Object(back), Some(&there)), Ok(stored));
}

/// A mask never shows more than a quarter, nor more than four characters.
#[test]
fn masks_show_little() {
    for (secret, shown) in [
        ("", ""),
        ("abc", "***"),
        ("abcd", "***d"),
        ("abcdefgh", "******gh"),
        ("ünïcödé", "******é"),
    ] {
        assert_eq!(mask(secret), shown);
    }
    for length in 1..200 {
        let shown = mask(&"x".repeat(length)).chars().filter(|c| *c == 'x').count();
        assert!(shown <= 4 && shown * 4 <= length);
        assert!(mask::is_mask(&mask(&"x".repeat(length))));
    }
}

/// What the server manages survives what clients write, is hidden unless it is to be copied, and
/// goes with the account if it belongs to it.
#[test]
fn managed_fields_are_the_servers() {
    let mut stored = SPEC.read(&with(json!({"app": "forged", "app_id": "forged"})), None).unwrap();
    assert_eq!((stored.text("app"), stored.text("app_id")), (None, None));
    SPEC.set_managed(&mut stored, &[("app", json!("talkpath_1")), ("app_id", json!("77"))])
        .unwrap();
    let shown = SPEC.masked(&stored);
    assert_eq!((&shown["app"], shown.get("app_id")), (&json!("talkpath_1"), None));

    let same = SPEC.read(&with(json!({"app": "forged"})), Some(&stored)).unwrap();
    assert_eq!((same.text("app"), same.text("app_id")), (Some("talkpath_1"), Some("77")));
    let other = SPEC.read(&with(json!({"account": "a2"})), Some(&stored)).unwrap();
    assert_eq!((other.text("app"), other.text("app_id")), (Some("talkpath_1"), None));

    let errors = SPEC.set_managed(&mut stored, &[("account", json!("a3")), ("app", json!(1))]);
    let errors: Vec<_> = errors.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["account: no such field", "app: not a text"]);
    assert_eq!(stored.text("account"), Some("a1"));
}

/// Neither a configuration nor its errors show a value in `Debug`, in text or as JSON.
#[test]
fn values_do_not_leak() {
    let config = SPEC.read(&given(), None).unwrap();
    assert!(!format!("{config:?}").contains("horse"));
    let bad = with(json!({
        "password": "correct\u{7}horse", "pbx": {"key": "battery"}, "keys": {"k": "sta\u{0}ple"},
    }));
    let errors = SPEC.read(&bad, None).unwrap_err();
    let shown = format!("{errors:?} {errors} {}", json!(errors));
    for value in ["horse", "battery", "ple"] {
        assert!(!shown.contains(value), "{shown}");
    }
    assert!(shown.contains(r#"{"field":"password","problem":"holds a control character"}"#));
}
