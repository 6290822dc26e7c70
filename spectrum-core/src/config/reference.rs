//! The reference of all keys, generated from their declarations.

use super::load::Loader;
use super::unknown::SECTIONS;

/// The text of `docs/configuration.md`: every key with its type, default and meaning. A test keeps the file equal to it.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    let defaults = defaults();
    for section in SECTIONS {
        let title = if section.name.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`[{}]`", section.name)
        };
        text.push_str(&format!("\n## {title}\n\n{}\n", paragraph(section.doc)));
        for key in section.keys {
            let dotted = super::schema::join(section.name, key.name);
            text.push_str(&format!("\n### `{dotted}`\n\n{}\n\n", paragraph(key.doc)));
            text.push_str(&format!("- Type: {}\n", key.expected));
            if key.secret {
                text.push_str("- Secret: never shown, and refused in `--set`\n");
            } else if !key.free_form && !matches!(dotted.as_str(), "mode" | "jid") {
                let default = defaults
                    .iter()
                    .find(|(name, _)| *name == dotted)
                    .map_or("none", |(_, value)| value);
                text.push_str(&format!("- Default: `{default}`\n"));
            }
        }
    }
    text
}

/// The defaults as a gateway has them, with `$jid` left as it is.
fn defaults() -> Vec<(String, String)> {
    const JID: &str = "jid.invalid";
    let text = format!("mode = \"gateway\"\njid = \"{JID}\"\n[gateway]\nsecret = \"x\"\n[backend]\nbuiltin = \"x\"");
    let loaded = Loader::text("defaults", &text)
        .load()
        .expect("a literal configuration is valid");
    let unset = |key: &str| key == "backend.builtin";
    loaded
        .entries
        .into_iter()
        .filter(|entry| !unset(&entry.key))
        .map(|entry| (entry.key, entry.value.replace(JID, "$jid")))
        .collect()
}

fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from spectrum-core/src/config/sections.rs; `UPDATE_DOCS=1 cargo test -p spectrum-core reference` writes it. -->

One TOML file is one instance: one JID, one main process. Files live in `/etc/spectrum2/transports/`; `spectrum-gateway irc`
means `/etc/spectrum2/transports/irc.toml`.

A value is taken from the last of these that has it:

1. the default below,
2. the file,
3. an environment variable: `SPECTRUM_` and the key in capitals, with `__` for each dot (`SPECTRUM_GATEWAY__SECRET`);
   one without `__` that resembles no key is somebody else's and ignored,
4. `--set key=value` on the command line, except for secrets, because every user of the machine can read a command line.

`check` prints every value in force and where it came from, with secrets hidden. Unknown keys, wrong types and contradictions are
errors: all of them are reported at once, with file and line, and the key that was probably meant.

`$jid` expands in every text except secrets, and `$CREDENTIALS_DIRECTORY` to the directory in which systemd's `LoadCredential=` puts
secrets. Durations are written `"30s"`, `"10m"`, sizes `1048576`, `"100MB"` or `"16MiB"`. In the environment and on the command
line a list is written with commas. Where a key may be left out, `"none"` says so explicitly.
"#;
