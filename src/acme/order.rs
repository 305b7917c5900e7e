//! One certificate: ordered, proven, fetched.

use std::collections::HashMap;
use std::sync::Arc;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::client::Client;
use super::{AcmeError, files};
use crate::config::AcmeConfig;
use crate::listen::alpn::Challenges;
use crate::listen::tls::{ClientFiles, ClientTls};

/// Gets a certificate for the names and writes it to its file.
pub(super) async fn obtain(config: &AcmeConfig, challenges: &Challenges) -> Result<(), AcmeError> {
    let files = ClientFiles { ca: config.directory_ca.clone(), ..ClientFiles::default() };
    let account = account(config, Client::new(ClientTls::new(files)?.config())).await?;
    let names: Vec<_> = config.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    prove(&mut order, challenges).await?;
    let patience = RetryPolicy::default();
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready) => {}
        other => {
            if let Ok(Some(why)) = unproven(&mut order).await {
                return Err(why);
            }
            other?;
            return Err(AcmeError::Order);
        }
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(config.domains.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&patience).await?;
    let identity = format!("{}{chain}", key.serialize_pem());
    usable(&identity)?;
    files::write(&config.identity().certificate, identity.as_bytes())?;
    Ok(())
}

/// The account that is kept, or a new one, which is kept before it is used.
async fn account(config: &AcmeConfig, client: Client) -> Result<Account, AcmeError> {
    let builder = Account::builder_with_http(Box::new(client));
    if let Some(kept) = files::account(config)? {
        return Ok(builder.from_credentials(kept.credentials).await?);
    }
    let contacts: Vec<&str> = config.contacts.iter().map(String::as_str).collect();
    // The configuration is not read without this.
    let wanted = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let directory = config.directory.clone();
    let (account, credentials) = builder.create(&wanted, directory.clone(), None).await?;
    files::write_account(config, &files::Account { directory, credentials })?;
    Ok(account)
}

/// Lays out the proof of each name, then asks the authority to look.
async fn prove(order: &mut Order, challenges: &Challenges) -> Result<(), AcmeError> {
    let mut proofs = HashMap::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = challenge.ok_or_else(|| AcmeError::NoChallenge(name.clone()))?;
        let digest = challenge.key_authorization().digest();
        proofs.insert(name.clone(), Arc::new(proof(&name, digest.as_ref())?));
        challenges.set(proofs.clone());
        challenge.set_ready().await.map_err(|error| match error {
            Error::Api(problem) => AcmeError::Unproven { name, why: problem.to_string() },
            other => other.into(),
        })?;
    }
    Ok(())
}

/// Why an order is not ready: what the authority says of the first name that it did not find.
async fn unproven(order: &mut Order) -> Result<Option<AcmeError>, AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        authorization.refresh().await?;
        let failed = authorization.challenges.iter().find_map(|it| it.error.as_ref());
        if let Some(problem) = failed {
            let name = authorization.identifier().to_string();
            return Ok(Some(AcmeError::Unproven { name, why: problem.to_string() }));
        }
    }
    Ok(None)
}

/// The certificate that proves a name (RFC 8737 3): signed by itself, for this name alone, with
/// the digest of the key authorisation in it.
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let fits = <[u8; 32]>::try_from(digest).map_err(|_| AcmeError::Order)?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions.push(CustomExtension::new_acme_identifier(&fits));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    certified(vec![certificate.der().clone()], &key.serialize_pem())
}

/// A certificate that stands in until there is another. It ended long ago: nobody trusts it, and it
/// is due.
pub(super) fn stand_in(domains: &[String]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(domains)?;
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2000, 1, 2);
    let key = KeyPair::generate()?;
    Ok(format!("{}{}", key.serialize_pem(), params.self_signed(&key)?.pem()))
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &str) -> Result<CertifiedKey, AcmeError> {
    let unusable = |error: &dyn std::fmt::Display| AcmeError::Unusable(error.to_string());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(&error))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| unusable(&error))?;
    Ok(CertifiedKey::new(chain, key))
}

/// Refuses what would leave us without a certificate: an empty chain, or one for another key.
fn usable(identity: &str) -> Result<(), AcmeError> {
    let unusable = |error: &dyn std::fmt::Display| AcmeError::Unusable(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.as_bytes()).collect();
    let identity = certified(chain.map_err(|error| unusable(&error))?, identity)?;
    identity.keys_match().map_err(|error| unusable(&error))
}
