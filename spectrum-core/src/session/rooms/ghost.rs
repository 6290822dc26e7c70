//! Resources that are gone without having said so: what a room sends them comes back as an error (XEP-0045 7.14 "ghosts").
//! They are taken out of the room, so that it does not write to them for ever; the user stays in.

use jid::{NodePart, ResourceRef};
use minidom::Element;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::Rooms;

/// Something that a room said to this resource came back.
pub(super) fn bounced(rooms: &mut Rooms, resource: &ResourceRef, node: &NodePart, payloads: &[Element]) {
    let error = payloads.iter().find(|p| p.name() == "error");
    let Some(error) = error.and_then(|error| StanzaError::try_from(error.clone()).ok()) else {
        return;
    };
    if is_gone(&error.defined_condition)
        && let Some(room) = rooms.rooms.get_mut(node)
    {
        room.remove_viewer(resource);
    }
}

/// Whether this says that there is nobody, not that somebody did not like what was said.
fn is_gone(condition: &DefinedCondition) -> bool {
    match condition {
        DefinedCondition::Gone { .. }
        | DefinedCondition::ItemNotFound
        | DefinedCondition::JidMalformed
        | DefinedCondition::RecipientUnavailable
        | DefinedCondition::RemoteServerNotFound
        | DefinedCondition::RemoteServerTimeout
        | DefinedCondition::ServiceUnavailable => true,
        DefinedCondition::BadRequest
        | DefinedCondition::Conflict
        | DefinedCondition::FeatureNotImplemented
        | DefinedCondition::Forbidden
        | DefinedCondition::InternalServerError
        | DefinedCondition::NotAcceptable
        | DefinedCondition::NotAllowed
        | DefinedCondition::NotAuthorized
        | DefinedCondition::PolicyViolation
        | DefinedCondition::Redirect { .. }
        | DefinedCondition::RegistrationRequired
        | DefinedCondition::ResourceConstraint
        | DefinedCondition::SubscriptionRequired
        | DefinedCondition::UndefinedCondition
        | DefinedCondition::UnexpectedRequest => false,
    }
}
