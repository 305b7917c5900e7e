//! Who calls, who must prove it, and who takes the call.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::calls::caller_ids::{Policy, Rotation};
use crate::config::{Config, Secret, SecretSettings, Sources};
use crate::quota::Kind;
use crate::routing::Unrouted;
use crate::store::configurations::{Configuration, ConfigurationFields};
use crate::store::numbers::{Address, AddressType, Number as NumberRow, NumberFields};
use crate::store::object::{CallLimits, Origin, Stamp};
use crate::store::trunks::{Trunk as TrunkRow, TrunkFields};
use crate::store::{ConfigurationId, NumberId, OrganisationId, Timestamp, TrunkId};

fn of(text: &str) -> Snapshot {
    let sources = Sources {
        file: Some((Path::new("talkpath.toml"), text)),
        environment: &[],
        data_dir: None,
        dialects: &[],
        readable: &|_| Ok(()),
    };
    Snapshot::of_file(&Config::parse(&sources).unwrap(), Uuid::nil())
}

fn who(snapshot: &Snapshot, address: &str, name: &str, proven: Option<&str>) -> String {
    match snapshot.caller(address.parse().unwrap(), name, proven, "") {
        Some(Caller::Trunk(trunk)) => trunk.name.clone(),
        Some(Caller::User(user)) => user.name.clone(),
        Some(Caller::Local) => "local".to_owned(),
        None => "nobody".to_owned(),
    }
}

const AT: &str = "2026-06-01T12:00:00Z";

fn agent(snapshot: &Snapshot, trunk: Option<&str>, to: &str) -> Result<String, Unrouted> {
    agent_at(snapshot, trunk, to, AT)
}

fn agent_at(
    snapshot: &Snapshot,
    trunk: Option<&str>,
    to: &str,
    at: &str,
) -> Result<String, Unrouted> {
    let trunk = trunk.map(|trunk| &**snapshot.trunk(Uuid::nil(), trunk).unwrap());
    let chance = Chance { at: at.parse().unwrap(), lot: 0 };
    let decision = snapshot.route(trunk, to, None, "+4930", chance)?;
    Ok(decision.treatment.agent.name.clone())
}

/// Without a file every call of this machine goes to the echo, and none from elsewhere.
#[test]
fn nothing_is_configured() {
    let none = of("");
    assert_eq!(agent(&none, None, "anything").unwrap(), "echo");
    assert_eq!(who(&none, "127.0.0.1", "x", None), "local");
    assert_eq!(who(&none, "192.0.2.1", "x", None), "nobody");
}

const ROUTES: &str = r#"
[[agents]]
name = "support"
kind = "builtin"
builtin = "echo"

[[agents]]
name = "night"
kind = "builtin"
builtin = "silence"

[[agents]]
name = "legacy"
kind = "builtin"
builtin = "tone"

[[trunks]]
name = "carrier"
peers = ["192.0.2.0/24", "2001:db8::/32"]
country = "de"

[[users]]
name = "alice"
peers = "192.0.2.50"

[[routes]]
to = "+4930*"
trunk = "carrier"
open = ["mon-fri 09:00-18:00"]
closed = ["12-25"]
time_zone = "Europe/Berlin"
agent = "support"

[[routes]]
to = "+4930*"
trunk = "carrier"
agent = "night"
fallback_agent = "support"

[[routes]]
to = "alice-line"
agent = "legacy"

[[routes]]
to = "*"
callers_except = ["anonymous"]
agent = "night"

[[routes]]
to = "*"
callers = "+4930"
priority = 1
weight = 0
agent = "legacy"
"#;

/// A called number finds the most specific route that is open, and the trunk's own before those for
/// all, in the plan of the trunk's country too.
#[test]
fn routes_are_found() {
    let known = of(ROUTES);
    let carrier = Some("carrier");
    assert_eq!(agent(&known, carrier, "+4930123456").unwrap(), "support");
    assert_eq!(agent(&known, carrier, "030123456").unwrap(), "support");
    let at = |at| agent_at(&known, carrier, "4930123456", at).unwrap();
    assert_eq!(at("2026-06-01T16:00:00Z"), "night");
    assert_eq!(at("2026-06-06T12:00:00Z"), "night");
    assert_eq!(at("2028-12-25T12:00:00Z"), "night", "a Monday, but closed");
    assert_eq!(agent(&known, None, "+4930123456").unwrap(), "night");
    assert_eq!(agent(&known, carrier, "alice-line").unwrap(), "legacy");
    assert_eq!(agent(&known, None, "bob").unwrap(), "night");
    let chance = Chance { at: AT.parse().unwrap(), lot: 0 };
    let hidden = known.route(None, "bob", None, "anonymous", chance);
    assert_eq!(hidden.unwrap_err(), Unrouted::Conditions);
}

/// A caller is known by address, a user also by name; strangers are nobody.
#[test]
fn callers_are_known_by_address() {
    let known = of(ROUTES);
    let who = |address, name| who(&known, address, name, None);
    assert_eq!(who("192.0.2.1", "alice"), "carrier");
    assert_eq!(who("192.0.2.50", "alice"), "alice");
    assert_eq!(who("192.0.2.50", "mallory"), "carrier");
    assert_eq!(who("2001:db8::1", ""), "carrier");
    assert_eq!(who("198.51.100.1", "alice"), "nobody");
    assert_eq!(who("127.0.0.1", "alice"), "nobody");
}

/// What is replaced does not change under those who hold it, and who watches is told.
#[test]
fn snapshots_are_replaced() {
    let directory = Directory::new(of(ROUTES));
    let mut watch = directory.watch();
    let held = directory.load();
    directory.replace(of(""));
    assert!(watch.has_changed().unwrap());
    watch.mark_unchanged();
    assert_eq!(agent(&held, None, "alice-line").unwrap(), "legacy");
    assert_eq!(agent(&directory.load(), None, "alice-line").unwrap(), "echo");
    assert!(!watch.has_changed().unwrap());
}

const DIGEST: &str = r#"
[[trunks]]
name = "pbx"
peers = ["10.0.0.0/8"]

[[trunks]]
name = "roaming"
auth = "digest"
username = "roamer"
password = "roamers-secret"

[[trunks]]
name = "both"
peers = ["10.1.0.0/16"]
auth = "digest"
username = "both"
password = "boths-secret"

[[users]]
name = "alice"
password = "wonderland"

[[users]]
name = "bob"
peers = ["192.0.2.0/24"]
password = "builder-of"

[[users]]
name = "carol"
peers = ["192.0.2.0/24"]
"#;

/// Who has a password must prove it from wherever; strangers are asked too; addresses alone are
/// enough for the rest, and restrict those who have both.
#[test]
fn callers_prove_who_they_are() {
    let known = of(DIGEST);
    let demands = |address: &str, name| known.demands_proof(address.parse().unwrap(), name, "");
    let who = |address, name, proven| who(&known, address, name, proven);
    for (address, name, demanded, unproven) in [
        ("10.0.0.1", "alice", true, "pbx"),
        ("10.0.0.1", "4711", false, "pbx"),
        ("10.1.0.1", "4711", true, "nobody"),
        ("192.0.2.1", "carol", false, "carol"),
        ("192.0.2.1", "bob", true, "nobody"),
        ("198.51.100.1", "stranger", true, "nobody"),
    ] {
        assert_eq!(demands(address, name), demanded, "{address} {name}");
        assert_eq!(who(address, name, None), unproven, "{address} {name}");
    }
    for (address, proven, expected) in [
        ("198.51.100.1", "alice", "alice"),
        ("198.51.100.1", "bob", "nobody"),
        ("192.0.2.1", "bob", "bob"),
        ("198.51.100.1", "roamer", "roaming"),
        ("198.51.100.1", "both", "nobody"),
        ("10.1.0.1", "both", "both"),
        ("192.0.2.1", "carol", "nobody"),
    ] {
        assert_eq!(who(address, "stranger", Some(proven)), expected, "{address} {proven}");
    }
    assert_eq!(known.password("alice").map(Secret::expose), Some("wonderland"));
    assert_eq!(known.password("roamer").map(Secret::expose), Some("roamers-secret"));
    assert_eq!(known.password("carol"), None);
    let open = of("[[trunks]]\nname = \"t\"\npeers = \"10.0.0.0/8\"");
    assert!(!open.demands_proof("192.0.2.1".parse().unwrap(), "alice", ""));
}

/// What a store holds of a configuration with trunks.
struct Held {
    stored: Stored,
    configuration: ConfigurationId,
}

impl Held {
    fn new(name: &str, is_default: bool) -> Self {
        let config = json!({"inbound": {"enabled": false}});
        let spec = adapters::table::find("sip_trunk").unwrap();
        let configuration = ConfigurationId::new();
        let fields = ConfigurationFields {
            name: name.to_owned(),
            provider: spec.name.to_owned(),
            config: spec.read(&config, None).unwrap(),
            account: None,
            settings: json!({}),
            is_default_outbound: is_default,
            limits: CallLimits { max_calls: Some(9), ..CallLimits::default() },
        };
        let (inactive, token) = (None, Secret::new("token".to_owned()));
        let row = Configuration { id: configuration, fields, token, inactive, stamp: stamp() };
        let stored = Stored { configurations: vec![row], ..Stored::default() };
        Self { stored, configuration }
    }

    fn trunk(&mut self, name: &str, enabled: bool) -> TrunkId {
        let settings = json!({
            "inbound": {"networks": ["192.0.2.0/24"]},
            "outbound": {"enabled": true, "targets": [{"host": format!("{name}.example")}]},
        });
        let spec = adapters::table::find("sip_trunk").unwrap();
        let settings = spec.read_trunk(&settings, None).unwrap().unwrap();
        let fields = TrunkFields {
            configuration: Some(self.configuration),
            name: name.to_owned(),
            enabled,
            settings: SecretSettings::new(Value::Object(settings.expose().clone())),
            password: None,
            external_id: None,
            limits: CallLimits { max_calls: Some(3), ..CallLimits::default() },
        };
        let id = TrunkId::new();
        self.stored.trunks.push(TrunkRow { id, fields, stamp: stamp() });
        id
    }

    fn number(&mut self, address: &str, trunk: Option<TrunkId>, is_default: bool) {
        self.stored.numbers.push(NumberRow {
            id: NumberId::new(),
            configuration: self.configuration,
            provider: "sip_trunk".to_owned(),
            address: Address {
                typed: address.to_owned(),
                normalised: address.to_owned(),
                kind: AddressType::Pstn,
            },
            fields: NumberFields {
                trunk,
                agent: None,
                country: None,
                label: None,
                is_active: true,
                is_default_caller_id: is_default,
                metadata: json!({}),
                limits: CallLimits::default(),
            },
            agent_name: None,
            stamp: stamp(),
        });
    }

    fn snapshot(&self) -> Snapshot {
        let sources = Sources {
            file: None,
            environment: &[],
            data_dir: None,
            dialects: &[],
            readable: &|_| Ok(()),
        };
        let config = Config::parse(&sources).unwrap();
        let (snapshot, faults) = Snapshot::of(&config, Uuid::nil(), &self.stored);
        assert_eq!(faults, []);
        snapshot
    }
}

fn stamp() -> Stamp {
    let at = Timestamp::now();
    let organisation = OrganisationId(Uuid::nil());
    Stamp { organisation, origin: Origin::Api, created_at: at, updated_at: at }
}

/// A call from a number goes through the trunk that the number is pinned to and no other, from any
/// other through all of its configuration; a call from an address of both trunks belongs to the
/// one that the number is pinned to, else to the first; and both count for their configuration.
#[test]
fn trunks_within_a_configuration() {
    let mut held = Held::new("carrier", true);
    let (east, west) = (held.trunk("east", true), held.trunk("west", true));
    let off = held.trunk("off", false);
    held.number("+4930111", None, false);
    held.number("+4930222", Some(west), true);
    held.number("+4930333", Some(off), false);
    let snapshot = held.snapshot();
    let names = |from| {
        let trunks = snapshot.trunks_of(held.configuration.0, from);
        trunks.iter().map(|trunk| trunk.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["west"], "the default number's");
    assert_eq!(names(Some("+4930111")), ["east", "west"]);
    assert_eq!(names(Some("4930222")), ["west"]);
    assert_eq!(names(Some("+4930333")), Vec::<String>::new(), "out of service");
    assert_eq!(names(Some("+4940")), ["east", "west"]);
    assert_eq!(snapshot.outbound(Uuid::nil(), |_| Some("+4930222".to_owned())).len(), 1);
    let trunk = |id: TrunkId| snapshot.trunk_by_id(id.0).unwrap();
    assert_eq!(snapshot.caller_id(trunk(west)), Some("+4930222"));
    assert_eq!(snapshot.caller_id(trunk(east)), Some("+4930111"), "none of another trunk");

    for (called, expected) in
        [("+4930111", "east"), ("+4930222", "west"), ("+4930333", "east"), ("+4940", "east")]
    {
        match snapshot.caller("192.0.2.9".parse().unwrap(), "x", None, called) {
            Some(Caller::Trunk(trunk)) => assert_eq!(trunk.name, expected, "{called}"),
            other => panic!("{called}: {other:?}"),
        }
    }
    let bounds = snapshot.line_bounds(trunk(west), None);
    let kinds: Vec<_> =
        bounds.iter().map(|it| (it.subject.kind, it.subject.id, it.limits.calls.both)).collect();
    let configuration = held.configuration.0;
    assert_eq!(
        kinds,
        [(Kind::Trunk, west.0, Some(3)), (Kind::Configuration, configuration, Some(9))]
    );

    // A parked configuration takes its trunks along.
    held.stored.configurations[0].inactive = Some((Timestamp::now(), "test".to_owned()));
    assert!(held.snapshot().trunks.is_empty());
}

/// A name that trunks of two configurations have means neither; an id always means its trunk, and a
/// trunk by itself comes first.
#[test]
fn names_of_trunks() {
    let mut held = Held::new("carrier", true);
    let first = held.trunk("main", true);
    let named =
        |held: &Held, name: &str| held.snapshot().trunk(Uuid::nil(), name).map(|trunk| trunk.id);
    assert_eq!(named(&held, "main"), Some(first.0));
    let mut other = Held::new("other", false);
    let second = other.trunk("main", true);
    held.stored.configurations.extend(other.stored.configurations);
    held.stored.trunks.extend(other.stored.trunks);
    assert_eq!(named(&held, "main"), None);
    for id in [first, second] {
        assert_eq!(named(&held, &id.0.to_string()), Some(id.0));
    }
}

/// A number is picked of those that are active and in service, the default first; through a trunk
/// never of those that are pinned to another; and of a parked configuration there is none.
#[test]
fn numbers_that_may_be_picked() {
    let mut held = Held::new("carrier", true);
    let (east, west) = (held.trunk("east", true), held.trunk("west", true));
    let off = held.trunk("off", false);
    held.number("+4930111", None, false);
    held.number("+4930222", Some(west), true);
    held.number("+4930333", Some(off), false);
    held.number("+4930444", None, false);
    held.stored.numbers[3].fields.is_active = false;
    let line = held.configuration.0;
    assert_eq!(held.snapshot().caller_ids_of(line), None, "the default is called from");
    let rotation = Rotation { policy: Policy::Sticky, daily_cap: Some(2) };
    held.stored.configurations[0].fields.set_rotation(rotation);
    let snapshot = held.snapshot();
    let of = |choice: Option<Choice<'_>>| {
        let (found, numbers) = choice.unwrap();
        assert_eq!(found, rotation);
        numbers.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(snapshot.caller_ids_of(line)), ["+4930222", "+4930111"]);
    let through =
        |id: TrunkId| of(snapshot.caller_ids_through(snapshot.trunk_by_id(id.0).unwrap()));
    assert_eq!((through(west).len(), through(east)), (2, vec!["+4930111".to_owned()]));
    assert!(snapshot.remembers_callees(Uuid::nil()) && !snapshot.remembers_callees(line));
    let capped = CappedLine { organisation: Uuid::nil(), line, trunk: None };
    assert_eq!(snapshot.capped_lines(), [capped]);
    held.stored.configurations[0].inactive = Some((Timestamp::now(), "test".to_owned()));
    let parked = held.snapshot();
    assert_eq!((parked.caller_ids_of(line), parked.capped_lines()), (None, Vec::new()));
}
