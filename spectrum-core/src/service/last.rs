//! Last activity (XEP-0012) of the transport: for a service, the time since it was started. Stateless.

use crate::service::{Action, Answer, Request, Service, ServiceCx};
use crate::xml::element;

const NS: &str = "jabber:iq:last";

/// Says how long the instance has been running.
#[derive(Clone, Copy, Debug)]
pub struct LastActivity;

impl Service for LastActivity {
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        if request.action != Action::Get || !request.payload.is("query", NS) {
            return None;
        }
        Some(Ok(Some(element(
            "query",
            NS,
            &[("seconds", &cx.uptime.as_secs().to_string())],
        ))))
    }
}
