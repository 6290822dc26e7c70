//! Software version (XEP-0092). Stateless. The system we run on is nobody's business.

use xmpp_parsers::ns;
use xmpp_parsers::version::VersionResult;

use crate::service::{Action, Answer, Request, Service, ServiceCx};

/// Says which program this is.
#[derive(Clone, Copy, Debug)]
pub struct SoftwareVersion;

impl Service for SoftwareVersion {
    fn features(&self) -> &'static [&'static str] {
        &[ns::VERSION]
    }

    fn answer(&self, request: &Request<'_>, _cx: &ServiceCx<'_>) -> Option<Answer> {
        if request.action != Action::Get || !request.payload.is("query", ns::VERSION) {
            return None;
        }
        let version = VersionResult {
            name: "Spectrum".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            os: None,
        };
        Some(Ok(Some(version.into())))
    }
}
