//! Questions of our own over the component link, each answered within a time: by a result, by an error or by silence.
//!
//! Owns the open questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::stanza::Stanza;
use tokio::sync::oneshot;
use tokio::time::timeout;
use xmpp_parsers::iq::Iq;

use super::PATIENCE;
use super::found::Said;
use crate::link::Outbox;

/// Questions open at once; one more is not asked.
const MOST_OPEN: usize = 256;
/// In front of their ids.
const OWN: &str = "spectrum-doctor-";

/// Asks, and knows the answers when they come.
pub(crate) struct Asker {
    transport: Jid,
    outbox: Arc<Outbox>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    questions: HashMap<String, (Jid, oneshot::Sender<Said>)>,
}

/// Takes a question back, however the asking ends.
struct Question<'a> {
    asker: &'a Asker,
    id: String,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.asker.open().questions.remove(&self.id);
    }
}

impl Asker {
    /// One for the transport of this JID.
    pub(crate) fn new(transport: BareJid, outbox: Arc<Outbox>) -> Self {
        Self {
            transport: transport.into(),
            outbox,
            open: Mutex::default(),
        }
    }

    /// Who asks.
    pub(super) fn transport(&self) -> &Jid {
        &self.transport
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `to` and waits for the answer, [`PATIENCE`] at most.
    pub(super) async fn ask(&self, to: Jid, payload: Element) -> Said {
        let (sender, answer) = oneshot::channel();
        let question = {
            let mut open = self.open();
            if open.questions.len() >= MOST_OPEN {
                return Said::Nothing;
            }
            open.next += 1;
            let id = format!("{OWN}{}", open.next);
            open.questions.insert(id.clone(), (to.clone(), sender));
            Question { asker: self, id }
        };
        let iq = Iq::Get {
            from: Some(self.transport.clone()),
            to: Some(to),
            id: question.id.clone(),
            payload,
        };
        self.outbox.push(Stanza::Iq(iq));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => Said::Nothing,
        }
    }

    /// Takes the answer to a question of ours; gives back any other. Matched by peer and id.
    pub(crate) fn answered(&self, iq: Iq) -> Option<Iq> {
        if !iq.id().starts_with(OWN) {
            return Some(iq);
        }
        let mut open = self.open();
        let is_ours = open.questions.get(iq.id()).is_some_and(|(to, _)| iq.from() == Some(to));
        if !is_ours {
            return Some(iq);
        }
        let (_, sender) = open.questions.remove(iq.id())?;
        let said = match iq {
            Iq::Result { payload, .. } => Said::Result(payload),
            Iq::Error { error, .. } => Said::Error(error.defined_condition),
            Iq::Get { .. } | Iq::Set { .. } => Said::Nothing,
        };
        // Who asked may have given up.
        let _ = sender.send(said);
        None
    }
}
