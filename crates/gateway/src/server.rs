//! Accepts connections, bounded in number and patience, and lets requests end when the server stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service as _;

use crate::State;

/// Bytes of the head of a request at the most (request line and headers). The number of headers is bounded by
/// hyper's own 100; setting it, even to 100, would cost an allocation for each request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its address could not be read.
    #[error("cannot use the listener")]
    Listener(#[source] io::Error),
}

/// Serves `router` on `listener` until `shutdown` is done; then takes no more requests, ends event streams, and
/// gives those at work `settings.drain_timeout` to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    state: State,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    tracing::info!(%address, "listening");
    let room = Arc::new(Semaphore::new(state.settings.connections_max));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            next = accept(&listener, &room) => next,
        };
        let Some((stream, peer, held)) = next else { continue };
        connections.spawn(connection(
            stream,
            peer,
            router.clone(),
            state.settings.head_timeout,
            stopping.clone(),
            held,
        ));
    }
    drop(listener);
    stop.send_replace(true);
    state.shared.stopping.send_replace(true);
    drain(connections, state.settings.drain_timeout).await;
    tracing::info!(%address, "stopped");
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Beyond the limit nothing is accepted: the kernel's queue holds the others back.
    let held = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, held)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_timeout: Duration,
    mut stopping: watch::Receiver<bool>,
    held: OwnedSemaphorePermit,
) {
    let _held = held;
    // Answers are small: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(answered(router.call(request).await)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let stopped = async { stopping.wait_for(|stop| *stop).await.map(drop) };
    let ended = tokio::select! {
        ended = &mut served => ended,
        _ = stopped => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}

fn answered<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

async fn drain(mut connections: JoinSet<()>, timeout: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(timeout, all).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "requests were still at work when the time to end them was over"
        );
        connections.shutdown().await;
    }
}
