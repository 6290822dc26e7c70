//! Times on this wire: `YYYYMMDDTHHMMSS` in UTC. Some backends send seconds since 1970 instead; they are understood too.

use crate::model::Timestamp;

/// Reads a time; `None` if there is none or it is no time, which must not cost the message.
pub(super) fn read(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Some((date, clock)) = text.split_once('T') {
        return basic(date, clock);
    }
    let seconds: i64 = text.parse().ok()?;
    (seconds > 0).then(|| Timestamp::from_secs(seconds))
}

fn basic(date: &str, clock: &str) -> Option<Timestamp> {
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if date.len() != 8 || clock.len() != 6 || !digits(date) || !digits(clock) || !digits(fraction) {
        return None;
    }
    let number = |text: &str| text.parse::<i64>().ok();
    let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
    let (hour, minute, second) = (number(&clock[..2])?, number(&clock[2..4])?, number(&clock[4..])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let millis = format!("{fraction:0<3.3}").parse::<i64>().ok()?;
    Some(Timestamp::from_millis(seconds * 1000 + millis))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        read(text.as_bytes()).map(Timestamp::as_millis)
    }

    #[test]
    fn basic_format_is_utc() {
        assert_eq!(millis("19700101T000000"), Some(0));
        assert_eq!(millis("20000229T235959"), Some(951_868_799_000));
        assert_eq!(millis("20261125T011813"), Some(1_795_569_493_000));
        assert_eq!(millis("20261125T011813.25Z"), Some(1_795_569_493_250));
    }

    #[test]
    fn seconds_since_the_epoch_are_understood() {
        assert_eq!(millis("1700000000"), Some(1_700_000_000_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "20261325T000000",
            "2026-11-25T01:18:13",
            "20261125T0118",
            "-5",
            "0",
            "T",
            "20261125T01181é",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
