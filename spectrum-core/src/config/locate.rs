//! Which line of the file a dotted key stands on (figment knows lines for syntax errors only).

use std::ops::Range;
use std::path::Path;

use toml_edit::{ImDocument, Item, Table, TableLike};

use super::error::{ConfigError, Problem};
use super::layers::Origin;

/// The parsed file with the places of its keys.
pub(super) struct Locator {
    document: ImDocument<String>,
}

impl Locator {
    /// Parses `text`; a syntax error becomes a problem with its line.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        match ImDocument::parse(text.to_owned()) {
            Ok(document) => Ok(Self { document }),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let message = format!("not valid TOML: {}", error.message().trim().replace('\n', ", "));
                Err(ConfigError::Invalid(vec![Problem::at(
                    Origin::File(path.to_owned(), line),
                    "",
                    message,
                )]))
            }
        }
    }

    /// The line, from 1, of a key or of the nearest table above it.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let mut table: &dyn TableLike = self.document.as_table() as &Table;
        let mut found: Option<Range<usize>> = None;
        for part in key.split('.') {
            let Some((name, item)) = table.get_key_value(part) else {
                break;
            };
            // A table's own span is its header; a key's span is where the value was written.
            found = match item {
                Item::Table(inner) => inner.span().or_else(|| name.span()).or(found),
                Item::None | Item::Value(_) | Item::ArrayOfTables(_) => name.span().or_else(|| item.span()).or(found),
            };
            match item.as_table_like() {
                Some(inner) => table = inner,
                None => break,
            }
        }
        found.map(|span| line_of(self.document.raw(), span.start))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
