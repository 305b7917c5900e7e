//! Agents, configurations, trunks, numbers and routes: kept whole, apart from other organisations,
//! and never two where there must be one.

use adapters::config::RawConfig;
use serde_json::json;

use super::{Db, on_both};
use crate::config::{Secret, SecretSettings};
use crate::store::agents::AgentFields;
use crate::store::configurations::ConfigurationFields;
use crate::store::numbers::{Address, AddressType, NumberFields, NumberFilter};
use crate::store::object::{CallLimits, Origin};
use crate::store::routes::RouteFields;
use crate::store::trunks::TrunkFields;
use crate::store::{
    Actor, AgentId, ConfigurationId, NumberId, OrganisationId, Query, Store, StoreError, TrunkId,
};

fn actor() -> Actor {
    Actor::Key("0a0b0c0d".to_owned())
}

fn agent(name: &str) -> AgentFields {
    AgentFields {
        name: name.to_owned(),
        kind: "websocket".to_owned(),
        settings: json!({ "url": "wss://agent.example/" }),
        secret: Some(Secret::new("correct horse battery staple".to_owned())),
        limits: CallLimits { max_calls: Some(5), calls_per_second: None },
    }
}

fn configuration(name: &str, account: Option<&str>) -> ConfigurationFields {
    let config = json!({ "account": account, "token": "planted-credential" });
    ConfigurationFields {
        name: name.to_owned(),
        provider: "acme".to_owned(),
        config: RawConfig::from_stored(config).unwrap(),
        account: account.map(str::to_owned),
        settings: json!({}),
        is_default_outbound: false,
        limits: CallLimits::default(),
    }
}

fn trunk(name: &str, configuration: Option<ConfigurationId>) -> TrunkFields {
    TrunkFields {
        configuration,
        name: name.to_owned(),
        enabled: true,
        settings: SecretSettings::new(json!({ "targets": ["sip:gw.example"] })),
        password: configuration.is_none().then(|| Secret::new("planted-password".to_owned())),
        external_id: None,
        limits: CallLimits::default(),
    }
}

fn number() -> NumberFields {
    NumberFields {
        trunk: None,
        agent: None,
        country: Some("DE".to_owned()),
        label: None,
        is_active: true,
        is_default_caller_id: false,
        metadata: json!({ "shelf": 3 }),
        limits: CallLimits::default(),
    }
}

fn route(agent: AgentId) -> RouteFields {
    RouteFields {
        name: None,
        priority: 10,
        pattern: "+4930*".to_owned(),
        configuration: None,
        trunk: None,
        number: None,
        agent: Some(agent),
        conditions: json!({ "from": ["+49*"] }),
        settings: json!({ "max_duration_s": 60 }),
        enabled: true,
    }
}

fn address(text: &str) -> Address {
    let (typed, normalised) = (text.to_owned(), text.replace(' ', ""));
    Address { typed, normalised, kind: AddressType::Pstn }
}

/// Two organisations on one store.
async fn two(db: &Db) -> (Store, OrganisationId, OrganisationId) {
    let store = db.store().await;
    let (ours, theirs) =
        (db.organisation(&store, "ours").await, db.organisation(&store, "theirs").await);
    (store, ours, theirs)
}

/// Agents come back as they were given, secret included, until they are deleted; then their name is
/// free again.
#[test]
fn agents_are_kept() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let fields = agent("support");
        let id = store.create_agent(ours, &fields, &actor()).await.unwrap();
        let found = store.agent(ours, id).await.unwrap();
        assert_eq!((&found.fields, found.stamp.origin), (&fields, Origin::Api));
        let taken = store.create_agent(ours, &fields, &actor()).await.unwrap_err();
        assert!(matches!(taken, StoreError::Conflict { what: "name" }));
        store.create_agent(theirs, &fields, &actor()).await.unwrap();

        let changed = AgentFields { secret: None, kind: "builtin".to_owned(), ..agent("sales") };
        store.update_agent(ours, id, &changed, &actor()).await.unwrap();
        let found = store.agent(ours, id).await.unwrap();
        assert_eq!(found.fields, changed);
        assert!(found.stamp.updated_at >= found.stamp.created_at);
        store.delete_agent(ours, id, &actor()).await.unwrap();
        assert!(matches!(store.agent(ours, id).await, Err(StoreError::NotFound)));
        store.create_agent(ours, &changed, &actor()).await.unwrap();
        let told: Vec<String> = store
            .audit_entries(ours, None, 10)
            .await
            .unwrap()
            .into_iter()
            .filter(|entry| entry.object_id == id.to_string())
            .map(|entry| format!("{} {} {}", entry.actor, entry.action, entry.object_type))
            .collect();
        let by = |action: &str| format!("key:0a0b0c0d {action} agent");
        assert_eq!(told, [by("delete"), by("update"), by("create")]);
    });
}

/// Lists are cut into pages that miss nothing and repeat nothing.
#[test]
fn lists_have_pages() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let mut made = Vec::new();
        for index in 0..7 {
            let fields = agent(&format!("a{index}"));
            made.push(store.create_agent(ours, &fields, &actor()).await.unwrap());
            store.create_agent(theirs, &fields, &actor()).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.agents(ours, after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            seen.extend(page.iter().map(|agent| agent.id));
        }
        assert_eq!(seen, made);
        assert_eq!(store.all_agents().await.unwrap().len(), 14);
    });
}

/// What belongs to another organisation is neither seen, nor changed, nor deleted, nor referred to.
#[test]
fn organisations_are_apart() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let by = &actor();
        let config =
            store.create_configuration(theirs, &configuration("c", None), by).await.unwrap();
        let their_agent = store.create_agent(theirs, &agent("a"), by).await.unwrap();
        let their_trunk = store.create_trunk(theirs, &trunk("t", Some(config)), by).await.unwrap();
        let pinned = NumberFields { trunk: Some(their_trunk), ..number() };
        let their_number =
            store.create_number(theirs, config, &address("+4930"), &pinned, by).await;
        let their_number = their_number.unwrap();
        let their_route = store.create_route(theirs, &route(their_agent), by).await.unwrap();

        let gone = [
            store.agent(ours, their_agent).await.map(drop),
            store.configuration(ours, config).await.map(drop),
            store.trunk(ours, their_trunk).await.map(drop),
            store.number(ours, their_number).await.map(drop),
            store.route(ours, their_route).await.map(drop),
            store.update_agent(ours, their_agent, &agent("x"), by).await,
            store.update_configuration(ours, config, &configuration("x", None), by).await,
            store.update_trunk(ours, their_trunk, &trunk("x", None), by).await,
            store.update_number(ours, their_number, &number(), by).await,
            store.update_route(ours, their_route, &route(their_agent), by).await,
            store.set_default_outbound(ours, config, by).await,
            store.set_inactive(ours, config, Some("x"), by).await,
            store.create_number(ours, config, &address("+4931"), &number(), by).await.map(drop),
            store.delete_agent(ours, their_agent, by).await,
            store.delete_configuration(ours, config, by).await,
            store.delete_trunk(ours, their_trunk, by).await,
            store.delete_number(ours, their_number, by).await,
            store.delete_route(ours, their_route, by).await,
        ];
        for (index, answer) in gone.iter().enumerate() {
            assert!(matches!(answer, Err(StoreError::NotFound)), "{index}: {answer:?}");
        }
        let own = store.create_configuration(ours, &configuration("c", None), by).await.unwrap();
        let with_agent = NumberFields { agent: Some(their_agent), ..number() };
        let nowhere = [
            store.create_trunk(ours, &trunk("t", Some(config)), by).await.map(drop),
            store.create_number(ours, own, &address("+1"), &pinned, by).await.map(drop),
            store.create_number(ours, own, &address("+1"), &with_agent, by).await.map(drop),
            store.create_route(ours, &route(their_agent), by).await.map(drop),
        ];
        for (index, answer) in nowhere.iter().enumerate() {
            assert!(matches!(answer, Err(StoreError::NoSuch { .. })), "{index}: {answer:?}");
        }
        assert!(store.agents(ours, None, 10).await.unwrap().is_empty());
        assert!(store.trunks(ours, None).await.unwrap().is_empty());
        assert!(store.numbers(ours, &NumberFilter::default(), 10).await.unwrap().is_empty());
        assert!(store.routes(ours).await.unwrap().is_empty());
    });
}

/// Provider, account and address lead to one number, whoever's it is, also while it is inactive or
/// its configuration is parked; and also when an account is changed later. Who holds it is not
/// told.
#[test]
fn routing_keys_are_unique() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let by = &actor();
        let make = async |organisation, name, account| {
            let fields = configuration(name, account);
            store.create_configuration(organisation, &fields, by).await.unwrap()
        };
        let first = make(theirs, "a", Some("AC1")).await;
        let second = make(ours, "a", Some("AC1")).await;
        let third = make(ours, "b", Some("AC2")).await;
        let inactive = NumberFields { is_active: false, ..number() };
        store.create_number(theirs, first, &address("+49 30 1"), &inactive, by).await.unwrap();
        store.set_inactive(theirs, first, Some("parked"), by).await.unwrap();
        let taken = store.create_number(ours, second, &address("+49301"), &number(), by).await;
        let taken = taken.unwrap_err();
        assert!(matches!(taken, StoreError::Conflict { what: "routing key" }), "{taken:?}");
        assert_eq!(taken.to_string(), "routing key is taken");
        // Under another account the same number is another; the account cannot become the same.
        let other = store.create_number(ours, third, &address("+49301"), &number(), by).await;
        let changed = configuration("b", Some("AC1"));
        let taken = store.update_configuration(ours, third, &changed, by).await.unwrap_err();
        assert!(matches!(taken, StoreError::Conflict { what: "routing key" }), "{taken:?}");
        let changed = configuration("b", Some("AC3"));
        store.update_configuration(ours, third, &changed, by).await.unwrap();
        store.delete_number(ours, other.unwrap(), by).await.unwrap();
        // Deleted, the key is free.
        store.delete_configuration(theirs, first, by).await.unwrap();
        store.create_number(ours, second, &address("+49301"), &number(), by).await.unwrap();
        let again = store.create_number(ours, second, &address("+49301"), &number(), by).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })));
        // Without an account there is no key across configurations.
        for (organisation, name) in [(ours, "x"), (ours, "y"), (theirs, "x")] {
            let id = make(organisation, name, None).await;
            store.create_number(organisation, id, &address("100"), &number(), by).await.unwrap();
            let again = store.create_number(organisation, id, &address("100"), &number(), by).await;
            assert!(matches!(again, Err(StoreError::Conflict { what: "address" })));
        }
    });
}

/// Of several writers of one routing key at the same time, one wins.
#[test]
fn one_of_many_gets_the_key() {
    on_both(async |db: &Db| {
        let (store, other) = (db.store().await, db.store().await);
        let home = store.default_organisation();
        let mut writers = tokio::task::JoinSet::new();
        for index in 0..8 {
            let store = if index % 2 == 0 { store.clone() } else { other.clone() };
            let fields = configuration(&format!("c{index}"), Some("AC1"));
            let id = store.create_configuration(home, &fields, &actor()).await.unwrap();
            writers.spawn(async move {
                store.create_number(home, id, &address("+49301"), &number(), &actor()).await.is_ok()
            });
        }
        let won = writers.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
    });
}

/// Configurations come back whole, are found by their token, and hold the default in turn.
#[test]
fn configurations_are_kept() {
    on_both(async |db: &Db| {
        let (store, ours, _) = two(db).await;
        let by = &actor();
        let fields =
            ConfigurationFields { is_default_outbound: true, ..configuration("a", Some("AC1")) };
        let first = store.create_configuration(ours, &fields, by).await.unwrap();
        let other = ConfigurationFields { name: "b".to_owned(), ..fields.clone() };
        let second = store.create_configuration(ours, &other, by).await.unwrap();
        let defaults = async || {
            let all = store.configurations(ours).await.unwrap();
            let all = all.into_iter().filter(|it| it.fields.is_default_outbound);
            all.map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(defaults().await, [second]);
        store.set_default_outbound(ours, first, by).await.unwrap();
        assert_eq!(defaults().await, [first]);
        let found = store.configuration(ours, first).await.unwrap();
        assert_eq!(found.fields.config, fields.config);
        let by_token = store.configuration_by_token(found.token.expose()).await.unwrap();
        assert_eq!(by_token, found);
        for wrong in ["", "x", &found.token.expose()[1..], &"x".repeat(100)] {
            let missing = store.configuration_by_token(wrong).await;
            assert!(matches!(missing, Err(StoreError::NotFound)));
        }
        let moved = ConfigurationFields { provider: "other".to_owned(), ..fields.clone() };
        let refused = store.update_configuration(ours, first, &moved, by).await;
        assert!(matches!(refused, Err(StoreError::InUse { .. })));
        store.set_inactive(ours, first, Some("no credit"), by).await.unwrap();
        let (_, why) = store.configuration(ours, first).await.unwrap().inactive.unwrap();
        assert_eq!(why, "no credit");
        store.set_inactive(ours, first, None, by).await.unwrap();
        assert_eq!(store.configuration(ours, first).await.unwrap().inactive, None);
    });
}

/// What is in use is not deleted; a configuration takes its numbers and trunks along.
#[test]
fn what_is_used_stays() {
    on_both(async |db: &Db| {
        let (store, ours, _) = two(db).await;
        let by = &actor();
        let config = store.create_configuration(ours, &configuration("c", None), by).await.unwrap();
        let bot = store.create_agent(ours, &agent("a"), by).await.unwrap();
        let line = store.create_trunk(ours, &trunk("t", Some(config)), by).await.unwrap();
        let fields = NumberFields { agent: Some(bot), trunk: Some(line), ..number() };
        let main = store.create_number(ours, config, &address("+4930"), &fields, by).await.unwrap();
        let rule = RouteFields { number: Some(main), ..route(bot) };
        let rule = store.create_route(ours, &rule, by).await.unwrap();
        assert_eq!(store.number(ours, main).await.unwrap().fields, fields);
        assert_eq!(store.trunk(ours, line).await.unwrap().fields, trunk("t", Some(config)));
        for refused in [
            store.delete_agent(ours, bot, by).await,
            store.delete_trunk(ours, line, by).await,
            store.delete_number(ours, main, by).await,
            store.delete_configuration(ours, config, by).await,
        ] {
            assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
        }
        assert_eq!(store.pinned_numbers(ours).await.unwrap(), [(line, 1)]);
        assert_eq!(store.trunk_counts(ours).await.unwrap(), [(config, 1)]);
        let off = TrunkFields { enabled: false, ..trunk("t", Some(config)) };
        store.update_trunk(ours, line, &off, by).await.unwrap();
        assert_eq!(store.trunk(ours, line).await.unwrap().fields, off);
        assert!(store.trunk_counts(ours).await.unwrap().is_empty(), "it is out of service");
        let counts = store.number_counts(ours).await.unwrap();
        let (of, counts) = counts[0];
        assert_eq!((of, counts.active, counts.routed, counts.unpinned), (config, 1, 1, 0));
        store.delete_route(ours, rule, by).await.unwrap();
        store.delete_configuration(ours, config, by).await.unwrap();
        assert!(matches!(store.number(ours, main).await, Err(StoreError::NotFound)));
        assert!(matches!(store.trunk(ours, line).await, Err(StoreError::NotFound)));
        store.delete_agent(ours, bot, by).await.unwrap();
    });
}

/// What would be refused of a trunk is known before a carrier is asked: the number too many, a name
/// that is taken, what is pinned to it though it rests. Asking changes nothing.
#[test]
fn trunks_are_tried_before() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let by = &actor();
        let config = store.create_configuration(ours, &configuration("c", None), by).await.unwrap();
        let within = |name: &str| trunk(name, Some(config));
        let before = *store.changes().borrow();
        store.try_create_trunk(ours, &within("t")).await.unwrap();
        assert_eq!(*store.changes().borrow(), before);
        assert!(store.trunks(ours, None).await.unwrap().is_empty());
        let foreign = store.try_create_trunk(theirs, &within("t")).await;
        assert!(matches!(foreign, Err(StoreError::NoSuch { .. })));
        let line = store.create_trunk(ours, &within("t"), by).await.unwrap();
        let taken = store.try_create_trunk(ours, &within("t")).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })));
        let other = store.create_trunk(ours, &within("u"), by).await.unwrap();
        let taken = store.try_update_trunk(ours, other, &within("t")).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })));
        store.try_update_trunk(ours, other, &within("v")).await.unwrap();
        assert_eq!(store.trunk(ours, other).await.unwrap().fields.name, "u");

        let resting = NumberFields { trunk: Some(line), is_active: false, ..number() };
        store.create_number(ours, config, &address("+4930"), &resting, by).await.unwrap();
        assert!(store.pinned_numbers(ours).await.unwrap().is_empty(), "none is active");
        let pinned = store.try_delete_trunk(ours, line).await;
        assert!(matches!(pinned, Err(StoreError::InUse { .. })), "{pinned:?}");
        store.try_delete_trunk(ours, other).await.unwrap();
        assert_eq!(store.trunks(ours, None).await.unwrap().len(), 2);

        for n in 2..1_000 {
            store.create_trunk(ours, &trunk(&format!("n{n}"), None), by).await.unwrap();
        }
        let full = store.try_create_trunk(ours, &within("w")).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    });
}

/// Numbers hold the default caller id of their configuration in turn.
#[test]
fn one_caller_id_is_the_default() {
    on_both(async |db: &Db| {
        let (store, ours, _) = two(db).await;
        let by = &actor();
        let config = store.create_configuration(ours, &configuration("c", None), by).await.unwrap();
        let default = NumberFields { is_default_caller_id: true, ..number() };
        let first = store.create_number(ours, config, &address("+1"), &default, by).await.unwrap();
        let second = store.create_number(ours, config, &address("+2"), &default, by).await.unwrap();
        let is_default =
            async |id: NumberId| store.number(ours, id).await.unwrap().fields.is_default_caller_id;
        assert!(!is_default(first).await && is_default(second).await);
        store.update_number(ours, first, &default, by).await.unwrap();
        assert!(is_default(first).await && !is_default(second).await);
        let filter = NumberFilter { configuration: Some(config), after: Some(first) };
        let rest = store.numbers(ours, &filter, 10).await.unwrap();
        assert_eq!(rest.iter().map(|it| it.id).collect::<Vec<_>>(), [second]);
        let foreign = NumberFields { trunk: Some(TrunkId::new()), ..number() };
        let refused = store.update_number(ours, first, &foreign, by).await;
        assert!(matches!(refused, Err(StoreError::NoSuch { what: "trunk" })));
    });
}

/// A secret does not open in another row: whoever can write to the database cannot use one
/// organisation's credentials for another.
#[test]
fn secrets_are_bound_to_their_rows() {
    on_both(async |db: &Db| {
        let (store, ours, theirs) = two(db).await;
        let mine = store.create_agent(ours, &agent("a"), &actor()).await.unwrap();
        let yours = store.create_agent(theirs, &agent("a"), &actor()).await.unwrap();
        let moved = Query::new(
            "UPDATE agents SET secret = (SELECT secret FROM agents WHERE id = $1) WHERE id = $2",
        );
        assert_eq!(store.execute(moved.bind(yours).bind(mine)).await.unwrap(), 1);
        assert!(matches!(store.agent(ours, mine).await, Err(StoreError::Sealed(_))));
        assert!(store.agent(theirs, yours).await.is_ok());
    });
}
