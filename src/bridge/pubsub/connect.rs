//! Opens a connection to a server, over TCP or TLS, as a plain stream of bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bridge::redis::Host;

/// Silence after which the kernel asks the other side, and the time between its questions.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens a connection. The caller bounds the time.
///
/// # Errors
/// Those of the system and of TLS.
pub(super) async fn open(host: &Host, tls: bool) -> io::Result<Box<dyn Stream>> {
    if !tls {
        return Ok(Box::new(tcp(host).await?));
    }
    let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
    let connector = connector().await?;
    Ok(Box::new(connector.connect(name, tcp(host).await?).await?))
}

async fn tcp(host: &Host) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((&*host.name, host.port)).await?;
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
    Ok(stream)
}

/// TLS with the certificates of the system. They are read at each connect, on a thread that may
/// block, so that new ones are used without a restart.
async fn connector() -> io::Result<TlsConnector> {
    let config = tokio::task::spawn_blocking(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?;
        let config = builder.with_platform_verifier()?.with_no_client_auth();
        Ok::<_, rustls::Error>(config)
    });
    let config = config.await.map_err(io::Error::other)?;
    let config = config.map_err(io::Error::other)?;
    Ok(TlsConnector::from(Arc::new(config)))
}
