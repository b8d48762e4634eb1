//! `--metrics`: HTTP requests come in, the run's figures go out. Clients can be as hostile as they like:
//! connections are few, short-lived and answered from memory, and the threads that decode never wait
//! for them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{SocketAddr, TcpListener as Listener},
    sync::Arc,
    time::Duration,
};

use ::tracing::info;
use anyhow::{Context as _, Result};
use hyper::{
    Method, Request, Response, StatusCode, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::figures::Figures;
use crate::metrics::encode;

/// Where the figures are.
const PATH: &str = "/metrics";
/// What they are (OpenMetrics 1.0, section "Content type").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at a time. One more, and the oldest goes: whoever holds them open keeps nobody out.
const MAX_CONNECTIONS: usize = 16;
/// How long a request may take to come in.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a connection may take in all.
const CONNECTION: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and of what is collected to be sent at a time.
const BUFFER: usize = 16 << 10;
/// How long to wait where no connection can be accepted: there may be descriptors then.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// A place to listen at, that nobody answers at yet.
pub(super) struct Bound {
    listener: Listener,
}

/// An endpoint that answers for as long as this lives.
pub(super) struct Serving {
    /// Ends its connections, too.
    _tasks: JoinSet<()>,
}

/// Takes the address. Before another network namespace is entered, so that it is one of ours, and while
/// there are privileges for any port.
pub(super) fn bind(address: SocketAddr) -> Result<Bound> {
    let listener = Listener::bind(address).with_context(|| {
        format!("cannot listen at {address} for --metrics: choose another address, or leave it out")
    })?;
    listener.set_nonblocking(true).context("cannot listen without waiting")?;
    Ok(Bound { listener })
}

impl Bound {
    /// Answers from now on.
    pub(super) fn serve(self, figures: Figures) -> Result<Serving> {
        let listener = TcpListener::from_std(self.listener).context("cannot serve metrics")?;
        let address = listener.local_addr().context("cannot serve metrics")?;
        info!("metrics at http://{address}{PATH}");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(figures)));
        Ok(Serving { _tasks: tasks })
    }
}

/// Accepts connections, and ends those that are too many.
async fn accept(listener: TcpListener, figures: Arc<Figures>) {
    let mut all = JoinSet::new();
    let mut in_order = VecDeque::<AbortHandle>::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(AFTER_AN_ERROR).await;
            continue;
        };
        while all.try_join_next().is_some() {}
        in_order.retain(|connection| !connection.is_finished());
        if in_order.len() >= MAX_CONNECTIONS
            && let Some(oldest) = in_order.pop_front()
        {
            oldest.abort();
        }
        in_order.push_back(all.spawn(connection(stream, Arc::clone(&figures))));
    }
}

/// Answers one request.
async fn connection(stream: TcpStream, figures: Arc<Figures>) {
    let service = service_fn(async |request: Request<_>| {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &figures))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST);
    http.keep_alive(false).max_buf_size(BUFFER);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // What a client does wrong is its own affair.
    timeout(CONNECTION, connection).await.ok();
}

fn answer(method: &Method, path: &str, figures: &Figures) -> Response<String> {
    let is_read = [Method::GET, Method::HEAD].contains(method);
    let (status, kind, body) = match path {
        PATH if is_read => (StatusCode::OK, OPEN_METRICS, encode(figures.snapshot())),
        PATH => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", format!("the metrics are at {PATH}\n")),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}
