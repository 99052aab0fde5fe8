//! A non-blocking connection, with or without TLS (the crate `rustls`).

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::message::Tls;

/// A connection to a server.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<(TcpStream, ClientConnection)>),
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file of `--ca` cannot be used.
    #[error("--ca {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rustls::pki_types::pem::Error,
    },
    /// A certificate in it cannot be used, or something else is wrong with TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The host of the URL can be in no certificate.
    #[error("{0} is no name for a certificate: {1}")]
    Name(String, InvalidDnsNameError),
}

/// The state that TLS connections to one server share.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsClient {
    /// Reads the authorities to trust.
    pub(crate) fn new(tls: &Tls) -> Result<Self, TlsError> {
        let roots = match &tls.ca {
            Some(path) => authorities(path)?,
            None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(tls.name.clone())
            .map_err(|error| TlsError::Name(tls.name.clone(), error))?;
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let file = |error| TlsError::File {
        path: path.to_owned(),
        error,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(file)? {
        roots.add(certificate.map_err(file)?)?;
    }
    Ok(roots)
}

impl Transport {
    /// Wraps a socket that may still be connecting.
    pub(crate) fn new(socket: TcpStream, tls: Option<&TlsClient>) -> Result<Self, rustls::Error> {
        Ok(match tls {
            None => Self::Plain(socket),
            Some(client) => {
                let session =
                    ClientConnection::new(Arc::clone(&client.config), client.name.clone())?;
                Self::Tls(Box::new((socket, session)))
            }
        })
    }

    /// The socket, to register it or to read its options.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(both) => &mut both.0,
        }
    }

    /// Whether a short read means that the socket is empty. Over TLS it only means that a record
    /// has ended.
    pub(crate) fn short_read_is_all(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(both) => {
                let (socket, session) = &mut **both;
                rustls::Stream::new(session, socket).read(buffer)
            }
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(both) => {
                let (socket, session) = &mut **both;
                rustls::Stream::new(session, socket).write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(both) => {
                let (socket, session) = &mut **both;
                rustls::Stream::new(session, socket).flush()
            }
        }
    }
}

/// Whether the call is to be tried again when the socket is ready.
pub(crate) fn would_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected
    )
}
