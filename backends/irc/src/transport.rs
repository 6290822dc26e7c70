//! TCP and TLS to a server, and lines out of bytes. No state of IRC.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use encoding_rs::Encoding;
use spectrum_backend_sdk::tls::client_config;
use spectrum_backend_sdk::{LoginError, LoginErrorKind, ServerAddress};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

/// Bytes of a line that are kept: 8,191 of tags, 512 of the rest. The whole of a longer line is skipped.
pub(crate) const MAX_LINE_BYTES: usize = 8_191 + 512;

/// How long a connection may take to stand, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How connections are encrypted; made once, since reading the trusted certificates takes time.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// With the system's trusted certificates, or without any check of the server's. Reads files.
    ///
    /// # Errors
    /// If the cryptography has no protocol version in common with itself, which would be a defect.
    pub(crate) fn new(verify: bool) -> Result<Self, rustls::Error> {
        Ok(Self(Arc::new(client_config(verify)?)))
    }
}

/// Connects to a server.
///
/// # Errors
/// What to tell the user: not reachable, not encrypted, not to be trusted.
pub(crate) async fn connect(address: &ServerAddress, tls: Option<&Tls>) -> Result<Box<dyn Stream>, LoginError> {
    let connecting = async {
        let tcp = TcpStream::connect((&*address.host, address.port)).await.map_err(|e| {
            LoginError::new(
                LoginErrorKind::Network,
                format!("The IRC server {address} cannot be reached: {e}."),
            )
        })?;
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "Could not switch Nagle's algorithm off.");
        }
        let Some(tls) = tls else {
            return Ok(Box::new(tcp) as Box<dyn Stream>);
        };
        let name = ServerName::try_from(address.host.to_string()).map_err(|_| {
            LoginError::new(
                LoginErrorKind::Settings,
                format!("{} is no name that a certificate can have.", address.host),
            )
        })?;
        match TlsConnector::from(Arc::clone(&tls.0)).connect(name, tcp).await {
            Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
            Err(error) => Err(tls_error(address, &error)),
        }
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(result) => result,
        Err(_) => Err(LoginError::new(
            LoginErrorKind::Network,
            format!("The IRC server {address} does not answer."),
        )),
    }
}

fn tls_error(address: &ServerAddress, error: &io::Error) -> LoginError {
    let is_certificate = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
        .is_some_and(|e| matches!(e, rustls::Error::InvalidCertificate(_)));
    if is_certificate {
        LoginError::new(
            LoginErrorKind::Certificate,
            format!("The certificate of {address} is not to be trusted: {error}."),
        )
    } else if error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
        LoginError::new(
            LoginErrorKind::Encryption,
            format!("No encrypted connection to {address}: {error}."),
        )
    } else {
        LoginError::new(
            LoginErrorKind::Network,
            format!("The connection to {address} was lost: {error}."),
        )
    }
}

/// Cuts a stream of bytes into lines, and never keeps more than one line's worth of an endless one.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that hold no line end.
    searched: usize,
    is_skipping: bool,
    /// Lines that were too long.
    pub(crate) skipped: u64,
}

impl LineReader {
    /// Where to read more bytes to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() {
            // A quiet connection keeps no more than this.
            self.searched = 0;
        }
        self.buffer.reserve(2_048);
        &mut self.buffer
    }

    /// The next whole line without its end; empty ones are left out.
    pub(crate) fn next_line(&mut self) -> Option<BytesMut> {
        loop {
            let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') else {
                self.searched = self.buffer.len();
                if self.searched > MAX_LINE_BYTES {
                    self.skipped += u64::from(!self.is_skipping);
                    self.is_skipping = true;
                    self.buffer.clear();
                    self.searched = 0;
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + at);
            self.buffer.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            if line.len() > MAX_LINE_BYTES {
                self.skipped += 1;
                continue;
            }
            while line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

/// A line as text: UTF-8 where it is that, else in the encoding that this network is known for.
pub(crate) fn decode<'a>(line: &'a [u8], fallback: &'static Encoding) -> Cow<'a, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => fallback.decode_without_bom_handling(line).0,
    }
}

/// Appends a line in an encoding, with its end; what the encoding does not have becomes `?`.
pub(crate) fn encode(line: &str, encoding: &'static Encoding, out: &mut BytesMut) {
    if encoding == encoding_rs::UTF_8 || line.is_ascii() {
        out.extend_from_slice(line.as_bytes());
    } else {
        let mut encoder = encoding.new_encoder();
        let mut rest = line;
        let mut chunk = [0u8; 256];
        loop {
            let (result, read, written) = encoder.encode_from_utf8_without_replacement(rest, &mut chunk, true);
            out.extend_from_slice(&chunk[..written]);
            rest = &rest[read..];
            match result {
                encoding_rs::EncoderResult::InputEmpty => break,
                encoding_rs::EncoderResult::OutputFull => {}
                encoding_rs::EncoderResult::Unmappable(_) => out.extend_from_slice(b"?"),
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(reader: &mut LineReader, bytes: &[u8]) -> Vec<Vec<u8>> {
        reader.buffer().extend_from_slice(bytes);
        std::iter::from_fn(|| reader.next_line()).map(|l| l.to_vec()).collect()
    }

    #[test]
    fn lines_end_with_any_line_end() {
        let mut reader = LineReader::default();
        assert_eq!(lines(&mut reader, b"a\r\nb\n\r\n\nc\r\r\nd"), [b"a", b"b", b"c"]);
        assert_eq!(lines(&mut reader, b"e\n"), [b"de"]);
    }

    #[test]
    fn an_endless_line_is_skipped_and_costs_no_memory() {
        let mut reader = LineReader::default();
        for _ in 0..10_000 {
            assert!(lines(&mut reader, &[b'x'; 1_024]).is_empty());
            assert!(reader.buffer.len() <= MAX_LINE_BYTES + 1_024);
        }
        assert_eq!(lines(&mut reader, b"end\nnext\n"), [b"next"]);
        assert_eq!(reader.skipped, 1);
        let mut long = vec![b'y'; MAX_LINE_BYTES + 1];
        long.extend_from_slice(b"\nafter\n");
        assert_eq!(lines(&mut reader, &long), [b"after"]);
        assert_eq!(reader.skipped, 2);
    }

    #[test]
    fn text_that_is_not_utf_8_is_read_all_the_same() {
        assert_eq!(decode("grüß".as_bytes(), encoding_rs::WINDOWS_1252), "grüß");
        assert_eq!(decode(b"gr\xfc\xdf", encoding_rs::WINDOWS_1252), "grüß");
        assert_eq!(decode(b"\xcf\xd2", encoding_rs::KOI8_R), "ор");
    }

    #[test]
    fn text_is_written_in_the_networks_encoding() {
        let mut out = BytesMut::new();
        encode("PRIVMSG #a :grüß ☃", encoding_rs::WINDOWS_1252, &mut out);
        assert_eq!(&out[..], b"PRIVMSG #a :gr\xfc\xdf ?\r\n");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400), cut in 1usize..50) {
            let whole = lines(&mut LineReader::default(), &bytes);
            let mut reader = LineReader::default();
            let pieces: Vec<_> = bytes.chunks(cut).flat_map(|piece| lines(&mut reader, piece)).collect();
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn no_encoding_makes_a_line_end(text in any::<String>()) {
            for encoding in [encoding_rs::WINDOWS_1252, encoding_rs::SHIFT_JIS, encoding_rs::GB18030, encoding_rs::EUC_KR] {
                let mut out = BytesMut::new();
                encode(&text.replace(['\r', '\n', '\0'], " "), encoding, &mut out);
                prop_assert!(!out[..out.len() - 2].iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
        }
    }
}
