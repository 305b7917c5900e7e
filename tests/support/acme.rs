//! A certificate authority that speaks ACME, on loopback, written from RFC 8555 and RFC 8737: it
//! examines signatures, nonces and proofs, and certifies what it was proven.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::tls::{Authority, Link, Tls};
use super::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJyPCt92wr";

/// What the authority knows.
#[derive(Debug, Default)]
struct Known {
    nonces: HashSet<String>,
    next: u32,
    /// The account's key: its point, and its thumbprint (RFC 7638).
    account: Option<(Vec<u8>, String)>,
    contacts: Value,
    /// The names of the order, and how it stands.
    names: Vec<String>,
    proven: usize,
    invalid: bool,
    certificate: Option<String>,
    accounts: u32,
    orders: u32,
    /// Lifetimes of the next certificates: since when and until when, from now.
    lives: Vec<(Duration, Duration)>,
}

/// A running authority.
pub struct Acme {
    /// The URL of its directory.
    pub directory: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    base: String,
    tls: Tls,
    authority: Arc<Authority>,
    known: Mutex<Known>,
    /// Where port 443 of every name is.
    target: Mutex<Option<SocketAddr>>,
    refuses: bool,
    end: AtomicBool,
}

impl Acme {
    /// An authority whose certificates `authority` signs, its own too. The next certificates live
    /// as `lives` say, those after them for ninety days. One that `refuses` finds no proof.
    pub fn start(
        authority: &Arc<Authority>,
        lives: Vec<(Duration, Duration)>,
        refuses: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let shared = Arc::new(Shared {
            tls: authority.server("localhost"),
            authority: Arc::clone(authority),
            known: Mutex::new(Known { lives, ..Known::default() }),
            target: Mutex::new(None),
            refuses,
            end: AtomicBool::new(false),
            base,
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !serving.end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => serving.serve(stream),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { directory: format!("{}/directory", shared.base), shared, thread: Some(thread) }
    }

    /// Looks for proofs there from now on.
    pub fn looks_at(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(target);
    }

    /// Accounts and orders that were made.
    pub fn made(&self) -> (u32, u32) {
        let known = self.shared.known.lock().unwrap();
        (known.accounts, known.orders)
    }

    /// Whom it may write to.
    pub fn contacts(&self) -> Value {
        self.shared.known.lock().unwrap().contacts.clone()
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An answer: status, kind, header lines, body.
type Answer = (u16, &'static str, String, String);

fn json(status: u16, location: Option<String>, body: &Value) -> Answer {
    let location = location.map(|url| format!("Location: {url}\r\n")).unwrap_or_default();
    (status, "application/json", location, body.to_string())
}

impl Shared {
    /// Answers one request.
    fn serve(&self, stream: TcpStream) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut link = self.tls.accept(stream);
        let Some((method, path, body)) = request(&mut link) else { return };
        let (status, kind, headers, body) = self.answer(&method, &path, &body);
        let nonce = self.nonce();
        let length = body.len();
        let body = if method == "HEAD" { String::new() } else { body };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nReplay-Nonce: {nonce}\r\n\
             Connection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        let _ = link.write_all(answer.as_bytes());
        let _ = link.flush();
    }

    fn nonce(&self) -> String {
        let mut known = self.known.lock().unwrap();
        known.next += 1;
        let nonce = URL_SAFE_NO_PAD.encode(format!("nonce-{}", known.next));
        known.nonces.insert(nonce.clone());
        nonce
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> Answer {
        match (method, path) {
            ("GET", "/directory") => return json(200, None, &self.directory()),
            ("HEAD" | "GET", "/nonce") => return json(200, None, &json!({})),
            _ => assert_eq!(method, "POST", "{path}"),
        }
        let payload = match self.verified(path, body) {
            Ok(payload) => payload,
            Err(why) => {
                let kind = format!("urn:ietf:params:acme:error:{why}");
                let problem = json!({"type": kind, "detail": why, "status": 400});
                let body = problem.to_string();
                return (400, "application/problem+json", String::new(), body);
            }
        };
        let mut known = self.known.lock().unwrap();
        match path {
            "/account" => {
                assert_eq!(payload["termsOfServiceAgreed"], true, "{payload}");
                known.accounts += 1;
                known.contacts = payload["contact"].clone();
                json(201, Some(self.url("/account/1")), &json!({"status": "valid"}))
            }
            "/order" => {
                let names = payload["identifiers"].as_array().unwrap().iter();
                known.names = names.map(|it| it["value"].as_str().unwrap().to_owned()).collect();
                known.orders += 1;
                (known.proven, known.invalid, known.certificate) = (0, false, None);
                json(201, Some(self.url("/order/1")), &self.order(&known))
            }
            "/order/1" => json(200, None, &self.order(&known)),
            "/finalize" => {
                assert_eq!(self.order(&known)["status"], "ready");
                let request = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
                let life = if known.lives.is_empty() { None } else { Some(known.lives.remove(0)) };
                let day = Duration::from_secs(86_400);
                let (since, until) = life.unwrap_or((day / 24, day * 90));
                let now = SystemTime::now();
                let signed = self.authority.sign(&request, now - since, now + until);
                known.certificate = Some(signed);
                json(200, None, &self.order(&known))
            }
            "/certificate" => {
                let chain = known.certificate.clone().unwrap();
                (200, "application/pem-certificate-chain", String::new(), chain)
            }
            _ => {
                drop(known);
                self.authorization(path)
            }
        }
    }

    fn directory(&self) -> Value {
        json!({
            "newNonce": self.url("/nonce"), "newAccount": self.url("/account"),
            "newOrder": self.url("/order"), "revokeCert": self.url("/revoke"),
            "keyChange": self.url("/change"), "meta": {},
        })
    }

    /// The order as it stands.
    fn order(&self, known: &Known) -> Value {
        let identifiers = known.names.iter().map(|name| json!({"type": "dns", "value": name}));
        let count = known.names.len();
        let urls = (0..count).map(|at| self.url(&format!("/authz/{at}")));
        let status = match &known.certificate {
            _ if known.invalid => "invalid",
            Some(_) => "valid",
            None if known.proven == count => "ready",
            None => "pending",
        };
        json!({
            "status": status,
            "identifiers": identifiers.collect::<Vec<_>>(),
            "authorizations": urls.collect::<Vec<_>>(),
            "finalize": self.url("/finalize"),
            "certificate": known.certificate.as_ref().map(|_| self.url("/certificate")),
        })
    }

    /// An authorization, or its challenge, which is looked at when it is said to be ready.
    fn authorization(&self, path: &str) -> Answer {
        let (kind, at) = path[1..].split_once('/').unwrap();
        let at: usize = at.parse().unwrap();
        let (name, thumbprint, invalid) = {
            let known = self.known.lock().unwrap();
            let thumbprint = known.account.as_ref().unwrap().1.clone();
            (known.names[at].clone(), thumbprint, known.invalid)
        };
        if kind == "challenge" && !invalid {
            let proven = !self.refuses && self.is_proven(&name, &thumbprint);
            let mut known = self.known.lock().unwrap();
            known.proven += usize::from(proven);
            known.invalid |= !proven;
        }
        let known = self.known.lock().unwrap();
        let status = match (known.proven > at, known.invalid) {
            (_, true) => "invalid",
            (true, _) => "valid",
            (false, _) => "pending",
        };
        let mut challenge = json!({
            "type": "tls-alpn-01", "url": self.url(&format!("/challenge/{at}")),
            "status": status, "token": TOKEN,
        });
        if known.invalid {
            let kind = "urn:ietf:params:acme:error:connection";
            let detail = "Connection refused by the test";
            challenge["error"] = json!({"type": kind, "detail": detail, "status": 400});
        }
        let other = json!({
            "type": "http-01", "url": self.url("/other"), "status": "pending", "token": "x",
        });
        let whole = json!({
            "identifier": {"type": "dns", "value": name}, "status": status,
            "challenges": [other, challenge],
        });
        json(200, None, if kind == "authz" { &whole } else { &challenge })
    }

    /// What a request carries, if it is signed as it has to be (RFC 8555 6.2).
    fn verified(&self, path: &str, body: &str) -> Result<Value, &'static str> {
        let jws: Value = serde_json::from_str(body).map_err(|_| "malformed")?;
        let part = |name: &str| jws[name].as_str().unwrap_or_default().to_owned();
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "malformed");
        let head: Value =
            serde_json::from_slice(&decoded(&part("protected"))?).map_err(|_| "malformed")?;
        let mut known = self.known.lock().unwrap();
        if !known.nonces.remove(head["nonce"].as_str().unwrap_or_default()) {
            return Err("badNonce");
        }
        if head["alg"] != "ES256" || head["url"] != self.url(path) {
            return Err("malformed");
        }
        if path == "/account" {
            let key = &head["jwk"];
            let coordinate = |name: &str| decoded(key[name].as_str().unwrap_or_default());
            let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
            let (x, y) = (key["x"].as_str().unwrap(), key["y"].as_str().unwrap());
            let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
            known.account = Some((point, thumbprint));
        } else if head["kid"] != self.url("/account/1") {
            return Err("accountDoesNotExist");
        }
        let (point, _) = known.account.as_ref().ok_or("accountDoesNotExist")?;
        let signed = format!("{}.{}", part("protected"), part("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decoded(&part("signature"))?)
            .map_err(|_| "unauthorized")?;
        let payload = decoded(&part("payload"))?;
        Ok(if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).unwrap() })
    }

    /// Whether the name shows its proof in a handshake (RFC 8737 3).
    fn is_proven(&self, name: &str, thumbprint: &str) -> bool {
        let target = until(SOON, "the server's address", || *self.target.lock().unwrap());
        let mut config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), server).unwrap();
        let tcp = TcpStream::connect(target).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return false;
            }
        }
        // Nothing is said: the server closes.
        assert!(!matches!(stream.read(&mut [0; 16]), Ok(1..)));
        let digest = Sha256::digest(format!("{TOKEN}.{thumbprint}"));
        // id-pe-acmeIdentifier, critical, an OCTET STRING in an OCTET STRING.
        let start = [6, 8, 43, 6, 1, 5, 5, 7, 1, 31, 1, 1, 255, 4, 34, 4, 32];
        let extension = [&start[..], &digest].concat();
        let certificate = stream.conn.peer_certificates().unwrap()[0].to_vec();
        let shown = certificate.windows(extension.len()).any(|part| part == extension);
        let named = certificate.windows(name.len()).any(|part| part == name.as_bytes());
        shown && named && stream.conn.alpn_protocol() == Some(b"acme-tls/1")
    }
}

/// Reads a request: method, path, body.
fn request(link: &mut Link) -> Option<(String, String, String)> {
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        if let Some(end) = text.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8(text[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            let length: usize = length.unwrap_or(0);
            if text.len() >= end + 4 + length {
                let body = String::from_utf8(text[end + 4..].to_vec()).unwrap();
                let mut words = head.split(' ');
                return Some((words.next()?.to_owned(), words.next()?.to_owned(), body));
            }
        }
        match link.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(length) => text.extend_from_slice(&bytes[..length]),
        }
    }
}

/// Takes every certificate: what counts is what is in it.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384]
    }
}
