//! Stream management, the client's side (XEP-0198): which stanzas the server has, and which must be said again when a lost
//! connection is taken up. Pure; the link owns it.

use std::collections::VecDeque;
use std::time::Duration;

use minidom::Element;
use tokio::sync::oneshot;

use crate::ns;
use crate::xml::element;

/// How long a lost connection is worth taking up again if the server does not say.
const DEFAULT_MAX: Duration = Duration::from_secs(300);

/// The longest it is worth: beyond it the user is better shown as offline, and the core logs in anew.
const LONGEST: Duration = Duration::from_secs(30);

/// Stanzas that the server has not confirmed. Beyond it nothing further is written until it has.
pub(crate) const MAX_UNACKED: usize = 1_024;

/// What became of a stanza.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// The server has it.
    Accepted,
    /// The connection ended before it was written.
    NotWritten,
    /// It was written, and nobody knows whether it arrived.
    Unknown,
}

/// A stanza, and who wants to know what becomes of it.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) stanza: Element,
    pub(crate) fate: Option<oneshot::Sender<Fate>>,
}

impl Tracked {
    /// Tells whoever wants to know.
    pub(crate) fn tell(self, fate: Fate) {
        if let Some(waiting) = self.fate {
            // Nobody waits any more: the verb was cancelled.
            let _ = waiting.send(fate);
        }
    }
}

/// The server confirmed what it cannot have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Confused;

/// The counters of one session of stream management.
#[derive(Debug)]
pub(crate) struct Sm {
    /// What the session is called when it is taken up; `None` if it cannot be.
    id: Option<String>,
    max: Duration,
    /// Stanzas read.
    received: u32,
    /// Stanzas that the server has confirmed.
    confirmed: u32,
    unacked: VecDeque<Tracked>,
    is_asked: bool,
}

impl Sm {
    /// From `<enabled/>`.
    pub(crate) fn enabled(enabled: &Element) -> Self {
        let can_resume = matches!(enabled.attr("resume"), Some("true" | "1"));
        let max = enabled.attr("max").and_then(|max| max.parse().ok()).map(Duration::from_secs);
        Self {
            id: enabled.attr("id").filter(|_| can_resume).map(str::to_owned),
            max: max.filter(|max| !max.is_zero()).unwrap_or(DEFAULT_MAX).min(LONGEST),
            received: 0,
            confirmed: 0,
            unacked: VecDeque::new(),
            is_asked: false,
        }
    }

    /// How long the session can be taken up after its connection is lost; `None` if it cannot.
    pub(crate) fn window(&self) -> Option<Duration> {
        self.id.as_ref().map(|_| self.max)
    }

    /// A stanza was read.
    pub(crate) fn count_received(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// A stanza is written; kept until the server has confirmed it.
    pub(crate) fn written(&mut self, tracked: Tracked) {
        self.unacked.push_back(tracked);
    }

    /// Whether as many as may be are unconfirmed.
    pub(crate) fn is_full(&self) -> bool {
        self.unacked.len() >= MAX_UNACKED
    }

    /// How many stanzas are unconfirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unacked.len()
    }

    /// Whether somebody waits to hear of a stanza.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.unacked.iter().any(|tracked| tracked.fate.is_some())
    }

    /// `<r/>`, if there is something to ask about and the last question has been answered.
    pub(crate) fn ask(&mut self) -> Option<Element> {
        if self.unacked.is_empty() || self.is_asked {
            return None;
        }
        self.is_asked = true;
        Some(element("r", ns::SM, &[]))
    }

    /// `<a/>`.
    pub(crate) fn answer(&self) -> Element {
        element("a", ns::SM, &[("h", &self.received.to_string())])
    }

    /// The server has this many (modulo 2^32).
    pub(crate) fn confirmed(&mut self, h: u32) -> Result<(), Confused> {
        self.is_asked = false;
        let new = usize::try_from(h.wrapping_sub(self.confirmed)).map_err(|_| Confused)?;
        if new > self.unacked.len() {
            return Err(Confused);
        }
        self.confirmed = h;
        for tracked in self.unacked.drain(..new) {
            tracked.tell(Fate::Accepted);
        }
        Ok(())
    }

    /// `<resume/>`.
    pub(crate) fn resume(&self) -> Option<Element> {
        let id = self.id.as_ref()?;
        Some(element(
            "resume",
            ns::SM,
            &[("previd", id), ("h", &self.received.to_string())],
        ))
    }

    /// The session was taken up: what the server has not got is to be written again, in its order, with the question whether
    /// it came, since the one on the lost connection is never answered.
    pub(crate) fn resumed(&mut self, h: u32) -> Result<Vec<Element>, Confused> {
        self.confirmed(h)?;
        let again: Vec<_> = self.unacked.iter().map(|tracked| tracked.stanza.clone()).collect();
        Ok(again.into_iter().chain(self.ask()).collect())
    }

    /// The session is over.
    pub(crate) fn end(&mut self, h: Option<u32>) {
        if let Some(h) = h {
            // Some servers say with the refusal what they got; what makes no sense there changes nothing.
            let _ = self.confirmed(h);
        }
        for tracked in self.unacked.drain(..) {
            tracked.tell(Fate::Unknown);
        }
    }
}

/// The counter of `<a/>`, `<resumed/>` or `<failed/>`.
pub(crate) fn counter(element: &Element) -> Option<u32> {
    element.attr("h").and_then(|h| h.parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn session() -> Sm {
        Sm::enabled(&element(
            "enabled",
            ns::SM,
            &[("id", "s1"), ("resume", "true"), ("max", "20")],
        ))
    }

    fn write(sm: &mut Sm, id: &str) -> oneshot::Receiver<Fate> {
        let (fate, waiting) = oneshot::channel();
        sm.written(Tracked {
            stanza: element("message", ns::CLIENT, &[("id", id)]),
            fate: Some(fate),
        });
        waiting
    }

    #[test]
    fn what_the_server_confirms_is_told_and_forgotten() {
        let mut sm = session();
        let (mut first, mut second) = (write(&mut sm, "1"), write(&mut sm, "2"));
        assert_eq!(sm.ask(), Some(element("r", ns::SM, &[])));
        assert_eq!(sm.ask(), None, "one question at a time");
        sm.confirmed(1).unwrap();
        assert_eq!(first.try_recv(), Ok(Fate::Accepted));
        assert!(second.try_recv().is_err());
        assert_eq!(sm.confirmed(3), Err(Confused), "more than was written");
        assert_eq!(sm.confirmed(0), Err(Confused), "less than before");
    }

    #[test]
    fn what_did_not_arrive_is_said_again_in_its_order() {
        let mut sm = session();
        sm.count_received();
        let _first = write(&mut sm, "1");
        let mut second = write(&mut sm, "2");
        assert_eq!(
            sm.resume().unwrap(),
            element("resume", ns::SM, &[("previd", "s1"), ("h", "1")])
        );
        // The question on the lost connection is not answered any more: it is asked again.
        sm.ask().unwrap();
        assert_eq!(
            sm.resumed(1).unwrap(),
            [element("message", ns::CLIENT, &[("id", "2")]), element("r", ns::SM, &[])]
        );
        sm.end(Some(1));
        assert_eq!(second.try_recv(), Ok(Fate::Unknown));
    }

    #[test]
    fn counters_wrap() {
        let mut sm = session();
        sm.confirmed = u32::MAX;
        let mut waiting = write(&mut sm, "1");
        sm.confirmed(0).unwrap();
        assert_eq!(waiting.try_recv(), Ok(Fate::Accepted));
    }

    #[test]
    fn a_session_that_cannot_be_taken_up_is_not() {
        let sm = Sm::enabled(&element("enabled", ns::SM, &[("id", "s1")]));
        assert_eq!((sm.window(), sm.resume()), (None, None));
        assert_eq!(session().window(), Some(Duration::from_secs(20)));
    }
}
