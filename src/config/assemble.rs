//! Puts the sections together: reads them all, looks up the names they use for each other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::agents::{self, AgentConfig, AgentKind, SipAgent};
use super::problem::{Place, suggestion};
use super::routes::{self, Fallback, RouteConfig, RouteDraft};
use super::section::{Reader, Section};
use super::values::PublicUrl;
use super::{
    Config, QueueConfig, Sources, TrunkConfig, UserConfig, acme, audiosocket, captures, database,
    declared, document, environment, outward, park, peers, queues, rates, retention, server, sip,
    webhooks,
};
use crate::routing::{Conditions, PRIORITY, Pattern};
use crate::sip::core::uri::{Scheme, Uri};

/// Default of `data_dir`.
const DATA_DIR: &str = "talkpath-data";

/// Reads all sections and links them. What is wrong goes to `reader`; the result counts only if
/// nothing does.
pub(super) fn read(
    reader: &Reader<'_>,
    document: &document::Table,
    sources: &Sources<'_>,
) -> Config {
    let root = Section::root(reader, document);
    let data_dir = root.path("data_dir");
    let data_dir = sources.data_dir.map(Path::to_owned).or(data_dir);
    let public_url = root.text("public_url", PublicUrl::ALLOWED, PublicUrl::parse);
    let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR));
    let acme = acme::acme(root.optional_section("acme"), &data_dir);
    let http = server::http(root.section("http"), acme.as_ref());
    let sip = sip::sip(root.section("sip"), acme.as_ref());
    let rtp = server::rtp(root.section("rtp"), &sip);
    let media = server::media(root.section("media"));
    let audiosocket = audiosocket::audiosocket(root.section("audiosocket"));
    let log = server::log(root.section("log"));
    let limits = server::limits(root.section("limits"), &rtp);
    let database = database::database(root.section("database"), &data_dir);
    let webhooks = webhooks::webhooks(root.section("webhooks"));
    let outward = outward::outward(root.section("outward"));
    let retention = retention::retention(root.section("retention"));
    let captures = captures::captures(root.section("captures"));
    let park = park::park(root.section("park"));
    let seal = database::seal(root.section("seal"), &data_dir);

    let (agents, places) = named(reader, root.sections("agents"), "agents", |section| {
        agents::agent(section, sources.dialects).map(|agent| (agent.name.clone(), agent))
    });
    let mut claims = Vec::new();
    let (trunks, _) = named(reader, root.sections("trunks"), "trunks", |section| {
        peers::trunk(section, &mut claims).map(|trunk| (trunk.name.clone(), trunk))
    });
    let (users, of_users) = named(reader, root.sections("users"), "users", |section| {
        peers::user(section).map(|user| (user.name.clone(), user))
    });
    check_names(reader, (&agents, &places), &trunks, (&users, &of_users));
    let rates = rates::rates(root.sections("rates"));
    let waits = root.sections("queues");
    let drafts = root.sections("routes").into_iter().map(routes::route).collect();
    root.finish();

    let config = Config {
        data_dir,
        public_url,
        database,
        seal,
        webhooks,
        outward,
        retention,
        captures,
        acme,
        http,
        sip,
        rtp,
        audiosocket,
        media,
        log,
        limits,
        park,
        agents,
        queues: Vec::new(),
        trunks,
        users,
        routes: Vec::new(),
        rates,
        declared: declared::declared(document),
        warnings: Vec::new(),
    };
    link((reader, document), (waits, drafts), config)
}

/// Joins what names each other, and adds what stands in for sections that there are not.
fn link(
    (reader, document): (&Reader<'_>, &document::Table),
    (waits, drafts): (Vec<Section<'_>>, Vec<RouteDraft<'_>>),
    mut config: Config,
) -> Config {
    if !document.entries.iter().any(|(key, _)| key == "agents") {
        config.agents.push(agents::default_agent());
    }
    config.queues = link_queues(reader, waits, &config);
    config.routes = link_routes(drafts, &config);
    if !document.entries.iter().any(|(key, _)| key == "routes") {
        config.routes = default_routes(&config);
    }
    config.warnings = warnings(&config);
    config
}

/// Refuses users that could be taken for trunks, and agents that cannot be called.
fn check_names(
    reader: &Reader<'_>,
    (agents, places): (&[AgentConfig], &[Place]),
    trunks: &[TrunkConfig],
    (users, of_users): (&[UserConfig], &[Place]),
) {
    for (user, place) in users.iter().zip(of_users) {
        let is_taken =
            |trunk: &&TrunkConfig| trunk.digest && trunk.username.as_ref() == Some(&user.name);
        for trunk in trunks.iter().filter(is_taken) {
            let message = format!(
                "\"{}\" is the username of trunk \"{}\"; allowed: another name",
                user.name, trunk.name
            );
            reader.report(place, "users.name".to_owned(), message);
        }
    }
    for (agent, place) in agents.iter().zip(places) {
        if let AgentKind::Sip(sip) = &agent.kind
            && let Err(message) = callable(sip, trunks, users)
        {
            let message = format!("agent \"{}\": {message}", agent.name);
            reader.report(place, "agents.uri".to_owned(), message);
        }
    }
}

/// Reads the entries of a list, each with its place, and refuses names that occur twice.
fn named<'r, T>(
    reader: &Reader<'_>,
    sections: Vec<Section<'r>>,
    list: &str,
    mut read: impl FnMut(Section<'r>) -> Option<(String, T)>,
) -> (Vec<T>, Vec<Place>) {
    let mut seen = HashMap::new();
    let (mut entries, mut places) = (Vec::new(), Vec::new());
    for section in sections {
        let place = section.place.clone();
        let Some((name, entry)) = read(section) else { continue };
        // Names that variables spell alike could not be told apart there.
        if let Some(first) = seen.insert(environment::variable_form(&name), name.clone()) {
            let message = format!("\"{name}\" is taken by \"{first}\" above; names are unique");
            reader.report(&place, format!("{list}.name"), message);
            continue;
        }
        entries.push(entry);
        places.push(place);
    }
    (entries, places)
}

/// Whether an agent that is called by SIP can be: by its trunk, as our user, or by its URI.
pub(super) fn callable(
    sip: &SipAgent,
    trunks: &[TrunkConfig],
    users: &[UserConfig],
) -> Result<(), String> {
    let uri = Uri::parse(&sip.uri).ok();
    let calls = uri.is_some_and(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips));
    let Some(name) = &sip.trunk else {
        let known = calls || users.iter().any(|user| user.name == sip.uri);
        return if known {
            Ok(())
        } else {
            Err(format!("\"{}\" is no SIP URI and no user", sip.uri))
        };
    };
    let trunk = trunks.iter().find(|trunk| trunk.name == *name);
    let trunk = trunk.ok_or_else(|| format!("no trunk is called \"{name}\""))?;
    if trunk.outbound.targets.is_empty() {
        return Err(format!("trunk \"{name}\" has no targets"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.*#".contains(&byte);
    match calls || sip.uri.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!("\"{}\" is neither a SIP URI nor a number", sip.uri)),
    }
}

/// Reads queues, and looks up the names in them.
fn link_queues(
    reader: &Reader<'_>,
    sections: Vec<Section<'_>>,
    config: &Config,
) -> Vec<QueueConfig> {
    let (queues, _) = named(reader, sections, "queues", |section| {
        queues::queue(section, config).map(|queue| (queue.name.clone(), queue))
    });
    queues
}

/// Looks up the names in routes.
fn link_routes(drafts: Vec<RouteDraft<'_>>, config: &Config) -> Vec<RouteConfig> {
    let agents: Vec<&str> = config.all_agents().map(|agent| agent.name.as_str()).collect();
    let trunks: Vec<&str> = config.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
    let mut routes: Vec<RouteConfig> = Vec::new();
    for draft in drafts {
        let section = &draft.section;
        let known = |key, name: Option<&String>, kind: &str, names: &[&str]| {
            let Some(name) = name.filter(|name| !names.contains(&name.as_str())) else { return };
            let near = suggestion(name, names);
            let listed =
                if names.is_empty() { "none is configured".into() } else { names.join(", ") };
            section
                .conflict(key, format!("no {kind} is called \"{name}\"{near}; allowed: {listed}"));
        };
        known("agent", draft.agent.as_ref(), "agent", &agents);
        known("fallback_agent", draft.fallback_agent.as_ref(), "agent", &agents);
        known("trunk", draft.trunk.as_ref(), "trunk", &trunks);
        if draft.fallback_agent.is_some() && draft.fallback_agent == draft.agent {
            section.conflict("fallback_agent", "the agent cannot stand in for itself".to_owned());
        }
        let shadows = |route: &RouteConfig| {
            let always = route.conditions.is_empty() && route.weight.is_none();
            let equal = (&route.trunk, route.priority) == (&draft.trunk, draft.priority);
            always && equal && Some(&route.to) == draft.to.as_ref()
        };
        if routes.iter().any(shadows) {
            let message = "an earlier route takes the same calls, so this one never would";
            section.conflict("to", message.to_owned());
        }
        let answers = draft
            .agent
            .as_ref()
            .and_then(|agent| config.agent(agent))
            .is_some_and(|agent| agent.answers);
        let fallback = draft.fallback_agent.map_or(draft.fallback, Fallback::Agent);
        let unheard = draft.early_media == Some(true) && !draft.agent_answers.unwrap_or(answers);
        if unheard {
            let why = "the agent does not decide about the answer, so there is no time before it";
            draft.section.conflict("early_media", why.to_owned());
        }
        draft.section.finish();
        let (Some(to), Some(agent)) = (draft.to, draft.agent) else { continue };
        let kept = config.agent(&agent).map(|agent| agent.keep.clone()).unwrap_or_default();
        let under_agent = config.agent(&agent).and_then(|agent| agent.ambient.clone());
        routes.push(RouteConfig {
            to,
            trunk: draft.trunk,
            priority: draft.priority,
            weight: draft.weight,
            conditions: draft.conditions,
            agent,
            fallback,
            agent_answers: draft.agent_answers.unwrap_or(answers),
            early_media: draft.early_media.unwrap_or(false),
            max_duration: draft
                .max_duration
                .unwrap_or(config.limits.max_duration)
                .min(config.limits.max_duration),
            ambient: draft.ambient.or(under_agent),
            keep: draft.keep.or(&kept),
        });
    }
    routes
}

/// Without routes each agent answers to its own name, and a sole agent to everything.
fn default_routes(config: &Config) -> Vec<RouteConfig> {
    let route = |to, agent: &AgentConfig| RouteConfig {
        to,
        trunk: None,
        priority: PRIORITY,
        weight: None,
        conditions: Conditions::default(),
        agent: agent.name.clone(),
        fallback: Fallback::Hangup,
        agent_answers: agent.answers,
        early_media: false,
        max_duration: config.limits.max_duration,
        ambient: agent.ambient.clone(),
        keep: agent.keep.clone(),
    };
    match config.agents.as_slice() {
        [agent] => vec![route(Pattern::Any, agent)],
        agents => {
            agents.iter().map(|agent| route(Pattern::Exact(agent.name.clone()), agent)).collect()
        }
    }
}

/// What is allowed but most likely not meant.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let open = |address: IpAddr| !address.is_loopback();
    let sip_open = config.sip.listen.iter().any(|address| open(address.ip()));
    if sip_open && config.trunks.is_empty() && config.users.is_empty() {
        warnings.push(
            "sip.listen is open to the network, but neither trunks nor users are configured: calls \
             from other machines are refused"
                .to_owned(),
        );
    }
    if sip_open && config.rtp.addresses.iter().all(IpAddr::is_loopback) {
        warnings.push(
            "sip.listen is open to the network, but rtp.address is loopback: callers from other \
             machines will hear nothing"
                .to_owned(),
        );
    }
    for network in config.trunks.iter().flat_map(|trunk| &trunk.peers) {
        if network.prefix_bits() == 0 {
            warnings.push(format!("trunks: {network} lets everybody call in"));
        }
    }
    warnings
}
