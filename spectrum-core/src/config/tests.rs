//! Behaviour of the configuration as somebody who edits the file sees it.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::model::UserKey;

const GATEWAY: &str = "\
mode = \"gateway\"
jid = \"irc.example.org\"
[gateway]
secret = \"hunter2\"
[backend]
command = [\"/usr/lib/spectrum/spectrum-irc\"]
";

const SERVER: &str = "\
mode = \"server\"
jid = \"irc.example.org\"
[server]
listen = [\"127.0.0.1:5222\"]
[backend]
builtin = \"irc\"
";

fn problems(text: &str) -> Vec<String> {
    match Loader::text("irc.toml", text).load() {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(Problem::to_string).collect(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    Loader::text("irc.toml", text)
        .load()
        .unwrap()
        .warnings
        .iter()
        .map(Problem::to_string)
        .collect()
}

fn with_environment(text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    Loader::text("irc.toml", text)
        .environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        .load()
}

#[test]
fn minimal_gateway_gets_the_documented_defaults() {
    let config = Config::from_toml(GATEWAY).unwrap();
    assert_eq!(config.gateway.server, "127.0.0.1");
    assert_eq!(config.gateway.port, 5347);
    assert_eq!(config.gateway.secret.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(config.backend.users_per_backend, 5000);
    assert_eq!(
        config.storage_url(),
        Some("sqlite:///var/lib/spectrum2/irc.example.org/spectrum.db")
    );
    assert_eq!(
        config.control.socket,
        std::path::Path::new("/run/spectrum2/irc.example.org/control.sock")
    );
    assert_eq!(config.server.login_timeout, Duration::from_secs(30));
}

#[test]
fn server_mode_needs_no_storage() {
    assert_eq!(Config::from_toml(SERVER).unwrap().storage_url(), None);
}

#[test]
fn users_per_backend_defaults_to_100_on_the_spectrum2_wire() {
    let config = Config::from_toml(&format!("{GATEWAY}wire = \"spectrum2\"")).unwrap();
    assert_eq!(config.backend.users_per_backend, 100);
}

#[test]
fn unknown_key_names_line_and_nearest_key() {
    assert_eq!(
        problems(&format!("{GATEWAY}wier = \"native\"")),
        ["irc.toml:7: backend.wier: unknown key; did you mean backend.wire?"]
    );
}

#[test]
fn unknown_key_in_the_wrong_table_names_the_right_table() {
    let text = GATEWAY.replace("[backend]", "listen_tls = [\"[::]:5223\"]\n[backend]");
    assert_eq!(
        problems(&text),
        ["irc.toml:5: gateway.listen_tls: unknown key; did you mean server.listen_tls?"]
    );
}

#[test]
fn unknown_table_is_reported_with_its_line() {
    assert_eq!(
        problems(&format!("{GATEWAY}[bakend]\ncommand = []")),
        ["irc.toml:8: bakend.command: unknown key; did you mean backend.command?"]
    );
}

#[test]
fn key_that_resembles_nothing_gets_no_suggestion() {
    assert_eq!(
        problems(&format!("{GATEWAY}[zzzzzzzz]\nqqqqqq = 1")),
        ["irc.toml:8: zzzzzzzz.qqqqqq: unknown key"]
    );
}

#[test]
fn wrong_types_are_all_reported_at_once() {
    let text =
        "mode = \"gatewy\"\njid = \"irc.example.org\"\n[gateway]\nport = \"x\"\nsecret = 5\n[server]\nlisten = \"[::]:1\"\n";
    assert_eq!(
        problems(text),
        [
            "irc.toml:1: mode: expected \"gateway\" or \"server\", found \"gatewy\"",
            "irc.toml:4: gateway.port: expected a number from 0 to 65535, found a string",
            "irc.toml:5: gateway.secret: expected a string, found a number",
            "irc.toml:7: server.listen: expected a list of addresses with ports such as [\"127.0.0.1:5222\", \"[::]:5222\"], found a string",
        ]
    );
}

#[test]
fn syntax_error_names_its_line() {
    let found = problems("mode = \"gateway\"\njid = [\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("irc.toml:3: not valid TOML: ") || found[0].starts_with("irc.toml:2: not valid TOML: "),
        "{found:?}"
    );
}

#[test]
fn missing_file_is_an_error_that_names_it() {
    let error = Loader::file("/nonexistent/irc.toml").load().unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().contains("/nonexistent/irc.toml"));
}

#[test]
fn file_above_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("big.toml");
    std::fs::write(&path, vec![b'#'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
    assert!(matches!(Loader::file(path).load(), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn missing_required_keys_are_named() {
    assert_eq!(
        problems(""),
        [
            "irc.toml: mode: missing; write mode = \"gateway\" or mode = \"server\"",
            "irc.toml: jid: missing; write the transport's own JID, such as jid = \"irc.example.org\"",
        ]
    );
}

#[test]
fn environment_wins_over_the_file_and_command_line_over_both() {
    let loaded = Loader::text("irc.toml", GATEWAY)
        .environment([
            ("SPECTRUM_GATEWAY__PORT".to_owned(), "1".to_owned()),
            ("SPECTRUM_GATEWAY__SERVER".to_owned(), "xmpp".to_owned()),
        ])
        .set("gateway.port", "2")
        .unwrap()
        .load()
        .unwrap();
    assert_eq!(loaded.config.gateway.port, 2);
    assert_eq!(loaded.config.gateway.server, "xmpp");
    let origin = |key: &str| {
        loaded
            .entries
            .iter()
            .find(|entry| entry.key == key)
            .unwrap()
            .origin
            .to_string()
    };
    assert_eq!(origin("gateway.port"), "--set");
    assert_eq!(origin("gateway.server"), "environment variable SPECTRUM_GATEWAY__SERVER");
    assert_eq!(origin("gateway.secret"), "irc.toml:4");
    assert_eq!(origin("gateway.stay_connected"), "default");
}

#[test]
fn numeric_text_from_the_environment_stays_text() {
    let loaded = with_environment(
        GATEWAY,
        &[("SPECTRUM_GATEWAY__SECRET", "00123"), ("SPECTRUM_IDENTITY__NAME", "true")],
    )
    .unwrap();
    assert_eq!(loaded.config.gateway.secret.unwrap().expose(), "00123");
    assert_eq!(loaded.config.identity.name.as_deref(), Some("true"));
}

#[test]
fn lists_from_the_environment_are_separated_by_commas_or_toml() {
    for text in ["127.0.0.1:1, 127.0.0.1:2", "[\"127.0.0.1:1\", \"127.0.0.1:2\"]"] {
        let loaded = with_environment(SERVER, &[("SPECTRUM_SERVER__LISTEN", text)]).unwrap();
        assert_eq!(loaded.config.server.listen.len(), 2, "{text}");
    }
}

#[test]
fn unknown_environment_variable_is_named_as_a_variable() {
    let error = with_environment(GATEWAY, &[("SPECTRUM_GATEWAY__PROT", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable SPECTRUM_GATEWAY__PROT: gateway.prot: unknown key; did you mean SPECTRUM_GATEWAY__PORT?"
    );
}

#[test]
fn variable_with_one_underscore_too_few_is_an_error() {
    let error = with_environment(GATEWAY, &[("SPECTRUM_GATEWAY_SECRET", "x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable SPECTRUM_GATEWAY_SECRET: gateway_secret: unknown key; did you mean SPECTRUM_GATEWAY__SECRET?"
    );
}

#[test]
fn other_environment_variables_are_ignored() {
    assert!(
        with_environment(
            GATEWAY,
            &[("HOME", "/root"), ("PATH", "/bin"), ("SPECTRUM_TESTS_REQUIRE", "all")]
        )
        .is_ok()
    );
}

#[test]
fn secrets_are_refused_on_the_command_line() {
    let loader = || Loader::text("irc.toml", GATEWAY);
    assert!(loader().set("gateway.secret", "x").is_err());
    assert!(loader().set("backend.options.server_password", "x").is_err());
    assert!(loader().set("storage.url", "postgres://u:p@h/d").is_err());
    assert!(loader().set("storage.url", "postgres://u@h/d").is_ok());
    assert!(loader().set("backend.options.server", "irc.example.net:6697").is_ok());
}

#[test]
fn secrets_appear_in_no_debug_output_and_no_entry() {
    let text = GATEWAY.replace(
        "command =",
        "options.server_password = \"swordfish\"\noptions.nick = \"me\"\ncommand =",
    );
    let text = format!("{text}[storage]\nurl = \"postgres://spectrum:dragon@localhost/db\"\n");
    let loaded = Loader::text("irc.toml", &text).load().unwrap();
    let shown = format!("{loaded:?}");
    for secret in ["hunter2", "swordfish", "dragon"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert_eq!(loaded.config.backend.options.get("server_password"), Some("swordfish"));
    assert_eq!(loaded.config.storage_url(), Some("postgres://spectrum:dragon@localhost/db"));
    let entry = loaded
        .entries
        .iter()
        .find(|entry| entry.key == "backend.options.nick")
        .unwrap();
    assert_eq!(
        (entry.value.as_str(), entry.origin.to_string().as_str()),
        ("\"me\"", "irc.toml:6")
    );
}

#[test]
fn wrong_type_of_a_secret_does_not_quote_it() {
    let found = problems(&GATEWAY.replace("\"hunter2\"", "987654321"));
    assert_eq!(found, ["irc.toml:4: gateway.secret: expected a string, found a number"]);
}

#[test]
fn secret_is_read_from_a_file_without_its_line_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "from file\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = GATEWAY.replace("secret = \"hunter2\"", "secret_file = \"$CREDENTIALS_DIRECTORY/secret\"");
    let loaded = with_environment(&text, &[("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())]).unwrap();
    assert_eq!(loaded.config.gateway.secret.unwrap().expose(), "from file");
    assert_eq!(loaded.warnings, []);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = with_environment(&text, &[("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);

    assert_eq!(
        problems(&text),
        ["irc.toml:4: gateway.secret_file: $CREDENTIALS_DIRECTORY is not set in the environment"]
    );
}

#[test]
fn secret_and_secret_file_together_are_refused() {
    let text = GATEWAY.replace("[backend]", "secret_file = \"/x\"\n[backend]");
    assert_eq!(
        problems(&text),
        ["irc.toml:5: gateway.secret_file: gateway.secret is given too; keep one of them"]
    );
}

#[test]
fn database_password_from_a_file_is_encoded_into_the_url() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "p@ss/word").unwrap();
    let text = format!("{GATEWAY}[storage]\nurl = \"postgres://me@localhost/db\"\npassword_file = {path:?}\n");
    assert_eq!(
        Config::from_toml(&text).unwrap().storage_url(),
        Some("postgres://me:p%40ss%2Fword@localhost/db")
    );
}

#[test]
fn gateway_without_secret_is_refused() {
    let found = problems(&GATEWAY.replace("secret = \"hunter2\"", ""));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("irc.toml: gateway.secret: missing"), "{found:?}");
}

#[test]
fn gateway_without_storage_is_refused() {
    let found = problems(&format!("{GATEWAY}[storage]\nurl = \"none\""));
    assert_eq!(
        found,
        ["irc.toml:8: storage.url: \"none\" is for server mode; a gateway keeps the registrations of its users"]
    );
}

#[test]
fn public_server_without_certificate_is_refused() {
    let found = problems(&SERVER.replace("127.0.0.1:5222", "[::]:5222"));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("irc.toml: server.certificate: missing"), "{found:?}");
}

#[test]
fn certificate_without_key_is_refused() {
    let found = problems(&SERVER.replace("[backend]", "certificate = \"/x.pem\"\n[backend]"));
    assert_eq!(
        found,
        ["irc.toml: server.key: missing; server.certificate needs its private key"]
    );
}

#[test]
fn instance_without_backend_is_refused() {
    let found = problems(&SERVER.replace("builtin = \"irc\"", ""));
    assert_eq!(
        found,
        ["irc.toml: backend.command: missing; give the command of a backend, or builtin = \"irc\""]
    );
}

#[test]
fn open_registration_is_a_warning() {
    let found = warnings(&format!("{GATEWAY}[registration]\nallow = [\"*\"]"));
    assert_eq!(
        found,
        ["irc.toml:8: registration.allow: \"*\" lets users of every XMPP server in the world use this transport"]
    );
}

#[test]
fn keys_without_effect_are_a_warning() {
    assert_eq!(warnings(&format!("{GATEWAY}[upload]\nmax_size = \"1MB\"")).len(), 1);
    assert_eq!(warnings(&format!("{GATEWAY}[server]\nlisten = [\"127.0.0.1:1\"]")).len(), 1);
}

#[test]
fn only_the_parent_domain_may_register_by_default() {
    let config = Config::from_toml(GATEWAY).unwrap();
    assert!(config.allows_domain("example.org"));
    assert!(!config.allows_domain("example.com"));
    assert!(!config.allows_domain("org"));
    let config = Config::from_toml(&format!("{GATEWAY}[registration]\nallow = [\"a.example\"]")).unwrap();
    assert!(config.allows_domain("a.example"));
    assert!(!config.allows_domain("example.org"));
    let text = format!("{GATEWAY}[registration]\nallow = [\"a.example\", \"romeo@b.example\"]");
    let config = Config::from_toml(&text).unwrap();
    for (jid, allowed) in [
        ("anybody@a.example", true),
        ("romeo@b.example", true),
        ("juliet@b.example", false),
        ("romeo@c.example", false),
    ] {
        assert_eq!(Allowed::of(&config).has(&UserKey::from(jid)), allowed, "{jid}");
    }
    let everybody = Config::from_toml(&format!("{GATEWAY}[registration]\nallow = [\"*\"]")).unwrap();
    let parent = Config::from_toml(GATEWAY).unwrap();
    for (config, jid, allowed) in [
        (&everybody, "romeo@anywhere.example", true),
        (&parent, "romeo@example.org", true),
        (&parent, "romeo@example.com", false),
        (&parent, "org", false),
    ] {
        assert_eq!(Allowed::of(config).has(&UserKey::from(jid)), allowed, "{jid}");
    }
    assert!(config.allows_domain("b.example") && !config.allows_domain("c.example"));
    for entry in ["Romeo@b.example", "romeo@b.example/x", "@b.example"] {
        let text = format!("{GATEWAY}[registration]\nallow = [\"{entry}\"]");
        let refused = Config::from_toml(&text).unwrap_err().to_string();
        assert!(refused.contains("registration.allow"), "{refused}");
    }
}

#[test]
fn options_flatten_to_dotted_keys() {
    let text =
        format!("{GATEWAY}[backend.options]\ntls = true\nnetworks = [\"a:1\", \"b:2\"]\n[backend.options.service]\nport = 5\n");
    let options = Config::from_toml(&text).unwrap().backend.options;
    let flat: Vec<_> = options.flatten().into_iter().collect();
    let expected = [("networks", "a:1, b:2"), ("service.port", "5"), ("tls", "true")];
    assert_eq!(flat, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let pairs: Vec<_> = options.pairs().collect();
    assert_eq!(
        pairs,
        [
            ("networks", "a:1"),
            ("networks", "b:2"),
            ("service.port", "5"),
            ("tls", "true")
        ]
    );
}

#[test]
fn sizes_and_durations_take_units() {
    for (text, bytes) in [
        ("65536", 65_536),
        ("\"1MB\"", 1_000_000),
        ("\"16MiB\"", 16 << 20),
        ("\"100 kB\"", 100_000),
    ] {
        let config = Config::from_toml(&format!("{GATEWAY}max_frame_bytes = {text}")).unwrap();
        assert_eq!(config.backend.max_frame_bytes, ByteSize(bytes), "{text}");
    }
    for text in ["\"10 parsecs\"", "\"99999999999999GB\"", "-1", "1.5", "\"\""] {
        assert_eq!(problems(&format!("{GATEWAY}max_frame_bytes = {text}")).len(), 1, "{text}");
    }
    for (text, millis) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
    ] {
        let config = Config::from_toml(&SERVER.replace("[backend]", &format!("linger = \"{text}\"\n[backend]"))).unwrap();
        assert_eq!(config.server.linger, Duration::from_millis(millis), "{text}");
    }
    for text in ["30", "s", "", "-1s", "99999999999999999999d", "18446744073709551615d"] {
        assert_eq!(
            problems(&SERVER.replace("[backend]", &format!("linger = \"{text}\"\n[backend]"))).len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn shown_values_read_back_as_themselves() {
    let text = format!("{GATEWAY}max_frame_bytes = 65537\n[identity]\nname = \"a \\\"quoted\\\" name\"");
    let loaded = Loader::text("irc.toml", &text).load().unwrap();
    let mut again = String::new();
    for entry in loaded
        .entries
        .iter()
        .filter(|entry| entry.value != "***" && entry.value != "none")
    {
        again.push_str(&format!("{} = {}\n", entry.key, entry.value));
    }
    again.push_str("gateway.secret = \"x\"\n");
    let second = Loader::text("again", &again).load().unwrap();
    let values = |loaded: &Loaded| {
        loaded
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&second), values(&loaded));
}

#[test]
fn reference_in_the_docs_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(
        file == reference(),
        "run `UPDATE_DOCS=1 cargo test -p spectrum-core reference` and commit docs/configuration.md"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "[a-z.=\\[\\]\"{}, 0-9\\n#$:/@-]{0,200}") {
        let _ = Loader::text("fuzz", &text).load();
    }
}
