//! A member's line: what the network tells one session, in order. The network never waits for it: whoever does not take what
//! comes is cut off, as networks do, and nobody else notices.

use std::sync::{Arc, OnceLock};

use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{Event, Events, LoginError, LoginErrorKind, OpError, OpResult};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// What may wait for one member; a list of occupants counts as one. One more, and the member is cut off.
pub(crate) const LINE: usize = 1_024;

enum Item {
    Event(Box<Event>),
    List(Vec<Event>),
    /// Somebody wants to know when this has been reached.
    Mark(oneshot::Sender<()>),
}

/// The network's end of a line. A clone is the same line; it ends with the last one.
#[derive(Clone)]
pub(crate) struct Line {
    queue: mpsc::Sender<Item>,
    cut: Cut,
}

#[derive(Clone, Default)]
struct Cut {
    why: Arc<OnceLock<LoginError>>,
    now: CancellationToken,
}

impl Line {
    /// A line to these events.
    pub(crate) fn new(events: Events, tasks: &Tasks) -> Self {
        let (queue, items) = mpsc::channel(LINE);
        let cut = Cut::default();
        drop(tasks.spawn("demo line", Span::current(), pump(events, items, cut.clone())));
        Self { queue, cut }
    }

    /// Tells one thing.
    pub(crate) fn tell(&self, event: Event) {
        self.put(Item::Event(Box::new(event)));
    }

    /// Tells several things, with nothing in between.
    pub(crate) fn tell_all(&self, events: Vec<Event>) {
        self.put(Item::List(events));
    }

    /// Waits until all that was told before has been taken.
    ///
    /// # Errors
    /// The line has ended.
    pub(crate) async fn all_taken(&self) -> OpResult<()> {
        let (mark, reached) = oneshot::channel();
        self.put(Item::Mark(mark));
        reached
            .await
            .map_err(|_| OpError::maybe_sent("The connection to the demo network was lost."))
    }

    /// Ends the session that is at the other end.
    pub(crate) fn cut(&self, why: LoginError) {
        let _ = self.cut.why.set(why);
        self.cut.now.cancel();
    }

    fn put(&self, item: Item) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(item) {
            self.cut(LoginError::new(
                LoginErrorKind::Network,
                "The demo network has cut you off: you did not take what it sent.",
            ));
        }
    }
}

async fn pump(events: Events, mut items: mpsc::Receiver<Item>, cut: Cut) {
    let telling = async {
        while let Some(item) = items.recv().await {
            let list = match item {
                Item::Event(event) => vec![*event],
                Item::List(list) => list,
                Item::Mark(mark) => {
                    // Whoever waited may have given up.
                    let _ = mark.send(());
                    continue;
                }
            };
            for event in list {
                if events.emit(event).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = cut.now.cancelled() => {
            if let Some(why) = cut.why.get() {
                // A session that is over already needs no end.
                let _ = events.emit(Event::Closed(why.clone())).await;
            }
        }
        () = telling => {}
    }
}
