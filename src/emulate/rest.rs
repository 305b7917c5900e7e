//! The API of a carrier in miniature, over plain HTTP.

use std::convert::Infallible;

use adapters::exchange::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::socket::{self, Came};
use super::{Accepted, Input};
use crate::bridge::framing::Role;
use crate::bridge::handshake;

/// Most bytes of a request's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Serves what comes to `listener`; each request goes to `inputs`.
pub(super) async fn serve(listener: TcpListener, inputs: mpsc::Sender<Input>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = inputs.closed() => return,
        };
        let Ok((stream, _)) = accepted else { return };
        let inputs = inputs.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, inputs.clone()));
            let server = hyper::server::conn::http1::Builder::new();
            // One that is never answered ends with its connection.
            let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

/// The answer to a request; waits for ever if the carrier gives none.
async fn answer(
    mut request: Request<Incoming>,
    inputs: mpsc::Sender<Input>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.headers().contains_key(UPGRADE) {
        let upgraded = hyper::upgrade::on(&mut request);
        return Ok(accept(&request, upgraded, inputs).await);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(respond(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let request = HttpRequest {
        method: parts.method,
        url: parts.uri.to_string(),
        headers: parts.headers,
        body: body.to_bytes(),
        repeatable: false,
        delay_ms: 0,
    };
    let (reply, answered) = oneshot::channel();
    if inputs.send(Input::Rest { request, reply }).await.is_err() {
        return Ok(respond(StatusCode::SERVICE_UNAVAILABLE));
    }
    match answered.await {
        Ok(answer) => Ok(written(answer)),
        Err(_) => std::future::pending().await,
    }
}

/// The answer to a request for a WebSocket, which is run from then on.
async fn accept(
    request: &Request<Incoming>,
    upgraded: OnUpgrade,
    inputs: mpsc::Sender<Input>,
) -> Response<Full<Bytes>> {
    let asked = HttpRequest {
        method: request.method().clone(),
        url: request.uri().to_string(),
        headers: request.headers().clone(),
        body: Bytes::new(),
        repeatable: false,
        delay_ms: 0,
    };
    let (reply, answered) = oneshot::channel();
    if inputs.send(Input::Upgrade { request: asked, reply }).await.is_err() {
        return respond(StatusCode::SERVICE_UNAVAILABLE);
    }
    let (socket, subprotocol, orders) = match answered.await {
        Ok(Accepted::Open { socket, subprotocol, orders }) => (socket, subprotocol, orders),
        Ok(Accepted::Refused(answer)) => return written(answer),
        Err(_) => return std::future::pending().await,
    };
    let spoken: Vec<&'static str> = subprotocol.into_iter().collect();
    let headers = request.headers();
    let upgrade = handshake::check_request(request.method(), request.version(), headers, &spoken);
    let Ok(upgrade) = upgrade else {
        let refused = Input::Socket { socket, came: Came::Refused(None) };
        // Nobody is there to hear it once the emulator has ended.
        let _ = inputs.send(refused).await;
        return respond(StatusCode::BAD_REQUEST);
    };
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS);
    *response.headers_mut() = upgrade.response_headers();
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => {
                socket::keep(socket, (TokioIo::new(io), Role::Server), orders, inputs).await;
            }
            Err(_) => {
                let _ = inputs.send(Input::Socket { socket, came: Came::Closed(None) }).await;
            }
        }
    });
    response
}

fn written(answer: HttpResponse) -> Response<Full<Bytes>> {
    let HttpResponse { status, headers, body } = answer;
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn respond(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
