//! What is asked of the server's own API: a configuration of the carrier that is played, and
//! calls.

use adapters::exchange::{HttpRequest, HttpResponse, escape};
use adapters::secret::Secret;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::EmulateError;
use crate::emulate;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// A server, and the key to its API.
#[derive(Debug)]
pub(super) struct Server {
    base: String,
    key: Secret,
}

/// A configuration that was made for the carrier.
#[derive(Debug)]
pub(super) struct Configuration {
    /// Its id.
    pub(super) id: String,
    number: String,
}

impl Server {
    pub(super) fn new(base: &str, key: &Secret) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), key: key.clone() }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), EmulateError> {
        let url = format!("{}{path}", self.base);
        let mut request = match body {
            Some(body) => HttpRequest::post(url, "application/json", body.to_string()),
            None => HttpRequest::get(url),
        };
        request.method = method;
        let bearer = format!("Bearer {}", self.key.expose());
        let bearer = HeaderValue::from_str(&bearer).map_err(|_| EmulateError::Key)?;
        request.headers.insert(header::AUTHORIZATION, bearer);
        let answer = emulate::send(request).await;
        let HttpResponse { status, body, .. } =
            answer.ok_or_else(|| EmulateError::NoServer(self.base.clone()))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// The same, where nothing but success will do.
    async fn done(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, EmulateError> {
        let (status, answer) = self.ask(method.clone(), path, body).await?;
        match status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(EmulateError::Key),
            status => Err(refused(method, path, status, &answer)),
        }
    }

    /// Makes a configuration called `name` of what `config` holds, with one number that `agent`
    /// takes the calls of. One of that name that a run before this one left is removed first.
    pub(super) async fn configure(
        &self,
        name: &str,
        config: &Value,
        (number, agent): (&str, &str),
    ) -> Result<Configuration, EmulateError> {
        let agent = self.agent(agent).await?;
        if let Some(id) = self.named(CONFIGS, "configurations", name).await? {
            self.done(Method::DELETE, &format!("{CONFIGS}/{id}"), None).await?;
        }
        let wanted = json!({"name": name, "config": config});
        let made = self.done(Method::POST, CONFIGS, Some(&wanted)).await?;
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        let path = format!("{CONFIGS}/{id}/phone-numbers");
        let wanted = json!({"address": number, "inbound_agent_id": agent});
        let number = match self.done(Method::POST, &path, Some(&wanted)).await {
            Ok(made) => made["id"].as_str().unwrap_or_default().to_owned(),
            Err(error) => {
                self.remove(&Configuration { id, number: String::new() }).await;
                return Err(error);
            }
        };
        Ok(Configuration { id, number })
    }

    /// Where the server takes offered calls of a configuration.
    pub(super) async fn inbound_url(
        &self,
        made: &Configuration,
    ) -> Result<Option<String>, EmulateError> {
        let whole = self.done(Method::GET, &format!("{CONFIGS}/{}", made.id), None).await?;
        Ok(whole["inbound_url"].as_str().map(str::to_owned))
    }

    /// Lets the server set the account up, and point its number at itself.
    pub(super) async fn bind(&self, made: &Configuration) -> Result<(), EmulateError> {
        let path = format!("{CONFIGS}/{}/provision", made.id);
        let (status, answer) = self.ask(Method::POST, &path, None).await?;
        // Some carriers have nothing to set up.
        if !status.is_success() && status != StatusCode::NOT_IMPLEMENTED {
            return Err(refused(Method::POST, &path, status, &answer));
        }
        let path = format!("{CONFIGS}/{}/phone-numbers/{}/bind", made.id, made.number);
        let (status, answer) = self.ask(Method::POST, &path, None).await?;
        // Some let nothing be pointed anywhere by a request.
        if !status.is_success() && status != StatusCode::NOT_IMPLEMENTED {
            return Err(refused(Method::POST, &path, status, &answer));
        }
        Ok(())
    }

    /// True once the server takes webhooks at this address.
    pub(super) async fn listens_at(&self, hook: &str) -> bool {
        let empty = HttpRequest::post(hook.to_owned(), "application/json", "");
        let answer = emulate::send(empty).await;
        answer.is_some_and(|answer| answer.status != StatusCode::NOT_FOUND)
    }

    /// Asks the server to call `to`.
    pub(super) async fn place(
        &self,
        made: &Configuration,
        to: &str,
        agent: &str,
    ) -> Result<(), EmulateError> {
        let wanted = json!({"to": to, "agent": agent, "telephony_configuration_id": made.id});
        self.done(Method::POST, "/api/v1/calls", Some(&wanted)).await.map(drop)
    }

    /// Removes a configuration; true if it is gone.
    pub(super) async fn remove(&self, made: &Configuration) -> bool {
        let path = format!("{CONFIGS}/{}", made.id);
        matches!(
            self.ask(Method::DELETE, &path, None).await,
            Ok((StatusCode::NO_CONTENT | StatusCode::NOT_FOUND, _))
        )
    }

    async fn agent(&self, name: &str) -> Result<String, EmulateError> {
        let found = self.named("/api/v1/agents?limit=200", "items", name).await?;
        found.ok_or_else(|| EmulateError::NoAgent(name.to_owned()))
    }

    /// The id of what has that name in a `list` of a page, or of those that follow.
    async fn named(
        &self,
        first: &str,
        list: &str,
        name: &str,
    ) -> Result<Option<String>, EmulateError> {
        let mut path = first.to_owned();
        loop {
            let page = self.done(Method::GET, &path, None).await?;
            let mut items = page[list].as_array().into_iter().flatten();
            if let Some(found) = items.find(|item| item["name"] == name) {
                return Ok(found["id"].as_str().map(str::to_owned));
            }
            let Some(next) = page["next_cursor"].as_str() else { return Ok(None) };
            path = format!("{first}&cursor={}", escape(next));
        }
    }
}

fn refused(method: Method, path: &str, status: StatusCode, answer: &Value) -> EmulateError {
    let why = ["detail", "title"].iter().find_map(|name| answer[name].as_str());
    EmulateError::Refused {
        what: format!("{method} {path}"),
        status,
        why: why.unwrap_or("no reason given").to_owned(),
    }
}
