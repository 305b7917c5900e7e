//! From the fields of a SIP trunk to the peer they describe.

use std::fmt::Display;
use std::str::FromStr;

use media::codec::AudioFormat;

use crate::address::Address;
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::external_pbx;
use crate::network::HostPort;
use crate::secret::Pii;
use crate::setup::{SetupState, SetupStep};
use crate::sip::{
    CallerIdHeader, DtmfMethod, NumberFormat, SipDigest, SipInbound, SipLimits, SipOutbound,
    SipProfile, SipRegistration, SipTarget, SipTls, SipTransport, SrtpPolicy,
};

/// Ways a trunk can be meant that do not work, although each field is right.
pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    if config.text("srtp") == Some("required") && config.text("transport") != Some("tls") {
        let problem = "needs transport tls, because the keys travel with the signalling";
        errors.push("srtp", Problem::Rule(problem));
    }
    errors.into_result()
}

/// What is still to be done: whoever leaves calls to trunks needs one.
pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    let is_peer = profile(config).is_ok_and(|profile| !profile.is_idle());
    let trunk = (!is_peer).then(|| SetupStep::trunk(state));
    trunk.into_iter().chain([SetupStep::inbound_routing(state)]).collect()
}

/// The peer that a configuration describes.
pub(super) fn profile(config: &RawConfig) -> Result<SipProfile, ConfigErrors> {
    check(config)?;
    let tls = config.text("transport") == Some("tls");
    Ok(SipProfile {
        inbound: config.flag("inbound.enabled").then(|| inbound(config)).transpose()?,
        outbound: config.flag("outbound.enabled").then(|| outbound(config)).transpose()?,
        digest: config.flag("auth.enabled").then(|| digest(config)).transpose()?,
        registration: config
            .flag("registration.enabled")
            .then(|| registration(config))
            .transpose()?,
        transport: word(
            config,
            "transport",
            &[("udp", SipTransport::Udp), ("tcp", SipTransport::Tcp), ("tls", SipTransport::Tls)],
        )?,
        tls: tls.then(|| SipTls {
            verify: config.flag("tls.verify"),
            server_name: config.text("tls.server_name").map(str::to_owned),
            ca_pem: config.text("tls.ca_pem").map(str::to_owned),
        }),
        srtp: word(
            config,
            "srtp",
            &[
                ("off", SrtpPolicy::Off),
                ("optional", SrtpPolicy::Optional),
                ("required", SrtpPolicy::Required),
            ],
        )?,
        codecs: codecs(config)?,
        dtmf: word(
            config,
            "dtmf",
            &[("rtp", DtmfMethod::Rtp), ("info", DtmfMethod::Info), ("inband", DtmfMethod::Inband)],
        )?,
        country: config.text("country").map(str::to_owned),
        limits: SipLimits {
            calls_max: config.number("limits.calls_max"),
            calls_per_second: config.number("limits.calls_per_second"),
        },
        options_interval_s: config.number("options_interval_s"),
    })
}

fn inbound(config: &RawConfig) -> Result<SipInbound, ConfigErrors> {
    let networks = config.texts("inbound.networks");
    if networks.is_empty() {
        return Err(ConfigErrors::one("inbound.networks", Problem::Missing));
    }
    let networks = networks.into_iter().map(|text| parsed("inbound.networks", text));
    Ok(SipInbound { networks: networks.collect::<Result<_, _>>()?, headers: headers(config) })
}

/// The headers that agents are shown, and those by which a PBX tells of its calls.
fn headers(config: &RawConfig) -> Vec<String> {
    let mut headers: Vec<String> =
        config.texts("inbound.headers").into_iter().map(str::to_owned).collect();
    for more in external_pbx::headers(config) {
        if !headers.iter().any(|known| known.eq_ignore_ascii_case(&more)) {
            headers.push(more);
        }
    }
    headers
}

fn outbound(config: &RawConfig) -> Result<SipOutbound, ConfigErrors> {
    let address = |name: &'static str| {
        let text = config.text(name);
        text.map(|text| Address::parse(text, None).map_err(|error| refused(name, &error)))
            .transpose()
    };
    let targets = config.rows("outbound.targets");
    if targets.is_empty() {
        return Err(ConfigErrors::one("outbound.targets", Problem::Missing));
    }
    let headers = config.map("outbound.headers").into_iter();
    Ok(SipOutbound {
        targets: targets.iter().map(target).collect::<Result<_, _>>()?,
        proxy: address("outbound.proxy")?,
        caller_id: address("outbound.caller_id")?,
        caller_id_header: word(
            config,
            "outbound.caller_id_header",
            &[
                ("from", CallerIdHeader::From),
                ("p_asserted_identity", CallerIdHeader::PAssertedIdentity),
                ("remote_party_id", CallerIdHeader::RemotePartyId),
            ],
        )?,
        number_format: word(
            config,
            "outbound.number_format",
            &[("plus", NumberFormat::Plus), ("digits", NumberFormat::Digits)],
        )?,
        headers: headers.map(|(name, value)| (name.to_owned(), Pii::new(value))).collect(),
    })
}

fn target(row: &RawConfig) -> Result<SipTarget, ConfigErrors> {
    let host = required(row, "host")?;
    let HostPort { host, .. } = parsed("outbound.targets", host)?;
    let missing = || ConfigErrors::one("outbound.targets", Problem::Missing);
    Ok(SipTarget {
        host: HostPort { host, port: row.number("port") },
        priority: row.number("priority").ok_or_else(missing)?,
        weight: row.number("weight").ok_or_else(missing)?,
    })
}

fn digest(config: &RawConfig) -> Result<SipDigest, ConfigErrors> {
    let missing = || ConfigErrors::one("auth.password", Problem::Missing);
    Ok(SipDigest {
        user: required(config, "auth.user")?.to_owned(),
        password: config.secret("auth.password").ok_or_else(missing)?,
        realm: config.text("auth.realm").map(str::to_owned),
    })
}

fn registration(config: &RawConfig) -> Result<SipRegistration, ConfigErrors> {
    let registrar = required(config, "registration.registrar")?;
    let missing = || ConfigErrors::one("registration.expires_s", Problem::Missing);
    Ok(SipRegistration {
        registrar: parsed("registration.registrar", registrar)?,
        user: required(config, "registration.user")?.to_owned(),
        expires_s: config.number("registration.expires_s").ok_or_else(missing)?,
    })
}

fn codecs(config: &RawConfig) -> Result<Vec<AudioFormat>, ConfigErrors> {
    let codec = |name: &str| match name {
        "PCMU" => Ok(AudioFormat::PCMU),
        "PCMA" => Ok(AudioFormat::PCMA),
        "G722" => Ok(AudioFormat::G722),
        _ => Err(ConfigErrors::one("codecs", Problem::Choice("PCMU, PCMA, G722".to_owned()))),
    };
    match config.texts("codecs") {
        codecs if codecs.is_empty() => Err(ConfigErrors::one("codecs", Problem::Missing)),
        codecs => codecs.into_iter().map(codec).collect(),
    }
}

fn required<'c>(config: &'c RawConfig, name: &str) -> Result<&'c str, ConfigErrors> {
    config.text(name).ok_or_else(|| ConfigErrors::one(name, Problem::Missing))
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ConfigErrors> {
    text.parse().map_err(|error: T::Err| refused(name, &error))
}

fn refused(name: &str, error: &dyn Display) -> ConfigErrors {
    ConfigErrors::one(name, Problem::Refused(error.to_string()))
}

fn word<T: Copy>(config: &RawConfig, name: &str, words: &[(&str, T)]) -> Result<T, ConfigErrors> {
    let text = required(config, name)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        ConfigErrors::one(name, Problem::Choice(words.join(", ")))
    })
}
