//! What is to be written into the server's configuration, for Prosody and for ejabberd. Pure. The component's secret is never
//! part of it.

use std::fmt::Write as _;

use spectrum_core::admin::Advice;

use super::found::Found;

/// What a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Software {
    /// Prosody.
    Prosody,
    /// ejabberd.
    Ejabberd,
    /// Another one, of this name.
    Other(String),
    /// Nobody knows.
    Unknown,
}

impl Software {
    /// By the name it gives itself.
    pub(super) fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        if lower.contains("prosody") {
            Self::Prosody
        } else if lower.contains("ejabberd") {
            Self::Ejabberd
        } else {
            Self::Other(name.to_owned())
        }
    }
}

/// What is missing.
#[derive(Clone, Debug)]
pub(super) enum Lacking {
    /// The link does not come up.
    Link,
    /// A domain, on a server of this software, grants too little.
    Grants(String, Software),
    /// A domain, on a server of this software, grants all but requests in its users' names.
    Requests(String, Software),
    /// A domain has no service for files.
    Upload(String),
    /// A domain's accounts have no archive.
    Archive(String),
}

/// The lines for the server that was found; for both where none could be asked.
pub(super) fn advice(found: &Found, software: &Software, lacking: &[Lacking]) -> Vec<Advice> {
    if lacking.is_empty() {
        return Vec::new();
    }
    match software {
        Software::Prosody => vec![prosody(found, lacking)],
        Software::Ejabberd => vec![ejabberd(found, lacking)],
        Software::Unknown => vec![prosody(found, lacking), ejabberd(found, lacking)],
        Software::Other(name) => vec![Advice {
            place: format!("{name}: its lines are not known here"),
            text: format!(
                "Look in its manual for privileged entities (XEP-0356), uploads (XEP-0363) and archives (XEP-0313) for the component {}.",
                found.jid
            ),
        }],
    }
}

/// The domains among what is missing, each once.
fn domains<'a>(lacking: &'a [Lacking], which: impl Fn(&'a Lacking) -> Option<&'a str>) -> Vec<&'a str> {
    lacking.iter().filter_map(which).collect()
}

fn granting(lacking: &[Lacking]) -> Vec<&str> {
    domains(lacking, |what| match what {
        Lacking::Grants(domain, Software::Prosody | Software::Ejabberd | Software::Unknown) => Some(domain),
        Lacking::Grants(_, Software::Other(_))
        | Lacking::Requests(..)
        | Lacking::Link
        | Lacking::Upload(_)
        | Lacking::Archive(_) => None,
    })
}

fn requesting(lacking: &[Lacking]) -> Vec<&str> {
    let granting = granting(lacking);
    let requesting = domains(lacking, |what| match what {
        Lacking::Requests(domain, Software::Prosody | Software::Ejabberd | Software::Unknown) => Some(domain),
        Lacking::Requests(_, Software::Other(_))
        | Lacking::Grants(..)
        | Lacking::Link
        | Lacking::Upload(_)
        | Lacking::Archive(_) => None,
    });
    // The lines for the one have those for the other.
    requesting.into_iter().filter(|domain| !granting.contains(domain)).collect()
}

fn uploading(lacking: &[Lacking]) -> Vec<&str> {
    domains(lacking, |what| match what {
        Lacking::Upload(domain) => Some(domain),
        Lacking::Grants(..) | Lacking::Requests(..) | Lacking::Link | Lacking::Archive(_) => None,
    })
}

fn archiving(lacking: &[Lacking]) -> Vec<&str> {
    domains(lacking, |what| match what {
        Lacking::Archive(domain) => Some(domain),
        Lacking::Grants(..) | Lacking::Requests(..) | Lacking::Link | Lacking::Upload(_) => None,
    })
}

fn is_linkless(lacking: &[Lacking]) -> bool {
    lacking.iter().any(|what| matches!(what, Lacking::Link))
}

/// What is asked in users' names, as Prosody's mod_privilege wants it written.
const REQUESTS: &str = "iq = { [\"http://jabber.org/protocol/pubsub\"] = \"both\"; [\"urn:xmpp:http:upload:0\"] = \"get\" }";

fn prosody(found: &Found, lacking: &[Lacking]) -> Advice {
    let jid = &found.jid;
    let mut text = String::new();
    let linkless = is_linkless(lacking);
    if linkless {
        let _ = writeln!(text, "-- at the top level\ncomponent_ports = {{ {} }}", found.port);
        let _ = writeln!(
            text,
            "\nComponent \"{jid}\"\n    component_secret = \"what gateway.secret is\""
        );
    }
    let granting = granting(lacking);
    for domain in &granting {
        let _ = writeln!(
            text,
            "VirtualHost \"{domain}\"\n    modules_enabled = {{ \"privilege\" }}\n    privileged_entities = {{\n        \
             [\"{jid}\"] = {{ roster = \"both\"; message = \"outgoing\"; {REQUESTS} }};\n    }}\n"
        );
    }
    for domain in requesting(lacking) {
        let _ = writeln!(
            text,
            "VirtualHost \"{domain}\"\n    privileged_entities = {{\n        -- to what is there\n        \
             [\"{jid}\"] = {{ {REQUESTS} }};\n    }}\n"
        );
    }
    if !granting.is_empty() {
        let _ = writeln!(text, "Component \"{jid}\"\n    modules_enabled = {{ \"privilege\" }}");
        let _ = writeln!(
            text,
            "\n-- mod_privilege is one of the community modules: Debian has it in prosody-modules, Prosody 0.12 and later\n\
             -- fetch it by: prosodyctl install --server=https://modules.prosody.im/rocks/ mod_privilege"
        );
    }
    for domain in archiving(lacking) {
        let _ = writeln!(text, "\nVirtualHost \"{domain}\"\n    modules_enabled = {{ \"mam\" }}");
    }
    for domain in uploading(lacking) {
        let _ = writeln!(text, "\nComponent \"upload.{domain}\" \"http_file_share\"");
    }
    Advice {
        place: "Prosody (prosody.cfg.lua): add to the blocks that are there, then restart it".to_owned(),
        text,
    }
}

fn ejabberd(found: &Found, lacking: &[Lacking]) -> Advice {
    let jid = &found.jid;
    let mut text = String::new();
    let granting = granting(lacking);
    if is_linkless(lacking) {
        let _ = writeln!(
            text,
            "listen:\n  - port: {}\n    ip: \"127.0.0.1\"\n    module: ejabberd_service\n    access: all\n    hosts:\n      \
             {jid}:\n        password: \"what gateway.secret is\"",
            found.port
        );
    }
    let uploading = uploading(lacking);
    if !uploading.is_empty() {
        let _ = writeln!(
            text,
            "listen:\n  - port: 5443\n    module: ejabberd_http\n    tls: true\n    request_handlers:\n      /upload: mod_http_upload"
        );
    }
    let requesting = requesting(lacking);
    if !(granting.is_empty() && requesting.is_empty()) {
        let _ = writeln!(
            text,
            "acl:\n  transport:\n    server: {jid}\naccess_rules:\n  transport:\n    - allow: transport"
        );
    }
    let archiving = archiving(lacking);
    if !(granting.is_empty() && requesting.is_empty() && uploading.is_empty() && archiving.is_empty()) {
        text.push_str("modules:\n");
        if !(granting.is_empty() && requesting.is_empty()) {
            text.push_str("  mod_privilege:\n");
        }
        if !granting.is_empty() {
            text.push_str("    roster:\n      both: transport\n    message:\n      outgoing: transport\n");
        }
        // Only where the server speaks the version that has them: an option it does not know, and it does not start.
        if !requesting.is_empty() {
            text.push_str("    iq:\n      http://jabber.org/protocol/pubsub:\n        both: transport\n");
        }
        if !archiving.is_empty() {
            text.push_str("  mod_mam:\n    default: always\n");
        }
        if !uploading.is_empty() {
            text.push_str("  mod_http_upload:\n    put_url: \"https://@HOST@:5443/upload\"\n");
        }
    }
    Advice {
        place: "ejabberd (ejabberd.yml): add to the sections that are there, then restart it".to_owned(),
        text,
    }
}
