//! Operations: what they send, compared with what Vonage's own library sends, and what the answers
//! mean.

use serde_json::{Value, json};

use super::super::{SPEC, calls, numbers, transfer};
use super::{answer, config, each, plain, vectors};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::HookUrls;
use crate::op::{Bind, OpResult, Originate, SendDigits, Step, Transfer, TransferKind};
use crate::secret::Pii;

const CALL: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

fn call() -> CarrierCallId {
    CarrierCallId(CALL.to_owned())
}

fn hooks() -> HookUrls {
    HookUrls::new("https://app.example.test", "vonage", "tok").of_call("42")
}

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

/// Runs an operation with these answers in turn; yields what was sent and the end.
fn run<T>(
    op: OpResult<T>,
    answers: &[HttpResponse],
) -> (Vec<HttpRequest>, Result<T, CarrierError>) {
    let mut op = op.unwrap();
    let mut answers = answers.iter().cloned();
    let (mut sent, mut last) = (Vec::new(), None);
    loop {
        match op.next(last.take()) {
            Step::Send(request) => {
                sent.push(request);
                last = Some(answers.next().expect("one answer more"));
            }
            Step::Done(done) => break (sent, Ok(done)),
            Step::Fail(error) => break (sent, Err(error)),
        }
    }
}

fn captured(id: &str) -> Value {
    each("rest_requests").into_iter().find(|request| request["id"] == id).unwrap()
}

/// The same method, address, credentials and JSON as the library's request.
fn same(request: &HttpRequest, id: &str) {
    let expected = captured(id);
    assert_eq!(request.method.as_str(), expected["method"], "{id}");
    assert_eq!(request.url, expected["url"].as_str().unwrap(), "{id}");
    if !expected["json"].is_null() {
        assert_eq!(json_of(request), expected["json"], "{id}");
    }
    let basic = expected["auth"].as_str().unwrap().starts_with("Basic");
    let header = request.headers.get("authorization").map(|value| value.to_str().unwrap());
    let own = vectors()["keys"]["basic_auth_header"].as_str().map(str::to_owned);
    assert_eq!(header, own.as_deref().filter(|_| basic), "{id}");
}

fn json_of(request: &HttpRequest) -> Value {
    assert_eq!(request.headers["content-type"], "application/json");
    serde_json::from_slice(&request.body).unwrap()
}

fn originate(detect_machine: bool) -> Originate {
    Originate {
        to: number("+14155550100"),
        from: Some(number("+14155550199")),
        stream_url: "wss://media.example.test/v/abc".to_owned(),
        hooks: hooks(),
        ring_timeout_s: 30,
        max_duration_s: 3600,
        detect_machine,
        extra: Vec::new(),
    }
}

fn response(id: &str) -> HttpResponse {
    let all = each("rest_responses");
    let vector = all.iter().find(|response| response["id"] == id).unwrap();
    let body = if vector["json"].is_null() { &vector["body"] } else { &vector["json"] };
    answer(u16::try_from(vector["status"].as_u64().unwrap()).unwrap(), body)
}

/// A placed call is the library's request, its document in the place of an address, and is never
/// sent twice.
#[test]
fn calls_are_placed() {
    let config = config(&json!({"machine_detection": "detect_beep"}));
    let op = calls::originate(&config, &originate(true));
    let (sent, placed) = run(op, &[response("create_call_201")]);
    assert_eq!(placed.unwrap().call, call());
    assert!(!sent[0].repeatable);
    let mut ours = json_of(&sent[0]);
    let mut expected = captured("create_call_answer_url")["json"].clone();
    let document = ours.as_object_mut().unwrap().remove("ncco").unwrap();
    assert_eq!(document[0]["endpoint"][0]["uri"], "wss://media.example.test/v/abc");
    assert!(ours["event_url"][0].as_str().unwrap().ends_with("/events/tok/42"));
    for name in ["answer_url", "answer_method", "event_url"] {
        ours.as_object_mut().unwrap().remove(name);
        expected.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(ours, expected);

    let long = Originate { ring_timeout_s: 500, max_duration_s: 100_000, ..originate(true) };
    let (sent, _) = run(calls::originate(&plain(), &long), &[response("create_call_201")]);
    let body = json_of(&sent[0]);
    assert_eq!((&body["ringing_timer"], &body["length_timer"]), (&json!(120), &json!(7200)));
    assert_eq!(body["machine_detection"], "continue");
    let sip = Originate { to: number("sip:bob@example.com"), ..originate(false) };
    let (sent, _) = run(calls::originate(&plain(), &sip), &[response("create_call_201")]);
    let body = json_of(&sent[0]);
    assert_eq!(body["to"], json!([{"type": "sip", "uri": "sip:bob@example.com"}]));
    assert_eq!(body.get("machine_detection"), None);
    let nobody = Originate { to: number("bob"), ..originate(false) };
    let refused = calls::originate(&plain(), &nobody).err();
    assert_eq!(refused, Some(CarrierError::Destination(None)));
}

/// The other requests about a call are the library's.
#[test]
fn calls_are_controlled() {
    let done = [answer(204, &json!(""))];
    same(&run(calls::hangup(&plain(), &call()), &done).0[0], "hangup");
    let keys = SendDigits { call: call(), digits: Pii::new("12#") };
    let (sent, _) = run(calls::dtmf(&plain(), &keys), &done);
    assert_eq!(json_of(&sent[0]), json!({"digits": "12#"}));
    assert_eq!(sent[0].url, captured("dtmf")["url"].as_str().unwrap());
    assert!(!sent[0].repeatable, "keys would be pressed twice");
    let letter = SendDigits { call: call(), digits: Pii::new("A") };
    assert!(calls::dtmf(&plain(), &letter).is_err());
    let info = [response("get_call_200_completed")];
    same(&run(calls::cost(&plain(), &call()), &info).0[0], "get_call");
}

/// A call is handed over by a document of its own; one that is to be consulted first is called into
/// a room of its own, where the caller follows. Events come back about that call.
#[test]
fn calls_are_handed_over() {
    let transfer_to = |kind| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: call(),
        to: number("+14155550123"),
        from: Some(number("+14155550199")),
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    let done = [answer(204, &json!(""))];
    let (sent, result) = run(transfer::begin(&plain(), &transfer_to(TransferKind::Blind)), &done);
    assert_eq!(result, Ok(None));
    let body = json_of(&sent[0]);
    assert_eq!(sent[0].url, captured("transfer_ncco")["url"].as_str().unwrap());
    assert_eq!(
        (&body["action"], &body["destination"]["type"]),
        (&json!("transfer"), &json!("ncco"))
    );
    let action = &body["destination"]["ncco"][0];
    assert_eq!(action["endpoint"], json!([{"type": "phone", "number": "14155550123"}]));
    assert_eq!((&action["timeout"], &action["from"]), (&json!(20), &json!("14155550199")));
    let url = action["eventUrl"][0].as_str().unwrap();
    assert!(url.ends_with(&format!("/transfer/tok/42?transfer=t-1&call={CALL}")), "{url}");
    assert!(!sent[0].repeatable, "the destination would be called twice");

    let nobody = Transfer { from: None, ..transfer_to(TransferKind::Blind) };
    let (sent, _) = run(transfer::begin(&plain(), &nobody), &done);
    let action = json_of(&sent[0])["destination"]["ncco"][0].clone();
    assert_eq!((&action["randomFromNumber"], action.get("from")), (&json!(true), None));

    let consult = transfer::begin(&plain(), &transfer_to(TransferKind::Attended));
    let (sent, result) = run(consult, &[response("create_call_201")]);
    assert!(matches!(result, Ok(Some(_))), "the leg that is ended if nothing comes of it");
    let waits = json_of(&sent[0])["ncco"][0].clone();
    let room = waits["name"].clone();
    assert_eq!(waits["endOnExit"], json!(true), "the caller is not left there alone");
    let (sent, _) = run(transfer::join(&plain(), &transfer_to(TransferKind::Attended)), &done);
    let joined = json_of(&sent[0])["destination"]["ncco"][0].clone();
    assert_eq!((&joined["name"], &joined["endOnExit"]), (&room, &json!(true)));
    let next = Transfer { id: "t-2".to_owned(), ..transfer_to(TransferKind::Attended) };
    let (sent, _) = run(transfer::join(&plain(), &next), &done);
    assert_ne!(json_of(&sent[0])["destination"]["ncco"][0]["name"], room, "each has its own");
    let gone = run(
        transfer::begin(&plain(), &transfer_to(TransferKind::Blind)),
        &[response("err_404_hangup")],
    );
    assert_eq!(gone.1, Err(CarrierError::CallOver));
}

/// What Vonage answers means what the vectors say; a hang-up of a call that is gone is done, one of
/// a call that is too young is to be tried again.
#[test]
fn answers_are_understood() {
    let ask = |id| run(calls::status(&plain(), &call()), &[response(id)]).1;
    let events = ask("get_call_200_completed").unwrap();
    let CallFact::Ended(ended) = &events[0].what else { panic!("{events:?}") };
    assert_eq!((ended.cause, ended.duration_ms), (HangupCause::Normal, Some(31_000)));
    assert_eq!(ask("get_call_200_in_progress").unwrap()[0].what, CallFact::Answered);
    assert_eq!(ask("err_401"), Err(CarrierError::Credentials));
    assert_eq!(ask("err_429"), Err(CarrierError::TooMany { retry_after_s: None }));
    assert_eq!(ask("err_html"), Err(CarrierError::Unavailable));
    let cost = |id| run(calls::cost(&plain(), &call()), &[response(id)]).1.unwrap();
    let price = cost("get_call_200_completed").unwrap();
    assert_eq!((price.amount.as_str(), price.currency.as_str()), ("0.00656167", "EUR"));
    assert_eq!(cost("get_call_200_in_progress"), None);
    let hangup = |id| run(calls::hangup(&plain(), &call()), &[response(id)]).1;
    assert_eq!(hangup("err_404_hangup"), Ok(()));
    let young = [response("err_400_short"), answer(204, &json!(""))];
    let (sent, result) = run(calls::hangup(&plain(), &call()), &young);
    assert_eq!((result, sent[0].delay_ms, sent[1].delay_ms), (Ok(()), 0, 2000));
    let never = [response("err_400_short"), response("err_400_short")];
    let refused = run(calls::hangup(&plain(), &call()), &never).1.unwrap_err();
    assert_eq!(refused.as_str(), "refused", "once more, and no more");
    let placed = run(calls::originate(&plain(), &originate(false)), &[response("err_400_params")]);
    assert_eq!(placed.1, Err(CarrierError::Destination(Some("bad-request".to_owned()))));
}

fn page(count: usize, numbers: &[&str]) -> HttpResponse {
    let entry = |msisdn: &&str| json!({"country": "US", "msisdn": msisdn, "features": ["VOICE"], "app_id": "a-1"});
    let list: Vec<_> = numbers.iter().map(entry).collect();
    answer(200, &json!({"count": count, "numbers": list}))
}

/// Numbers are read page by page; a list without any is not there at all; numbers that cannot speak
/// are left out.
#[test]
fn numbers_are_listed() {
    let (sent, found) = run(
        numbers::list(&plain()),
        &[page(101, &["14155550199"; 100]), page(101, &["14155550100"])],
    );
    let found = found.unwrap();
    assert_eq!((found.len(), found[100].address.expose()), (101, "+14155550100"));
    assert_eq!(found[0].bound_to.as_deref(), Some("a-1"));
    assert!(sent[1].url.ends_with("/account/numbers?size=100&index=2"), "{}", sent[1].url);
    assert_eq!(run(numbers::list(&plain()), &[answer(200, &json!({}))]).1, Ok(Vec::new()));
    let mute = json!({"count": 1, "numbers": [{"msisdn": "14155550199", "features": ["SMS"]}]});
    assert_eq!(run(numbers::list(&plain()), &[answer(200, &mute)]).1, Ok(Vec::new()));
}

fn application() -> Value {
    json!({
        "id": "11111111-2222-4333-8444-555555555555",
        "name": "media-gw",
        "keys": {"public_key": "-----BEGIN PUBLIC KEY-----\n"},
        "privacy": {"improve_ai": false},
        "capabilities": {"messages": {"webhooks": {}}, "voice": {"conversations_ttl": 48}},
        "_links": {"self": {"href": "/"}},
    })
}

/// The application is written back whole: our webhooks in it, everything else as it was; a second
/// time there is nothing to write.
#[test]
fn webhooks_are_set() {
    let eu = config(&json!({"region": "eu-west"}));
    let provision = |config: &RawConfig, application: &Value| {
        let answers = [answer(200, application), answer(200, application)];
        run(SPEC.calls.provision.unwrap()(config, &hooks()), &answers)
    };
    let (sent, managed) = provision(&eu, &application());
    assert_eq!(managed.unwrap(), [("application_name", json!("media-gw"))]);
    same(&sent[0], "get_application");
    assert_eq!((sent[1].method.as_str(), &sent[1].url), ("PUT", &sent[0].url));
    let written = json_of(&sent[1]);
    let voice = &written["capabilities"]["voice"];
    let webhook = |url: &str| {
        json!({
            "address": url, "http_method": "POST", "connect_timeout": 1000, "socket_timeout": 5000,
        })
    };
    let base = "https://app.example.test/api/v1/telephony/vonage";
    let answer_url = webhook(&format!("{base}/answer/tok/42"));
    assert_eq!(voice["webhooks"]["answer_url"], answer_url);
    assert_eq!(voice["webhooks"]["fallback_answer_url"], answer_url);
    assert_eq!(voice["webhooks"]["event_url"], webhook(&format!("{base}/events/tok/42")));
    assert_eq!((&voice["signed_callbacks"], &voice["region"]), (&json!(true), &json!("eu-west")));
    assert_eq!(voice["conversations_ttl"], 48);
    for kept in ["keys", "privacy", "name"] {
        assert_eq!(written[kept], application()[kept], "{kept}");
    }
    assert_eq!(written["capabilities"]["messages"], application()["capabilities"]["messages"]);
    assert_eq!(written.get("_links"), None);
    let (sent, managed) = provision(&eu, &written);
    assert!(managed.is_ok() && sent.len() == 1, "nothing is left to be written");
}

/// A number goes to the application, in the form that is a form, after it was found to be the
/// account's; one that is another application's is not taken from it.
#[test]
fn numbers_are_bound() {
    let bind = |hooks| Bind { address: number("+14155550199"), hooks };
    let (list, done) = (page(1, &["14155550199"]), answer(200, &json!({"error-code": "200"})));
    let whole = [list.clone(), answer(200, &application()), answer(200, &json!({})), done.clone()];
    let (sent, result) = run(numbers::bind(&plain(), &bind(Some(hooks()))), &whole);
    assert_eq!(result, Ok(()));
    let url = captured("list_numbers")["url"].as_str().unwrap().replace("size=100", "size=10");
    assert_eq!(sent[0].url, url);
    let update = captured("update_number");
    assert_eq!(sent[3].url, update["url"].as_str().unwrap());
    assert_eq!(sent[3].body, update["body"].as_str().unwrap());
    assert_eq!(sent[3].headers["content-type"], "application/x-www-form-urlencoded");
    let foreign = run(numbers::bind(&plain(), &bind(None)), std::slice::from_ref(&list));
    assert_eq!((foreign.0.len(), foreign.1), (1, Ok(())));
    let ours = answer(
        200,
        &json!({"count": 1, "numbers": [{
            "country": "US", "msisdn": "14155550199",
            "app_id": "11111111-2222-4333-8444-555555555555",
        }]}),
    );
    let (sent, result) = run(numbers::bind(&plain(), &bind(None)), &[ours, done]);
    assert_eq!((&sent[1].body[..], result), (&b"country=US&msisdn=14155550199"[..], Ok(())));
    let longer = page(1, &["141555501990"]);
    let none = run(numbers::bind(&plain(), &bind(Some(hooks()))), &[longer]);
    assert_eq!(none.1, Err(CarrierError::NotFound));
    let refused = answer(200, &json!({"error-code": "420", "error-code-label": "failed"}));
    let whole = [list, answer(200, &application()), answer(200, &json!({})), refused];
    let refused = run(numbers::bind(&plain(), &bind(Some(hooks()))), &whole).1;
    let code = Some("420".to_owned());
    assert_eq!(refused, Err(CarrierError::Refused { status: 200, code }));
}

/// Without the account's secret the credentials of calls alone are tried.
#[test]
fn credentials_are_tried() {
    let ok = || answer(200, &json!({}));
    let test = SPEC.calls.test.unwrap();
    let (sent, result) = run(test(&plain()), &[ok(), ok()]);
    assert_eq!((sent.len(), result), (2, Ok(())));
    let (sent, result) = run(test(&config(&json!({"api_secret": null}))), &[ok()]);
    assert_eq!((sent.len(), result), (1, Ok(())));
    assert_eq!(sent[0].url, "https://api.nexmo.com/v1/calls?page_size=1");
}
