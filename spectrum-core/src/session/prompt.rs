//! Questions of a login to the person: asked in a chat with the transport, or by whoever attends the login (a command that the
//! person is running). Owned by the session.

use crate::backend::link::LinkRequest;
use crate::dialogue::{Asking, Heard, MAX_FIELDS};
use crate::model::{Form, FormAnswers, LoginPrompt, PromptId, Shown};
use crate::session::{Cx, Output, Progress};

/// The question that is being asked, if any, and who asks it.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    open: Option<Box<Open>>,
    attended: bool,
}

#[derive(Debug)]
struct Open {
    id: PromptId,
    form: Form,
    /// In the chat; `None`: whoever attends the login asks it.
    asking: Option<Asking>,
}

impl Prompts {
    /// Whether somebody attends the login, so that it need not be told in the chat.
    pub(crate) fn is_attended(&self) -> bool {
        self.attended
    }

    /// Whether the login waits for the person.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The login asks something or has something to show; true if it has to wait for the person. `heard`: somebody can see it.
    pub(crate) fn prompt(&mut self, cx: &mut Cx<'_>, id: PromptId, what: LoginPrompt, heard: bool) -> bool {
        let form = match what {
            LoginPrompt::Show(_) if self.attended => {
                cx.out.push(Output::Progress(Progress::Prompt(id, what)));
                return false;
            }
            LoginPrompt::Show(Shown::Link { url, text }) => {
                cx.notice(format!("{text}\n{url}").trim());
                return false;
            }
            LoginPrompt::Show(Shown::Picture { text, .. }) => {
                cx.notice(text);
                return false;
            }
            LoginPrompt::Ask(form) => form,
        };
        self.give_up(cx);
        if form.fields.is_empty() || form.fields.len() > MAX_FIELDS || !(heard || self.attended) {
            answer(cx, id, None);
            return false;
        }
        let asking = None;
        self.open = Some(Box::new(Open { id, form, asking }));
        self.ask(cx);
        true
    }

    /// Something the user wrote to the transport; `None` if nothing was asked here, else whether the question is done.
    pub(crate) fn answered(&mut self, cx: &mut Cx<'_>, text: &str) -> Option<bool> {
        match self.open.as_mut()?.asking.as_mut()?.hear(text) {
            Heard::Ask(question) => {
                cx.notice(question);
                return Some(false);
            }
            Heard::Complete(answers) => self.close(cx, Some(answers)),
            Heard::Cancelled => self.close(cx, None),
        }
        Some(true)
    }

    /// An answer from whoever attends the login; true if the question was still open.
    pub(crate) fn answered_elsewhere(&mut self, cx: &mut Cx<'_>, id: PromptId, answers: Option<FormAnswers>) -> bool {
        let is_open = self.open.as_ref().is_some_and(|open| open.id == id);
        if is_open {
            self.close(cx, answers);
        }
        is_open
    }

    /// Somebody attends the login from now on, or nobody does any more. An open question goes over to them, or to the chat.
    pub(crate) fn attend(&mut self, cx: &mut Cx<'_>, attended: bool, heard: bool) {
        self.attended = attended;
        if attended || heard {
            self.ask(cx);
        } else {
            self.give_up(cx);
        }
    }

    /// Nobody will answer any more.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>) {
        self.close(cx, None);
    }

    /// The login that asked is gone.
    pub(crate) fn forget(&mut self) {
        self.open = None;
    }

    fn ask(&mut self, cx: &mut Cx<'_>) {
        let Some(open) = &mut self.open else { return };
        if self.attended {
            open.asking = None;
            let what = LoginPrompt::Ask(open.form.clone());
            cx.out.push(Output::Progress(Progress::Prompt(open.id, what)));
            return;
        }
        let (asking, heard) = Asking::begin(open.form.clone());
        open.asking = Some(asking);
        if let Heard::Ask(question) = heard {
            cx.notice(question);
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, answers: Option<FormAnswers>) {
        if let Some(open) = self.open.take() {
            answer(cx, open.id, answers);
        }
    }
}

fn answer(cx: &mut Cx<'_>, prompt: PromptId, answers: Option<FormAnswers>) {
    cx.out.push(Output::Link(LinkRequest::PromptAnswer { prompt, answers }));
}
