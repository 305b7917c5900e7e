//! A stored SIP configuration as a trunk: the same as one of the file.

use std::time::Duration;

use adapters::address::Address;
use adapters::network::HostPort;
use adapters::sip::{DtmfMethod, SipOutbound, SipProfile, SipTransport};

use crate::calls::caller_ids::Rotation;
use crate::calls::digits::DtmfMode;
use crate::calls::presented::Privacy;
use crate::config::{Cidr, Outbound, RegistrationConfig, Secret, TrunkConfig};
use crate::listen::tls::{ClientFiles, ClientTls};
use crate::quota::{Limits, Ways};
use crate::sip::core::endpoint::Reliability;
use crate::sip::core::offer_answer::SrtpPolicy;

/// What a profile demands that is not done here. A trunk that cannot be as its owner wants it is
/// not used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Encryption with whomever.
    #[error("tls.verify: certificates are always verified; name the authority in tls.ca_pem")]
    Unverified,
    /// Certificates that are none.
    #[error("tls.ca_pem: holds no certificate that can be used")]
    Authority,
    /// A registration without password.
    #[error("registration: needs user name and password")]
    NoAccount,
}

/// The trunk called `name` that a profile describes, and its limits.
///
/// # Errors
///
/// What of it cannot be done.
pub fn trunk(name: &str, profile: &SipProfile) -> Result<(TrunkConfig, Limits), Unsupported> {
    let ca_pem = match &profile.tls {
        Some(tls) if !tls.verify => return Err(Unsupported::Unverified),
        tls => tls.as_ref().and_then(|tls| tls.ca_pem.clone()),
    };
    let tls = ClientFiles { ca_pem, ..ClientFiles::default() };
    if tls.ca_pem.is_some() && ClientTls::new(tls.clone()).is_err() {
        return Err(Unsupported::Authority);
    }
    let inbound = profile.inbound.as_ref();
    let headers = inbound.map(|inbound| inbound.headers.clone()).unwrap_or_default();
    let digest = profile.digest.as_ref();
    let config = TrunkConfig {
        name: name.to_owned(),
        peers: inbound.into_iter().flat_map(|it| &it.networks).map(Cidr::from).collect(),
        digest: false,
        username: digest.map(|digest| digest.user.clone()),
        password: digest.map(|digest| Secret::new(digest.password.expose().to_owned())),
        realm: digest.and_then(|digest| digest.realm.clone()),
        registration: registration(profile)?,
        headers,
        codecs: Some(profile.codecs.clone()),
        tls_names: Vec::new(),
        tls,
        outbound: profile.outbound.as_ref().map(|it| outbound(profile, it)).unwrap_or_default(),
        destinations: None,
        country: profile.country.clone(),
        capture: false,
        dtmf_inband: None,
        dtmf: match profile.dtmf {
            DtmfMethod::Rtp => DtmfMode::Auto,
            DtmfMethod::Info => DtmfMode::Info,
            DtmfMethod::Inband => DtmfMode::Tones,
        },
        refer: true,
        reliable_provisional: Reliability::default(),
        srtp: Some(match profile.srtp {
            adapters::sip::SrtpPolicy::Off => SrtpPolicy::Off,
            adapters::sip::SrtpPolicy::Optional => SrtpPolicy::Optional,
            adapters::sip::SrtpPolicy::Required => SrtpPolicy::Required,
        }),
    };
    let each = profile.limits.calls_per_second;
    let limits = Limits {
        calls: Ways { both: profile.limits.calls_max, ..Ways::default() },
        per_second: Ways { both: None, inbound: each, outbound: each },
    };
    Ok((config, limits))
}

fn outbound(profile: &SipProfile, outbound: &SipOutbound) -> Outbound {
    let uri = |host: &HostPort| sip_uri(host, profile.transport);
    Outbound {
        targets: outbound.targets.iter().map(|target| uri(&target.host)).collect(),
        shares: outbound.targets.iter().map(|target| (target.priority, target.weight)).collect(),
        route: outbound.proxy.iter().map(|proxy| proxy.expose().to_owned()).collect(),
        options_interval: profile.options_interval_s.map(|s| Duration::from_secs(s.into())),
        caller_id: outbound.caller_id.as_ref().map(|number| number.expose().to_owned()),
        caller_ids: Vec::new(),
        rotation: Rotation::default(),
        caller_id_header: outbound.caller_id_header,
        number_format: outbound.number_format,
        headers: outbound.headers.clone(),
        asserted_identity: None,
        privacy: Privacy::default(),
        headers_out: Vec::new(),
        from_domain: None,
        tls_name: profile.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).map(Into::into),
        ws_path: None,
        // They are limits of the trunk as a whole.
        max_calls: None,
        calls_per_second: None,
    }
}

fn registration(profile: &SipProfile) -> Result<Option<RegistrationConfig>, Unsupported> {
    let Some(wanted) = &profile.registration else { return Ok(None) };
    if profile.digest.is_none() {
        return Err(Unsupported::NoAccount);
    }
    Ok(Some(RegistrationConfig {
        registrar: sip_uri(&wanted.registrar, profile.transport),
        user: Some(wanted.user.clone()),
        expires: Duration::from_secs(wanted.expires_s.into()),
    }))
}

/// The URI of a host, without user.
fn sip_uri(host: &HostPort, transport: SipTransport) -> String {
    let transport = match transport {
        SipTransport::Udp => "",
        SipTransport::Tcp => ";transport=tcp",
        SipTransport::Tls => ";transport=tls",
    };
    format!("sip:{host}{transport}")
}

/// A number as a trunk wants it written.
pub fn written(config: &TrunkConfig, number: &str) -> String {
    match Address::parse(number, config.country.as_deref()) {
        Ok(address) if address.digits().is_some() => match config.outbound.number_format {
            adapters::sip::NumberFormat::AsGiven => number.to_owned(),
            format => format.write(&address).to_owned(),
        },
        _ => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use adapters::sip::CallerIdHeader;
    use serde_json::{Value, json};

    use super::*;

    fn read(config: &Value) -> Result<(TrunkConfig, Limits), Unsupported> {
        let spec = adapters::table::find("sip_trunk").unwrap();
        let profile = spec.sip.unwrap()(&spec.read(config, None).unwrap()).unwrap();
        trunk("peer", &profile)
    }

    fn whole() -> Value {
        json!({
            "inbound": {"enabled": true, "networks": ["203.0.113.0/24"], "headers": ["X-Tenant"]},
            "country": "de",
            "outbound": {
                "enabled": true,
                "targets": [
                    {"host": "b.example.com", "port": 5070, "priority": 20},
                    {"host": "A.example.com", "priority": 10, "weight": 60},
                ],
                "proxy": "sip:proxy.example.com;lr",
                "caller_id": "+49 30 123456",
                "caller_id_header": "p_asserted_identity",
                "number_format": "digits",
                "headers": {"X-Account": "blue"},
            },
            "auth": {"enabled": true, "user": "us", "password": "open sesame", "realm": "r"},
            "registration": {
                "enabled": true, "registrar": "192.0.2.1:5070", "user": "line", "expires_s": 300,
            },
            "transport": "tcp",
            "codecs": ["PCMA"],
            "limits": {"calls_max": 200, "calls_per_second": 15},
            "options_interval_s": 30,
        })
    }

    /// Every field arrives in the trunk that the file could have named.
    #[test]
    fn everything_arrives() {
        let (config, limits) = read(&whole()).unwrap();
        assert_eq!(config.name, "peer");
        assert!(config.takes("203.0.113.9".parse().unwrap()));
        assert!(!config.takes("203.0.114.9".parse().unwrap()));
        assert_eq!(config.headers, ["X-Tenant"]);
        assert_eq!(config.country.as_deref(), Some("DE"));
        assert_eq!((config.username.as_deref(), config.realm.as_deref()), (Some("us"), Some("r")));
        assert_eq!(config.password.as_ref().map(Secret::expose), Some("open sesame"));
        let registration = config.registration.as_ref().unwrap();
        assert_eq!(registration.registrar, "sip:192.0.2.1:5070;transport=tcp");
        assert_eq!(registration.user.as_deref(), Some("line"));
        let outbound = &config.outbound;
        let targets = ["sip:b.example.com:5070;transport=tcp", "sip:a.example.com;transport=tcp"];
        assert_eq!(outbound.targets, targets);
        assert_eq!(outbound.order(), [targets[1], targets[0]], "by priority");
        assert_eq!(outbound.route, ["sip:proxy.example.com;lr"]);
        assert_eq!(outbound.caller_id.as_deref(), Some("+4930123456"));
        assert_eq!(outbound.caller_id_header, CallerIdHeader::PAssertedIdentity);
        assert_eq!(outbound.headers.len(), 1);
        assert_eq!(outbound.options_interval, Some(Duration::from_secs(30)));
        assert_eq!((limits.calls.both, limits.per_second.inbound), (Some(200), Some(15)));
        assert_eq!(written(&config, "+49 30 123"), "4930123");
        assert_eq!(written(&config, "030 123456"), "4930123456");
        assert_eq!(written(&config, "sip:bob@example.com"), "sip:bob@example.com");
    }

    /// The name that a certificate has to prove arrives.
    #[test]
    fn the_name_in_the_certificate() {
        let mut config = whole();
        config["transport"] = json!("tls");
        config["registration"]["registrar"] = json!("reg.example.com");
        let (named, _) = read(&config).unwrap();
        assert_eq!(named.outbound.tls_name, None);
        let registrar = named.registration.map(|wanted| wanted.registrar);
        assert_eq!(registrar.as_deref(), Some("sip:reg.example.com;transport=tls"));
        config["tls"] = json!({"server_name": "x.example"});
        assert_eq!(read(&config).unwrap().0.outbound.tls_name.as_deref(), Some("x.example"));
    }

    /// What cannot be done as it is demanded is not done otherwise.
    #[test]
    fn what_is_not_done() {
        let tls = |tls: Value| {
            let mut config = whole();
            config["transport"] = json!("tls");
            config["tls"] = tls;
            read(&config).map(drop)
        };
        assert_eq!(tls(json!({"verify": true})), Ok(()));
        assert_eq!(tls(json!({"verify": false})), Err(Unsupported::Unverified));
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        assert_eq!(tls(json!({"ca_pem": pem})), Err(Unsupported::Authority));
        let mut stranger = whole();
        stranger["auth"] = json!({"enabled": false});
        assert_eq!(read(&stranger).unwrap_err(), Unsupported::NoAccount);
    }
}
