//! Opening a component stream (XEP-0114 section 3): header, handshake, acceptance. Bounded by the caller's clock and by the
//! reader's limits.

use std::fmt::Write as _;

use bytes::BytesMut;
use jid::BareJid;
use minidom::Element;
use sha1::{Digest as _, Sha1};
use spectrum_core::model::Secret;
use spectrum_core::stream::{Content, Event, Header, Limits, Reader, Side, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xmpp_parsers::ns;

use super::{Halves, LinkError};

/// An accepted stream.
pub(super) struct Opened {
    pub(super) reader: Reader,
    /// What was read behind the acceptance.
    pub(super) rest: Vec<u8>,
}

/// Opens the stream and proves that we know the secret.
pub(super) async fn open(halves: &mut Halves, jid: &BareJid, secret: &Secret, place: &str) -> Result<Opened, LinkError> {
    let (input, output) = halves;
    let lost = |failed: std::io::Error| LinkError::Lost {
        place: place.to_owned(),
        reason: failed.to_string(),
    };
    let protocol = |reason: &str| LinkError::Protocol {
        place: place.to_owned(),
        reason: reason.to_owned(),
    };
    let writer = Writer::new(Content::Component);
    let mut reader = Reader::new(Content::Component, Side::Initiating, Limits::COMPONENT);
    let mut out = BytesMut::new();
    writer.open(
        &mut out,
        &Header {
            to: Some(jid.to_string()),
            ..Header::default()
        },
    );
    output.write_all(&out).await.map_err(lost)?;
    output.flush().await.map_err(lost)?;

    let mut buffer = BytesMut::with_capacity(4096);
    let mut proven = false;
    loop {
        buffer.clear();
        if input.read_buf(&mut buffer).await.map_err(lost)? == 0 {
            return Err(if proven {
                // Some servers say no by closing.
                LinkError::WrongSecret {
                    place: place.to_owned(),
                    jid: jid.to_string(),
                }
            } else {
                protocol("it closed the connection")
            });
        }
        let mut bytes = &buffer[..];
        while let Some(event) = reader.read(&mut bytes) {
            match event {
                Event::Opened(header) => {
                    let id = header.id.ok_or_else(|| protocol("its stream has no id"))?;
                    out.clear();
                    let element = Element::builder("handshake", ns::DEFAULT_NS)
                        .append(proof(&id, secret))
                        .build();
                    writer
                        .nonza(&mut out, &element)
                        .map_err(|_| protocol("the handshake could not be written"))?;
                    output.write_all(&out).await.map_err(lost)?;
                    output.flush().await.map_err(lost)?;
                    proven = true;
                }
                Event::Nonza(element) if proven && element.name() == "handshake" => {
                    return Ok(Opened {
                        reader,
                        rest: bytes.to_vec(),
                    });
                }
                Event::PeerError(said) if said.condition == "not-authorized" => {
                    return Err(LinkError::WrongSecret {
                        place: place.to_owned(),
                        jid: jid.to_string(),
                    });
                }
                Event::PeerError(said) => {
                    return Err(LinkError::Refused {
                        place: place.to_owned(),
                        reason: said.to_string(),
                    });
                }
                Event::Error(broken) => return Err(protocol(&broken.to_string())),
                Event::Closed => return Err(protocol("it closed the stream")),
                Event::Stanza(_) | Event::Nonza(_) | Event::Invalid(_) => {
                    return Err(protocol("it sent something else than a handshake"));
                }
            }
        }
    }
}

/// SHA-1 over stream id and secret, in hex.
fn proof(id: &str, secret: &Secret) -> String {
    let digest = Sha1::new()
        .chain_update(id.as_bytes())
        .chain_update(secret.expose().as_bytes())
        .finalize();
    let mut hex = String::with_capacity(40);
    for byte in digest {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_is_that_of_the_xep() {
        // XEP-0114, example 3 gives no digest for its id; this one was computed with sha1sum.
        assert_eq!(
            proof("3BF96D32", &"secret".into()),
            "b09ea9b3b7f586be8a08d0a3dd7466f110aeb136"
        );
    }
}
