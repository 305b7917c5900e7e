//! Emulators: each is an account that its adapter's own operations work with, by the credentials of
//! that account alone.

use std::time::Duration;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::{Clock, Emulator, EmulatorStart, Quirks};
use adapters::exchange::CarrierError;
use adapters::hook::HookUrls;
use adapters::op::{Moment, OpResult, Originate, Step};
use adapters::spec::ProviderSpec;
use adapters::ui::FieldKind;
use http::StatusCode;
use media::time::MonoTime;

use crate::support::entry::entries;

const NUMBER: &str = "+12025550100";
const PERSON: &str = "+12025550143";
const NOW_S: u64 = 1_767_225_600;

/// An account at an emulator, as the server has it.
struct Account {
    spec: &'static ProviderSpec,
    config: RawConfig,
    carrier: Box<dyn Emulator>,
    /// Seconds since it was opened.
    passed_s: u64,
}

fn accounts() -> Vec<Account> {
    let open = |spec: &'static ProviderSpec| {
        // Where nothing can be asked for there is nothing to be asked.
        let emulator = spec.emulator.filter(|_| spec.calls.originate.is_some())?;
        let given = (emulator.config)("http://127.0.0.1:9/carrier");
        let config = spec.read(&given, None).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
        let carrier = (emulator.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec![NUMBER.to_owned()],
            voice_url: None,
            seed: 1,
            quirks: Quirks::default(),
        });
        Some(Account { spec, config, carrier, passed_s: 0 })
    };
    entries().into_iter().filter_map(|entry| open(entry.spec)).collect()
}

impl Account {
    fn perform<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
        let mut op = op?;
        let mut answer = None;
        loop {
            let mut request = match op.next(answer.take()) {
                Step::Send(request) => request,
                Step::Done(done) => return Ok(done),
                Step::Fail(error) => return Err(error),
            };
            let unix_s = NOW_S + self.passed_s;
            if let Some(authorize) = self.spec.authorize {
                authorize(&self.config, &Moment { unix_s, random: [7; 16] }, &mut request)?;
            }
            let now = MonoTime::ZERO + Duration::from_secs(self.passed_s);
            answer = self.carrier.rest(Clock { now, unix_ms: unix_s * 1000 }, &request);
        }
    }
}

/// The credentials are good, the number is there; a call is placed, is known, and is ended, also
/// when it is over already.
#[test]
fn accounts_work() {
    let mut seen = 0;
    for mut account in accounts() {
        let (name, calls, config) = (account.spec.name, account.spec.calls, account.config.clone());
        assert_eq!(account.perform(calls.test.unwrap()(&config)), Ok(()), "{name}");
        seen += 1;
        if account.spec.events.is_some() {
            // Its calls live by what it tells on a socket, which is played on real ones alone.
            continue;
        }
        let numbers = account.perform(calls.numbers.unwrap()(&config)).unwrap();
        let number = Address::parse(NUMBER, None).unwrap();
        assert!(numbers.iter().any(|listed| listed.address == number), "{name}: {numbers:?}");
        let originate = Originate {
            to: Address::parse(PERSON, None).unwrap(),
            from: Some(number),
            stream_url: "wss://t.example/s".to_owned(),
            hooks: HookUrls::new("https://t.example", name, "tok").of_call("c1"),
            ring_timeout_s: 30,
            max_duration_s: 600,
            detect_machine: false,
            extra: Vec::new(),
        };
        let placed = account.perform(calls.originate.unwrap()(&config, &originate));
        let call = placed.unwrap_or_else(|error| panic!("{name}: {error}")).call;
        // Some carriers do not change calls that are too young.
        account.passed_s = 5;
        let facts = account.perform(calls.status.unwrap()(&config, &call)).unwrap();
        assert!(facts.iter().all(|fact| fact.call == call) && !facts.is_empty(), "{name}");
        // Where there is no request for it, the media socket is closed.
        for hangup in [calls.hangup; 2].into_iter().flatten() {
            assert_eq!(account.perform(hangup(&config, &call)), Ok(()), "{name}");
        }
    }
    assert!(seen > 0);
}

/// With other secrets nothing is to be had, and the carrier says so in its own way; nor is there
/// anything at an address that it does not have.
#[test]
fn other_credentials_are_refused() {
    for mut account in accounts() {
        let (name, calls) = (account.spec.name, account.spec.calls);
        let mut other = account.config.expose().clone();
        for field in account.spec.ui.fields {
            if let (FieldKind::Password { .. }, Some(value)) =
                (field.kind, other.get_mut(field.name))
            {
                *value = "another secret".into();
            }
        }
        let other = RawConfig::from_stored(other.into()).unwrap();
        account.config = other.clone();
        let tried = account.perform(calls.test.unwrap()(&other));
        assert_eq!(tried, Err(CarrierError::Credentials), "{name}");
        let nowhere = adapters::exchange::HttpRequest::get("http://127.0.0.1:9/nowhere".to_owned());
        let clock = Clock { now: MonoTime::ZERO, unix_ms: NOW_S * 1000 };
        let answer = account.carrier.rest(clock, &nowhere);
        let refused = |status: StatusCode| status.is_client_error();
        assert!(answer.is_some_and(|answer| refused(answer.status)), "{name}");
    }
}
