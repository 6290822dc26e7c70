//! Keys that do not exist, and the key that was probably meant.

use figment::value::{Dict, Value as Raw};

use super::error::Problem;
use super::layers::{Layers, Origin};
use super::schema::{Key, Section, join};
use super::sections::{
    Archive, Backend, Control, Gateway, Http, Identity, Log, Metrics, Registration, Server, Storage, Top, Upload,
};

/// All sections in the order of the reference.
pub(super) const SECTIONS: [Section; 13] = [
    Top::SECTION,
    Gateway::SECTION,
    Server::SECTION,
    Http::SECTION,
    Upload::SECTION,
    Identity::SECTION,
    Backend::SECTION,
    Registration::SECTION,
    Storage::SECTION,
    Archive::SECTION,
    Log::SECTION,
    Metrics::SECTION,
    Control::SECTION,
];

/// Whether a dotted key holds a secret.
pub(super) fn is_secret(key: &str) -> bool {
    keys().any(|(name, known)| known.secret && name == key)
}

fn keys() -> impl Iterator<Item = (String, Key)> {
    SECTIONS
        .into_iter()
        .flat_map(|section| section.keys.iter().map(move |key| (join(section.name, key.name), *key)))
}

/// Reports every key in the layers that no section declares.
pub(super) fn find(layers: &Layers, problems: &mut Vec<Problem>) {
    for (name, value) in layers.root() {
        let section = SECTIONS
            .iter()
            .find(|section| !section.name.is_empty() && section.name == name);
        match (section, value) {
            (Some(section), Raw::Dict(_, table)) => find_in(section, table, layers, problems),
            (Some(_), _) => problems.push(Problem::at(
                layers.origin(value, name),
                name,
                format!("expected a table: [{name}]"),
            )),
            (None, _) if Top::SECTION.keys.iter().any(|key| key.name == name) => {}
            (None, Raw::Dict(_, table)) => {
                for (inner, value) in table {
                    report(&join(name, inner), value, layers, problems);
                }
                if table.is_empty() {
                    report(name, value, layers, problems);
                }
            }
            (None, _) => report(name, value, layers, problems),
        }
    }
}

fn find_in(section: &Section, table: &Dict, layers: &Layers, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        if !section.keys.iter().any(|key| key.name == name) {
            report(&join(section.name, name), value, layers, problems);
        }
    }
}

fn report(key: &str, value: &Raw, layers: &Layers, problems: &mut Vec<Problem>) {
    let origin = layers.origin(value, key);
    let mut message = "unknown key".to_owned();
    if let Some(nearest) = nearest(key) {
        let spelled = match &origin {
            Origin::Environment(_) => super::layers::variable(&nearest),
            Origin::Default | Origin::File(..) | Origin::CommandLine => nearest,
        };
        message.push_str(&format!("; did you mean {spelled}?"));
    }
    problems.push(Problem::at(origin, key, message));
}

/// The declared key that looks most like `key`, if one looks like it at all.
pub(super) fn nearest(key: &str) -> Option<String> {
    let last = key.rsplit('.').next().unwrap_or(key);
    keys()
        .map(|(name, known)| {
            // The right word in the wrong table is the commonest mistake after a slip of the finger.
            let distance = if known.name == last {
                1
            } else {
                strsim::osa_distance(key, &name)
            };
            (distance, strsim::osa_distance(key, &name), name)
        })
        .min()
        .filter(|(distance, _, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, _, name)| name)
}
