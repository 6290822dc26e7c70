//! Service discovery (XEP-0030) of the transport itself. Owns the list of features, fixed once the instance runs.

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};
use xmpp_parsers::disco::{DiscoInfoQuery, DiscoInfoResult, DiscoItemsQuery, DiscoItemsResult, Identity};
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::model::Capability;
use crate::service::{Action, Answer, Request, ServiceCx, refuse};
use crate::xml::SEARCH;

/// Says what the transport is and can do.
///
/// Its items are the rooms of the asker's session; the session answers that, so here there are none.
#[derive(Debug)]
pub struct Disco {
    features: Vec<&'static str>,
    outage_addresses: Vec<String>,
    contacts: Vec<(&'static str, Vec<String>)>,
}

/// Where clients are told of outages (XEP-0455).
const OUTAGES: &str = "urn:xmpp:sos:0";
/// Who is reached where (XEP-0157).
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";

impl Default for Disco {
    fn default() -> Self {
        Self {
            features: vec![ns::DISCO_INFO, ns::DISCO_ITEMS],
            outage_addresses: Vec::new(),
            contacts: Vec::new(),
        }
    }
}

impl Disco {
    /// Adds features; one that is there already stays where it is.
    pub(super) fn announce(&mut self, features: &[&'static str]) {
        for feature in features {
            if !self.features.contains(feature) {
                self.features.push(feature);
            }
        }
    }

    /// Tells where outages are told of.
    pub(super) fn tell_outages_at(&mut self, addresses: &[String]) {
        self.outage_addresses = addresses.to_vec();
    }

    /// Tells who is reached where: what for, as XEP-0157 calls it, and addresses.
    pub(super) fn tell_contacts(&mut self, contacts: &[(&'static str, &[String])]) {
        let some = contacts.iter().filter(|(_, addresses)| !addresses.is_empty());
        self.contacts = some.map(|(what, addresses)| (*what, addresses.to_vec())).collect();
    }

    /// The same, in the form's words.
    fn contacts(&self) -> Option<DataForm> {
        let field = |(what, addresses): &(&str, Vec<String>)| Field {
            values: addresses.clone(),
            ..Field::new(what, FieldType::ListMulti)
        };
        (!self.contacts.is_empty())
            .then(|| DataForm::new(DataFormType::Result_, SERVER_INFO, self.contacts.iter().map(field).collect()))
    }

    /// XEP-0128: the form is there only with something in it.
    fn outages(&self) -> Option<DataForm> {
        (!self.outage_addresses.is_empty()).then(|| {
            let field = Field {
                values: self.outage_addresses.clone(),
                ..Field::new("external-status-addresses", FieldType::ListMulti)
            };
            DataForm::new(DataFormType::Result_, OUTAGES, vec![field])
        })
    }

    pub(super) fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        let payload = request.payload;
        if request.action != Action::Get || payload.name() != "query" {
            return None;
        }
        if payload.has_ns(ns::DISCO_INFO) {
            return Some(match DiscoInfoQuery::try_from(payload.clone()) {
                Ok(DiscoInfoQuery { node: None }) => Ok(Some(self.info(cx).into())),
                Ok(DiscoInfoQuery { node: Some(_) }) => refuse(DefinedCondition::ItemNotFound, ""),
                Err(_) => refuse(DefinedCondition::BadRequest, ""),
            });
        }
        if payload.has_ns(ns::DISCO_ITEMS) {
            return Some(match DiscoItemsQuery::try_from(payload.clone()) {
                Ok(DiscoItemsQuery { node: None, .. }) => Ok(Some(
                    DiscoItemsResult {
                        node: None,
                        items: Vec::new(),
                        rsm: None,
                    }
                    .into(),
                )),
                Ok(DiscoItemsQuery { node: Some(_), .. }) => refuse(DefinedCondition::ItemNotFound, ""),
                Err(_) => refuse(DefinedCondition::BadRequest, ""),
            });
        }
        None
    }

    fn info(&self, cx: &ServiceCx<'_>) -> DiscoInfoResult {
        let rooms = cx.info.is_some_and(|info| info.capabilities.has(Capability::Rooms));
        let muc = rooms.then_some(ns::MUC);
        let search = cx
            .info
            .is_some_and(|info| info.capabilities.has(Capability::Search))
            .then_some(SEARCH);
        let mut identities = vec![Identity::new(cx.category, cx.kind, "en", cx.name)];
        if rooms && cx.category != "conference" {
            // By this clients find out where rooms can be joined and listed (XEP-0045 section 6.2).
            identities.push(Identity::new("conference", "text", "en", cx.name));
        }
        DiscoInfoResult {
            node: None,
            identities,
            features: self
                .features
                .iter()
                .copied()
                .chain(muc)
                .chain(search)
                .map(str::to_owned)
                .collect(),
            extensions: self.outages().into_iter().chain(self.contacts()).collect(),
        }
    }
}
