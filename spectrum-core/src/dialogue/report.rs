//! What came of a command: a text, single values, and a table where there is more than one thing to tell. Owned by who asked.

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// For people; may have several lines.
    pub text: String,
    /// Values with name and label, as XEP-0133 names them.
    pub fields: Vec<(&'static str, &'static str, Vec<String>)>,
    /// Names and labels of the table's columns.
    pub columns: Vec<(&'static str, &'static str)>,
    /// Its rows, each as long as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// A text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// One value.
    pub fn value(name: &'static str, label: &'static str, value: String) -> Self {
        Self {
            fields: vec![(name, label, vec![value])],
            ..Self::default()
        }
    }

    /// Everything as lines, for a chat or a terminal. A table says more than the values beside it.
    pub fn lines(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if !self.text.is_empty() {
            lines.push(self.text.clone());
        }
        if self.columns.is_empty() {
            lines.extend(self.fields.iter().flat_map(|(_, _, values)| values.iter().cloned()));
        }
        lines.extend(self.rows.iter().map(|row| row.join("  ")));
        if lines.is_empty() {
            return "Nothing.".to_owned();
        }
        lines.join("\n")
    }
}
