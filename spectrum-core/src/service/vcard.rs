//! The card of the transport itself (XEP-0054): its name and that it is no person. Stateless.

use minidom::Element;
use xmpp_parsers::ns;

use crate::service::{Action, Answer, Request, Service, ServiceCx};
use crate::xml::text_element;

/// Shows the transport's own card.
#[derive(Clone, Copy, Debug)]
pub struct TransportCard;

impl Service for TransportCard {
    fn features(&self) -> &'static [&'static str] {
        &[ns::VCARD]
    }

    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        if request.action != Action::Get || !request.payload.is("vCard", ns::VCARD) {
            return None;
        }
        let text = |name, text: &str| text_element(name, ns::VCARD, text);
        let network = cx.info.map_or(cx.name, |info| info.name.as_str());
        let card = Element::builder("vCard", ns::VCARD)
            .append(text("FN", cx.name))
            .append(text("NICKNAME", cx.name))
            .append(text("JABBERID", cx.transport.as_str()))
            .append(text("DESC", &format!("A transport to {network}.")))
            .build();
        Some(Ok(Some(card)))
    }
}
