use serde_json::{Value, json};

use super::SPEC;
use crate::config::ConfigErrors;
use crate::network::HostPort;
use crate::secret::Secret;
use crate::sip::{CallerIdHeader, DtmfMethod, NumberFormat, SipProfile, SipTransport, SrtpPolicy};
use media::codec::AudioFormat;

fn profile(given: &Value) -> Result<SipProfile, ConfigErrors> {
    SPEC.sip.unwrap()(&SPEC.read(given, None)?)
}

/// The least that makes a trunk: addresses that may call. Everything else has a value that works.
#[test]
fn networks_suffice() {
    let profile = profile(&json!({"inbound": {"networks": ["192.0.2.0/24"]}})).unwrap();
    assert!(profile.outbound.is_none() && profile.digest.is_none());
    assert!(profile.registration.is_none() && profile.tls.is_none());
    assert_eq!(profile.transport, SipTransport::Udp);
    assert_eq!((profile.srtp, profile.dtmf), (SrtpPolicy::Off, DtmfMethod::Rtp));
    assert_eq!(profile.codecs, [AudioFormat::PCMU, AudioFormat::PCMA]);
    assert_eq!(profile.limits.calls_per_second, None);
    assert_eq!(profile.admits("192.0.2.9".parse().unwrap()), Some(24));
    assert_eq!(profile.admits("192.0.3.9".parse().unwrap()), None);
}

/// Every field arrives in the profile.
#[test]
fn everything_arrives() {
    let fixture = include_str!("fixtures/config_full.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let profile = profile(&fixture["config"]).unwrap();
    let inbound = profile.inbound.as_ref().unwrap();
    assert_eq!(inbound.networks.len(), 2);
    assert_eq!(inbound.headers[..3], ["X-Tenant", "X-Campaign", "X-Dialer-callerid"]);
    assert_eq!(inbound.headers.len(), 2 + 6);
    assert_eq!(profile.admits("203.0.113.7".parse().unwrap()), Some(32), "the most specific");
    let outbound = profile.outbound.as_ref().unwrap();
    let hosts: Vec<_> = outbound.targets.iter().map(|target| target.host.to_string()).collect();
    assert_eq!(hosts, ["sip1.example.com", "[2001:db8::5]:5070"]);
    assert_eq!((outbound.targets[0].priority, outbound.targets[0].weight), (10, 60));
    assert_eq!((outbound.targets[1].priority, outbound.targets[1].weight), (20, 10));
    assert_eq!(outbound.proxy.as_ref().unwrap().expose(), "sip:proxy.example.com;lr");
    assert_eq!(outbound.caller_id.as_ref().unwrap().expose(), "+4930123456");
    assert_eq!(outbound.caller_id_header, CallerIdHeader::PAssertedIdentity);
    assert_eq!(outbound.number_format, NumberFormat::Digits);
    assert_eq!(outbound.headers[0].0, "X-Account");
    assert_eq!(outbound.headers[0].1.expose(), "blue");
    let digest = profile.digest.as_ref().unwrap();
    assert_eq!((digest.user.as_str(), digest.realm.as_deref()), ("trunk-7", Some("example.com")));
    assert_eq!(digest.password, Secret::new("open sesame, please"));
    let registration = profile.registration.as_ref().unwrap();
    let registrar = HostPort { host: "reg.example.com".into(), port: Some(5061) };
    assert_eq!((&registration.registrar, registration.expires_s), (&registrar, 300));
    assert_eq!(registration.user, "trunk-7");
    assert_eq!(profile.transport, SipTransport::Tls);
    let tls = profile.tls.as_ref().unwrap();
    assert!(
        tls.verify && tls.ca_pem.as_ref().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n")
    );
    assert_eq!(tls.server_name.as_deref(), Some("sip.example.com"));
    assert_eq!(profile.srtp, SrtpPolicy::Required);
    assert_eq!(profile.codecs, [AudioFormat::PCMA]);
    assert_eq!(profile.dtmf, DtmfMethod::Info);
    assert_eq!(profile.country.as_deref(), Some("DE"));
    assert_eq!(profile.limits.calls_max, Some(200));
    assert_eq!(profile.limits.calls_per_second, Some(15));
    assert_eq!(profile.options_interval_s, Some(30));
    let shown = format!("{profile:?}");
    assert!(!shown.contains("sesame") && !shown.contains("30123456") && !shown.contains("blue"));
}

/// What cannot work is refused, with the field that is to be changed.
#[test]
fn what_cannot_work_is_refused() {
    let inbound = json!({"networks": ["192.0.2.1"]});
    for (given, error) in [
        (json!({}), "inbound.networks: missing"),
        (json!({"inbound": inbound, "outbound": {"enabled": true}}), "outbound.targets: missing"),
        (
            json!({"inbound": inbound, "outbound": {"enabled": true, "targets": [{"port": 1}]}}),
            "outbound.targets[0].host: missing",
        ),
        (
            json!({"inbound": inbound, "srtp": "required", "transport": "tcp"}),
            "srtp: needs transport tls, because the keys travel with the signalling",
        ),
        (
            json!({"inbound": inbound, "auth": {"enabled": true, "user": "a"}}),
            "auth.password: missing",
        ),
        (
            json!({"inbound": {"networks": ["192.0.2.1"], "headers": ["Authorization"]}}),
            "inbound.headers[0]: this header steers calls or carries credentials",
        ),
        (
            json!({"inbound": inbound, "outbound": {"enabled": true,
                "targets": [{"host": "a"}], "headers": {"X-A": "b\r\nVia: c"}}}),
            "outbound.headers.X-A: holds a control character",
        ),
        (json!({"inbound": inbound, "codecs": ["G729"]}), "codecs[0]: not one of PCMU, PCMA, G722"),
    ] {
        assert_eq!(profile(&given).unwrap_err().to_string(), error);
    }
}

/// A configuration may leave all calls to the trunks within it, and needs one then.
#[test]
fn a_configuration_of_trunks() {
    let config = SPEC.read(&json!({"inbound": {"enabled": false}}), None).unwrap();
    let profile = super::profile::profile(&config).unwrap();
    assert!(profile.is_idle());
    let steps = |trunks| {
        let state = crate::setup::SetupState { trunks, ..Default::default() };
        let steps = (SPEC.checklist)(&config, &state);
        steps.iter().find(|step| step.key == "trunk").map(|step| (step.done, step.blocks_outbound))
    };
    assert_eq!(steps(0), Some((false, true)));
    assert_eq!(steps(2), Some((true, true)));
    let config = SPEC.read(&json!({"inbound": {"networks": ["192.0.2.1"]}}), None).unwrap();
    assert!(!super::profile::profile(&config).unwrap().is_idle());
    let state = crate::setup::SetupState::default();
    let steps = (SPEC.checklist)(&config, &state);
    assert!(steps.iter().all(|step| step.key != "trunk"));
}
