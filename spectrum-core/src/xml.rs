//! Small XML pieces that many stanzas share.

use minidom::Element;
use rxml::{Namespace, NcName};
use xmpp_parsers::message::Message;

use crate::model::Timestamp;

/// Message hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Room administration (XEP-0045 9).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Room configuration (XEP-0045 10).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Direct invitations (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";

/// An element with attributes. Names are ours and known to be names; an empty value is written.
pub fn element(name: &str, namespace: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::builder(name, namespace).build();
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// The same with a text inside.
pub fn text_element(name: &str, namespace: &str, text: &str) -> Element {
    let mut element = Element::builder(name, namespace).build();
    element.append_text_node(text);
    element
}

/// Sets an attribute.
pub fn set(element: &mut Element, name: &str, value: &str) {
    if let Ok(name) = NcName::try_from(name) {
        element.set_attr(Namespace::NONE, name, value);
    }
}

/// `<delay/>` (XEP-0203): said at this time, kept by `by`.
pub fn delay(at: Timestamp, by: &str) -> Element {
    element("delay", xmpp_parsers::ns::DELAY, &[("stamp", &date_time(at)), ("from", by)])
}

/// A time as XEP-0082 writes it, in UTC and to the millisecond.
pub fn date_time(at: Timestamp) -> String {
    let millis = at.as_millis();
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (secs, millis) = (of_day / 1000, of_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        secs / 3600,
        secs / 60 % 60,
        secs % 60
    )
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar: years are taken from March on, so
/// that the leap day is the last of its year, and 400 years always have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The text of a message: without a language if there is one, else any.
pub fn body(message: &Message) -> Option<&str> {
    message.get_best_body(vec![""]).map(|(_, body)| body.as_str())
}

/// The payload of this name.
pub fn payload<'a>(payloads: &'a [Element], name: &str, namespace: &str) -> Option<&'a Element> {
    payloads.iter().find(|p| p.is(name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(date_time(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            date_time(Timestamp::from_millis(1_709_210_096_789)),
            "2024-02-29T12:34:56.789Z"
        );
        assert_eq!(date_time(Timestamp::from_millis(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(date_time(Timestamp::from_secs(951_782_400)), "2000-02-29T00:00:00.000Z");
    }
}
