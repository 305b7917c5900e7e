//! A stored SIP configuration as a trunk: the same as one of the file.

use std::time::Duration;

use adapters::address::Address;
use adapters::network::HostPort;
use adapters::sip::{DtmfMethod, SipOutbound, SipProfile, SipTransport};

use crate::calls::digits::DtmfMode;
use crate::calls::presented::Privacy;
use crate::config::{Cidr, Outbound, RegistrationConfig, Secret, TrunkConfig};
use crate::listen::tls::ClientFiles;
use crate::quota::{Limits, Ways};
use crate::sip::core::endpoint::Reliability;
use crate::sip::core::offer_answer::SrtpPolicy;

/// What a profile demands that is not done here. A trunk that cannot be as its owner wants it is
/// not used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Encryption with whomever.
    #[error("tls.verify: certificates are always verified; name the authority in tls.ca_pem")]
    Unverified,
    /// Another name than that of the target.
    #[error("tls.server_name: the certificate has to name the host of the target")]
    ServerName,
    /// A registration over TLS.
    #[error("registration: a registrar is reached over UDP or TCP")]
    RegistrarTls,
    /// A registration with a name.
    #[error("registration.registrar: an address is needed; names are not looked up")]
    RegistrarName,
    /// A registration without password.
    #[error("registration: needs user name and password")]
    NoAccount,
    /// A header that steers the call or carries credentials.
    #[error("inbound.headers: {0} is not shown to agents")]
    Header(String),
}

/// The trunk called `name` that a profile describes, and its limits.
///
/// # Errors
///
/// What of it cannot be done.
pub fn trunk(name: &str, profile: &SipProfile) -> Result<(TrunkConfig, Limits), Unsupported> {
    let ca_pem = match &profile.tls {
        Some(tls) if !tls.verify => return Err(Unsupported::Unverified),
        Some(tls) if tls.server_name.is_some() => return Err(Unsupported::ServerName),
        tls => tls.as_ref().and_then(|tls| tls.ca_pem.clone()),
    };
    let inbound = profile.inbound.as_ref();
    let headers = inbound.map(|inbound| inbound.headers.clone()).unwrap_or_default();
    if let Some(refused) = headers.iter().find(|name| !crate::config::is_shown(name)) {
        return Err(Unsupported::Header(refused.clone()));
    }
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
        tls: ClientFiles { ca_pem, ..ClientFiles::default() },
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
        caller_id_header: outbound.caller_id_header,
        number_format: outbound.number_format,
        headers: outbound.headers.clone(),
        asserted_identity: None,
        privacy: Privacy::default(),
        headers_out: Vec::new(),
        from_domain: None,
        // They are limits of the trunk as a whole.
        max_calls: None,
        calls_per_second: None,
    }
}

fn registration(profile: &SipProfile) -> Result<Option<RegistrationConfig>, Unsupported> {
    let Some(wanted) = &profile.registration else { return Ok(None) };
    if profile.transport == SipTransport::Tls {
        return Err(Unsupported::RegistrarTls);
    }
    if profile.digest.is_none() {
        return Err(Unsupported::NoAccount);
    }
    if wanted.registrar.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err() {
        return Err(Unsupported::RegistrarName);
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
