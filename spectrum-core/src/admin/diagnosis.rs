//! What `doctor` finds: one verdict for each thing looked at, and what belongs into the XMPP server's configuration. Data and its
//! rendering; who looks is a binary's own business.

use serde::{Deserialize, Serialize};

use super::table;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Whether the XMPP server could be asked at all.
    pub reachable: bool,
    /// One for each thing looked at, in the order of looking.
    pub probes: Vec<Probe>,
    /// What is to be done about what is missing; empty where nothing is.
    pub advice: Vec<Advice>,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its name, the same for each run.
    pub name: String,
    /// The result.
    pub verdict: Verdict,
    /// What was seen, or why nothing was.
    pub reason: String,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not there, or not right.
    Missing,
    /// It could not be seen.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What to do about something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Where the text belongs.
    pub place: String,
    /// Lines of a configuration.
    pub text: String,
}

impl Diagnosis {
    /// Whether something is missing.
    #[must_use]
    pub fn lacks_something(&self) -> bool {
        self.probes.iter().any(|probe| probe.verdict == Verdict::Missing)
    }

    /// For people: a line for each probe, then the advice.
    #[must_use]
    pub fn text(&self) -> String {
        let mut rows = self
            .probes
            .iter()
            .map(|probe| vec![probe.verdict.word().to_owned(), probe.name.clone(), probe.reason.clone()]);
        let first = rows.next().unwrap_or_default();
        let header: Vec<&str> = first.iter().map(String::as_str).collect();
        // The header is the first line here: none of the columns needs a name.
        let rows: Vec<Vec<String>> = rows.collect();
        let mut text = table(&header, &rows);
        for advice in &self.advice {
            // What a server says of itself may be part of it: it is not to steer the terminal.
            let lines = format!("\n# {}\n{}\n", advice.place, advice.text.trim_end());
            text.extend(lines.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn people_read_a_line_for_each_probe_and_then_the_advice() {
        let probe = |name: &str, verdict, reason: &str| Probe {
            name: name.to_owned(),
            verdict,
            reason: reason.to_owned(),
        };
        let diagnosis = Diagnosis {
            reachable: true,
            probes: vec![
                probe("link", Verdict::Ok, "up"),
                probe("roster", Verdict::Missing, "not granted"),
                probe("archive", Verdict::Unknown, "no\u{1b}answer"),
            ],
            advice: vec![Advice {
                place: "somewhere".to_owned(),
                text: "a = 1\u{1b}\n".to_owned(),
            }],
        };
        let expected = "\
ok       link     up
missing  roster   not granted
unknown  archive  no?answer

# somewhere
a = 1?
";
        assert_eq!(diagnosis.text(), expected);
        assert!(diagnosis.lacks_something());
        let json = serde_json::to_value(&diagnosis).unwrap();
        assert_eq!(json["probes"][1]["verdict"], "missing");
        assert_eq!(serde_json::from_value::<Diagnosis>(json).unwrap(), diagnosis);
    }
}
