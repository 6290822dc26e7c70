//! From what was answered to verdicts, each with its reason. Pure.

use minidom::Element;
use spectrum_core::admin::{Diagnosis, Probe, Verdict};
use xmpp_parsers::ns;

use super::advice::{self, Lacking, Software};
use super::found::{Domain, Found, Said, Strictness, VERSION};
use crate::link::LinkError;
use crate::privilege::Version;

/// Uploads (XEP-0363).
const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// Archives (XEP-0313), in the versions that clients of today speak.
const ARCHIVES: [&str; 2] = ["urn:mam:2", "urn:mam:1"];
/// What of a foreign text is shown.
const MOST_CHARS: usize = 80;

/// Judges all of it.
pub(super) fn judge(found: &Found) -> Diagnosis {
    let mut sheet = Sheet::default();
    let reachable = sheet.link(found);
    let mut lacking = Vec::new();
    let mut software = Software::Unknown;
    if reachable {
        if found.domains.is_empty() {
            let reason = "registration.allow names no domain, and the transport's JID is under none: nobody to ask";
            sheet.add("server", Verdict::Unknown, reason.to_owned());
        }
        for domain in &found.domains {
            let seen = sheet.server(domain);
            if software == Software::Unknown {
                software = seen.clone();
            }
            if matches!((&domain.info, &domain.version), (Said::Nothing, Said::Nothing)) && domain.grants.is_none() {
                continue;
            }
            lacking.extend(sheet.grants(domain, seen.clone()));
            lacking.extend(sheet.requests(domain, seen));
            lacking.extend(sheet.upload(domain));
            lacking.extend(sheet.archive(domain));
        }
        sheet.strictness(&found.strictness);
    } else if let Some(Err(_)) = &found.link {
        lacking.push(Lacking::Link);
    }
    Diagnosis {
        reachable,
        probes: sheet.0,
        advice: advice::advice(found, &software, &lacking),
    }
}

#[derive(Default)]
struct Sheet(Vec<Probe>);

impl Sheet {
    fn add(&mut self, name: &str, verdict: Verdict, reason: String) {
        self.0.push(Probe {
            name: name.to_owned(),
            verdict,
            reason,
        });
    }

    fn link(&mut self, found: &Found) -> bool {
        let (place, jid) = (&found.place, &found.jid);
        match &found.link {
            Some(Ok(())) => {
                self.add("link", Verdict::Ok, format!("{place} accepts {jid} and its secret"));
                true
            }
            Some(Err(failure)) => {
                self.add("link", Verdict::Missing, format!("{failure}{}", remedy(failure, jid)));
                false
            }
            None => {
                self.add(
                    "link",
                    Verdict::Unknown,
                    format!("the instance is connecting to {place}; ask again"),
                );
                false
            }
        }
    }

    fn server(&mut self, domain: &Domain) -> Software {
        let name = &domain.domain;
        let child = |which: &str| {
            let query = domain.version.element().filter(|query| query.is("query", VERSION))?;
            Some(short(&query.get_child(which, VERSION)?.text()))
        };
        if let Some(program) = child("name").filter(|program| !program.is_empty()) {
            let version = child("version").unwrap_or_default();
            self.add(
                "server",
                Verdict::Ok,
                format!("{name} is {} {version}", program).trim_end().to_owned(),
            );
            return Software::of(&program);
        }
        if let Some(program) = identity(&domain.info) {
            let reason = format!("{name} calls itself {program} and does not tell its version");
            self.add("server", Verdict::Ok, reason);
            return Software::of(&program);
        }
        let reason = match &domain.info {
            Said::Result(_) => format!("{name} does not tell what it is"),
            said => format!("{name} {}", silence(said)),
        };
        self.add("server", Verdict::Unknown, reason);
        Software::Unknown
    }

    fn grants(&mut self, domain: &Domain, software: Software) -> Option<Lacking> {
        let name = &domain.domain;
        let Some(grants) = domain.grants.as_ref().filter(|grants| !grants.is_empty()) else {
            let reason = format!("{name} grants nothing (XEP-0356): people are asked to accept each contact themselves");
            self.add("roster grant", Verdict::Missing, reason);
            let reason = format!("{name} grants nothing (XEP-0356): what people say elsewhere is missing in their archive");
            self.add("message grant", Verdict::Missing, reason);
            return Some(Lacking::Grants(name.clone(), software));
        };
        let version = grants.version.namespace();
        let roster = (grants.roster.can_get(), grants.roster.can_set());
        match roster {
            (true, true) => self.add(
                "roster grant",
                Verdict::Ok,
                format!("{name} grants rosters, read and write ({version})"),
            ),
            (get, set) => {
                let what = match (get, set) {
                    (true, _) => "reading of rosters alone",
                    (_, true) => "writing of rosters alone",
                    (false, false) => "no rosters",
                };
                self.add("roster grant", Verdict::Missing, format!("{name} grants {what} ({version})"));
            }
        }
        if grants.messages {
            self.add(
                "message grant",
                Verdict::Ok,
                format!("{name} grants messages in its users' names ({version})"),
            );
        } else {
            let reason = format!("{name} does not grant messages in its users' names ({version})");
            self.add("message grant", Verdict::Missing, reason);
        }
        (roster != (true, true) || !grants.messages).then(|| Lacking::Grants(name.clone(), software))
    }

    /// Requests in users' names. Where nothing is granted at all, the other lines have said so.
    fn requests(&mut self, domain: &Domain, software: Software) -> Option<Lacking> {
        let name = &domain.domain;
        let grants = domain.grants.as_ref().filter(|grants| !grants.is_empty())?;
        let access = grants.request(ns::PUBSUB);
        if access.can_get() && access.can_set() {
            let reason = format!("{name} grants requests in its users' names for {}", ns::PUBSUB);
            self.add("request grant", Verdict::Ok, reason);
            return None;
        }
        let lost =
            "rooms of the network do not come into people's bookmarks, nor what they have read elsewhere into their clients";
        let reason = match grants.version {
            Version::V1 => format!(
                "{name} speaks {}, which has no requests in users' names: {lost}. A newer version of the server has",
                grants.version.namespace()
            ),
            Version::V2 => format!(
                "{name} does not grant requests in its users' names, read and write, for {}: {lost}",
                ns::PUBSUB
            ),
        };
        self.add("request grant", Verdict::Missing, reason);
        (grants.version == Version::V2).then(|| Lacking::Requests(name.clone(), software))
    }

    fn upload(&mut self, domain: &Domain) -> Option<Lacking> {
        let name = &domain.domain;
        if has(&domain.info, &[UPLOAD]) {
            self.add("upload", Verdict::Ok, format!("{name} takes files itself (XEP-0363)"));
            return None;
        }
        if let Some((service, _)) = domain.services.iter().find(|(_, info)| has(info, &[UPLOAD])) {
            self.add("upload", Verdict::Ok, format!("{service} takes files (XEP-0363)"));
            return None;
        }
        let silent = domain.services.iter().filter(|(_, info)| info.element().is_none());
        let silent: Vec<&str> = silent.map(|(service, _)| service.as_str()).collect();
        if domain.items.element().is_none() {
            let reason = format!("{name} does not list its services: it {}", silence(&domain.items));
            self.add("upload", Verdict::Unknown, reason);
            None
        } else if silent.is_empty() {
            let reason = format!("{name} lists no service that takes files (XEP-0363): people cannot send any");
            self.add("upload", Verdict::Missing, reason);
            Some(Lacking::Upload(name.clone()))
        } else {
            let reason = format!("no service is seen to take files; without an answer: {}", silent.join(", "));
            self.add("upload", Verdict::Unknown, reason);
            None
        }
    }

    fn archive(&mut self, domain: &Domain) -> Option<Lacking> {
        let name = &domain.domain;
        let answered = domain.accounts.iter().filter(|info| info.element().is_some()).count();
        if domain.accounts.iter().any(|info| has(info, &ARCHIVES)) || has(&domain.info, &ARCHIVES) {
            self.add(
                "archive",
                Verdict::Ok,
                format!("accounts of {name} have an archive (XEP-0313)"),
            );
            None
        } else if answered > 0 {
            let reason = format!("accounts of {name} have no archive (XEP-0313): a second device misses what was said");
            self.add("archive", Verdict::Missing, reason);
            Some(Lacking::Archive(name.clone()))
        } else if domain.accounts.is_empty() {
            let reason = format!(
                "{name} shows it in its users' accounts only: ask again while the instance runs and somebody of {name} is registered"
            );
            self.add("archive", Verdict::Unknown, reason);
            None
        } else {
            let reason = format!("{name} does not show the transport what its users' accounts have");
            self.add("archive", Verdict::Unknown, reason);
            None
        }
    }

    fn strictness(&mut self, strictness: &Strictness) {
        let (verdict, reason) = match strictness {
            Strictness::Strict => (
                Verdict::Ok,
                "the server ends the link of a component that speaks in another's name",
            ),
            Strictness::Lenient => (
                Verdict::Ok,
                "the server lets this component speak in anybody's name: whoever knows the secret can, too",
            ),
            Strictness::Unseen => (
                Verdict::Unknown,
                "a stanza in another's name was neither refused nor passed on",
            ),
            Strictness::NotTried => (
                Verdict::Unknown,
                "not tried, because a strict server ends the link for it: stop the instance and ask again",
            ),
        };
        self.add("sender check", verdict, reason.to_owned());
    }
}

/// What to do about a link that does not come up.
fn remedy(failure: &LinkError, jid: &str) -> String {
    match failure {
        LinkError::Unreachable { .. } => {
            "; is the server running, and are gateway.server and gateway.port those of its port for components?".to_owned()
        }
        LinkError::Refused { reason, .. } if reason.contains("host-unknown") => {
            format!("; its configuration has no component {jid}")
        }
        LinkError::Refused { reason, .. } if reason.contains("conflict") => {
            format!("; another process is connected as {jid}, or it is a host of the server's own")
        }
        LinkError::Protocol { .. } => "; the port for clients (5222) is another one".to_owned(),
        LinkError::WrongSecret { .. } => " (ejabberd says the same of a component that it does not know)".to_owned(),
        LinkError::Refused { .. } | LinkError::Lost { .. } => String::new(),
    }
}

/// The name a server gives itself in its identity (XEP-0030).
fn identity(info: &Said) -> Option<String> {
    let query = info.element()?;
    let identity = query
        .children()
        .find(|child| child.is("identity", ns::DISCO_INFO) && child.attr("category") == Some("server"))?;
    Some(short(identity.attr("name")?)).filter(|name| !name.is_empty())
}

/// Whether one of these features is announced.
fn has(info: &Said, features: &[&str]) -> bool {
    let is_it =
        |child: &Element| child.is("feature", ns::DISCO_INFO) && child.attr("var").is_some_and(|var| features.contains(&var));
    info.element().is_some_and(|query| query.children().any(is_it))
}

fn silence(said: &Said) -> String {
    match said {
        Said::Result(_) => "answers with nothing".to_owned(),
        Said::Error(condition) => format!("answers with an error ({condition:?})"),
        Said::Nothing => format!("does not answer within {} s", super::PATIENCE.as_secs()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}
