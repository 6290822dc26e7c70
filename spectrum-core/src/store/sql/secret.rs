//! What a sealed value holds, as bytes: length-prefixed texts, so that nothing secret passes through a formatter.

use zeroize::Zeroizing;

use crate::model::{FormAnswers, Secret};

/// Password and settings of a registration.
pub(super) fn encode_secret(password: &Secret, settings: &FormAnswers) -> Zeroizing<Vec<u8>> {
    let texts = || std::iter::once(password.expose()).chain(settings.iter().flat_map(|(k, v)| [k.as_str(), v.expose()]));
    encode(texts().map(str::len).sum(), texts())
}

/// Reads what [`encode_secret`] wrote.
pub(super) fn decode_secret(bytes: &[u8]) -> Option<(Secret, FormAnswers)> {
    let mut texts = decode(bytes)?.into_iter();
    let password = Secret::new(texts.next()?);
    let mut settings = FormAnswers::new();
    while let Some(key) = texts.next() {
        settings.insert(key.to_owned(), Secret::new(texts.next()?));
    }
    Some((password, settings))
}

/// A room's password, bound to the room: all passwords of one user's rooms share a column.
pub(super) fn encode_text(room: &str, password: &Secret) -> Zeroizing<Vec<u8>> {
    encode(room.len() + password.expose().len(), [room, password.expose()].into_iter())
}

/// Reads what [`encode_text`] wrote for this room.
pub(super) fn decode_text(room: &str, bytes: &[u8]) -> Option<Secret> {
    match decode(bytes)?.as_slice() {
        [bound, password] if *bound == room => Some(Secret::new(*password)),
        _ => None,
    }
}

fn encode<'a>(length: usize, texts: impl Iterator<Item = &'a str> + Clone) -> Zeroizing<Vec<u8>> {
    // Never grown: a buffer left behind by growing would not be wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 4 * texts.clone().count()));
    for text in texts {
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Vec<&str>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        texts.push(std::str::from_utf8(text).ok()?);
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_and_settings_come_back() {
        let settings = FormAnswers::from([("server".to_owned(), "x\0y".into()), ("token".to_owned(), Secret::default())]);
        let bytes = encode_secret(&"p\u{e4}ss".into(), &settings);
        assert_eq!(decode_secret(&bytes), Some(("p\u{e4}ss".into(), settings)));
        assert_eq!(
            decode_secret(&encode_secret(&Secret::default(), &FormAnswers::new())),
            Some(Default::default())
        );
    }

    #[test]
    fn torn_value_is_refused() {
        let bytes = encode_secret(&"secret".into(), &FormAnswers::from([("k".to_owned(), "v".into())]));
        for length in 0..bytes.len() {
            let whole_texts = [10, 15].contains(&length);
            assert_eq!(
                decode(&bytes[..length]).is_some(),
                length == 0 || whole_texts,
                "length {length}"
            );
            assert!(decode_secret(&bytes[..length]).is_none() || length == 10, "length {length}");
        }
    }

    #[test]
    fn password_of_another_room_is_refused() {
        let bytes = encode_text("#a", &"secret".into());
        assert_eq!(decode_text("#a", &bytes), Some("secret".into()));
        assert_eq!(decode_text("#b", &bytes), None);
    }
}
