//! Opens a connection to the server, with TLS when the address says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use crate::client::unreachable;
use crate::exit::Failure;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A connection that is ready for one request.
pub(crate) async fn open(base: &Url) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = base.port_or_known_default().unwrap_or(80);
    let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), port)))
        .await
        .map_err(|_| unreachable(base, "no connection within 10 s"))?
        .map_err(|error| unreachable(base, &error.to_string()))?;
    // Small requests must not wait for each other; a refusal only costs time.
    let _ = stream.set_nodelay(true);
    if base.scheme() == "https" {
        let name =
            ServerName::try_from(host).map_err(|_| unreachable(base, "the host is not a name for TLS"))?;
        let tls = tokio_rustls::TlsConnector::from(Arc::new(trust(base)?));
        let stream = tokio::time::timeout(CONNECT_WITHIN, tls.connect(name, stream))
            .await
            .map_err(|_| unreachable(base, "no TLS within 10 s"))?
            .map_err(|error| unreachable(base, &error.to_string()))?;
        begin(base, stream).await
    } else {
        begin(base, stream).await
    }
}

async fn begin<S>(base: &Url, stream: S) -> Result<SendRequest<Full<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(base, &error.to_string()))?;
    // The task ends with its connection; an error is seen by whoever waits for the answer.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// TLS with the machine's trust anchors.
fn trust(base: &Url) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(unreachable(base, "this machine has no trust anchors (install ca-certificates)"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(base, &error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
