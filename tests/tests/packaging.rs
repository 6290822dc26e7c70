//! What packages contain is what the programs are: man pages, completions, samples, units, and every file that is named somewhere.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::Shell;
use spectrum_core::cli::{self, Launcher};
use spectrum_core::config::{Loader, Mode};
use spectrum_gateway::GatewayLauncher;
use spectrum_server::ServerLauncher;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The command line of a binary, with the verbs only that binary has.
fn definition(mode: Mode) -> clap::Command {
    let own = match mode {
        Mode::Gateway => GatewayLauncher::default().commands(),
        Mode::Server => ServerLauncher.commands(),
    };
    cli::command(mode, own)
}

/// Compares a folder with what it should hold, or writes it with `UPDATE_DOCS=1`.
fn folder_holds(folder: &str, wanted: &[(String, Vec<u8>)]) {
    let path = workspace().join(folder);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        for (name, content) in wanted {
            fs::write(path.join(name), content).unwrap();
        }
    }
    let found: BTreeSet<String> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        found, names,
        "{folder}: run `UPDATE_DOCS=1 cargo test -p spectrum-tests --test packaging` and commit"
    );
    for (name, content) in wanted {
        assert!(
            fs::read(path.join(name)).unwrap() == *content,
            "{folder}/{name}: run `UPDATE_DOCS=1 cargo test -p spectrum-tests --test packaging` and commit"
        );
    }
}

#[test]
fn man_pages_are_those_of_the_command_line() {
    let mut pages = Vec::new();
    for mode in [Mode::Gateway, Mode::Server] {
        let mut command = definition(mode).disable_help_subcommand(true);
        command.build();
        let verbs: Vec<clap::Command> = command
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .cloned()
            .collect();
        pages.push((format!("{}.1", mode.binary()), page(command)));
        for verb in verbs {
            let name = format!("{}-{}", mode.binary(), verb.get_name());
            pages.push((format!("{name}.1"), page(verb.display_name(name))));
        }
    }
    folder_holds("packaging/man", &pages);
}

fn page(command: clap::Command) -> Vec<u8> {
    let mut text = Vec::new();
    // Without the day: a page changes when the command line does.
    clap_mangen::Man::new(command)
        .date("")
        .manual("XMPP transports")
        .render(&mut text)
        .unwrap();
    text
}

#[test]
fn completions_are_those_of_the_command_line() {
    for (shell, folder) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let mut scripts = Vec::new();
        for mode in [Mode::Gateway, Mode::Server] {
            let name = match shell {
                Shell::Zsh => format!("_{}", mode.binary()),
                Shell::Fish => format!("{}.fish", mode.binary()),
                _ => mode.binary().to_owned(),
            };
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut definition(mode), mode.binary(), &mut script);
            scripts.push((name, script));
        }
        folder_holds(&format!("packaging/completions/{folder}"), &scripts);
    }
}

#[test]
fn every_sample_is_a_configuration_without_warnings() {
    let mut modes = BTreeSet::new();
    for entry in fs::read_dir(workspace().join("packaging/samples")).unwrap() {
        let path = entry.unwrap().path();
        // As text: whether the checkout can be read by everybody is not the sample's fault.
        let loaded = Loader::text(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap())
            .load()
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.warnings, [], "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with(loaded.config.mode.as_str()),
            "{name} is a {} sample",
            loaded.config.mode
        );
        modes.insert(loaded.config.mode.as_str());
    }
    assert_eq!(modes, BTreeSet::from(["gateway", "server"]));
}

/// Lines in samples that are commented out are promises too.
#[test]
fn samples_with_their_alternatives_are_configurations() {
    let certificate = tempfile::NamedTempFile::new().unwrap();
    let text = read("packaging/samples/server-irc.toml")
        .replace("listen = [\"127.0.0.1:5222\"]\n", "")
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
                .to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
        .replace(
            "/etc/letsencrypt/live/irc.example.org/fullchain.pem",
            certificate.path().to_str().unwrap(),
        )
        .replace(
            "/etc/letsencrypt/live/irc.example.org/privkey.pem",
            certificate.path().to_str().unwrap(),
        );
    let loaded = Loader::text("server-irc.toml", &text)
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.config.server.listen_tls.len(), 1);
}

#[test]
fn units_are_hardened_and_differ_only_where_they_must() {
    let text = |name: &str| read(&format!("packaging/systemd/{name}@.service"));
    let rules = |text: &str| text.split_once("# What it may touch").unwrap().1.to_owned();
    let gateway = text("spectrum-gateway");
    for name in ["spectrum-server", "spectrum"] {
        assert_eq!(rules(&text(name)), rules(&gateway), "{name}");
    }
    for line in [
        "Type=notify",
        "User=spectrum2",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StateDirectory=spectrum2",
        "LogsDirectory=spectrum2",
        "RuntimeDirectory=spectrum2/%i",
        "CapabilityBoundingSet=",
        "LimitCORE=0",
        "RestartPreventExitStatus=64 78",
    ] {
        assert!(gateway.lines().any(|found| found == line), "{line}");
    }
}

fn systemd_can_be_asked() -> bool {
    let installed = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !installed {
        assert!(
            std::env::var_os("SPECTRUM_TESTS_REQUIRE").is_none(),
            "systemd-analyze is missing"
        );
        eprintln!("systemd-analyze is not installed: units were not looked at");
    }
    installed
}

/// systemd's own opinion, where it is installed. The programs are not, so their absence is no error.
#[test]
fn units_are_accepted_by_systemd() {
    if !systemd_can_be_asked() {
        return;
    }
    for name in ["spectrum-gateway", "spectrum-server", "spectrum"] {
        let path = workspace().join(format!("packaging/systemd/{name}@.service"));
        let output = Command::new("systemd-analyze")
            .args(["--man=no", "verify"])
            .arg(path)
            .output()
            .unwrap();
        let complaints: Vec<String> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| !line.contains("is not executable: No such file or directory"))
            .map(str::to_owned)
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// What systemd makes of the hardening: 10 is no protection at all, and below 2 there is little left but the network.
#[test]
fn units_are_little_exposed_in_the_eyes_of_systemd() {
    if !systemd_can_be_asked() {
        return;
    }
    for name in ["spectrum-gateway", "spectrum-server", "spectrum"] {
        let path = workspace().join(format!("packaging/systemd/{name}@.service"));
        let output = Command::new("systemd-analyze")
            .args(["--no-pager", "--offline=yes", "--threshold=20", "security"])
            .arg(path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Runs the launcher with stand-ins that print how they were called.
fn launch(arguments: &[&str], mode_variable: Option<&str>) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["spectrum-gateway", "spectrum-server"] {
        let path = directory.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(workspace().join("packaging/spectrum-launch"));
    command
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
        .env_remove("SPECTRUM_MODE");
    if let Some(mode) = mode_variable {
        command.env("SPECTRUM_MODE", mode);
    }
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap().trim().to_owned(),
    )
}

#[test]
fn launcher_starts_the_binary_of_the_mode() {
    let sample = |name: &str| workspace().join("packaging/samples").join(name).to_str().unwrap().to_owned();
    let (gateway, server) = (sample("gateway-irc.toml"), sample("server-irc.toml"));
    assert_eq!(
        launch(&[&gateway], None),
        (Some(0), format!("spectrum-gateway run --config {gateway}"))
    );
    assert_eq!(
        launch(&[&server, "--once"], None),
        (Some(0), format!("spectrum-server run --config {server} --once"))
    );
    assert_eq!(
        launch(&[&gateway], Some("server")),
        (Some(0), format!("spectrum-server run --config {gateway}"))
    );
    assert_eq!(launch(&["/nonexistent.toml"], None), (Some(78), String::new()));
    assert_eq!(launch(&[], None), (Some(64), String::new()));
}

#[test]
fn launcher_looks_above_the_first_table_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.toml");
    fs::write(&file, "jid = \"a.b\"\n[backend.options]\nmode = \"server\"\n").unwrap();
    assert_eq!(launch(&[file.to_str().unwrap()], None), (Some(78), String::new()));
    fs::write(&file, "  mode='server' # as it is\n").unwrap();
    assert_eq!(launch(&[file.to_str().unwrap()], None).0, Some(0));
}

/// The file names in the metadata of a crate's packages, relative to the workspace.
fn assets(manifest: &str) -> Vec<String> {
    let table: toml::Table = read(manifest).parse().unwrap();
    let metadata = &table["package"]["metadata"];
    let folder = Path::new(manifest).parent().unwrap();
    let deb = metadata["deb"]["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asset| asset[0].as_str().unwrap());
    // cargo-deb counts from the crate, cargo-generate-rpm from the workspace.
    let mut found: Vec<String> = deb
        .map(|source| match source.starts_with("target/") {
            true => source.to_owned(),
            false => folder.join(source).to_str().unwrap().to_owned(),
        })
        .collect();
    found.extend(
        metadata["generate-rpm"]["assets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asset| asset["source"].as_str().unwrap().to_owned()),
    );
    found
}

#[test]
fn everything_the_packages_name_exists() {
    for source in assets("spectrum-gateway/Cargo.toml")
        .into_iter()
        .chain(assets("backends/irc/Cargo.toml"))
        .chain(assets("backends/xmpp/Cargo.toml"))
    {
        if let Some(binary) = source.strip_prefix("target/release/") {
            assert!(
                ["spectrum-gateway", "spectrum-server", "spectrum-irc", "spectrum-xmpp"].contains(&binary),
                "{binary}"
            );
            continue;
        }
        let path = workspace().join(&source);
        let exists = match source.split_once('*') {
            Some(_) => fs::read_dir(path.parent().unwrap()).is_ok_and(|mut entries| entries.next().is_some()),
            None => path.exists(),
        };
        assert!(exists, "{source}");
    }
}

#[test]
fn dependencies_are_each_explained_once_in_order() {
    let table: toml::Table = read("Cargo.toml").parse().unwrap();
    let declared: BTreeSet<&str> = table["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let text = read("docs/dependencies.md");
    let explained: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "))
        .map(|(name, _)| name)
        .collect();
    let mut sorted = explained.clone();
    sorted.sort_unstable();
    assert_eq!(explained, sorted, "docs/dependencies.md is alphabetical");
    assert_eq!(explained.into_iter().collect::<BTreeSet<_>>(), declared);
}

#[test]
fn every_dependency_on_others_is_used_by_a_crate() {
    let table: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = table["workspace"]["members"].as_array().unwrap();
    let manifests: Vec<String> = members
        .iter()
        .map(|member| read(&format!("{}/Cargo.toml", member.as_str().unwrap())))
        .collect();
    for name in table["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .filter(|name| !name.starts_with("spectrum-"))
    {
        let named = |manifest: &String| {
            manifest
                .lines()
                .any(|line| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} =")))
        };
        assert!(
            manifests.iter().any(named),
            "{name} is declared in Cargo.toml and used by no crate"
        );
    }
}
