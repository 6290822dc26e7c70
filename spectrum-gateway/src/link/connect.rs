//! How the XMPP server is reached: over TCP, or in tests over anything else. Owns nothing.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The two halves of a connection.
pub type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Makes connections to the XMPP server.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// Where the server is, for people.
    fn place(&self) -> String;

    /// Connects once. The caller limits the time.
    ///
    /// # Errors
    /// The system's.
    async fn connect(&self) -> io::Result<Halves>;
}

/// Over TCP.
#[derive(Clone, Debug)]
pub struct TcpConnect {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

#[async_trait]
impl Connect for TcpConnect {
    fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    async fn connect(&self) -> io::Result<Halves> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // The writer collects what there is into one write; waiting for more would only delay it.
        stream.set_nodelay(true)?;
        let (input, output) = stream.into_split();
        Ok((Box::new(input), Box::new(output)))
    }
}
