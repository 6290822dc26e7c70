//! The configuration file that a Spectrum 2 backend takes as its last argument: INI as Boost and Python read it.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::model::Secret;

/// The text of such a file.
#[derive(Debug, Default)]
pub(crate) struct ConfigText {
    /// Section, key, values; sections in the order they first appear.
    entries: Vec<(String, String, Vec<Secret>)>,
}

/// Why an option cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum IniError {
    /// A key is not `section.key`, or has characters of its own meaning.
    #[error("the backend option {0:?} cannot be written to a Spectrum 2 configuration: it must be \"section.key\"")]
    Key(String),
    /// A value has characters that would end it.
    #[error("the value of the backend option {0:?} has a control character")]
    Value(String),
}

impl ConfigText {
    /// Sets a key, as `section.key`. A value of several lines is a list: the key is repeated for each.
    ///
    /// # Errors
    /// [`IniError`] if the file could not say that.
    pub(crate) fn set(&mut self, key: &str, value: &Secret) -> Result<(), IniError> {
        let legal = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        let (section, name) = key
            .split_once('.')
            .filter(|(s, n)| legal(s) && legal(n))
            .ok_or_else(|| IniError::Key(key.to_owned()))?;
        if value.expose().chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(IniError::Value(key.to_owned()));
        }
        if value.expose().contains('#') {
            tracing::warn!(
                key,
                "A backend option has a \"#\": backends written in C++ read it up to there."
            );
        }
        let values = value.expose().split('\n').map(Secret::new).collect();
        match self.entries.iter_mut().find(|(s, n, _)| s == section && n == name) {
            Some(entry) => entry.2 = values,
            None => self.entries.push((section.to_owned(), name.to_owned(), values)),
        }
        Ok(())
    }

    fn render(&self) -> Zeroizing<String> {
        let mut sections: Vec<&str> = Vec::new();
        for (section, _, _) in &self.entries {
            if !sections.contains(&section.as_str()) {
                sections.push(section);
            }
        }
        // Room for everything from the start: growing would leave copies of secrets behind.
        let bytes = self
            .entries
            .iter()
            .flat_map(|(s, n, v)| v.iter().map(move |v| s.len() + n.len() + v.expose().len() + 8))
            .sum();
        let mut text = Zeroizing::new(String::with_capacity(bytes));
        for section in sections {
            let _ = writeln!(text, "[{section}]");
            for (_, name, values) in self.entries.iter().filter(|(s, _, _)| s == section) {
                for value in values {
                    let _ = writeln!(text, "{name}={}", value.expose());
                }
            }
        }
        text
    }
}

/// A written file, readable for us alone; removed when dropped.
#[derive(Debug)]
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    /// Writes it, over whatever a previous run has left there.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn write(path: PathBuf, text: &ConfigText) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // `create_new` follows no link that somebody has put there meanwhile.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = Self(path);
        file.write_all(text.render().as_bytes())?;
        Ok(written)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "Could not remove the configuration of a backend.");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_grouped_by_section_and_later_values_replace_earlier_ones() {
        let mut text = ConfigText::default();
        text.set("service.jid", &Secret::new("irc.example.org")).unwrap();
        text.set("identity.name", &Secret::new("IRC")).unwrap();
        text.set("service.allowed_servers", &Secret::new("a.example\nb.example"))
            .unwrap();
        text.set("identity.name", &Secret::new("Chat = \"x\"; [y]")).unwrap();
        assert_eq!(
            *text.render(),
            "[service]\njid=irc.example.org\nallowed_servers=a.example\nallowed_servers=b.example\n\
             [identity]\nname=Chat = \"x\"; [y]\n"
        );
    }

    #[test]
    fn key_that_would_be_something_else_is_refused() {
        let mut text = ConfigText::default();
        for key in ["jid", "", ".x", "x.", "a b.c", "a]\n[b.c", "a.b=c", "a.#b"] {
            assert_eq!(text.set(key, &Secret::new("v")), Err(IniError::Key(key.to_owned())));
        }
        assert_eq!(text.set("a.b", &Secret::new("x\ry")), Err(IniError::Value("a.b".to_owned())));
        assert_eq!(*text.render(), "");
    }

    #[test]
    fn file_is_private_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.cfg");
        fs::write(&path, "left over").unwrap();
        let mut text = ConfigText::default();
        text.set("a.b", &Secret::new("c")).unwrap();
        let file = ConfigFile::write(path.clone(), &text).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "[a]\nb=c\n");
        drop(file);
        assert!(!path.exists());
    }
}
