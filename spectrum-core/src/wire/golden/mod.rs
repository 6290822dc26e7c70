//! Golden frames for tests: files of names and bytes in hex, one frame or batch a line.

use std::collections::BTreeMap;

/// Reads a file: name, then hex; `#` begins a comment.
pub(super) fn read(text: &str) -> BTreeMap<&str, Vec<u8>> {
    let mut frames = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        assert!(frames.insert(name, from_hex(hex)).is_none(), "{name} is there twice");
    }
    frames
}

pub(super) fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).expect("a hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
