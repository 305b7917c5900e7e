//! The spec itself: names, and that its parts fit each other.

use std::collections::HashSet;

use adapters::setup::SetupState;
use adapters::spec::MediaTransport;

use crate::support::acme;
use crate::support::entry::entries;

fn is_name(name: &str, more: &[u8]) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(fits)
}

/// Names stand in addresses and labels, so they are of plain letters; hooks are unique; what
/// belongs together is there together.
#[test]
fn parts_fit() {
    for entry in entries() {
        let spec = entry.spec;
        assert!(is_name(spec.name, b"_"), "{}", spec.name);
        assert!(!spec.ui.display_name.is_empty() && spec.ui.summary.ends_with('.'));
        assert!(spec.ui.docs_url.is_none_or(|url| url.starts_with("https://")));
        let names: HashSet<_> = spec.hooks.iter().map(|hook| hook.name).collect();
        assert_eq!(names.len(), spec.hooks.len(), "{}: hooks are unique", spec.name);
        for hook in spec.hooks {
            assert!(is_name(hook.name, b"-") && !hook.methods.is_empty(), "{}", hook.name);
            assert!(std::ptr::eq(spec.hook(hook.name).unwrap(), hook));
        }
        assert!(spec.hook("no-such-hook").is_none());
        if let Some(inbound) = spec.inbound {
            assert!(spec.hook(inbound.hook).is_some(), "{}", inbound.hook);
            assert!(spec.account_field.is_some(), "the shared entry finds the account");
        }
        let carries = |transport| spec.media.iter().any(|plan| plan.transport == transport);
        let messages = carries(MediaTransport::WebSocket) || carries(MediaTransport::Tcp);
        assert_eq!(spec.stream.is_some(), messages, "{}: stream", spec.name);
        assert_eq!(spec.sip.is_some(), carries(MediaTransport::Sip), "{}: sip", spec.name);
        assert!(spec.events.is_none() || spec.flow.is_some(), "{}: events", spec.name);
        for plan in spec.media {
            assert!(!plan.formats.is_empty() && plan.buffer_ms <= 1000);
            let whole = |ms: u32| (10..=60).contains(&ms) && ms.is_multiple_of(10);
            assert!(plan.formats.iter().all(|format| whole(format.ptime_ms)));
        }
        assert!(spec.verify_socket.is_none() || carries(MediaTransport::WebSocket));
        for rate in [spec.limits.originate, spec.limits.requests].into_iter().flatten() {
            assert!(rate.count > 0 && rate.window_ms > 0, "{}: limits", spec.name);
        }
        assert!(spec.calls.join.is_none() || spec.calls.transfer.is_some());
        let back = spec.calls.take_back.is_some();
        assert_eq!(back, spec.calls.join.is_some(), "who joins takes back what came to nothing");
        let managed = spec.ui.fields.iter().any(|field| field.is_managed());
        assert_eq!(spec.calls.provision.is_some(), managed, "{}: provision", spec.name);
    }
}

/// Capabilities follow from what is there: the provider that has every part but SIP has all words
/// but that one, and every word is unique.
#[test]
fn capabilities_follow() {
    let words = |entry: &crate::support::entry::Entry| -> Vec<&str> {
        entry.spec.capabilities().map(|(word, _)| word).collect()
    };
    for entry in entries() {
        let unique: HashSet<_> = words(&entry).into_iter().collect();
        assert_eq!(unique.len(), words(&entry).len());
        assert!(!unique.is_empty(), "{} can do nothing", entry.spec.name);
        assert_eq!(unique.contains("sip"), entry.spec.sip.is_some());
    }
    let acme = entries().pop().unwrap();
    assert!(std::ptr::eq(acme.spec, &acme::SPEC));
    assert_eq!(words(&acme).len(), 16);
}

/// Steps of the set-up have unique words and texts, and what blocks calls is done once everything
/// is.
#[test]
fn the_checklist_can_be_finished() {
    for entry in entries() {
        let config = entry.config();
        let done = SetupState { numbers: 1, routed_numbers: 1, trunks: 1 };
        let steps = (entry.spec.checklist)(&config, &done);
        assert!(steps.iter().all(|step| step.done), "{steps:?}");
        let keys: HashSet<_> = steps.iter().map(|step| step.key).collect();
        assert_eq!(keys.len(), steps.len());
        assert!(steps.iter().all(|step| !step.title.is_empty() && step.help.ends_with('.')));
        let steps = (entry.spec.checklist)(&config, &SetupState::default());
        let blocked = steps.iter().any(|step| step.blocks_outbound && !step.done);
        assert_eq!(blocked, entry.spec.requires_caller_id, "{}", entry.spec.name);
    }
}
