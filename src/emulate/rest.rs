//! The API of a carrier in miniature, over plain HTTP.

use std::convert::Infallible;

use adapters::exchange::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::Input;

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
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The answer to a request; waits for ever if the carrier gives none.
async fn answer(
    request: Request<Incoming>,
    inputs: mpsc::Sender<Input>,
) -> Result<Response<Full<Bytes>>, Infallible> {
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
        Ok(HttpResponse { status, headers, body }) => {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        }
        Err(_) => std::future::pending().await,
    }
}

fn respond(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
