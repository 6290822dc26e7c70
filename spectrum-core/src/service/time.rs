//! Entity time (XEP-0202) of the transport, always in UTC. Stateless.

use minidom::Element;
use xmpp_parsers::ns;

use crate::service::{Action, Answer, Request, Service, ServiceCx};
use crate::xml::text_element;

/// Says what time it is here.
#[derive(Clone, Copy, Debug)]
pub struct EntityTime;

impl Service for EntityTime {
    fn features(&self) -> &'static [&'static str] {
        &[ns::TIME]
    }

    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        if request.action != Action::Get || !request.payload.is("time", ns::TIME) {
            return None;
        }
        let time = Element::builder("time", ns::TIME)
            .append(text_element("tzo", ns::TIME, "+00:00"))
            .append(text_element("utc", ns::TIME, &cx.wall.date_time()))
            .build();
        Some(Ok(Some(time)))
    }
}
