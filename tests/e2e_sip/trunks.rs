//! Calls placed through trunks: names that DNS leads on, servers that fail, limits, and whether a
//! trunk is up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::dns::{Dns, Record};
use support::gateway::{Gateway, Manner, responses};
use support::line::header;
use support::phone::Phone;
use support::server::{self, Server};
use support::tls::Authority;
use support::until;

const SOON: Duration = Duration::from_secs(15);
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A server with one trunk, called `carrier`.
fn server(trunk: &str, dns: Option<&Dns>) -> Server {
    let dns =
        dns.map_or(String::new(), |dns| format!("[sip]\ndns_servers = [\"{}\"]\n", dns.address));
    Server::start(&format!("{dns}[[trunks]]\nname = \"carrier\"\n{trunk}\n"))
}

/// Places a call to a number through the trunk: status and body.
fn place(server: &Server, number: &str) -> (u16, Value) {
    let wanted = json!({ "to": number, "trunk": "carrier", "agent": "echo", "from": "+4940" });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    (status, serde_json::from_str(&body).unwrap())
}

/// Places a call and waits until it is answered; its id.
#[track_caller]
fn answered(server: &Server, number: &str) -> String {
    let (status, call) = place(server, number);
    assert_eq!(status, 201, "{call}");
    let id = call["id"].as_str().unwrap().to_owned();
    until(SOON, "the call is answered", || {
        let calls = server.calls();
        let call = calls.iter().find(|call| call["id"] == *id)?;
        (call["state"] == "answered").then_some(())
    });
    id
}

/// Ends all calls and the server.
fn finish(server: Server) {
    for call in server.calls() {
        let path = format!("/api/v1/calls/{}/hangup", call["id"].as_str().unwrap());
        // A call that is just ending may be gone by now.
        let (status, body) = server.http("POST", &path, None);
        assert!(matches!(status, 204 | 404), "{status}: {body}");
    }
    server.wait_idle();
    server.stop();
}

/// The INVITEs that a gateway got, without copies.
fn invites(gateway: &Gateway) -> Vec<String> {
    let mut invites = gateway.heard("INVITE ");
    invites.dedup_by(|one, two| header(one, "Via") == header(two, "Via"));
    invites
}

/// NAPTR leads to SRV, SRV to addresses; a server that says nothing is left after a while, and the
/// next call does not even try it.
#[test]
fn names_lead_on_and_silent_servers_are_left() {
    let (silent, good) = (Gateway::start(Manner::Silent), Gateway::start(Manner::Answers));
    let srv = |priority, gateway: &Gateway| {
        ("_sip._udp.gw.test", Record::Srv(priority, 0, gateway.address.port(), "a.gw.test"))
    };
    let dns = Dns::start(vec![
        ("gw.test", Record::Naptr(10, 10, "SIP+D2U", "_sip._udp.gw.test")),
        srv(20, &good),
        srv(10, &silent),
        ("a.gw.test", Record::A(LOCALHOST)),
    ]);
    let server = server("targets = [\"sip:gw.test\"]\nfrom_domain = \"us.test\"", Some(&dns));
    let began = Instant::now();
    let first = answered(&server, "+4930123");
    assert!(began.elapsed() >= Duration::from_secs(4), "the silent server was not asked first");
    assert!(!invites(&silent).is_empty());
    let invite = invites(&good).remove(0);
    assert!(invite.starts_with("INVITE sip:+4930123@gw.test SIP/2.0\r\n"), "{invite}");
    assert!(header(&invite, "From").starts_with("<sip:+4940@us.test>;tag="), "{invite}");
    let asked = dns.asked();
    let second = answered(&server, "+4930124");
    assert_eq!(invites(&silent).len(), 1, "a server that said nothing is asked again at once");
    assert_eq!(dns.asked(), asked, "answers of DNS are not kept");
    for id in [first, second] {
        server.hang_up(&id);
    }
    until(SOON, "two BYEs", || (good.heard("BYE ").len() >= 2).then_some(()));
    finish(server);
}

/// 503 sends the call to the next target, and keeps later ones away for as long as Retry-After
/// says.
#[test]
fn busy_servers_are_passed_over() {
    let busy = Gateway::start(Manner::Refuses("503 Service Unavailable\nRetry-After: 100"));
    let good = Gateway::start(Manner::Answers);
    let trunk = format!("targets = [\"sip:{}\", \"sip:{}\"]", busy.address, good.address);
    let server = server(&trunk, None);
    answered(&server, "100");
    answered(&server, "101");
    assert_eq!((invites(&busy).len(), invites(&good).len()), (1, 2));
    finish(server);
}

/// A refusal that means the called party is final, and so is any once somebody's telephone rang.
#[test]
fn final_refusals_are_final() {
    for manner in
        [Manner::Refuses("486 Busy Here"), Manner::RingsThenRefuses("503 Service Unavailable")]
    {
        let (first, good) = (Gateway::start(manner), Gateway::start(Manner::Answers));
        let trunk = format!("targets = [\"sip:{}\", \"sip:{}\"]", first.address, good.address);
        let server = server(&trunk, None);
        assert_eq!(place(&server, "100").0, 201);
        until(SOON, "the refusal is acknowledged", || first.heard("ACK ").pop());
        server.wait_idle();
        assert_eq!(invites(&good).len(), 0, "{manner:?}");
        server.stop();
    }
}

/// A preset route leads the INVITE to the proxy, and its Request-URI to the target.
#[test]
fn preset_routes_are_followed() {
    let proxy = Gateway::start(Manner::Answers);
    let trunk = format!(
        "targets = [\"sip:far.invalid;user=phone\"]\noutbound_proxy = \"sip:{};lr\"\n\
         route = [\"sip:inner.invalid;lr\"]",
        proxy.address
    );
    let server = server(&trunk, None);
    answered(&server, "+4930#1");
    let invite = invites(&proxy).remove(0);
    assert!(invite.starts_with("INVITE sip:+4930%231@far.invalid;user=phone SIP/2.0\r\n"));
    let routes: Vec<&str> =
        invite.split("\r\n").filter_map(|line| line.strip_prefix("Route: ")).collect();
    let expected = [format!("<sip:{};lr>", proxy.address), "<sip:inner.invalid;lr>".to_owned()];
    assert_eq!(routes, expected);
    finish(server);
}

/// Limits of a trunk, and requests that make no sense.
#[test]
fn limits_and_wrong_requests() {
    let good = Gateway::start(Manner::Answers);
    let dns = Dns::start(vec![]);
    let trunk = format!("targets = [\"sip:{}\"]\nmax_calls = 1", good.address);
    let server = server(&trunk, Some(&dns));
    let id = answered(&server, "100");
    assert_eq!(place(&server, "101").0, 503);
    server.hang_up(&id);
    server.wait_idle();
    answered(&server, "102");
    for (wanted, part) in [
        (json!({ "to": "100", "agent": "echo" }), "to: "),
        (json!({ "to": "100", "agent": "echo", "trunk": "other" }), "trunk: no trunk is called"),
        (json!({ "to": "a b", "agent": "echo", "trunk": "carrier" }), "neither a SIP URI nor"),
        (json!({ "to": "sip:a@nowhere.test", "agent": "echo" }), "no server is found"),
        (json!({ "to": "sip:a@[::1];transport=ws", "agent": "echo" }), "not enabled"),
    ] {
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 400, "{wanted}: {body}");
        assert!(body.contains(part), "{wanted}: {body}");
    }
    finish(server);
}

/// Calls whose names are looked up at the same time are not more than the trunk takes.
#[test]
fn limits_hold_after_names_are_found() {
    let good = Gateway::start(Manner::Answers);
    let dns = Dns::start(vec![("gw.test", Record::A(LOCALHOST))]);
    let target = format!("targets = [\"sip:gw.test:{}\"]\nmax_calls = 1", good.address.port());
    let server = server(&target, Some(&dns));
    let wanted = json!({ "to": "100", "trunk": "carrier", "agent": "echo" }).to_string();
    let request = format!(
        "POST /api/v1/calls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{wanted}",
        server.key,
        wanted.len()
    );
    let asked = [0; 6].map(|_| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    });
    let mut statuses = asked.map(|mut stream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, ["201", "503", "503", "503", "503", "503"]);
    finish(server);
}

/// OPTIONS finds out that a trunk goes down and comes back, and metrics and log tell.
#[test]
fn trunks_go_down_and_up() {
    let gateway = Gateway::start(Manner::Answers);
    let trunk = format!("targets = [\"sip:{}\"]\noptions_interval_s = 1", gateway.address);
    let server = server(&trunk, None);
    let is = |up: f64| {
        let within = Duration::from_secs(30);
        until(within, "another state of the trunk", || {
            (server.metric("talkpath_sip_trunk_up{trunk=\"carrier\"}") == up).then_some(())
        });
    };
    until(SOON, "OPTIONS", || (gateway.heard("OPTIONS ").len() >= 2).then_some(()));
    is(1.0);
    gateway.set(Manner::Silent);
    is(0.0);
    gateway.set(Manner::Answers);
    is(1.0);
    assert!(server.log().contains("trunk is down"));
    assert!(server.log().contains("trunk is up"));
    finish(server);
}

/// A redirection is followed if the trunk may transfer, and not if it may not, whether the call
/// names the trunk or only calls its server.
#[test]
fn redirections_need_leave() {
    for (refer, followed) in [("allow", true), ("refuse", false)] {
        let good = Gateway::start(Manner::Answers);
        let moved = format!("302 Moved Temporarily\nContact: <sip:b@{}>", good.address);
        let moved = Gateway::start(Manner::Refuses(moved.leak()));
        let trunk = format!(
            "peers = \"127.0.0.1\"\ntargets = [\"sip:{}\"]\nrefer = \"{refer}\"",
            moved.address
        );
        let server = server(&trunk, None);
        let uri = json!({ "to": format!("sip:a@{}", moved.address), "agent": "echo" });
        for (count, wanted) in
            [json!({ "to": "100", "trunk": "carrier", "agent": "echo" }), uri].iter().enumerate()
        {
            let (status, body) = server.http("POST", "/api/v1/calls", Some(wanted));
            assert_eq!(status, 201, "{body}");
            until(SOON, "the redirection", || (moved.heard("ACK ").len() > count).then_some(()));
            if followed {
                until(SOON, "it is followed", || (invites(&good).len() > count).then_some(()));
            } else {
                server.wait_idle();
                assert_eq!(invites(&good).len(), 0, "{wanted}");
            }
        }
        finish(server);
    }
}

/// A redirection leads to nobody whom the call could not have been placed to, though it is to a
/// server of the trunk: no emergency service, no premium number, none that is not allowed.
#[test]
fn redirections_lead_where_calls_may() {
    let (good, moved) = (Gateway::start(Manner::Answers), Gateway::start(Manner::Rings));
    let trunk = format!(
        "peers = \"127.0.0.1\"\ntargets = [\"sip:{}\"]\ndestinations = [\"+49*\"]",
        moved.address
    );
    let server = server(&trunk, None);
    let to = |user: &str| {
        let line = format!("302 Moved Temporarily\nContact: <sip:{user}@{}>", good.address);
        moved.set(Manner::Refuses(line.leak()));
        let (status, call) = place(&server, "+4930111");
        assert_eq!(status, 201, "{call}");
    };
    for user in ["112", "+1900555123", "+33123456789", "%31%31%32"] {
        to(user);
        server.wait_idle();
        assert_eq!(invites(&good).len(), 0, "{user}");
    }
    to("+4930222");
    let invite = until(SOON, "it is followed", || invites(&good).pop());
    assert!(invite.starts_with("INVITE sip:+4930222@"), "{invite}");
    finish(server);
}

/// A server that asks who we are is told if it is of the trunk whose account that is, and not if
/// it only comes after one that is.
#[test]
fn accounts_are_for_their_own_servers() {
    let challenge = "401 Unauthorized\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"";
    let own = Gateway::start(Manner::Refuses(challenge));
    let other = Gateway::start_at("127.0.0.2", Manner::Refuses(challenge));
    let busy = Gateway::start(Manner::Refuses("503 Service Unavailable"));
    let srv = |name, priority, gateway: &Gateway, host| {
        (name, Record::Srv(priority, 0, gateway.address.port(), host))
    };
    let dns = Dns::start(vec![
        ("gw.test", Record::Naptr(10, 10, "SIP+D2U", "_sip._udp.gw.test")),
        srv("_sip._udp.gw.test", 10, &busy, "a.gw.test"),
        srv("_sip._udp.gw.test", 20, &other, "b.gw.test"),
        ("a.gw.test", Record::A(LOCALHOST)),
        ("b.gw.test", Record::A(Ipv4Addr::new(127, 0, 0, 2))),
    ]);
    let trunk = "peers = \"127.0.0.1\"\nusername = \"us\"\npassword = \"of-the-carrier\"";
    let server = server(trunk, Some(&dns));
    server.place("sip:a@gw.test", "echo");
    until(SOON, "the refusal", || other.heard("ACK ").pop());
    server.wait_idle();
    server.place(&format!("sip:a@{}", own.address), "echo");
    until(SOON, "two refusals", || (own.heard("ACK ").len() >= 2).then_some(()));
    let told = |gateway| {
        let told = |invite: &String| invite.contains("\r\nAuthorization: Digest ");
        invites(gateway).iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(
        (invites(&busy).len(), told(&other), told(&own)),
        (1, vec![false], vec![false, true])
    );
    finish(server);
}

/// Over TLS the host of the URI has to be proven, whatever name SRV leads to; a server with another
/// certificate gets no INVITE.
#[test]
fn trunks_over_tls_prove_their_name() {
    for (certified, reached) in [("gw.test", true), ("a.gw.test", false)] {
        let (authority, folder) = (Authority::new(), server::folder());
        authority.write(&folder);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls = authority.server(certified);
        let gateway = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let mut link = tls.accept(stream);
            let mut heard = String::new();
            let mut buffer = [0; 8192];
            while !heard.contains("BYE sip:") {
                let Ok(length @ 1..) = link.read(&mut buffer) else { return heard };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.push_str(&text);
                for response in responses(&text, Manner::Answers, address) {
                    link.write_all(response.as_bytes()).unwrap();
                }
            }
            heard
        });
        let dns = Dns::start(vec![
            ("_sips._tcp.gw.test", Record::Srv(1, 1, address.port(), "a.gw.test")),
            ("a.gw.test", Record::A(LOCALHOST)),
        ]);
        let config = format!(
            "[sip]\ndns_servers = [\"{}\"]\n[[trunks]]\nname = \"carrier\"\n\
             targets = [\"sips:gw.test\"]\nsrtp = \"off\"\ntls_ca = \"authority.pem\"\n",
            dns.address
        );
        let server = Server::start_in(folder, &config);
        if reached {
            let id = answered(&server, "+4930");
            server.hang_up(&id);
        } else {
            assert_eq!(place(&server, "+4930").0, 201);
        }
        let heard = gateway.join().unwrap();
        let invited = heard.starts_with("INVITE sips:+4930@gw.test SIP/2.0\r\nVia: SIP/2.0/TLS ");
        assert_eq!(invited, reached, "{certified}: {heard}");
        assert!(!reached || heard.contains("Contact: <sips:+4940@"), "{heard}");
        finish(server);
    }
}

/// A gateway that listens for datagrams and for connections, on one port.
fn gateway_with_stream() -> (Gateway, TcpListener) {
    until(SOON, "a port for both", || {
        let gateway = Gateway::start(Manner::Answers);
        let listener = TcpListener::bind(gateway.address).ok()?;
        listener.set_nonblocking(true).unwrap();
        Some((gateway, listener))
    })
}

/// A server whose trunk leads to `gateway`, by a URI with these parameters, and takes long headers.
fn server_to(gateway: &Gateway, parameters: &str) -> Server {
    let target = format!("targets = [\"sip:{}{parameters}\"]", gateway.address);
    server(&format!("{target}\nheaders_out = [\"X-One\", \"X-Two\", \"X-Three\"]"), None)
}

/// Places a call whose INVITE is too long for a datagram; its id.
#[track_caller]
fn place_long(server: &Server) -> String {
    let long = "x".repeat(480);
    let headers = json!({ "X-One": long, "X-Two": long, "X-Three": long });
    let wanted = json!({ "to": "+4930", "trunk": "carrier", "agent": "echo", "headers": headers });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    let call: Value = serde_json::from_str(&body).unwrap();
    call["id"].as_str().unwrap().to_owned()
}

/// Waits until a call is in a state.
#[track_caller]
fn wait_answered(server: &Server, id: &str) {
    until(SOON, "the call is answered", || {
        let calls = server.calls();
        let call = calls.iter().find(|call| call["id"] == *id)?;
        (call["state"] == "answered").then_some(())
    });
}

/// Takes the next connection.
#[track_caller]
fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = until(SOON, "a connection", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// The next request on a connection, to its last byte, and what is said to it.
#[track_caller]
fn serve_one(stream: &mut TcpStream, manner: Manner, address: std::net::SocketAddr) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 8192]);
    loop {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if body.len() >= header(head, "Content-Length").parse().unwrap() {
            break;
        }
    }
    for response in responses(&text, manner, address) {
        stream.write_all(response.as_bytes()).unwrap();
    }
    text
}

/// An INVITE that is too long for a datagram goes over TCP, and so does what belongs to its call; a
/// short one does not, nor does one whose target says UDP.
#[test]
fn long_invites_go_by_a_stream() {
    let (gateway, listener) = gateway_with_stream();
    let server = server_to(&gateway, "");
    let id = place_long(&server);
    let mut stream = accept(&listener);
    let invite = serve_one(&mut stream, Manner::Answers, gateway.address);
    assert!(invite.starts_with("INVITE sip:+4930@"), "{invite}");
    assert!(invite.len() > 1_300 && invite.contains("\r\nVia: SIP/2.0/TCP "), "{invite}");
    assert!(header(&invite, "Contact").contains("transport=tcp"), "{invite}");
    wait_answered(&server, &id);
    assert!(serve_one(&mut stream, Manner::Answers, gateway.address).starts_with("ACK "));
    server.hang_up(&id);
    assert!(serve_one(&mut stream, Manner::Answers, gateway.address).starts_with("BYE "));
    server.wait_idle();
    assert_eq!(invites(&gateway), Vec::<String>::new());
    answered(&server, "+4931");
    assert_eq!(invites(&gateway).len(), 1);
    finish(server);

    let insisting = server_to(&gateway, ";transport=udp");
    let id = place_long(&insisting);
    wait_answered(&insisting, &id);
    assert!(invites(&gateway)[1].len() > 1_300);
    assert!(listener.accept().is_err(), "nobody asked for a stream");
    finish(insisting);
}

/// So does one that follows from a REFER of the peer, and in a datagram where nobody takes that;
/// whoever was reached by the stream is not called twice.
#[test]
fn long_invites_of_transfers_go_by_a_stream() {
    let uri = |gateway: &Gateway, more: &str| format!("sip:next@{}{more}", gateway.address);
    // Another network than that of the caller would be forbidden.
    let server = Server::start("[sip]\nudp_request_max_bytes = 400\n");
    let (gateway, listener) = gateway_with_stream();
    let mut phone = Phone::up(&server, "echo");
    phone.refer(&uri(&gateway, ""));
    let mut stream = accept(&listener);
    let busy = Manner::Refuses("486 Busy Here");
    assert!(serve_one(&mut stream, busy, gateway.address).starts_with("INVITE sip:next@"));
    while !phone.wait_request("NOTIFY ").contains("SIP/2.0 486") {}
    assert_eq!(invites(&gateway), Vec::<String>::new());
    phone.refer(&uri(&gateway, ";transport=udp"));
    phone.wait_bye();
    assert_eq!(invites(&gateway).len(), 1);

    let gateway = Gateway::start(Manner::Answers);
    let mut phone = Phone::up(&server, "echo");
    // Nobody listens for connections.
    phone.refer(&uri(&gateway, ""));
    phone.wait_bye();
    assert_eq!(invites(&gateway).len(), 1);
    finish(server);
}

/// Where nobody takes a long INVITE from a stream, it comes in a datagram all the same, and the
/// next one at once; what was said on the stream counts.
#[test]
fn long_invites_fall_back_on_datagrams() {
    let gateway = Gateway::start(Manner::Answers);
    let server = server_to(&gateway, "");
    // Nobody listens for connections.
    let id = place_long(&server);
    wait_answered(&server, &id);
    assert!(invites(&gateway)[0].len() > 1_300);
    finish(server);

    let (gateway, listener) = gateway_with_stream();
    let server = server_to(&gateway, "");
    let id = place_long(&server);
    // Whoever closes has taken nothing.
    drop(accept(&listener));
    wait_answered(&server, &id);
    let again = place_long(&server);
    wait_answered(&server, &again);
    assert_eq!(invites(&gateway).len(), 2);
    assert!(listener.accept().is_err(), "the stream was in vain a moment ago");
    finish(server);

    let (gateway, listener) = gateway_with_stream();
    let server = server_to(&gateway, "");
    let id = place_long(&server);
    let first = serve_one(&mut accept(&listener), Manner::Silent, gateway.address);
    wait_answered(&server, &id);
    let second = invites(&gateway).remove(0);
    for name in ["Call-ID", "From", "CSeq"] {
        assert_eq!(header(&first, name), header(&second, name), "whoever has both rings once");
    }
    let via = header(&first, "Via").replace("/TCP", "/UDP");
    assert_eq!(header(&second, "Via"), via);
    assert!(!header(&second, "Contact").contains("transport"), "{second}");
    finish(server);

    let (gateway, listener) = gateway_with_stream();
    let server = server_to(&gateway, "");
    place_long(&server);
    let mut stream = accept(&listener);
    let busy = Manner::Refuses("486 Busy Here");
    assert!(serve_one(&mut stream, busy, gateway.address).starts_with("INVITE "));
    assert!(serve_one(&mut stream, busy, gateway.address).starts_with("ACK "));
    server.wait_idle();
    assert_eq!(invites(&gateway), Vec::<String>::new(), "who is busy is called once");
    finish(server);
}
