//! A moment on the wall clock, as data: whoever has a clock makes one.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the epoch; beyond the range of milliseconds it saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// As XMPP writes it (XEP-0082): in UTC and to the millisecond.
    pub fn date_time(self) -> String {
        let (days, of_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let (secs, millis) = (of_day / 1000, of_day % 1000);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
            secs / 3600,
            secs / 60 % 60,
            secs % 60
        )
    }

    /// Reads a date and time of XEP-0082, with any zone, to the millisecond; `None` for anything else.
    pub fn from_date_time(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = text.get(range)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let punctuation = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
        if punctuation
            .iter()
            .any(|&(at, c)| text.get(at..=at) != Some(c.to_string().as_str()))
        {
            return None;
        }
        let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        if !in_range {
            return None;
        }
        let mut rest = text.get(19..)?;
        let mut millis = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let digits: String = fraction.get(..end)?.chars().chain("000".chars()).take(3).collect();
            millis = digits.parse().ok()?;
            rest = fraction.get(end..)?;
        }
        let offset = match rest {
            "Z" | "z" => 0,
            zone => {
                let sign = match zone.get(..1)? {
                    "+" => 1,
                    "-" => -1,
                    _ => return None,
                };
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                let below = |text: &str, end: i64| text.parse().ok().filter(|number| (0..end).contains(number));
                sign * (below(hours, 24)? * 60 + below(minutes, 60)?)
            }
        };
        let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset;
        Some(Self::from_millis((minutes * 60 + second) * 1000 + millis))
    }
}

/// Days since 1970-01-01, in the proleptic Gregorian calendar: years are taken from March on, so that the leap day is the
/// last of its year, and 400 years always have 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse of [`days`].
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(0).date_time(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp::from_millis(1_709_210_096_789).date_time(),
            "2024-02-29T12:34:56.789Z"
        );
        assert_eq!(Timestamp::from_millis(-1).date_time(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_secs(951_782_400).date_time(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn times_are_read_with_their_zone() {
        let millis = |text: &str| Timestamp::from_date_time(text).map(Timestamp::as_millis);
        assert_eq!(millis("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("1969-12-31T19:00:00.5-05:00"), Some(500));
        assert_eq!(millis("2024-02-29T12:34:56.789123Z"), Some(1_709_210_096_789));
        for bad in [
            "",
            "2024",
            "2024-13-01T00:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+9223372036854775807:00",
            "２０２４-01-01T00:00:00Z",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_time_written_is_read_back(at in -62_135_596_800_000_i64..253_402_300_800_000) {
            let at = Timestamp::from_millis(at);
            prop_assert_eq!(Timestamp::from_date_time(&at.date_time()), Some(at));
        }

        #[test]
        fn no_text_is_too_strange_for_a_time(text in ".*") {
            let _ = Timestamp::from_date_time(&text);
        }
    }
}
