//! Ping (XEP-0199) of the transport. Stateless.

use xmpp_parsers::ns;

use crate::service::{Action, Answer, Request, Service, ServiceCx};

/// Answers pings.
#[derive(Clone, Copy, Debug)]
pub struct Ping;

impl Service for Ping {
    fn features(&self) -> &'static [&'static str] {
        &[ns::PING]
    }

    fn answer(&self, request: &Request<'_>, _cx: &ServiceCx<'_>) -> Option<Answer> {
        (request.action == Action::Get && request.payload.is("ping", ns::PING)).then_some(Ok(None))
    }
}
