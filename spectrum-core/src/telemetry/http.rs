//! `/metrics` for Prometheus, `/healthz` (the process answers) and `/readyz` (it can carry a message) for probes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;

use crate::tasks::Tasks;

/// Connections served at once; the next one waits in the kernel's queue until one ends.
pub const MAX_CONNECTIONS: usize = 32;
/// How long a connection may last, from accept to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How often histograms are drained when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Whether the instance can carry a message now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, and why.
    NotReady(String),
}

/// What is asked of the instance. Neither may wait.
pub struct Probes {
    /// Whether it is ready; called for each `/readyz`.
    pub readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// Sets the gauges that nobody keeps up to date; called for each `/metrics`.
    pub refresh: Box<dyn Fn() + Send + Sync>,
}

/// The listener.
pub struct MetricsServer {
    listener: TcpListener,
    handle: PrometheusHandle,
    probes: Arc<Probes>,
}

impl MetricsServer {
    /// Binds the address.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr, handle: PrometheusHandle, probes: Probes) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            listener,
            handle,
            probes: Arc::new(probes),
        })
    }

    /// The bound address.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `tasks` is asked to stop. One request per connection.
    pub async fn serve(self, tasks: Tasks) {
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                _ = upkeep.tick() => {
                    self.handle.run_upkeep();
                    continue;
                }
                accepted = accept(&self.listener, &seats) => accepted,
            };
            match accepted {
                Ok((stream, seat)) => {
                    let connection = serve_connection(stream, self.handle.clone(), Arc::clone(&self.probes), seat);
                    tasks.spawn("metrics", Span::current(), connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "The metrics listener could not accept a connection.");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener, seats: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, seat))
}

async fn serve_connection(stream: TcpStream, handle: PrometheusHandle, probes: Arc<Probes>, _seat: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let response = answer(&request, &handle, &probes);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that is slow or breaks off is its own loss.
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

fn answer(request: &Request<Incoming>, handle: &PrometheusHandle, probes: &Probes) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
        return text(StatusCode::NOT_FOUND, "try /metrics, /healthz or /readyz\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            (probes.refresh)();
            text(StatusCode::OK, handle.render())
        }
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        _ => match (probes.readiness)() {
            Readiness::Ready => text(StatusCode::OK, "ready\n".to_owned()),
            Readiness::NotReady(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
