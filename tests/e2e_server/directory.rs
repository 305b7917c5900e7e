//! What is stored while the server runs holds for the next call, and calls that live keep what they
//! began with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::table;
use serde_json::{Value, json};
use talkpath::app::App;
use talkpath::calls::CallView;
use talkpath::calls::request::{PlaceCall, Request, RequestError};
use talkpath::config::{Config, Sources};
use talkpath::directory::Snapshot;
use talkpath::quota::amount::{Amount, Currency};
use talkpath::quota::credit::Cap;
use talkpath::quota::rates::Rate;
use talkpath::store::agents::AgentFields;
use talkpath::store::calls::CallFilter;
use talkpath::store::configurations::ConfigurationFields;
use talkpath::store::numbers::{Address, AddressType, NumberFields};
use talkpath::store::object::CallLimits;
use talkpath::store::organisations::OrganisationFields;
use talkpath::store::rates::RateFields;
use talkpath::store::routes::RouteFields;
use talkpath::store::{Actor, AgentId, ConfigurationId, NumberId, OrganisationId, RouteId, Store};

use support::gateway::{Gateway, Manner};
use support::phone::{Phone, header};
use support::ports::Ports;
use support::server::folder;
use support::until;

const SOON: Duration = Duration::from_secs(15);

/// A server in this process, so that its store can be written to.
struct Running {
    app: App,
    ports: Ports,
    sip: u16,
    dir: PathBuf,
}

impl Running {
    /// A server whose file knows a trunk elsewhere, so that callers have to be known.
    fn start() -> Self {
        let (dir, ports) = (folder(), Ports::claim());
        let sip = ports.pair();
        let text = format!(
            "data_dir = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[sip]\nlisten = \
             \"127.0.0.1:{sip}\"\n[rtp]\nports = \"{}\"\n[[trunks]]\nname = \"elsewhere\"\n\
             peers = \"192.0.2.0/24\"\n[[agents]]\nname = \"filed\"\nkind = \"builtin\"\n\
             builtin = \"silence\"\n[[routes]]\nto = \"filed\"\nagent = \"filed\"\n",
            dir.join("data").display(),
            ports.rtp()
        );
        let sources = Sources {
            file: Some((Path::new("talkpath.toml"), &text)),
            environment: &[],
            data_dir: None,
            dialects: &[],
            readable: &|_| Ok(()),
        };
        let app = App::start(Config::parse(&sources).unwrap()).unwrap();
        Self { app, ports, sip, dir }
    }

    fn store(&self) -> &Store {
        &self.app.store
    }

    fn ours(&self) -> OrganisationId {
        self.store().default_organisation()
    }

    /// Waits for what was stored to be what calls are routed by.
    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) {
        until(SOON, what, || holds(&self.app.reach.directory.load()).then_some(()));
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.app.block_on(future).unwrap()
    }

    fn agent(&self, organisation: OrganisationId, name: &str) -> AgentId {
        let fields = AgentFields {
            name: name.to_owned(),
            kind: "builtin".to_owned(),
            settings: json!({ "builtin": "echo" }),
            secret: None,
            limits: CallLimits::default(),
        };
        self.run(self.store().create_agent(organisation, &fields, &Actor::Command)).unwrap()
    }

    fn peer(&self, organisation: OrganisationId, config: &Value) -> ConfigurationId {
        let fields = configuration(config);
        self.run(self.store().create_configuration(organisation, &fields, &Actor::Command)).unwrap()
    }

    fn number(
        &self,
        organisation: OrganisationId,
        configuration: ConfigurationId,
        address: &str,
        fields: &NumberFields,
    ) -> NumberId {
        let address = Address {
            typed: address.to_owned(),
            normalised: address.to_owned(),
            kind: AddressType::Pstn,
        };
        let store = self.store();
        let made =
            store.create_number(organisation, configuration, &address, fields, &Actor::Command);
        self.run(made).unwrap()
    }

    fn route(&self, organisation: OrganisationId, fields: &RouteFields) -> RouteId {
        self.run(self.store().create_route(organisation, fields, &Actor::Command)).unwrap()
    }

    fn calls(&self) -> Vec<CallView> {
        let handle = &self.app.reach.handle;
        self.run(handle.ask(|reply| Request::List { reply })).unwrap()
    }

    /// Agent and trunk of the call to `to` that is the newest.
    fn taken_by(&self, to: &str) -> (String, String) {
        let calls = self.calls();
        let call = calls.iter().filter(|call| call.to == to).max_by_key(|call| call.id).unwrap();
        (call.agent.clone(), call.trunk.clone().unwrap())
    }

    fn call(&self, to: &str) -> Phone {
        Phone::call_at(([127, 0, 0, 1], self.sip).into(), to, "")
    }

    fn answered(&self, to: &str) -> Phone {
        let mut phone = self.call(to);
        phone.wait_answer();
        phone
    }

    fn place(&self, wanted: Value) -> Result<CallView, RequestError> {
        let call: PlaceCall = serde_json::from_value(wanted).unwrap();
        let handle = &self.app.reach.handle;
        self.run(handle.ask(|reply| Request::Place { call, reply })).unwrap()
    }

    /// The trunk that the record of a call names, once it is over.
    fn recorded_trunk(&self, call: &CallView) -> Option<String> {
        let record = until(SOON, "its record", || {
            let found = self.run(self.store().call(self.ours(), call.id)).ok()?;
            found.summary.cause.is_some().then_some(found)
        });
        record.summary.began.unwrap().trunk
    }

    fn end(self) {
        until(SOON, "no call lives", || self.calls().is_empty().then_some(()));
        self.app.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A SIP peer of these fields.
fn configuration(config: &Value) -> ConfigurationFields {
    let spec = table::find("sip_trunk").unwrap();
    ConfigurationFields {
        name: "peer".to_owned(),
        provider: "sip_trunk".to_owned(),
        config: spec.read(config, None).unwrap(),
        account: None,
        settings: json!({}),
        is_default_outbound: true,
        limits: CallLimits::default(),
    }
}

fn fields_of_number(agent: Option<AgentId>) -> NumberFields {
    NumberFields {
        trunk: None,
        agent,
        country: None,
        label: None,
        is_active: true,
        is_default_caller_id: false,
        metadata: json!({}),
        limits: CallLimits::default(),
    }
}

fn loopback() -> Value {
    json!({ "inbound": { "networks": ["127.0.0.1"] }, "country": "DE" })
}

/// Agent, peer, number and route are made while the server runs: each change holds for the next
/// call, and the calls that live go on with the agent that they began with.
#[test]
fn stored_objects_route_the_next_call() {
    let server = Running::start();
    let ours = server.ours();
    server.call("+4930111222").wait_refusal(403);

    let (first, second) = (server.agent(ours, "first"), server.agent(ours, "second"));
    let peer = server.peer(ours, &loopback());
    let number = server.number(ours, peer, "+4930111222", &fields_of_number(Some(first)));
    server.wait("the number", |snapshot| snapshot.table.numbers().len() == 1);
    let mut one = server.answered("030111222");
    assert_eq!(server.taken_by("030111222"), ("first".into(), "peer".into()));
    server.call("+4930111223").wait_refusal(404);

    let fields = fields_of_number(Some(second));
    server.run(server.store().update_number(ours, number, &fields, &Actor::Command)).unwrap();
    let of_number = |snapshot: &Snapshot| {
        let number = snapshot.table.numbers().first();
        number.and_then(|number| number.treatment.as_ref()).map(|it| it.agent.name.clone())
    };
    server.wait("its new agent", |snapshot| of_number(snapshot).as_deref() == Some("second"));
    let mut two = server.answered("+4930111222");
    assert_eq!(server.taken_by("+4930111222").0, "second");
    assert_eq!(server.taken_by("030111222").0, "first", "a call keeps its agent");

    // A route of the file's agent, for this number, this caller and always, before all others.
    let filed = server.app.reach.directory.load().agent(ours.0, "filed").unwrap().id;
    let route = server.route(
        ours,
        &RouteFields {
            name: None,
            priority: 5,
            pattern: "*".to_owned(),
            configuration: None,
            trunk: None,
            number: Some(number),
            agent: Some(AgentId(filed)),
            conditions: json!({ "callers_except": ["+2*"], "open": ["00:00-24:00"] }),
            settings: json!({ "max_duration_s": 60 }),
            enabled: true,
        },
    );
    server.wait("the route", |snapshot| snapshot.table.routes().iter().any(|it| it.priority == 5));
    let mut three = server.answered("004930111222");
    assert_eq!(server.taken_by("004930111222").0, "filed");
    server.run(server.store().delete_route(ours, route, &Actor::Command)).unwrap();
    server.wait("its end", |snapshot| !snapshot.table.routes().iter().any(|it| it.priority == 5));

    // As many calls as the number may have, and not one more; a place that is free is given again.
    let limits = CallLimits { max_calls: Some(3), calls_per_second: None };
    let fields = NumberFields { limits, ..fields };
    server.run(server.store().update_number(ours, number, &fields, &Actor::Command)).unwrap();
    server.wait("the limit", |snapshot| {
        let trunk = snapshot.trunk_by_id(peer.0).unwrap();
        let bounds = snapshot.line_bounds(trunk, Some(number.0));
        bounds.iter().any(|bound| bound.limits.calls.both == Some(3))
    });
    let refusal = server.call("+4930111222").wait_refusal(503);
    assert_eq!(header(&refusal, "Retry-After"), "5");
    one.hang_up();
    until(SOON, "one call less", || (server.calls().len() == 2).then_some(()));
    let mut four = server.answered("+4930111222");
    [&mut two, &mut three, &mut four].into_iter().for_each(Phone::hang_up);

    // A number that is switched off takes no call.
    let fields = NumberFields { is_active: false, ..fields };
    server.run(server.store().update_number(ours, number, &fields, &Actor::Command)).unwrap();
    server.wait("the switch", |snapshot| snapshot.table.numbers().iter().all(|it| !it.active));
    server.call("+4930111222").wait_refusal(404);

    // The log knows by which configuration calls came: four that were taken, three refused.
    let by = |configuration| {
        let filter = CallFilter { configuration: Some(configuration), ..CallFilter::default() };
        server.run(server.store().calls(ours, &filter, 10)).unwrap().len()
    };
    until(SOON, "the log of the calls", || (by(peer) == 7).then_some(()));
    assert_eq!(by(ConfigurationId::new()), 0);
    server.end();
}

/// Two organisations with the same carrier: each gets the calls to its own numbers, and nobody
/// those to numbers that neither has.
#[test]
fn organisations_share_a_carrier() {
    let server = Running::start();
    let fields = OrganisationFields {
        name: "other".to_owned(),
        max_calls: Some(1),
        calls_per_second: None,
        settings: json!({}),
    };
    let made = server.run(server.store().create_organisation(&fields, &Actor::Command));
    let (ours, other) = (server.ours(), made.unwrap());
    let [_, late] =
        [(ours, "+4930111222"), (other, "+4930333444")].map(|(organisation, address)| {
            let agent = server.agent(organisation, "bot");
            let peer = server.peer(organisation, &loopback());
            server.number(organisation, peer, address, &fields_of_number(Some(agent)));
            (peer, agent)
        });
    server.wait("both numbers", |snapshot| snapshot.table.numbers().len() == 2);
    let mut one = server.answered("+4930111222");
    let mut two = server.answered("+4930333444");
    server.call("+4930333444").wait_refusal(503);
    let mut three = server.answered("+4930111222");
    server.call("+4930555666").wait_refusal(403);
    // Who names a number of another later gets none of its calls, and does not stop them either.
    server.number(other, late.0, "+4930111222", &fields_of_number(Some(late.1)));
    server.wait("the number", |snapshot| snapshot.table.numbers().len() == 3);
    let mut four = server.answered("+4930111222");
    assert!(
        server
            .calls()
            .iter()
            .filter(|it| it.to == "+4930111222")
            .all(|it| { it.organisation == ours.0 })
    );
    // What one organisation names, another does not have.
    let foreign = server.app.reach.directory.load();
    assert_ne!(
        foreign.agent(ours.0, "bot").map(|agent| agent.id),
        foreign.agent(other.0, "bot").map(|agent| agent.id)
    );
    [&mut one, &mut two, &mut three, &mut four].into_iter().for_each(Phone::hang_up);
    server.end();
}

/// A peer that takes what is sent to it: the next message whose first line begins so.
#[track_caller]
fn next(peer: &UdpSocket, start: &str) -> (String, std::net::SocketAddr) {
    let mut buffer = [0; 4_096];
    until(SOON, start, || {
        let (length, from) = peer.recv_from(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.starts_with(start).then_some((text, from))
    })
}

/// The answer to a request, with more header lines.
fn answer(peer: &UdpSocket, request: &(String, std::net::SocketAddr), status: &str, more: &str) {
    let (text, from) = request;
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", header(text, name)))
        .collect();
    let to = header(text, "To");
    let answer =
        format!("SIP/2.0 {status}\r\n{copied}To: {to};tag=peer\r\n{more}Content-Length: 0\r\n\r\n");
    peer.send_to(answer.as_bytes(), from).unwrap();
}

/// A peer that is stored is registered with, watched and called without a restart, under its own
/// number; once it is parked the registration is taken back.
#[test]
fn stored_peers_are_registered_watched_and_called() {
    let server = Running::start();
    let ours = server.ours();
    let socket = UdpSocket::bind(("127.0.0.1", server.ports.pair())).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let port = socket.local_addr().unwrap().port();
    server.agent(ours, "bot");
    let peer = server.peer(
        ours,
        &json!({
            "inbound": { "networks": ["127.0.0.1"] },
            "country": "DE",
            "outbound": {
                "enabled": true,
                "targets": [{ "host": "127.0.0.1", "port": port }],
                "number_format": "digits",
            },
            "auth": { "enabled": true, "user": "us", "password": "open sesame" },
            "registration": {
                "enabled": true, "registrar": format!("127.0.0.1:{port}"), "user": "line",
                "expires_s": 600,
            },
            "options_interval_s": 5,
        }),
    );
    let default = NumberFields { is_default_caller_id: true, ..fields_of_number(None) };
    server.number(ours, peer, "+4930111222", &default);

    let register = next(&socket, "REGISTER ");
    assert!(header(&register.0, "From").contains("sip:line@127.0.0.1"), "{}", register.0);
    let contact = format!("Contact: {};expires=600\r\n", header(&register.0, "Contact"));
    answer(&socket, &register, "200 OK", &contact);
    answer(&socket, &next(&socket, "OPTIONS "), "200 OK", "");
    server.wait("the number", |snapshot| snapshot.table.numbers().len() == 1);

    // A number goes through the default configuration, in the peer's form, from its number.
    let call = server.place(json!({ "to": "030 123456", "agent": "bot" })).unwrap();
    assert_eq!(call.trunk.as_deref(), Some("peer"));
    let invite = next(&socket, "INVITE ");
    assert!(
        invite.0.starts_with(&format!("INVITE sip:4930123456@127.0.0.1:{port} ")),
        "{invite:?}"
    );
    assert!(header(&invite.0, "From").contains("sip:4930111222@"), "{}", invite.0);
    answer(&socket, &invite, "486 Busy Here", "");
    next(&socket, "ACK ");
    for (wanted, field) in [
        (json!({ "to": "112", "agent": "bot" }), None),
        (json!({ "to": "0900 123456", "agent": "bot" }), None),
        (json!({ "to": "1", "agent": "nobody" }), Some("agent")),
        (json!({ "to": "1", "agent": "bot", "trunk": "x" }), Some("trunk")),
        (
            json!({ "to": "1", "agent": "bot", "telephony_configuration_id": uuid::Uuid::nil() }),
            Some("telephony_configuration_id"),
        ),
    ] {
        match (server.place(wanted), field) {
            (Err(RequestError::Destination(_)), None) => {}
            (Err(RequestError::Field { field, .. }), Some(expected)) => assert_eq!(field, expected),
            (placed, _) => panic!("{placed:?}"),
        }
    }

    server
        .run(server.store().set_inactive(ours, peer, Some("of the test"), &Actor::Command))
        .unwrap();
    let leave = next(&socket, "REGISTER ");
    assert!(leave.0.contains("expires=0") || header(&leave.0, "Expires") == "0", "{}", leave.0);
    answer(&socket, &leave, "200 OK", "");
    server.wait("its end", |snapshot| snapshot.trunk_by_id(peer.0).is_none());
    let refused = server.place(json!({ "to": "030 123456", "agent": "bot" }));
    assert!(matches!(refused, Err(RequestError::Field { field: "to", .. })), "{refused:?}");
    server.end();
}

const EURO: &str = "EUR";

/// Rates by prefix, a cap of what calls cost a day, and a trunk of either country, by these
/// gateways; Germany's is the first that is called through.
fn two_countries(
    server: &Running,
    rates: &[(&str, Rate)],
    a_day: Option<Amount>,
    to: [&Gateway; 2],
) {
    let (ours, euro) = (server.ours(), Currency::parse(EURO).unwrap());
    for &(prefix, rate) in rates {
        let fields = RateFields { prefix: prefix.to_owned(), rate };
        server.run(server.store().create_rate(ours, &fields, &Actor::Command)).unwrap();
    }
    let own = server.run(server.store().organisation(ours)).unwrap();
    let mut fields = OrganisationFields {
        name: own.name,
        max_calls: own.max_calls,
        calls_per_second: own.calls_per_second,
        settings: own.settings,
    };
    fields.set_money(Some(Cap { currency: euro, a_day, a_month: None }));
    let priced = server.store().update_organisation(ours, &fields, &Actor::Command);
    server.run(priced).unwrap();
    for ((country, network), gateway) in
        [("DE", "198.51.100.1"), ("FR", "198.51.100.2")].into_iter().zip(to)
    {
        let target = json!({ "host": "127.0.0.1", "port": gateway.address.port() });
        let config = json!({
            "country": country,
            "inbound": { "networks": [network] },
            "outbound": { "enabled": true, "targets": [target] },
        });
        let fields = ConfigurationFields {
            name: country.to_owned(),
            is_default_outbound: country == "DE",
            ..configuration(&config)
        };
        let made = server.store().create_configuration(ours, &fields, &Actor::Command);
        server.run(made).unwrap();
    }
    server.wait("trunks, rates and currency", |snapshot| {
        let found = |&(prefix, rate): &(&str, Rate)| {
            snapshot.rates().find(euro, Some(&format!("{prefix}301234567"))) == Some(rate)
        };
        let both = snapshot.outbound(ours.0, |_| None).len() == 2;
        both && rates.iter().all(found) && snapshot.cap(ours.0).is_some()
    });
}

fn by_the_minute(per_minute: &str) -> Rate {
    Rate {
        currency: Currency::parse(EURO).unwrap(),
        per_minute: Amount::parse(per_minute).unwrap(),
        increment_s: 60,
        connection: Amount::ZERO,
    }
}

/// A call that goes on through a trunk of another country, where the same digits are another
/// number, costs what that one does.
#[test]
fn the_next_trunk_has_its_own_price() {
    let server = Running::start();
    let ours = server.ours();
    server.agent(ours, "bot");
    let (german, french) = (by_the_minute("0.60"), by_the_minute("0.10"));
    let refuses = Gateway::start(Manner::Refuses("503 Service Unavailable"));
    let answers = Gateway::start(Manner::Answers);
    two_countries(&server, &[("49", german), ("33", french)], None, [&refuses, &answers]);
    let call = server.place(json!({ "to": "0301234567", "agent": "bot" })).unwrap();
    assert_eq!(call.trunk.as_deref(), Some("DE"));
    until(SOON, "an answer", || {
        server.calls().iter().any(|found| found.state == "answered").then_some(())
    });
    let handle = &server.app.reach.handle;
    let id = call.id.to_string();
    server.run(handle.ask(|reply| Request::HangUp { call: id, reply })).unwrap().unwrap();
    assert_eq!(server.recorded_trunk(&call).as_deref(), Some("FR"));
    let record = server.run(server.store().call(ours, call.id)).unwrap();
    assert_eq!(record.summary.rate, Some(french));
    let estimate = record.summary.estimate.unwrap();
    assert_eq!(estimate.amount, Amount::parse("0.10").unwrap());
    server.end();
}

/// Where money is counted, a trunk whose price is not known, or above what is left, is left out;
/// the others are called through.
#[test]
fn a_trunk_without_a_price_is_left_out() {
    let a_day = Amount::parse("0.50").unwrap();
    let french = ("33", by_the_minute("0.10"));
    for rates in [vec![french], vec![("49", by_the_minute("0.60")), french]] {
        let server = Running::start();
        server.agent(server.ours(), "bot");
        let (german, answers) = (Gateway::start(Manner::Answers), Gateway::start(Manner::Answers));
        two_countries(&server, &rates, Some(a_day), [&german, &answers]);
        // Until it is known what was spent before, nothing is placed.
        let call = until(SOON, "its accounts", || {
            let placed = server.place(json!({ "to": "0301234567", "agent": "bot" }));
            (!matches!(placed, Err(RequestError::Full))).then_some(placed)
        });
        let call = call.unwrap();
        assert_eq!(call.trunk.as_deref(), Some("FR"));
        let nowhere = server.place(json!({ "to": "+44301234567", "agent": "bot" }));
        assert!(nowhere.is_err(), "no trunk has a price for that: {nowhere:?}");
        let handle = &server.app.reach.handle;
        let id = call.id.to_string();
        server.run(handle.ask(|reply| Request::HangUp { call: id, reply })).unwrap().unwrap();
        server.end();
    }
}

/// A call that no server of its trunk puts through goes on through the next trunk, with its offer
/// and in its form: after an answer that blames the server, after none, and not after one that
/// blames the called party or came after ringing.
#[test]
fn the_next_trunk_takes_over() {
    let server = Running::start();
    let ours = server.ours();
    server.agent(ours, "bot");
    let [first, second] = [(); 2].map(|()| Gateway::start(Manner::Answers));
    for (name, gateway, more) in
        [("first", &first, json!({})), ("second", &second, json!({ "number_format": "digits" }))]
    {
        let target = json!({ "host": "127.0.0.1", "port": gateway.address.port() });
        let mut outbound = json!({ "enabled": true, "targets": [target] });
        outbound.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let inbound =
            json!({ "networks": [if name == "first" { "198.51.100.1" } else { "198.51.100.2" }] });
        let config = json!({ "country": "DE", "inbound": inbound, "outbound": outbound });
        let fields = ConfigurationFields {
            name: name.to_owned(),
            is_default_outbound: name == "first",
            ..configuration(&config)
        };
        let made = server.store().create_configuration(ours, &fields, &Actor::Command);
        server.run(made).unwrap();
    }
    server.wait("both trunks", |snapshot| snapshot.outbound(ours.0, |_| None).len() == 2);
    let rung = |gateway: &Gateway| {
        let invites = gateway.heard("INVITE ");
        let mut calls: Vec<_> =
            invites.iter().map(|invite| header(invite, "Call-ID").to_owned()).collect();
        calls.sort_unstable();
        calls.dedup();
        calls.len()
    };
    let place = || server.place(json!({ "to": "030 123456", "agent": "bot" })).unwrap();
    let mut expected = 0;
    for manner in [
        Manner::Refuses("503 Service Unavailable"),
        Manner::Refuses("500 Server Internal Error"),
        Manner::Silent,
        Manner::Refuses("404 Not Found"),
        Manner::RingsThenRefuses("503 Service Unavailable"),
    ] {
        first.set(manner);
        let goes_on = matches!(manner, Manner::Refuses("503 Service Unavailable"))
            || matches!(manner, Manner::Refuses("500 Server Internal Error"))
            || manner == Manner::Silent;
        let call = place();
        assert_eq!(call.trunk.as_deref(), Some("first"));
        if goes_on {
            expected += 1;
            let up = until(Duration::from_secs(60), "an answer", || {
                let found = server.calls().into_iter().find(|found| found.id == call.id)?;
                (found.state == "answered").then_some(found)
            });
            assert_eq!(up.trunk.as_deref(), Some("second"));
            let invite = second.heard("INVITE ").pop().unwrap();
            assert!(invite.starts_with("INVITE sip:4930123456@"), "{invite}");
            let handle = &server.app.reach.handle;
            let id = call.id.to_string();
            server.run(handle.ask(|reply| Request::HangUp { call: id, reply })).unwrap().unwrap();
        }
        until(SOON, "its end", || server.calls().is_empty().then_some(()));
        let trunk = server.recorded_trunk(&call);
        assert_eq!(trunk.as_deref(), Some(if goes_on { "second" } else { "first" }), "{manner:?}");
        assert_eq!(rung(&second), expected, "{manner:?}");
    }
    // All of them refuse: the call is over, and why is what the last one said.
    first.set(Manner::Refuses("503 Service Unavailable"));
    second.set(Manner::Refuses("502 Bad Gateway"));
    place();
    until(SOON, "its end", || server.calls().is_empty().then_some(()));
    assert_eq!(rung(&second), expected + 1);
    server.end();
}
