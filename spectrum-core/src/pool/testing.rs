//! What the tests of the pool share: an inbox that remembers, and requests to send.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc;

use crate::backend::{Event, Outcome, Verb};
use crate::main_process::{LinkInput, LinkLogin, LinkRequest, SessionInbox};
use crate::model::{AssignmentId, Chat, MessageId, OutgoingMessage, Presence, RequestId};

/// Far longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers what is delivered, in order.
pub(crate) struct Recorder {
    tell: mpsc::Sender<(AssignmentId, LinkInput)>,
    told: Mutex<mpsc::Receiver<(AssignmentId, LinkInput)>>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        let (tell, told) = mpsc::channel(10_000);
        Arc::new(Self {
            tell,
            told: Mutex::new(told),
        })
    }

    /// Waits for the next delivery.
    pub(crate) async fn next(&self) -> (AssignmentId, LinkInput) {
        let mut told = self.told.lock().await;
        tokio::time::timeout(PATIENCE, told.recv())
            .await
            .expect("something is delivered")
            .unwrap()
    }

    /// Waits for the next delivery that `pick` wants; others are passed over.
    pub(crate) async fn find<T>(&self, mut pick: impl FnMut(LinkInput) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await.1) {
                return found;
            }
        }
    }

    /// Waits for the outcome of a request.
    pub(crate) async fn outcome(&self, wanted: u64) -> Outcome {
        self.find(|input| match input {
            LinkInput::Outcome { request, outcome } if request == RequestId(wanted) => Some(*outcome),
            _ => None,
        })
        .await
    }

    /// Waits until the network has accepted the user.
    pub(crate) async fn logged_in(&self) {
        self.find(|input| matches!(input, LinkInput::LoggedIn).then_some(())).await;
    }

    /// Waits for a message with this text.
    pub(crate) async fn message(&self, text: &str) {
        self.find(|input| match input {
            LinkInput::Event { event, .. } => matches!(*event, Event::Message(m) if m.body == text).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until the backend is lost, and says why.
    pub(crate) async fn lost(&self) -> String {
        self.find(|input| match input {
            LinkInput::BackendLost { reason } => Some(reason),
            _ => None,
        })
        .await
    }

    /// What has been delivered and not been looked at.
    pub(crate) fn drain(&self) -> Vec<(AssignmentId, LinkInput)> {
        let mut told = self.told.try_lock().unwrap();
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }
}

impl SessionInbox for Recorder {
    fn deliver(&self, assignment: AssignmentId, input: LinkInput) {
        self.tell.try_send((assignment, input)).unwrap();
    }
}

pub(crate) fn login() -> LinkRequest {
    LinkRequest::Login(Box::new(LinkLogin {
        name: "legacy".into(),
        password: Some("hunter2".into()),
        settings: BTreeMap::new(),
        presence: Presence::default(),
        contacts: Vec::new(),
    }))
}

pub(crate) fn say(request: u64, to: &str, body: &str) -> LinkRequest {
    let message = OutgoingMessage {
        chat: Chat::Contact(to.into()),
        id: MessageId::new(format!("m{request}")),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    };
    verb(request, Verb::SendMessage(message))
}

pub(crate) fn verb(request: u64, verb: Verb) -> LinkRequest {
    LinkRequest::Verb {
        request: RequestId(request),
        verb: Box::new(verb),
    }
}
