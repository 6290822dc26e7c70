//! Outages as administrators tell them, planned or at present, and as XEP-0455 writes them. The note is kept in the file that a web
//! server hands out while the transport is down; without one it ends with the process. Owned by the instance.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tracing::warn;

use super::ControlError;
use crate::model::Timestamp;

/// The longest text of an outage, in bytes: it stands in every user's roster.
pub const MAX_TEXT: usize = 1_000;
/// The largest file that is read.
const MAX_FILE: u64 = 64 << 10;

/// An outage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Whether it was announced before it began.
    pub is_planned: bool,
    /// When it begins, or has begun.
    pub beginning: Timestamp,
    /// When it is expected to end.
    pub expected_end: Option<Timestamp>,
    /// For people.
    pub text: String,
}

impl Outage {
    /// What an administrator says of it: `beginning` is a date and time (RFC 3339) or `now`, `end` one or `-`.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with what is wrong.
    pub fn told(beginning: &str, end: &str, text: &str, now: Timestamp) -> Result<Self, ControlError> {
        let refused = |text: String| Err(ControlError::Refused(text));
        let begins = match beginning {
            "now" => now,
            other => time(other)?,
        };
        let expected_end = match end {
            "-" | "" => None,
            other => Some(time(other)?),
        };
        if expected_end.is_some_and(|end| end <= begins || end <= now) {
            return refused(format!("{end} is not after its beginning, or has passed"));
        }
        if text.is_empty() || text.len() > MAX_TEXT {
            return refused(format!("the text has from 1 to {MAX_TEXT} bytes"));
        }
        Ok(Self {
            is_planned: begins > now,
            beginning: begins,
            expected_end,
            text: text.to_owned(),
        })
    }

    /// XEP-0455 section 3.2.
    fn json(&self) -> Value {
        let mut json = json!({
            "planned": self.is_planned,
            "beginning": self.beginning.date_time(),
            "message": { "default": self.text },
        });
        if let Some(end) = self.expected_end {
            json["expected_end"] = json!(end.date_time());
        }
        json
    }

    fn read(json: &Value) -> Option<Self> {
        Some(Self {
            is_planned: json["planned"].as_bool().unwrap_or_default(),
            beginning: time(json["beginning"].as_str()?).ok()?,
            expected_end: json["expected_end"].as_str().and_then(|end| time(end).ok()),
            text: json["message"]["default"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// For people.
    pub fn words(&self, now: Timestamp) -> String {
        let mut words = if self.beginning > now {
            format!("Outage planned for {}", self.beginning.date_time())
        } else {
            format!("Outage since {}", self.beginning.date_time())
        };
        if let Some(end) = self.expected_end {
            words.push_str(&format!(", expected to end {}", end.date_time()));
        }
        format!("{words}: {}", self.text)
    }
}

fn time(text: &str) -> Result<Timestamp, ControlError> {
    Timestamp::from_date_time(text)
        .ok_or_else(|| ControlError::Refused(format!("{text} is no date and time, such as 2027-01-31T22:00:00Z")))
}

/// The note of an instance.
#[derive(Debug)]
pub struct OutageNote {
    file: Option<PathBuf>,
    outage: Mutex<Option<Outage>>,
    /// Who writes the file. Held while a thread does, which is why it is tokio's: nobody else waits for it.
    writing: tokio::sync::Mutex<()>,
}

impl OutageNote {
    /// As it was when the instance ended. Blocks for the file, if there is one.
    pub fn open(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            outage: Mutex::new(file.and_then(read)),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// The outage there is or will be.
    pub fn current(&self) -> Option<Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an outage, or that there is none. Waits for the file, if there is one; it is written by a thread that may block, for
    /// it may be on a disk of another machine. Of two at the same time the later one counts, in the file too.
    ///
    /// # Errors
    /// [`ControlError::Failed`] if the file cannot be written; the note is as it was.
    pub async fn set(&self, outage: Option<Outage>) -> Result<(), ControlError> {
        let _turn = self.writing.lock().await;
        if let Some(file) = self.file.clone() {
            // "When the outage is over, the file SHOULD be replaced with an empty JSON object."
            let json = outage.as_ref().map_or_else(|| json!({}), Outage::json);
            let name = file.display().to_string();
            let written = tokio::task::spawn_blocking(move || replace(&file, &format!("{json}\n"))).await;
            written
                .unwrap_or_else(|ended| Err(std::io::Error::other(ended)))
                .map_err(|failed| ControlError::Failed(format!("cannot write {name}: {failed}")))?;
        }
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
        Ok(())
    }
}

fn read(file: &Path) -> Option<Outage> {
    let text = match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() <= MAX_FILE => std::fs::read_to_string(file),
        Ok(_) => Err(std::io::Error::other("it is too large")),
        Err(failed) if failed.kind() == std::io::ErrorKind::NotFound => return None,
        Err(failed) => Err(failed),
    };
    match text {
        Ok(text) => Outage::read(&serde_json::from_str(&text).unwrap_or_default()),
        Err(failed) => {
            warn!(file = %file.display(), error = %failed, "Could not read the note of an outage.");
            None
        }
    }
}

/// In one step, for a web server reads it at any time.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        time(text).unwrap()
    }

    #[tokio::test]
    async fn a_note_is_written_as_the_xep_has_it_and_survives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("outage.json");
        let note = OutageNote::open(Some(&file));
        assert_eq!(note.current(), None);
        let now = at("2027-01-01T00:00:00Z");
        let outage = Outage::told("2027-01-02T01:00:00Z", "2027-01-02T03:00:00+01:00", "We move.", now).unwrap();
        note.set(Some(outage.clone())).await.unwrap();
        let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let expected = json!({
            "planned": true,
            "beginning": "2027-01-02T01:00:00.000Z",
            "expected_end": "2027-01-02T02:00:00.000Z",
            "message": { "default": "We move." },
        });
        assert_eq!(written, expected);
        assert_eq!(OutageNote::open(Some(&file)).current(), Some(outage));
        note.set(None).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
        assert_eq!(OutageNote::open(Some(&file)).current(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let now = at("2027-01-01T00:00:00Z");
        for (beginning, end, text) in [
            ("tomorrow", "-", "x"),
            ("now", "soon", "x"),
            ("now", "2026-12-31T00:00:00Z", "x"),
            ("2027-02-01T00:00:00Z", "2027-01-31T00:00:00Z", "x"),
            ("now", "-", ""),
        ] {
            assert!(Outage::told(beginning, end, text, now).is_err(), "{beginning} {end} {text:?}");
        }
        assert!(Outage::told("now", "-", &"x".repeat(MAX_TEXT + 1), now).is_err());
    }

    #[test]
    fn people_are_told_when_and_why() {
        let now = at("2027-01-01T00:00:00Z");
        let outage = Outage::told("now", "-", "The network is down.", now).unwrap();
        assert!(!outage.is_planned);
        assert_eq!(
            outage.words(now),
            "Outage since 2027-01-01T00:00:00.000Z: The network is down."
        );
        let outage = Outage::told("2027-01-02T01:00:00Z", "2027-01-02T02:00:00Z", "We move.", now).unwrap();
        assert_eq!(
            outage.words(now),
            "Outage planned for 2027-01-02T01:00:00.000Z, expected to end 2027-01-02T02:00:00.000Z: We move."
        );
    }
}
