//! `talkpath provider verify` and `talkpath provider parse`: what the carriers' own libraries sign
//! and refuse, and every request of the fixtures, through the command that people ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use adapters::exchange::form;
use adapters::table::{self, PROVIDERS};
use serde_json::{Value, json};

/// The time of the vectors that have none.
const NOW: u64 = 1_767_225_600;

fn fixtures(provider: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/src").join(provider).join("fixtures")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A request, what it is judged by, and whether it is to be believed.
struct Case {
    id: String,
    config: Value,
    now: u64,
    request: Value,
    valid: bool,
}

/// Runs the command over all of them, a process for each configuration and time; every answer.
fn judge(provider: &str, command: &[&str], cases: &[Case]) -> Vec<Value> {
    let folder = std::env::temp_dir().join(format!(
        "talkpath-judged-{}-{provider}-{}",
        std::process::id(),
        command.concat()
    ));
    fs::create_dir_all(&folder).unwrap();
    let mut groups: BTreeMap<(String, u64), Vec<usize>> = BTreeMap::new();
    for (index, case) in cases.iter().enumerate() {
        groups.entry((case.config.to_string(), case.now)).or_default().push(index);
    }
    let mut answers = vec![Value::Null; cases.len()];
    for ((config, now), members) in groups {
        let (asked, with) = (folder.join("requests.jsonl"), folder.join("config.json"));
        let lines: Vec<_> = members.iter().map(|at| cases[*at].request.to_string()).collect();
        fs::write(&asked, lines.join("\n")).unwrap();
        fs::write(&with, config).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_talkpath"));
        run.args(["provider", command[0], provider]).args(&command[1..]);
        run.arg("--request").arg(&asked).arg("--config").arg(&with);
        if command[0] == "verify" {
            run.args(["--now", &now.to_string()]);
        }
        let output = run.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let told: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.len(), members.len(), "{provider} {command:?}: {errors}");
        let good = told.iter().all(|answer| answer["valid"] == true);
        assert_eq!(output.status.code(), Some(if good { 0 } else { 1 }), "{provider} {command:?}");
        for (at, answer) in members.into_iter().zip(told) {
            answers[at] = answer;
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    answers
}

/// Each case is believed or not as it says; what is not says why, at which step.
fn verify(provider: &str, command: &[&str], cases: &[Case], at_least: (usize, usize)) {
    let (mut valid, mut invalid) = (0, 0);
    for (case, told) in cases.iter().zip(judge(provider, command, cases)) {
        assert_eq!(told["valid"], case.valid, "{provider} {}: {told}", case.id);
        if case.valid {
            valid += 1;
        } else {
            assert!(told["reason"].is_string() && told["step"].is_string(), "{}", case.id);
            invalid += 1;
        }
    }
    assert!(valid >= at_least.0 && invalid >= at_least.1, "{provider}: {valid}, {invalid}");
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap_or_default()
}

fn vectors(provider: &str, file: &str, kind: &str) -> Vec<Value> {
    read(&fixtures(provider).join(file))[kind].as_array().unwrap().clone()
}

/// A request whose parameters were decoded: they stand in the body, or in the query of a GET.
fn of_parameters(vector: &Value) -> Value {
    let pairs = vector["params"].as_array().unwrap().iter();
    let pairs: Vec<_> =
        pairs.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect();
    let (mut url, mut body) = (text(vector, "url").to_owned(), form(&pairs));
    if vector["method"] == "GET" && !body.is_empty() {
        url = format!("{url}{}{body}", if url.contains('?') { '&' } else { '?' });
        body.clear();
    }
    json!({"method": vector["method"], "url": url, "headers": vector["headers"], "body": body})
}

/// Forms, queries, JSON with a hash in the address, sockets, shared keys: as both of the carrier's
/// libraries judge them.
#[test]
fn twilio_signatures() {
    let case = |vector: Value| {
        let mut headers = vector["headers"].clone();
        if vector["content_type"].is_string() {
            headers["Content-Type"] = vector["content_type"].clone();
        }
        Case {
            id: text(&vector, "id").to_owned(),
            config: json!({"auth_token": vector["auth_token"]}),
            now: NOW,
            request: json!({"method": vector["method"], "url": vector["url"],
                "headers": headers, "body": vector["raw_body"]}),
            valid: vector["expect_valid"] == true,
        }
    };
    let cases: Vec<_> =
        vectors("twilio", "vectors.json", "signatures").into_iter().map(case).collect();
    verify("twilio", &["verify"], &cases, (16, 18));
}

/// Both versions, of either account, of webhooks and of the opening of sockets. Nothing is said in
/// the configuration of which are accepted.
#[test]
fn plivo_signatures() {
    const MAIN: &str = "ExampleMainAuthToken00000000000000000001";
    let config = |vector: &Value| {
        let id = if text(vector, "auth_token") == MAIN { "MAEXAMPLE00000000001" } else { "SA" };
        json!({"auth_id": id, "auth_token": vector["auth_token"]})
    };
    let case = |vector: &Value, config, request| Case {
        id: text(vector, "id").to_owned(),
        config,
        now: NOW,
        request,
        valid: vector["valid"] == true,
    };
    let webhooks = vectors("plivo", "vectors.json", "signatures");
    let webhooks = webhooks.iter().map(|v| case(v, config(v), of_parameters(v)));
    let sockets = vectors("plivo", "vectors.json", "socket_signatures");
    let upgrade = |v: &Value| {
        let url = &v["upgrade_url"];
        case(v, config(v), json!({"method": "GET", "url": url, "headers": v["headers"]}))
    };
    let cases: Vec<_> = webhooks.chain(sockets.iter().map(upgrade)).collect();
    verify("plivo", &["verify"], &cases, (24, 20));
}

/// As the documents say, and as the carrier's library signs.
#[test]
fn vobiz_signatures() {
    let case = |vector: &Value, valid| Case {
        id: text(vector, "id").to_owned(),
        config: json!({"auth_id": "MA_EXAMPLE1", "auth_token": vector["auth_token"]}),
        now: NOW,
        request: of_parameters(vector),
        valid,
    };
    let documented = vectors("vobiz", "vectors.json", "signature_vectors");
    let documented = documented.iter().map(|v| case(v, v["valid"] == true));
    let library = vectors("vobiz", "vectors.json", "sdk_style_v3_vectors");
    let cases: Vec<_> = documented.chain(library.iter().map(|v| case(v, true))).collect();
    verify("vobiz", &["verify"], &cases, (14, 14));
}

/// Nothing is signed: name and password that were agreed, or the carrier's addresses.
#[test]
fn exotel_credentials() {
    let file = read(&fixtures("exotel").join("vectors.json"));
    let case = |vector: &Value| Case {
        id: text(vector, "id").to_owned(),
        config: file["config"].clone(),
        now: NOW,
        request: json!({"method": vector["method"], "url": vector["url"],
            "headers": vector["headers"], "body": vector["body"]}),
        valid: vector["valid"] == true,
    };
    let cases: Vec<_> = file["requests"].as_array().unwrap().iter().map(case).collect();
    verify("exotel", &["verify"], &cases, (3, 8));
    let from = |from: &str, valid: bool| Case {
        id: from.to_owned(),
        config: json!({"allow_from": ["192.0.2.0/24"]}),
        now: NOW,
        request: json!({"method": "GET", "url": file["requests"][0]["url"], "headers": {},
            "from": from}),
        valid,
    };
    verify("exotel", &["verify"], &[from("192.0.2.1", true), from("198.51.100.1", false)], (1, 1));
}

/// A request whose body may be no text.
fn of_bytes(vector: &Value, url: &str) -> Value {
    let method = vector["method"].as_str().unwrap_or("POST");
    let mut request = json!({"method": method, "url": url, "headers": vector["headers"]});
    match &vector["body_utf8"] {
        Value::Null => request["body_base64"] = vector["body_base64"].clone(),
        text => request["body"] = text.clone(),
    }
    request
}

fn laid_over(config: &Value, changes: &Value) -> Value {
    let mut config = config.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    config
}

/// Ed25519 within five minutes, to the second.
#[test]
fn telnyx_signatures() {
    let file = read(&fixtures("telnyx").join("signatures.json"));
    let case = |vector: &Value| Case {
        id: text(vector, "id").to_owned(),
        config: laid_over(&file["config"], &vector["config_overrides"]),
        now: vector["now"].as_u64().unwrap(),
        request: of_bytes(vector, "https://app.example.test/telnyx"),
        valid: vector["expect"]["accept"] == true,
    };
    let cases: Vec<_> = file["vectors"].as_array().unwrap().iter().map(case).collect();
    verify("telnyx", &["verify"], &cases, (9, 24));
}

/// Tokens over the body's hash. That one comes again is not the signature's to say.
#[test]
fn vonage_signatures() {
    let file = read(&fixtures("vonage").join("vectors.json"));
    let case = |vector: &Value| Case {
        id: text(vector, "id").to_owned(),
        config: laid_over(&file["default_config"], &vector["config_overrides"]),
        now: vector["now"].as_u64().unwrap(),
        request: of_bytes(vector, text(vector, "url")),
        valid: vector["expect"]["accept"] == true || vector["expect"]["error"] == "replay",
    };
    let webhooks = file["inbound_signature"].as_array().unwrap().iter().map(case);
    let socket = |vector: &Value| Case {
        id: text(vector, "id").to_owned(),
        config: file["default_config"].clone(),
        now: vector["now"].as_u64().unwrap(),
        request: json!({"method": "GET", "url": "wss://media.example.test/v/1",
            "headers": vector["headers"]}),
        valid: vector["expect"]["accept"] == true,
    };
    let sockets = file["ws_upgrade_auth"].as_array().unwrap().iter().map(socket);
    let cases: Vec<_> = webhooks.chain(sockets).collect();
    verify("vonage", &["verify"], &cases, (9, 22));
}

/// Nothing is signed: the key that was agreed, and the domain.
#[test]
fn cloudonix_credentials() {
    let url = |hook: &str| format!("https://t.example/api/v1/telephony/cloudonix/{hook}/tok");
    let case = |vector: Value| Case {
        id: text(&vector, "id").to_owned(),
        config: vector["config"].clone(),
        now: NOW,
        request: json!({"method": "POST", "url": url("voice"), "headers": vector["headers"],
            "body": vector["body_fields"].to_string()}),
        valid: vector["expect_valid"] == true,
    };
    let offers = vectors("cloudonix", "vectors.json", "auth_vectors");
    let offers: Vec<_> = offers.into_iter().map(case).collect();
    verify("cloudonix", &["verify"], &offers, (6, 8));
    let config = json!({"domain": "acme.cloudonix.net", "request_key": "rk^made-up!_Value=01--Zz)",
        "domain_uuid": "11111111-2222-4333-8444-555555555555"});
    let record = |vector: Value| Case {
        id: text(&vector, "id").to_owned(),
        config: config.clone(),
        now: NOW,
        request: json!({"method": "POST", "url": url("cdr"), "headers": vector["headers"],
            "body": vector["payload"].to_string()}),
        // Whose token stands in the address is found out before.
        valid: true,
    };
    let records: Vec<_> =
        vectors("cloudonix", "vectors.json", "cdr_vectors").into_iter().map(record).collect();
    verify("cloudonix", &["verify"], &records, (15, 0));
    let meant = judge("cloudonix", &["parse", "--hook", "cdr"], &records);
    for (told, vector) in meant.iter().zip(vectors("cloudonix", "vectors.json", "cdr_vectors")) {
        let Some(status) = vector["expect_result"]["status"].as_str() else { continue };
        let ended = told["meaning"]["events"].as_array().unwrap().iter();
        let ended = ended.map(|event| &event["what"]).find(|what| what["event"] == "ended");
        let cause = match status {
            "completed" => "normal",
            "no-answer" => "no_answer",
            "canceled" => "cancelled",
            other => other,
        };
        let got = text(ended.unwrap(), "cause");
        let same = got == cause || (cause == "failed" && got == "congestion");
        assert!(same, "{}: {got}", vector["id"]);
    }
}

/// Every request of the fixtures is believed, and means what they say, for every provider of the
/// table that has hooks; cut short, it is neither.
#[test]
fn fixtures_are_believed_and_understood() {
    for spec in PROVIDERS.iter().filter(|spec| !spec.hooks.is_empty()) {
        let mut files: Vec<_> =
            fs::read_dir(fixtures(spec.name)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let named = |path: &&PathBuf, prefix: &str| {
            path.file_name().unwrap().to_string_lossy().starts_with(prefix)
        };
        let config = read(files.iter().find(|path| named(path, "config_")).unwrap());
        let mut config = table::find(spec.name).unwrap().read(&config["config"], None).unwrap();
        for field in spec.ui.fields.iter().filter(|field| field.is_managed()) {
            let value = json!("managed-by-the-server");
            spec.set_managed(&mut config, &[(field.name, value)]).unwrap();
        }
        let config = Value::Object(config.expose().clone());
        let mut by_hook: BTreeMap<String, Vec<(Case, Value)>> = BTreeMap::new();
        for path in files.iter().filter(|path| named(path, "hook_")) {
            let fixture = read(path);
            let request = json!({"method": fixture["method"], "url": fixture["url"],
                "headers": fixture["headers"], "body": fixture["body"]});
            let case = Case {
                id: path.display().to_string(),
                config: config.clone(),
                now: fixture["unix_s"].as_u64().unwrap(),
                request,
                valid: true,
            };
            let hook = text(&fixture, "hook").to_owned();
            by_hook.entry(hook).or_default().push((case, fixture["meaning"].clone()));
        }
        assert_eq!(by_hook.len(), spec.hooks.len(), "{}", spec.name);
        for (hook, pairs) in by_hook {
            let (cases, meanings): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            verify(spec.name, &["verify", "--hook", &hook], &cases, (1, 0));
            let told = judge(spec.name, &["parse", "--hook", &hook], &cases);
            for ((case, meaning), told) in cases.iter().zip(meanings).zip(told) {
                assert_eq!(told, json!({"valid": true, "meaning": meaning}), "{}", case.id);
            }
        }
    }
}

/// Whoever reads the answer may have enough of it, as `head` has: that is no fault, and nothing is
/// complained of.
#[test]
fn a_reader_may_go() {
    for asked in [&["list"][..], &["list", "--json"], &["show", "twilio"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_talkpath"))
            .arg("provider")
            .args(asked)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{asked:?}: {} {said}", output.status);
    }
}
