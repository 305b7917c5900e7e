//! A customer of a dialler comes by a real Asterisk that is controlled over its REST interface: the
//! dialler's headers are read there, and it is asked before the channel goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::fs;
use std::time::Duration;

use serde_json::json;
use support::api_carrier::expect;
use support::asterisk::{Asterisk, Settings};
use support::phone::Phone;
use support::vicidial::{Customer, PASSWORD, USER, Vicidial};
use support::{talk, until};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// The headers of a call by chan_pjsip, all but those that nobody wants, are variables; the agent's
/// hang-up is the dialler's first. A call without the code is none of the dialler's.
#[test]
fn a_customer_of_a_dialler() {
    let Some(asterisk) = Asterisk::start(&Settings::default()) else { return };
    let dialler = Vicidial::start();
    let (server, agents) = talk::server("routes = []");
    let config = json!({
        "provider": "ari", "ari_url": asterisk.ari_url(), "username": asterisk.user,
        "password": asterisk.password, "external_pbx": {
            "type": "vicidial", "user": USER, "password": PASSWORD,
            "agent_api_url": format!("http://{}/agc/api.php", dialler.at),
            "lead_headers": ["first_name"],
        },
    });
    let wanted = json!({"name": "pbx", "config": config});
    let made = expect(&server, 201, "POST", CONFIGS, Some(wanted));
    let path = format!("{CONFIGS}/{}", made["id"].as_str().unwrap());
    let named = expect(&server, 200, "POST", &format!("{path}/provision"), None);
    let app = named["credentials"]["app"].as_str().unwrap();
    let all = expect(&server, 200, "GET", "/api/v1/agents", None);
    let bot = all["items"].as_array().unwrap().iter().find(|it| it["name"] == "bot").unwrap();
    let wanted = json!({"address": "700", "inbound_agent_id": bot["id"]});
    expect(&server, 201, "POST", &format!("{path}/phone-numbers"), Some(wanted));
    let file = asterisk.etc().join("extensions.conf");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("Stasis(talkpath-test,", &format!("Stasis({app},"));
    fs::write(&file, text).unwrap();
    asterisk.cli("dialplan reload");
    until(SOON, "the application is there", || {
        let (status, app) = asterisk.ari("GET", &format!("/applications/{app}"));
        let limited = app["events_disallowed"].as_array().is_some_and(|it| !it.is_empty());
        (status == 200 && limited).then_some(())
    });

    let headers = Vicidial::headers() + "X-VICIDIAL-address1: unwanted\r\n";
    let mut phone = Phone::call_at(asterisk.sip, "700", &headers);
    let mut agent = agents.accept();
    phone.wait_answer();
    let variables = &agent.start["variables"];
    assert_eq!(variables["vicidial_callerid"], "V1129", "{}", agent.start);
    assert_eq!(variables["vicidial_lead_id"], "4242");
    assert_eq!(variables["vicidial_first_name"], "Ada");
    assert!(!agent.start.to_string().contains("unwanted"), "{}", agent.start);
    agent.order("hangup");
    phone.wait_bye();
    assert_eq!(dialler.customer(), Customer::Gone(None));

    let mut phone = Phone::call_at(asterisk.sip, "700", "");
    let mut agent = agents.accept();
    phone.wait_answer();
    assert!(!agent.start.to_string().contains("vicidial"), "{}", agent.start);
    agent.order("hangup");
    phone.wait_bye();
    assert_eq!(dialler.asked("HANGUP").len(), 1);
    server.wait_idle();
    asterisk.wait_idle();
    assert!(!server.log().contains(PASSWORD));
    server.stop();
}
