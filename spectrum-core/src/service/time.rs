//! Entity time (XEP-0202) of the transport, always in UTC. Stateless.

use minidom::Element;
use xmpp_parsers::ns;

use crate::model::Timestamp;
use crate::service::{Action, Answer, Request, Service, ServiceCx};

/// Says what time it is here.
#[derive(Clone, Copy, Debug)]
pub struct EntityTime;

impl Service for EntityTime {
    fn features(&self) -> &'static [&'static str] {
        &[ns::TIME]
    }

    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        if request.action != Action::Get || !request.payload.is("time", ns::TIME) {
            return None;
        }
        let text = |name: &str, text: &str| Element::builder(name, ns::TIME).append(text).build();
        let time = Element::builder("time", ns::TIME)
            .append(text("tzo", "+00:00"))
            .append(text("utc", &timestamp(cx.wall)))
            .build();
        Some(Ok(Some(time)))
    }
}

/// A moment as XEP-0082 writes it, in UTC with milliseconds where there are any. Moments outside the years 0 to 9999 are
/// written as the nearest one inside.
pub fn timestamp(at: Timestamp) -> String {
    const MILLIS_PER_DAY: i64 = 86_400_000;
    /// 0000-01-01 and 9999-12-31T23:59:59.999.
    const RANGE: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);
    let millis = at.as_millis().clamp(RANGE.0, RANGE.1);
    let (days, time) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    // Days to a date in the proleptic Gregorian calendar, counting years from March so that leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second, rest) = (time / 3_600_000, time / 60_000 % 60, time / 1_000 % 60, time % 1_000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (1_795_651_200_000, "2026-11-26T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(Timestamp::from_millis(millis)), expected);
        }
    }
}
