//! Columns for people.

/// Lines up rows under a header; every line ends with a newline, none with a space. Control characters are shown as `?`, so that a
/// name from outside cannot steer the terminal.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
    let mut lines: Vec<Vec<String>> = vec![header.iter().map(|text| (*text).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()));
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}
