//! Every play of `tests/plays`, in both modes, with the real programs.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use spectrum_tests::Outcome;
use spectrum_tests::play::{GatewayStage, ServerStage, Stage, native_demo, perform};

/// The plays of a folder: those directly in `plays` are for the echo backend.
fn plays(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plays").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "play"));
    files.sort();
    // One of them alone, while it is written: PLAY=echo cargo test --test plays
    if let Ok(only) = std::env::var("PLAY") {
        files.retain(|file| file.file_stem().is_some_and(|stem| stem == only.as_str()));
    }
    assert!(!files.is_empty() || std::env::var("PLAY").is_ok());
    files
}

/// Runs all plays, each on a stage of its own, and reports every one that failed.
async fn perform_all<S: Stage>(folder: &str, stage: impl AsyncFn() -> Outcome<S>) {
    let mut failures = Vec::new();
    for play in plays(folder) {
        let mut stage = stage().await.unwrap();
        if let Err(failure) = perform(&play, &mut stage).await {
            failures.push(failure.to_string());
        }
    }
    assert!(
        failures.is_empty(),
        "{} plays failed:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[tokio::test]
async fn plays_in_gateway_mode() {
    perform_all("", GatewayStage::start).await;
}

#[tokio::test]
async fn plays_in_server_mode() {
    perform_all("", ServerStage::start).await;
}

#[tokio::test]
async fn plays_with_the_demo_network_in_gateway_mode() {
    let backend = native_demo().unwrap();
    perform_all("demo", async || GatewayStage::with_backend(&backend).await).await;
}

#[tokio::test]
async fn plays_with_the_demo_network_in_server_mode() {
    let backend = native_demo().unwrap();
    perform_all("demo", async || ServerStage::with_backend(&backend).await).await;
}
