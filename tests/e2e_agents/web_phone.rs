//! People on web pages: they talk with agents, and listen in on calls, each known by a tone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use support::agent::{Agent, Agents};
use support::phone::Phone;
use support::server::{Server, expect, id};
use support::web::Page;
use support::{ear, until, wav};

/// The tones of the page and of the agent, in hertz.
const PAGE_HZ: f64 = 700.0;
const AGENT_HZ: f64 = 1100.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A server with an agent on a socket, `bot`, and one that echoes, reached by `100`.
#[track_caller]
fn server() -> (Server, Agents) {
    let agents = Agents::listen();
    let config = format!(
        "[http]\nkey_requests_per_second = 1000\n[[agents]]\nname = \"bot\"\n\
         kind = \"websocket\"\nurl = \"{}\"\nformat = {{ codec = \"PCMU\" }}\n[[agents]]\n\
         name = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n[[agents]]\nname = \"narrow\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\nmax_calls = 1\n[[routes]]\nto = \"100\"\n\
         agent = \"echo\"\n[[routes]]\nto = \"555*\"\nagent = \"bot\"\n",
        agents.url()
    );
    (Server::start(&config), agents)
}

/// Waits until the call is answered.
#[track_caller]
fn answered(agent: &mut Agent) {
    if agent.start["state"] != "answered" {
        agent.event("answered");
    }
}

/// A key of a scope.
#[track_caller]
fn key(server: &Server, scope: &str) -> Value {
    expect(server, 201, "POST", "/api/v1/keys", Some(&json!({"name": scope, "scope": scope})))
}

/// The call when it is over.
#[track_caller]
fn over(server: &Server, call: &str) -> Value {
    until(SOON, "the end of the call", || {
        let view = expect(server, 200, "GET", &format!("/api/v1/calls/{call}"), None);
        (view["state"] == "ended").then_some(view)
    })
}

/// A page talks with an agent, each hears the other and nothing else, and those who listen in hear
/// both, apart or mixed; digits go both ways, a clear reaches the page; the call ends with its
/// socket, and is in the log with whoever made it.
#[test]
fn a_page_talks_with_an_agent() {
    for rate_hz in [8_000, 16_000, 48_000] {
        let (server, agents) = server();
        let wanted = json!({
            "agent": "bot", "from": "Anna", "rate_hz": rate_hz, "variables": {"a": "b"},
        });
        let (mut page, line) = Page::call(&server, &wanted);
        let call = id(&line["call"]);
        let url = line["url"].as_str().unwrap();
        assert!(url.starts_with("ws://") && url.ends_with(line["path"].as_str().unwrap()), "{url}");
        let mut agent = agents.accept();
        for (field, value) in [
            ("provider", json!("phone")),
            ("direction", json!("inbound")),
            ("from", json!("Anna")),
            ("to", json!("bot")),
            ("call_id", json!(call)),
            ("variables", json!({"a": "b"})),
        ] {
            assert_eq!(agent.start[field], value, "{}", agent.start);
        }
        answered(&mut agent);
        let mut apart = Page::listen(&server, &call, 2).unwrap();
        let mut mixed = Page::listen(&server, &call, 1).unwrap();
        agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 0.1)).repeat(25));
        page.speak(PAGE_HZ, 2.5);
        agent.wait_frames(120);
        wav::assert_heard(&ear::samples(&agent.frames), PAGE_HZ, AGENT_HZ, 2.0);
        page.wait_heard(2.5, 1);
        wav::assert_heard(&page.channel(0, 1), AGENT_HZ, PAGE_HZ, 2.0);
        apart.wait_heard(2.9, 2);
        wav::assert_heard(&apart.channel(0, 2), PAGE_HZ, AGENT_HZ, 2.0);
        wav::assert_heard(&apart.channel(1, 2), AGENT_HZ, PAGE_HZ, 2.0);
        mixed.wait_heard(2.9, 1);
        let both = mixed.channel(0, 1);
        let loud = |part: &&[i16]| {
            [PAGE_HZ, AGENT_HZ].iter().all(|hz| wav::amplitude(part, *hz) > 7_000.0)
        };
        assert!(both.chunks_exact(800).filter(loud).count() >= 18, "both are heard at once");

        digits_and_a_clear(&mut page, &mut agent);
        page.close();
        assert_eq!(agent.event("stop")["by"], "caller");
        for listener in [&mut apart, &mut mixed] {
            assert_eq!(listener.hear("stop")["lost_frames"], 0);
            assert_eq!(listener.wait_close(), 1000);
        }
        let view = over(&server, &call);
        for (field, value) in [
            ("direction", "inbound"),
            ("status", "completed"),
            ("ended_by", "caller"),
            ("cause", "normal"),
            ("from", "Anna"),
        ] {
            assert_eq!(view[field], value, "{view}");
        }
        logged(&server, &call);
        server.stop();
    }
}

/// Digits go both ways, the page's word for a mark counts, and a clear reaches it while it is
/// talked to.
#[track_caller]
fn digits_and_a_clear(page: &mut Page, agent: &mut Agent) {
    page.say(&json!({"event": "dtmf", "digit": "7", "duration_ms": 120}));
    let digit = agent.event("dtmf");
    assert_eq!((&digit["digit"], &digit["duration_ms"]), (&json!("7"), &json!(120)));
    agent.say(&json!({"event": "dtmf", "digits": "#"}));
    assert_eq!(page.hear("dtmf")["digit"], "#");
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 0.1)));
    agent.say(&json!({"event": "mark", "name": "said"}));
    let name = page.hear("mark")["name"].clone();
    page.say(&json!({"event": "mark", "name": name}));
    let told = agent.event("mark");
    assert_eq!((&told["name"], &told["basis"]), (&json!("said"), &json!("carrier")));
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 0.1)).repeat(50));
    agent.say(&json!({"event": "mark", "name": "end"}));
    let before = page.heard.len() + page.rate_hz as usize / 5;
    until(SOON, "the agent", || {
        page.look();
        (page.heard.len() > before).then_some(())
    });
    agent.order("clear");
    page.hear("clear");
    assert_eq!(agent.event("mark")["status"], "cleared");
}

/// The call's log says who called, the audit log who listened.
#[track_caller]
fn logged(server: &Server, call: &str) {
    let events = expect(server, 200, "GET", &format!("/api/v1/calls/{call}/events"), None);
    let events = events["items"].as_array().unwrap();
    let begun = events.iter().find(|event| event["type"] == "call.web_phone");
    let user = begun.unwrap()["data"]["user"].as_str().unwrap();
    let session = expect(server, 200, "GET", "/api/v1/session", None);
    assert_eq!(user, format!("key:{}", session["key"]["id"].as_str().unwrap()));
    let audit = expect(server, 200, "GET", "/api/v1/audit", None);
    let entries = audit["items"].as_array().unwrap().iter();
    let listened = entries.filter(|entry| entry["action"] == "listen");
    let listened: Vec<&Value> = listened.filter(|entry| entry["object_id"] == call).collect();
    assert_eq!(listened.len(), 2, "{audit}");
    assert!(listened.iter().all(|entry| entry["actor"] == user && entry["object_type"] == "call"));
}

/// Between a page and an agent that speak the same at 48 kHz every sample passes as it is, both
/// ways.
#[test]
fn the_widest_sound_passes_untouched() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"wide\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         format = {{ codec = \"l16le\", rate_hz = 48000 }}\n",
        agents.url()
    ));
    let (mut page, _) = Page::call(&server, &json!({"agent": "wide", "rate_hz": 48_000}));
    let mut agent = agents.accept();
    for way in ["in", "out"] {
        let format = &agent.start[way];
        assert_eq!((&format["codec"], &format["rate_hz"]), (&json!("l16le"), &json!(48_000)));
    }
    answered(&mut agent);
    let said: Vec<i16> = (0..96_000_u32).map(|n| (n.wrapping_mul(40_503) >> 7) as i16).collect();
    let bytes: Vec<u8> = said.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    bytes.chunks(48_000).for_each(|part| agent.play(96, part));
    page.speak(PAGE_HZ, 2.0);
    page.wait_heard(2.0, 1);
    let of = |whole: &[i16], part: &[i16]| whole.windows(part.len()).any(|it| it == part);
    assert!(of(&page.heard, &said), "the page hears the agent");
    agent.wait_frames(100);
    assert!(agent.frames.iter().all(|frame| frame.pt == 96 && frame.payload.len() == 1_920));
    for pair in agent.frames.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].ts, pair[0].ts.wrapping_add(960));
    }
    let heard = agent.frames.iter().flat_map(|frame| frame.payload.chunks_exact(2));
    let heard: Vec<i16> = heard.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert!(of(&heard, &wav::sine_at(PAGE_HZ, 48_000, 2.0)), "the agent hears the page");
    page.close();
    server.wait_idle();
    server.stop();
}

/// Somebody who listens in and reads nothing, whose system takes next to nothing for him.
#[track_caller]
fn stuck_listener(server: &Server, call: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.connect(&server.http.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let (host, key) = (server.http, &server.key);
    let request = format!(
        "GET /api/v1/calls/{call}/listen HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {key}\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

/// A listener whose socket takes nothing has his place no longer than a while, and until then the
/// call goes on as if there were none: each frame, in its place.
#[test]
fn a_stuck_listener_harms_no_call() {
    let (server, agents) = server();
    let (mut page, line) = Page::call(&server, &json!({"agent": "bot", "rate_hz": 48_000}));
    let mut agent = agents.accept();
    answered(&mut agent);
    let stuck = stuck_listener(&server, &id(&line["call"]));
    let mut spoken = 0;
    until(Duration::from_secs(60), "the listener loses his place", || {
        page.speak(PAGE_HZ, 1.0);
        spoken += 50;
        agent.wait_frames(spoken);
        server.log().contains("somebody listens no longer").then_some(())
    });
    for pair in agent.frames.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].ts, pair[0].ts.wrapping_add(160));
    }
    let seconds = spoken as f64 / 50.0;
    wav::assert_heard(&ear::samples(&agent.frames), PAGE_HZ, AGENT_HZ, seconds - 1.0);
    drop(stuck);
    page.close();
    server.wait_idle();
    server.stop();
}

/// A call of the telephone network is heard as one of a page is, though nobody listens to it from
/// its beginning.
#[test]
fn a_sip_call_is_listened_to() {
    let (server, agents) = server();
    let mut phone = Phone::call(&server, "5550100");
    let mut agent = agents.accept();
    phone.wait_answer();
    let call = agent.start["call_id"].as_str().unwrap().to_owned();
    answered(&mut agent);
    let mut listener = Page::listen(&server, &call, 2).unwrap();
    agent.play(0, &wav::to_ulaw(&wav::sine(AGENT_HZ, 0.1)).repeat(25));
    phone.speak(&wav::to_ulaw(&wav::sine(PAGE_HZ, 2.5)));
    listener.wait_heard(2.5, 2);
    wav::assert_heard(&listener.channel(0, 2), PAGE_HZ, AGENT_HZ, 1.8);
    wav::assert_heard(&listener.channel(1, 2), AGENT_HZ, PAGE_HZ, 1.8);
    // What a listener says is nobody's business, and harms nobody.
    listener.say(&json!({"event": "hangup"}));
    let before = listener.heard.len();
    listener.wait_heard(before as f64 / 2.0 / f64::from(listener.rate_hz) + 0.2, 2);
    listener.close();
    until(SOON, "the listener has gone", || {
        server.log().contains("somebody listens no longer").then_some(())
    });
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// What is wrong with a call of a page is told before there is one: who may not, whom there is not,
/// what makes no sense, what has no room.
#[test]
fn what_is_wrong_is_told_at_once() {
    let (mut server, agents) = server();
    let all = [
        (json!({}), 400),
        (json!({"agent": "bot", "to": "100"}), 400),
        (json!({"agent": "nobody"}), 400),
        (json!({"agent": "bot", "rate_hz": 44_100}), 400),
        (json!({"agent": "bot", "from": "a\nb"}), 400),
        (json!({"agent": "bot", "trunk": "x"}), 400),
        (json!({"to": "999"}), 400),
        (json!({"to": "100", "trunk": "x"}), 400),
        (json!({"to": "100", "telephony_configuration_id": uuid::Uuid::nil()}), 400),
        (json!({"agent": "bot", "organisation": uuid::Uuid::nil()}), 400),
    ];
    for (wanted, status) in &all {
        expect(&server, *status, "POST", "/api/v1/phone", Some(wanted));
    }
    assert!(server.calls().is_empty() && agents.try_accept().is_none());
    let begin = json!({"agent": "narrow"});
    let first = expect(&server, 201, "POST", "/api/v1/phone", Some(&begin));
    assert_eq!(first["call"]["direction"], "inbound");
    assert_eq!(first["call"]["to"], "narrow");
    expect(&server, 503, "POST", "/api/v1/phone", Some(&begin));
    let own = server.key.clone();
    let read = key(&server, "read");
    read["key"].as_str().unwrap().clone_into(&mut server.key);
    expect(&server, 403, "POST", "/api/v1/phone", Some(&begin));
    let call = id(&first["call"]);
    assert_eq!(Page::listen(&server, &call, 2).unwrap_err(), 403);
    server.key = own;
    let listen = format!("/api/v1/calls/{call}/listen");
    expect(&server, 426, "GET", &listen, None);
    expect(&server, 400, "GET", &format!("{listen}?channels=3"), None);
    server.hang_up(&call);
    over(&server, &call);
    let bearer = format!("Bearer {}", server.key);
    let refused = Page::listen_with(&server, &call, 2, &[("authorization", &bearer)]);
    assert_eq!(refused.unwrap_err(), 404);
    server.stop();
}

/// A route takes a page's call as it would any other; a page's token opens one socket, and nobody
/// else's opens it.
#[test]
fn one_token_one_socket() {
    let (server, _) = server();
    let line = expect(&server, 201, "POST", "/api/v1/phone", Some(&json!({"to": "100"})));
    let path = line["path"].as_str().unwrap();
    let call = id(&line["call"]);
    assert_eq!((&line["call"]["agent"], &line["call"]["to"]), (&json!("echo"), &json!("100")));
    for wrong in [
        path.replace("/phone/", "/other/"),
        path.replace(&call, &uuid::Uuid::nil().to_string()),
        format!("{path}A"),
    ] {
        assert_eq!(Page::open(&server, &wrong, &[]).unwrap_err(), 404, "{wrong}");
    }
    let mut page = Page::open(&server, path, &[]).unwrap();
    assert_eq!(Page::open(&server, path, &[]).unwrap_err(), 404, "spent");
    page.rate_hz = 16_000;
    page.say(&json!({"event": "start"}));
    page.speak(PAGE_HZ, 1.5);
    page.wait_heard(1.4, 1);
    wav::assert_heard(&page.channel(0, 1), PAGE_HZ, AGENT_HZ, 1.0);
    page.say(&json!({"event": "hangup"}));
    assert_eq!(page.wait_close(), 1000);
    assert_eq!(over(&server, &call)["status"], "completed");
    assert_eq!(Page::open(&server, path, &[]).unwrap_err(), 404, "over");
    let token = path.rsplit('/').next().unwrap();
    assert!(!server.log().contains(token), "the token is in the log");
    server.stop();
}

/// A page that never opens its socket has no call for long, and none that was answered.
#[test]
fn a_page_that_does_not_come() {
    let (server, _) = server();
    let line = expect(&server, 201, "POST", "/api/v1/phone", Some(&json!({"agent": "echo"})));
    let within = Duration::from_secs(line["open_within_s"].as_u64().unwrap()) + SOON;
    until(within, "the end of the call", || server.calls().is_empty().then_some(()));
    let view = over(&server, &id(&line["call"]));
    assert_eq!(
        (&view["cause"], &view["status"]),
        (&json!("peer_absent"), &json!("canceled")),
        "{view}"
    );
    assert_eq!((&view["answered_at"], &view["billed_s"]), (&Value::Null, &Value::Null), "{view}");
    assert_eq!(server.metric("talkpath_calls_answered_total"), 0.0);
    let path = line["path"].as_str().unwrap();
    assert_eq!(Page::open(&server, path, &[]).unwrap_err(), 404);
    server.stop();
}

/// Few may listen to one call; a place is free again once one of them goes. Whoever's key is
/// revoked hears no more.
#[test]
fn listeners_have_limits() {
    let (server, _) = server();
    let (mut page, line) = Page::call(&server, &json!({"agent": "echo"}));
    let call = id(&line["call"]);
    page.speak(PAGE_HZ, 0.1);
    let mut listeners: Vec<Page> =
        (0..4).map(|_| Page::listen(&server, &call, 1).unwrap()).collect();
    assert_eq!(Page::listen(&server, &call, 1).unwrap_err(), 409);
    listeners.pop().unwrap().close();
    let made = key(&server, "calls");
    let bearer = format!("Bearer {}", made["key"].as_str().unwrap());
    let mut theirs = until(SOON, "a free place", || {
        Page::listen_with(&server, &call, 1, &[("authorization", &bearer)]).ok()
    });
    expect(&server, 204, "DELETE", &format!("/api/v1/keys/{}", id(&made)), None);
    assert_eq!(theirs.wait_close(), 4401);
    page.close();
    for listener in &mut listeners {
        assert_eq!(listener.wait_close(), 1000);
    }
    server.wait_idle();
    server.stop();
}

/// A page of this server listens by its cookie; a page of another site that makes a browser send it
/// does not.
#[test]
fn pages_of_other_sites_hear_nothing() {
    let (server, _) = server();
    let (mut page, line) = Page::call(&server, &json!({"agent": "echo"}));
    let call = id(&line["call"]);
    let cookie = sign_in(&server);
    let listen = |origin: &str| {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        Page::listen_with(&server, &call, 1, &headers)
    };
    assert_eq!(listen("https://evil.example").unwrap_err(), 403);
    let mut own = listen(&format!("http://{}", server.http)).unwrap();
    page.speak(PAGE_HZ, 1.0);
    own.wait_heard(1.0, 1);
    page.close();
    assert_eq!(own.wait_close(), 1000);
    server.wait_idle();
    server.stop();
}

/// Signs in; the cookie.
#[track_caller]
fn sign_in(server: &Server) -> String {
    let body = json!({"key": server.key}).to_string();
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.http,
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    line.unwrap().split(';').next().unwrap().to_owned()
}
