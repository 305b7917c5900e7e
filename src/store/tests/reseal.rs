//! Everything sealed comes under the newest key, at any speed and beside servers that run; nothing
//! secret lies open.

use adapters::config::RawConfig;
use serde_json::json;

use super::{Db, on_both};
use crate::config::{Secret, SecretSettings};
use crate::seal::{SealKeys, key_id};
use crate::store::agents::AgentFields;
use crate::store::configurations::ConfigurationFields;
use crate::store::object::CallLimits;
use crate::store::trunks::TrunkFields;
use crate::store::{Actor, DatabaseUrl, Query, Resealed, SealSource, Store, StoreSettings};

/// What must not lie open anywhere.
const PLANTED: &str = "planted-7f3a-secret";

async fn plant(store: &Store) {
    let (home, by) = (store.default_organisation(), &Actor::Command);
    let secret = || Some(Secret::new(PLANTED.to_owned()));
    for index in 0..5 {
        let agent = AgentFields {
            name: format!("a{index}"),
            kind: "websocket".to_owned(),
            settings: json!({ "url": format!("wss://agent.example/?token={PLANTED}") }),
            secret: secret(),
            limits: CallLimits::default(),
        };
        store.create_agent(home, &agent, by).await.unwrap();
    }
    let configuration = ConfigurationFields {
        name: "c".to_owned(),
        provider: "acme".to_owned(),
        config: RawConfig::from_stored(json!({ "account": PLANTED, "key": PLANTED })).unwrap(),
        account: Some(PLANTED.to_owned()),
        settings: json!({}),
        is_default_outbound: true,
        limits: CallLimits::default(),
    };
    store.create_configuration(home, &configuration, by).await.unwrap();
    let trunk = TrunkFields {
        configuration: None,
        name: "t".to_owned(),
        enabled: true,
        settings: SecretSettings::default(),
        password: secret(),
        external_id: None,
        limits: CallLimits::default(),
    };
    store.create_trunk(home, &trunk, by).await.unwrap();
}

/// All secrets of the store in clear, as whoever has the keys reads them.
async fn read_all(store: &Store) -> usize {
    let mut found = 0;
    for agent in store.all_agents().await.unwrap() {
        assert_eq!(agent.fields.secret.unwrap().expose(), PLANTED);
        found += agent.fields.settings.to_string().matches(PLANTED).count();
    }
    for configuration in store.all_configurations().await.unwrap() {
        found += configuration.fields.config.texts("key").len();
        assert_eq!(configuration.fields.config.text("key"), Some(PLANTED));
    }
    for trunk in store.all_trunks().await.unwrap() {
        assert_eq!(trunk.fields.password.unwrap().expose(), PLANTED);
    }
    found
}

/// With a new key in the file everything is sealed again, once; a server that runs reads it without
/// a restart; without the old key everything still opens.
#[test]
fn everything_comes_under_the_newest_key() {
    on_both(async |db: &Db| {
        let running = db.store().await;
        plant(&running).await;
        let before = read_all(&running).await;
        let file = db.folder().join("seal.keys");
        SealKeys::add(&file).unwrap();
        let store = db.store().await;
        assert_eq!(store.seal_keys().newest(), "k2");
        // 5 agents with two values each, a configuration with two, a trunk, the canary.
        assert_eq!(store.reseal().await.unwrap(), Resealed { sealed: 14, kept: 0 });
        assert_eq!(store.reseal().await.unwrap(), Resealed { sealed: 0, kept: 14 });
        assert_eq!(read_all(&running).await, before, "the file was read again");
        let text = std::fs::read_to_string(&file).unwrap();
        let newest = text.lines().find(|line| line.starts_with("k2:")).unwrap();
        assert!(text.contains("k1:") && text.starts_with("k2:"));
        let seal = SealSource::Keys(Secret::new(newest.to_owned()));
        let settings = StoreSettings { url: db.settings().url.clone(), seal };
        assert_eq!(read_all(&Store::open(&settings).await.unwrap()).await, before);
        let row = store.fetch_one(Query::new("SELECT token AS t FROM configurations")).await;
        assert_eq!(key_id(&row.unwrap().get::<Vec<u8>>("t").unwrap()), Some("k2"));
    });
}

/// What is broken off is taken up again: however much a run got done, the next does the rest.
#[test]
fn a_run_that_was_broken_off_is_taken_up() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        plant(&store).await;
        SealKeys::add(&db.folder().join("seal.keys")).unwrap();
        let store = db.store().await;
        // As if the run had ended after the settings of two agents.
        let agents = store.all_agents().await.unwrap();
        for agent in &agents[..2] {
            let home = store.default_organisation();
            store.update_agent(home, agent.id, &agent.fields, &Actor::Command).await.unwrap();
        }
        assert_eq!(store.reseal().await.unwrap(), Resealed { sealed: 10, kept: 4 });
        read_all(&store).await;
    });
}

/// No secret is in any file of the database, its log included, nor in what is shown of the store's
/// values.
#[test]
fn no_secret_lies_open() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        plant(&store).await;
        let shown = format!(
            "{:?}{:?}{:?}{:?}{store:?}{:?}",
            store.all_agents().await.unwrap(),
            store.all_trunks().await.unwrap(),
            store.all_configurations().await.unwrap(),
            store.audit_entries(store.default_organisation(), None, 100).await.unwrap(),
            db.settings(),
        );
        assert!(!shown.contains(PLANTED), "{shown}");
        let holds = |bytes: &[u8]| bytes.windows(PLANTED.len()).any(|it| it == PLANTED.as_bytes());
        assert!(holds(format!("x{PLANTED}").as_bytes()), "the search finds what is there");
        let mut searched = 0;
        if let DatabaseUrl::Sqlite(path) = &db.settings().url {
            for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                assert!(!holds(&bytes));
                searched += bytes.len();
            }
        } else {
            for table in ["agents", "configurations", "trunks", "audit_log", "meta"] {
                let text = format!("SELECT CAST(t AS TEXT) AS line FROM {table} t");
                for row in store.fetch_all(Query::new(text.leak())).await.unwrap() {
                    let line: String = row.get("line").unwrap();
                    let hex: String = PLANTED.bytes().map(|b| format!("{b:02x}")).collect();
                    assert!(!line.contains(PLANTED) && !line.contains(&hex), "{line}");
                    searched += line.len();
                }
            }
        }
        assert!(searched > 1_000, "{searched}");
    });
}
