//! The way out of a legacy session: events with credit, durable events, prompts. Shared by the author's code, the session's
//! task and the task that reads frames.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::EVENT_CREDIT;
use crate::backend::{Event, EventSink, LoginError, PromptSink, SessionEnded};
use crate::model::{AssignmentId, Form, FormAnswers, LoginPrompt, PromptId, Shown};
use crate::wire::FromBackend;

/// What one legacy session reports.
pub(super) struct Reports {
    assignment: AssignmentId,
    out: mpsc::Sender<FromBackend>,
    credit: Semaphore,
    closed: CancellationToken,
    // A lock, not an owner task: held for one insertion or one hand-over that never waits, so that nothing follows `Closed`.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    last_durable: u64,
    last_prompt: u64,
    durable: HashMap<u64, oneshot::Sender<()>>,
    prompts: HashMap<PromptId, oneshot::Sender<Option<FormAnswers>>>,
}

impl Reports {
    pub(super) fn new(assignment: AssignmentId, out: mpsc::Sender<FromBackend>) -> Self {
        Self {
            assignment,
            out,
            credit: Semaphore::new(EVENT_CREDIT),
            closed: CancellationToken::new(),
            state: Mutex::default(),
        }
    }

    pub(super) fn assignment(&self) -> AssignmentId {
        self.assignment
    }

    /// Resolves once nothing more is accepted.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The core has dealt with so many events.
    pub(super) fn credit(&self, events: u32) {
        let room = EVENT_CREDIT.saturating_sub(self.credit.available_permits());
        self.credit.add_permits(room.min(events as usize));
    }

    /// The core has committed a durable event.
    pub(super) fn committed(&self, event: u64) {
        if let Some(waiting) = self.state().durable.remove(&event) {
            let _ = waiting.send(());
        }
    }

    /// The person has answered.
    pub(super) fn answered(&self, prompt: PromptId, answers: Option<FormAnswers>) {
        if let Some(waiting) = self.state().prompts.remove(&prompt) {
            let _ = waiting.send(answers);
        }
    }

    /// Ends the session for the core, if it is not ended yet. Does not wait for credit.
    pub(super) async fn close(&self, error: LoginError) {
        let _ = self.send(Event::Closed(error), None).await;
    }

    /// Accepts nothing more, without telling the core: it has asked for the end itself.
    pub(super) fn silence(&self) {
        let mut state = self.state();
        state.closed = true;
        self.end(&mut state);
    }

    fn end(&self, state: &mut State) {
        // Whoever waits for these learns that the session has ended.
        state.durable.clear();
        state.prompts.clear();
        self.credit.close();
        self.closed.cancel();
    }

    async fn send(&self, event: Event, committed: Option<oneshot::Sender<()>>) -> Result<(), SessionEnded> {
        let slot = self.out.reserve().await.map_err(|_| SessionEnded)?;
        let mut state = self.state();
        if state.closed {
            return Err(SessionEnded);
        }
        let durable = committed.map(|committed| {
            state.last_durable += 1;
            let number = state.last_durable;
            state.durable.insert(number, committed);
            number
        });
        if let Event::Closed(_) = &event {
            state.closed = true;
            self.end(&mut state);
        }
        slot.send(FromBackend::Event {
            assignment: self.assignment,
            durable,
            event: Box::new(event),
        });
        Ok(())
    }

    async fn emit_with(&self, event: Event, committed: Option<oneshot::Sender<()>>) -> Result<(), SessionEnded> {
        if matches!(event, Event::Closed(_)) {
            return self.send(event, committed).await;
        }
        // An author may stop waiting at any time: the credit is only used up once the event is on its way.
        let credit = self.credit.acquire().await.map_err(|_| SessionEnded)?;
        self.send(event, committed).await?;
        credit.forget();
        Ok(())
    }

    fn prompt(&self) -> Option<(PromptId, oneshot::Receiver<Option<FormAnswers>>)> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.last_prompt += 1;
        let prompt = PromptId(state.last_prompt);
        let (answer, answered) = oneshot::channel();
        state.prompts.insert(prompt, answer);
        Some((prompt, answered))
    }

    async fn send_prompt(&self, prompt: PromptId, what: LoginPrompt) {
        let _ = self
            .out
            .send(FromBackend::Prompt {
                assignment: self.assignment,
                prompt,
                what: Box::new(what),
            })
            .await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventSink for Reports {
    async fn emit(&self, event: Event) -> Result<(), SessionEnded> {
        self.emit_with(event, None).await
    }

    async fn emit_durable(&self, event: Event) -> Result<(), SessionEnded> {
        let (committed, waiting) = oneshot::channel();
        self.emit_with(event, Some(committed)).await?;
        waiting.await.map_err(|_| SessionEnded)
    }
}

#[async_trait]
impl PromptSink for Reports {
    async fn ask(&self, form: Form) -> Option<FormAnswers> {
        let (prompt, answered) = self.prompt()?;
        self.send_prompt(prompt, LoginPrompt::Ask(form)).await;
        answered.await.ok().flatten()
    }

    async fn show(&self, shown: Shown) {
        if let Some((prompt, _)) = self.prompt() {
            self.state().prompts.remove(&prompt);
            self.send_prompt(prompt, LoginPrompt::Show(shown)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_emit_that_is_given_up_uses_no_credit() {
        let (out, mut from) = mpsc::channel(1);
        let reports = Reports::new(AssignmentId(1), out);
        let notice = || Event::Notice("n".to_owned());
        assert_eq!(reports.emit(notice()).await, Ok(()));
        for _ in 0..2 * EVENT_CREDIT {
            assert!(
                tokio::time::timeout(Duration::from_millis(1), reports.emit(notice()))
                    .await
                    .is_err()
            );
        }
        assert!(from.recv().await.is_some());
        assert_eq!(reports.emit(notice()).await, Ok(()));
    }
}
