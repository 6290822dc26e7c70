//! What became of numbered messages: who sent what, who got it, which were answered, which the journal had at a kill. The
//! promises of durable delivery are checked on it. Owns no process.

use std::collections::{BTreeMap, BTreeSet};

use minidom::Element;

/// Where a message goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Goal {
    /// A person.
    Carol,
    /// Another person.
    Dave,
    /// A room with both.
    Room,
}

impl Goal {
    /// All of them, in the order in which messages are dealt out.
    pub const ALL: [Self; 3] = [Self::Carol, Self::Room, Self::Dave];
}

/// A small generator: the moments of a run come back with its seed.
#[derive(Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// Any seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below this, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Knuth's multiplier; the upper bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// How a message was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// It was not sent.
    Refused,
    /// Nobody knows.
    Uncertain,
}

/// The books of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: Vec<Goal>,
    delivered: BTreeMap<usize, usize>,
    order: BTreeMap<Goal, Vec<usize>>,
    answered: BTreeMap<usize, Answer>,
    journaled: BTreeSet<usize>,
    /// For each kill of the main process: the number of messages sent before it.
    kills: Vec<usize>,
    /// The same for every kill, with who was killed.
    moments: Vec<(usize, String)>,
    /// What came from the network, per chat.
    incoming: BTreeMap<String, Vec<usize>>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Messages of the client.
    pub sent: usize,
    /// That arrived, once.
    pub delivered: usize,
    /// That were answered: not sent.
    pub refused: usize,
    /// That were answered: perhaps sent.
    pub uncertain: usize,
    /// Of those, the ones that had arrived.
    pub uncertain_and_delivered: usize,
    /// That the gateway had not acknowledged when it was killed: they were in buffers between it and the XMPP server.
    pub unread: usize,
    /// Messages the other way that arrived.
    pub incoming: usize,
}

impl Ledger {
    /// The number of the next message, and where it goes.
    pub fn next_message(&mut self) -> (usize, Goal) {
        let number = self.sent.len();
        let goal = Goal::ALL[number % Goal::ALL.len()];
        self.sent.push(goal);
        (number, goal)
    }

    /// The number and goal of a message that goes to this one.
    pub fn next_to(&mut self, goal: Goal) -> usize {
        self.sent.push(goal);
        self.sent.len() - 1
    }

    /// It has arrived where it was sent to.
    pub fn arrived(&mut self, goal: Goal, number: usize) {
        *self.delivered.entry(number).or_default() += 1;
        self.order.entry(goal).or_default().push(number);
    }

    /// Whether a message has arrived.
    pub fn has_arrived(&self, number: usize) -> bool {
        self.delivered.contains_key(&number)
    }

    /// The sender has got a stanza; errors about numbered messages and numbered words of others count.
    pub fn heard(&mut self, stanza: &Element) {
        if stanza.name() != "message" {
            return;
        }
        if stanza.attr("type") == Some("error") {
            let number = stanza.attr("id").and_then(|id| id.strip_prefix('n')?.parse().ok());
            if let Some(number) = number {
                let uncertain = stanza
                    .get_child("error", "jabber:client")
                    .and_then(|error| error.get_child("text", "urn:ietf:params:xml:ns:xmpp-stanzas"))
                    .is_some_and(|text| text.text().contains("may have been"));
                let answer = if uncertain { Answer::Uncertain } else { Answer::Refused };
                self.answered.insert(number, answer);
            }
            return;
        }
        let body = stanza.get_child("body", "jabber:client").map(Element::text);
        // Where the client was not known to be there yet when its message was looked at again, it is told in words.
        if let Some(number) = body
            .as_deref()
            .filter(|body| body.starts_with("Your message to "))
            .and_then(outgoing_number)
        {
            self.answered.entry(number).or_insert(Answer::Uncertain);
            return;
        }
        // A room's history after a join says again what was said.
        let again = stanza.has_child("delay", "urn:xmpp:delay");
        if let (Some(from), Some(number), false) = (stanza.attr("from"), body.as_deref().and_then(incoming_number), again) {
            self.incoming.entry(from.to_owned()).or_default().push(number);
        }
    }

    /// Somebody is about to be killed.
    pub fn moment(&mut self, victim: &str) {
        self.moments.push((self.sent.len(), victim.to_owned()));
    }

    /// The main process was killed, and these ids of messages were in its journal.
    pub fn killed(&mut self, journal: impl IntoIterator<Item = String>) {
        self.kills.push(self.sent.len());
        self.journaled.extend(
            journal
                .into_iter()
                .filter_map(|id| id.strip_prefix('n')?.parse::<usize>().ok()),
        );
    }

    /// Messages whose fate nobody has told yet.
    pub fn open(&self) -> Vec<usize> {
        (0..self.sent.len())
            .filter(|number| !self.delivered.contains_key(number) && !self.answered.contains_key(number))
            .collect()
    }

    /// Messages without a fate although the gateway had them: empty if it keeps its promise. The XMPP server hands messages
    /// over in their order, so what the gateway never had is what was sent last before a kill, and nothing else.
    pub fn lost(&self) -> Vec<usize> {
        let open = self.open();
        let is_lost = |number: &usize| {
            let kill = self.kills.iter().find(|kill| **kill > *number);
            let Some(kill) = kill else { return true };
            // Something later that was handed over before the same kill shows that this one was handed over too.
            let had_later =
                (number + 1..*kill).any(|later| self.delivered.contains_key(&later) || self.journaled.contains(&later));
            self.journaled.contains(number) || had_later
        };
        open.into_iter().filter(is_lost).collect()
    }

    /// What is known of a message that was lost.
    fn story(&self, number: usize) -> String {
        let goal = self.sent.get(number);
        let journaled = if self.journaled.contains(&number) {
            "in the journal"
        } else {
            "not in the journal"
        };
        match self.moments.iter().find(|(count, _)| *count > number) {
            Some((count, victim)) => format!(
                "{number} to {goal:?}, {journaled}, {} before the kill of {victim}",
                count - number
            ),
            None => format!("{number} to {goal:?}, {journaled}, after all kills"),
        }
    }

    /// Checks all promises.
    ///
    /// # Panics
    /// If one is broken, with the numbers of the messages.
    pub fn check(&self) -> Summary {
        let twice: Vec<_> = self.delivered.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "delivered more than once: {twice:?}");
        for (goal, numbers) in &self.order {
            let disorder: Vec<_> = numbers.windows(2).filter(|pair| pair[0] > pair[1]).collect();
            assert!(disorder.is_empty(), "out of order for {goal:?}: {disorder:?}");
        }
        for (from, numbers) in &self.incoming {
            let disorder: Vec<_> = numbers.windows(2).filter(|pair| pair[0] >= pair[1]).collect();
            assert!(disorder.is_empty(), "from {from} twice or out of order: {disorder:?}");
        }
        let lies: Vec<_> = self
            .answered
            .iter()
            .filter(|(number, answer)| **answer == Answer::Refused && self.delivered.contains_key(number))
            .collect();
        assert!(lies.is_empty(), "said not to be sent, yet delivered: {lies:?}");
        let lost: Vec<_> = self.lost().into_iter().map(|number| self.story(number)).collect();
        assert!(lost.is_empty(), "acknowledged and lost:\n{}", lost.join("\n"));
        let answers = |wanted| self.answered.values().filter(|answer| **answer == wanted).count();
        Summary {
            sent: self.sent.len(),
            delivered: self.delivered.len(),
            refused: answers(Answer::Refused),
            uncertain: answers(Answer::Uncertain),
            uncertain_and_delivered: self
                .answered
                .iter()
                .filter(|(number, answer)| **answer == Answer::Uncertain && self.delivered.contains_key(number))
                .count(),
            unread: self.open().len(),
            incoming: self.incoming.values().map(Vec::len).sum(),
        }
    }
}

/// The number in `number 17.`.
pub fn outgoing_number(text: &str) -> Option<usize> {
    text.split("number ").nth(1)?.split('.').next()?.parse().ok()
}

/// The number in `word 17.`.
fn incoming_number(text: &str) -> Option<usize> {
    text.strip_prefix("word ")?.strip_suffix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: usize, text: &str) -> Element {
        let xml = format!(
            "<message xmlns='jabber:client' type='error' id='n{number}'><error type='wait'>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{text}</text></error></message>"
        );
        xml.parse().unwrap_or_else(|failed| panic!("{failed}"))
    }

    #[test]
    fn only_the_last_before_a_kill_may_be_without_a_fate() {
        let mut ledger = Ledger::default();
        for _ in 0..6 {
            let _ = ledger.next_message();
        }
        ledger.arrived(Goal::Carol, 0);
        ledger.arrived(Goal::Dave, 2);
        ledger.heard(&error(3, "It may have been sent."));
        ledger.killed(["n4".to_owned()]);
        // 1 was handed over, for 2 was; 4 was in the journal; 5 the gateway may never have had.
        assert_eq!(ledger.lost(), [1, 4]);
        let _ = ledger.next_message();
        assert_eq!(ledger.lost(), [1, 4, 6]);
    }

    #[test]
    #[should_panic(expected = "more than once")]
    fn what_is_delivered_twice_is_found() {
        let mut ledger = Ledger::default();
        let (number, goal) = ledger.next_message();
        ledger.arrived(goal, number);
        ledger.arrived(goal, number);
        let _ = ledger.check();
    }

    #[test]
    #[should_panic(expected = "yet delivered")]
    fn what_is_delivered_and_called_not_sent_is_found() {
        let mut ledger = Ledger::default();
        let (number, goal) = ledger.next_message();
        ledger.arrived(goal, number);
        ledger.heard(&error(number, "It was not sent."));
        let _ = ledger.check();
    }
}
