//! The import law of the house: which layer may name what, and which crates reach whom.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files
}

/// The program text of a file: without comments, and without the tests, which come last.
fn program_text(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    program
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Lines of the brain (layer 2) that name one of these words.
fn brain_lines_with(parts: &[&str], words: &[&str]) -> Vec<String> {
    let core = workspace().join("spectrum-core/src");
    let mut found = Vec::new();
    for part in parts {
        let path = core.join(part);
        let files = if path.is_dir() { rust_files(&path) } else { vec![path] };
        assert!(!files.is_empty(), "{part} has no files: has the brain moved?");
        for file in files {
            // Tests may have a clock.
            if file.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            for line in program_text(&file).lines() {
                if words.iter().any(|word| names(line, word)) {
                    found.push(format!("{}: {}", file.strip_prefix(&core).unwrap().display(), line.trim()));
                }
            }
        }
    }
    found
}

/// Whether a line names a word, whole.
fn names(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name))
}

#[test]
fn the_brain_has_no_clock_and_does_nothing_to_the_world() {
    let brain = ["dialogue", "session", "service", "face.rs", "stream", "stanza.rs"];
    let world = [
        "tokio",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "sqlx",
        "rustls",
    ];
    assert_eq!(brain_lines_with(&brain, &world), [""; 0]);
}

#[test]
fn the_vocabulary_names_no_xmpp_and_no_runtime() {
    let vocabulary = ["model", "backend", "wire"];
    let above = [
        "tokio",
        "xmpp_parsers",
        "minidom",
        "xso",
        "rxml",
        "std::fs",
        "Instant::now",
        "SystemTime",
    ];
    assert_eq!(brain_lines_with(&vocabulary, &above), [""; 0]);
}

#[test]
fn a_session_does_not_know_its_mode() {
    assert_eq!(
        brain_lines_with(&["session"], &["Mode", "server_mode", "is_gateway", "is_server"]),
        [""; 0]
    );
}

fn tree(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--prefix", "none", "--edges", "normal"])
        .args(arguments)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_backend_author_gets_no_database_no_tls_and_no_xmpp() {
    let tree = tree(&["-p", "spectrum-backend-sdk"]);
    for crate_name in ["sqlx", "rustls", "xmpp-parsers", "xso", "minidom", "figment", "hyper"] {
        let found = tree.lines().find(|line| line.split(' ').next() == Some(crate_name));
        assert_eq!(found, None);
    }
    assert!(
        tree.lines().any(|line| line.starts_with("spectrum-core ")),
        "this test looks at something else"
    );
}

#[test]
fn gateway_and_server_do_not_know_each_other() {
    assert!(!tree(&["-p", "spectrum-gateway"]).contains("spectrum-server "));
    assert!(!tree(&["-p", "spectrum-server"]).contains("spectrum-gateway "));
}

#[test]
fn stanzas_have_one_namespace_in_the_whole_workspace() {
    // The feature `component` of xmpp-parsers would switch it, and cargo unifies features over the workspace.
    assert_eq!(xmpp_parsers::ns::DEFAULT_NS, "jabber:client");
    let features = tree(&["--workspace", "--edges", "features", "-i", "xmpp-parsers"]);
    assert!(features.contains("xmpp-parsers"), "{features}");
    assert!(!features.contains("feature \"component\""), "{features}");
}

#[test]
fn words_are_found_whole_and_not_in_comments_or_tests() {
    assert!(names("use tokio::x;", "tokio") && !names("my_tokio", "tokio") && !names("tokios", "tokio"));
    let core = program_text(&workspace().join("spectrum-core/src/stream/mod.rs"));
    assert!(!core.contains("//!") && !core.contains("mod tests {"));
}
