//! `doctor`: asks the XMPP server over the component link what it is and what it offers, and judges the answers.
//!
//! [`Asker`] owns the open questions. A running gateway asks over its own link ([`Running`]); [`alone`] opens one. What was
//! answered is recorded ([`Found`]) and judged apart from that ([`judge`]), with the advice for the server ([`advice`]).

mod advice;
mod alone;
mod asker;
mod found;
mod judge;

use std::time::Duration;

use futures_util::future::join_all;
use jid::BareJid;
use spectrum_core::admin::Diagnosis;
use spectrum_core::config::Config;

pub(crate) use alone::alone;
pub(crate) use asker::Asker;
use found::{Found, Strictness};

use crate::link::LinkError;
use crate::roster::RosterKeeper;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Domains of users that are looked at.
const MOST_DOMAINS: usize = 8;
/// Services of one domain that are looked at.
const MOST_SERVICES: usize = 16;
/// Accounts of one domain that are looked at.
const MOST_ACCOUNTS: usize = 3;
/// Registrations among which accounts are sought.
pub(crate) const MOST_REGISTERED: usize = 200;

/// What a running gateway knows.
pub(crate) struct Running<'a> {
    pub(crate) config: &'a Config,
    pub(crate) asker: &'a Asker,
    pub(crate) up: bool,
    pub(crate) failure: Option<LinkError>,
    pub(crate) keeper: &'a RosterKeeper,
    pub(crate) users: Vec<BareJid>,
}

impl Running<'_> {
    /// Asks over the link that is there. Takes three times [`PATIENCE`] at most.
    pub(crate) async fn examine(self) -> Diagnosis {
        let mut found = Found::new(self.config);
        found.link = match (self.up, self.failure) {
            (true, _) => Some(Ok(())),
            (false, failure) => failure.map(Err),
        };
        if self.up {
            let domains = domains(self.config);
            let surveys = domains.iter().map(|domain| found::survey(self.asker, domain, &self.users));
            found.domains = join_all(surveys).await;
            for domain in &mut found.domains {
                domain.grants = self.keeper.granted_by(&domain.domain);
            }
            found.strictness = Strictness::NotTried;
        }
        judge::judge(&found)
    }
}

/// The domains whose users may use the transport, the one that the transport's own name is under first.
fn domains(config: &Config) -> Vec<BareJid> {
    let own = config.jid.domain().as_str();
    let parent = own.split_once('.').map(|(_, parent)| parent.to_owned());
    let parent = parent.filter(|parent| config.allows_domain(parent));
    let allowed = config.registration.allow.iter().filter(|entry| *entry != "*");
    // Of a single user, the domain.
    let allowed = allowed.map(|entry| entry.rsplit_once('@').map_or(entry.as_str(), |(_, domain)| domain).to_owned());
    let mut domains: Vec<BareJid> = Vec::new();
    for domain in parent.into_iter().chain(allowed) {
        if let Ok(jid) = BareJid::new(&domain)
            && jid.node().is_none()
            && !domains.contains(&jid)
            && domains.len() < MOST_DOMAINS
        {
            domains.push(jid);
        }
    }
    domains
}

#[cfg(test)]
mod tests;
