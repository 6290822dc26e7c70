//! The user's resources and how they are seen (RFC 6121 4). Owned by the session.
//!
//! The network is told of one presence: that of the resource with the highest priority, and only when it changes. What a
//! server broadcasts to every contact of the user says the same as what it says to the transport, so a presence to a
//! contact counts as one to the transport from resources that never wrote to the transport itself.

use jid::{ResourcePart, ResourceRef};
use xmpp_parsers::presence::{Presence as XmppPresence, Show, Type};

use crate::backend::Verb;
use crate::face::ResourceView;
use crate::model::{Availability, Capability, Presence};
use crate::session::Cx;
use crate::session::text::shorten;
use crate::tight;

/// Bytes of a status text that are kept and passed on.
const MAX_STATUS_BYTES: usize = 2_048;

/// The user's available resources.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    views: Vec<ResourceView>,
    /// Beside each view.
    more: Vec<More>,
    /// What the network was told last.
    sent: Option<Presence>,
}

/// What the face need not know of a resource.
#[derive(Debug)]
struct More {
    status: Option<Box<str>>,
    /// Has been heard of since the link to the XMPP server came back.
    heard: bool,
    /// Has written to the transport itself: what it says to contacts alone does not count.
    direct: bool,
}

/// What a presence changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// Nothing that anybody has to know.
    None,
    /// The resource was not there before.
    Arrived,
    /// It has another priority.
    Priority,
    /// There are as many resources as there may be.
    TooMany,
}

impl Resources {
    /// All of them, and those that have asked for the roster and are not available yet.
    pub(crate) fn views(&self) -> &[ResourceView] {
        &self.views
    }

    /// Whether nobody is there, available or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Whether one of them is available.
    pub(crate) fn any_available(&self) -> bool {
        self.views.iter().any(|view| view.availability.is_online())
    }

    /// Whether one of them takes messages (RFC 6121 4.7.2.3).
    pub(crate) fn takes_messages(&self) -> bool {
        self.views.iter().any(takes_messages)
    }

    /// The resource that takes messages first: the one with the highest priority.
    pub(crate) fn first_to_take_messages(&self) -> Option<&ResourceView> {
        self.views
            .iter()
            .filter(|view| takes_messages(view))
            .max_by_key(|view| view.priority)
    }

    /// Marks a resource as interested in the roster. It need not be available yet.
    pub(crate) fn interested(&mut self, resource: &ResourcePart, limit: usize) {
        match self.position(resource) {
            Some(at) => self.views[at].interested = true,
            None if self.views.len() < limit => {
                let availability = Availability::Offline;
                tight::push(
                    &mut self.views,
                    ResourceView {
                        resource: resource.clone(),
                        availability,
                        priority: -1,
                        interested: true,
                    },
                );
                tight::push(
                    &mut self.more,
                    More {
                        status: None,
                        heard: true,
                        direct: false,
                    },
                );
            }
            None => {}
        }
    }

    /// A resource is available and has said so to the transport, or to a contact.
    pub(crate) fn available(&mut self, resource: &ResourcePart, presence: &XmppPresence, direct: bool, limit: usize) -> Change {
        let availability = availability(presence);
        let status = status(presence);
        let priority = presence.priority.0;
        let Some(at) = self.position(resource) else {
            if self.views.len() >= limit {
                return Change::TooMany;
            }
            tight::push(
                &mut self.views,
                ResourceView {
                    resource: resource.clone(),
                    availability,
                    priority,
                    interested: false,
                },
            );
            tight::push(
                &mut self.more,
                More {
                    status,
                    heard: true,
                    direct,
                },
            );
            return Change::Arrived;
        };
        let (view, more) = (&mut self.views[at], &mut self.more[at]);
        if !direct && more.direct && more.heard {
            return Change::None;
        }
        let arrived = !more.heard || !view.availability.is_online();
        let prioritised = view.priority != priority;
        *more = More {
            status,
            heard: true,
            direct: direct || more.direct,
        };
        view.availability = availability;
        view.priority = priority;
        if arrived {
            Change::Arrived
        } else if prioritised {
            Change::Priority
        } else {
            Change::None
        }
    }

    /// A resource is not available any more; true if it was. It may still want to hear of the roster.
    pub(crate) fn unavailable(&mut self, resource: &ResourceRef, direct: bool) -> bool {
        let Some(at) = self.position(resource).filter(|at| direct || !self.more[*at].direct) else {
            return false;
        };
        let was = self.views[at].availability.is_online();
        if self.views[at].interested {
            self.views[at].availability = Availability::Offline;
            self.more[at] = More {
                status: None,
                heard: true,
                direct: false,
            };
        } else {
            self.remove(at);
        }
        was
    }

    /// A resource is gone with its connection; true if it was available.
    pub(crate) fn gone(&mut self, resource: &ResourceRef) -> bool {
        let Some(at) = self.position(resource) else { return false };
        self.remove(at).availability.is_online()
    }

    fn remove(&mut self, at: usize) -> ResourceView {
        self.more.remove(at);
        self.views.remove(at)
    }

    /// Nothing that was heard before counts any more.
    pub(crate) fn distrust(&mut self) {
        self.more.iter_mut().for_each(|more| more.heard = false);
    }

    /// Those that have not been heard of since they were distrusted.
    pub(crate) fn unheard(&self) -> Vec<ResourcePart> {
        self.views
            .iter()
            .zip(&self.more)
            .filter(|(_, more)| !more.heard)
            .map(|(view, _)| view.resource.clone())
            .collect()
    }

    /// How the user is seen: as the resource with the highest priority, the most available of several; away with none.
    pub(crate) fn presence(&self) -> Presence {
        let available = self
            .views
            .iter()
            .zip(&self.more)
            .filter(|(view, _)| view.availability.is_online());
        let best = available.max_by_key(|(view, _)| (view.priority, rank(view.availability)));
        match best {
            Some((view, more)) => Presence {
                availability: view.availability,
                text: more.status.as_deref().map(str::to_owned),
                idle_since: None,
            },
            None => Presence::of(Availability::Away),
        }
    }

    /// The presence to log in with; counts as told.
    pub(crate) fn presence_at_login(&mut self) -> Presence {
        let presence = self.presence();
        self.sent = Some(presence.clone());
        presence
    }

    /// Tells the network how the user is seen, if that has changed.
    pub(crate) fn tell_network(&mut self, cx: &mut Cx<'_>) {
        if !cx.online || !cx.can(Capability::Presence) {
            return;
        }
        let presence = self.presence();
        if self.sent.as_ref() != Some(&presence) {
            self.sent = Some(presence.clone());
            cx.try_ask(Verb::SetPresence(presence));
        }
    }

    fn position(&self, resource: &ResourceRef) -> Option<usize> {
        self.views.iter().position(|view| &*view.resource == resource)
    }
}

fn takes_messages(view: &ResourceView) -> bool {
    view.priority >= 0 && view.availability.is_online()
}

fn rank(availability: Availability) -> u8 {
    match availability {
        Availability::Chat => 6,
        Availability::Online => 5,
        Availability::DoNotDisturb => 4,
        Availability::Away => 3,
        Availability::ExtendedAway => 2,
        Availability::Invisible => 1,
        Availability::Offline => 0,
    }
}

/// What a presence says.
fn availability(presence: &XmppPresence) -> Availability {
    match (&presence.type_, &presence.show) {
        (Type::None, None) => Availability::Online,
        (Type::None, Some(Show::Chat)) => Availability::Chat,
        (Type::None, Some(Show::Away)) => Availability::Away,
        (Type::None, Some(Show::Xa)) => Availability::ExtendedAway,
        (Type::None, Some(Show::Dnd)) => Availability::DoNotDisturb,
        (
            Type::Error
            | Type::Probe
            | Type::Subscribe
            | Type::Subscribed
            | Type::Unavailable
            | Type::Unsubscribe
            | Type::Unsubscribed,
            _,
        ) => Availability::Offline,
    }
}

fn status(presence: &XmppPresence) -> Option<Box<str>> {
    let text = presence.statuses.get("").or_else(|| presence.statuses.values().next())?;
    (!text.is_empty()).then(|| shorten(text, MAX_STATUS_BYTES).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn part(text: &str) -> ResourcePart {
        ResourcePart::new(text).unwrap().into_owned()
    }

    fn presence(priority: i8, show: Option<Show>) -> XmppPresence {
        let mut presence = XmppPresence::available().with_priority(priority);
        presence.show = show;
        presence
    }

    #[test]
    fn the_network_sees_the_resource_with_the_highest_priority() {
        let mut resources = Resources::default();
        assert_eq!(resources.presence(), Presence::of(Availability::Away));
        resources.available(&part("phone"), &presence(0, None), true, 9);
        resources.available(&part("desk"), &presence(5, Some(Show::Dnd)), true, 9);
        assert_eq!(resources.presence(), Presence::of(Availability::DoNotDisturb));
        assert!(resources.unavailable(&part("desk"), true));
        assert_eq!(resources.presence(), Presence::ONLINE);
    }

    #[test]
    fn what_a_known_resource_tells_a_contact_changes_nothing() {
        let mut resources = Resources::default();
        assert_eq!(resources.available(&part("a"), &presence(0, None), true, 9), Change::Arrived);
        assert_eq!(
            resources.available(&part("a"), &presence(7, Some(Show::Away)), false, 9),
            Change::None
        );
        assert!(!resources.unavailable(&part("a"), false));
        assert_eq!(resources.views()[0].priority, 0);
    }

    #[test]
    fn a_resource_that_only_contacts_heard_of_leaves_the_same_way() {
        let mut resources = Resources::default();
        assert_eq!(resources.available(&part("a"), &presence(0, None), false, 9), Change::Arrived);
        assert!(resources.unavailable(&part("a"), false));
    }

    #[test]
    fn resources_are_bounded() {
        let mut resources = Resources::default();
        assert_eq!(resources.available(&part("a"), &presence(0, None), true, 1), Change::Arrived);
        assert_eq!(resources.available(&part("b"), &presence(0, None), true, 1), Change::TooMany);
    }

    #[test]
    fn a_resource_that_asked_for_the_roster_arrives_with_its_presence() {
        let mut resources = Resources::default();
        resources.interested(&part("a"), 9);
        assert!(!resources.any_available() && !resources.is_empty());
        assert_eq!(resources.available(&part("a"), &presence(0, None), true, 9), Change::Arrived);
        assert!(resources.unavailable(&part("a"), true));
        assert!(resources.views()[0].interested && !resources.takes_messages());
        assert!(!resources.gone(&part("a")));
        assert!(resources.is_empty());
    }

    #[test]
    fn a_distrusted_resource_arrives_again() {
        let mut resources = Resources::default();
        resources.available(&part("a"), &presence(0, None), true, 9);
        resources.available(&part("b"), &presence(0, None), true, 9);
        resources.distrust();
        assert_eq!(resources.available(&part("a"), &presence(0, None), true, 9), Change::Arrived);
        assert_eq!(resources.unheard(), [part("b")]);
    }
}
