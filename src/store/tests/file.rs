//! What the configuration file declares is listed, follows the file, and is changed nowhere else.

use std::path::Path;

use super::{Db, on_both};
use crate::config::{Config, Sources};
use crate::store::object::{CallLimits, Origin};
use crate::store::{Actor, StoreError};

const FULL: &str = r#"
[[agents]]
name = "support"
kind = "websocket"
url = "wss://agent.example/"
secret = "correct horse battery staple"
max_calls = 7

[[agents]]
name = "tone"
kind = "builtin"
builtin = "tone"

[[trunks]]
name = "carrier"
peers = ["192.0.2.0/24"]
auth = "digest"
username = "us"
password = "planted-password"

[[routes]]
to = "+4930*"
trunk = "carrier"
agent = "support"
max_duration_s = 600

[[routes]]
to = "*"
agent = "tone"
"#;

fn config(text: &str) -> Config {
    let sources = Sources {
        file: Some((Path::new("/etc/talkpath/talkpath.toml"), text)),
        environment: &[],
        data_dir: None,
        dialects: &[],
        readable: &|_| Ok(()),
    };
    Config::parse(&sources).unwrap()
}

/// All that is declared is listed with its origin, its secrets sealed and nowhere else; a second
/// start changes nothing; what is gone from the file is gone, and comes back under the same
/// identifier.
#[test]
fn the_file_is_listed() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let home = store.default_organisation();
        let full = config(FULL);
        assert_eq!(store.import(&full).await.unwrap().changed, 5);
        let before = *store.changes().borrow();
        assert_eq!(store.import(&full).await.unwrap().changed, 0);
        assert_eq!(*store.changes().borrow(), before);

        let agents = store.agents(home, None, 10).await.unwrap();
        let support = agents.iter().find(|it| it.fields.name == "support").unwrap();
        assert_eq!(support.stamp.origin, Origin::File);
        assert_eq!(support.fields.kind, "websocket");
        assert_eq!(support.fields.settings, serde_json::json!({ "url": "wss://agent.example/" }));
        let secret = support.fields.secret.as_ref().unwrap();
        assert_eq!(secret.expose(), "correct horse battery staple");
        assert_eq!(support.fields.limits.max_calls, Some(7));
        let trunks = store.trunks(home, None).await.unwrap();
        assert_eq!(trunks[0].fields.password.as_ref().unwrap().expose(), "planted-password");
        assert!(!trunks[0].fields.settings.expose().to_string().contains("planted"));
        let routes = store.routes(home).await.unwrap();
        let patterns: Vec<&str> = routes.iter().map(|it| it.fields.pattern.as_str()).collect();
        assert_eq!(patterns, ["+4930*", "*"], "in the order of the file");
        assert_eq!(routes[0].fields.agent, Some(support.id));
        assert_eq!(routes[0].fields.trunk, Some(trunks[0].id));

        let by = &Actor::Command;
        let changed = store.update_agent(home, support.id, &support.fields, by).await;
        assert!(matches!(changed, Err(StoreError::ReadOnly)));
        let deleted = store.delete_route(home, routes[0].id, by).await;
        assert!(matches!(deleted, Err(StoreError::ReadOnly)));

        let less = config(&FULL.split("[[trunks]]").next().unwrap().replace("= 7", "= 8"));
        assert_eq!(store.import(&less).await.unwrap().changed, 4);
        assert!(store.trunks(home, None).await.unwrap().is_empty());
        let found = store.agent(home, support.id).await.unwrap();
        assert_eq!(found.fields.limits, CallLimits { max_calls: Some(8), calls_per_second: None });
        store.import(&full).await.unwrap();
        assert_eq!(store.trunks(home, None).await.unwrap()[0].id, trunks[0].id);
    });
}

/// What was made over HTTP keeps its name; the file's namesake is told and not listed, nor is what
/// refers to it.
#[test]
fn names_made_over_http_stay() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let home = store.default_organisation();
        let full = config(FULL);
        store.import(&full).await.unwrap();
        let mut fields = store.agents(home, None, 1).await.unwrap().remove(0).fields;
        fields.name = "later".to_owned();
        store.create_agent(home, &fields, &Actor::Command).await.unwrap();
        let text = FULL.replace("\"support\"", "\"later\"");
        let imported = store.import(&config(&text)).await.unwrap();
        assert_eq!(imported.taken, ["later"]);
        let origins: Vec<_> = store
            .agents(home, None, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|agent| (agent.fields.name, agent.stamp.origin))
            .collect();
        assert!(origins.contains(&("later".to_owned(), Origin::Api)));
        assert!(!origins.contains(&("later".to_owned(), Origin::File)));
        assert_eq!(store.routes(home).await.unwrap().len(), 1);
    });
}
