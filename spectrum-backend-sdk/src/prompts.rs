//! Questions that many logins ask.

use async_trait::async_trait;
use spectrum_core::backend::Prompts;
use spectrum_core::model::{Field, FieldKind, Form, Secret, Shown};

/// Common questions to a person during a login, one line each. `None`: the person gave up.
#[async_trait]
pub trait PromptsExt {
    /// Asks for one line, such as a phone number.
    async fn text(&self, title: &str, label: &str) -> Option<String>;
    /// Asks for one line that nobody may see, such as a code or a second password.
    async fn secret(&self, title: &str, label: &str) -> Option<Secret>;
    /// Asks a question whose answer is yes or no.
    async fn confirm(&self, title: &str, question: &str) -> Option<bool>;
    /// Asks to choose one of these; answers with its value.
    async fn choose(&self, title: &str, label: &str, choices: &[(&str, &str)]) -> Option<String>;
    /// Shows a link to follow.
    async fn show_link(&self, url: &str, text: &str);
}

#[async_trait]
impl PromptsExt for Prompts {
    async fn text(&self, title: &str, label: &str) -> Option<String> {
        one(self, title, label, FieldKind::Text)
            .await
            .map(|answer| answer.expose().to_owned())
    }

    async fn secret(&self, title: &str, label: &str) -> Option<Secret> {
        one(self, title, label, FieldKind::Password).await
    }

    async fn confirm(&self, title: &str, question: &str) -> Option<bool> {
        let answer = one(self, title, question, FieldKind::Boolean).await?;
        Some(matches!(answer.expose().trim(), "1" | "true" | "yes"))
    }

    async fn choose(&self, title: &str, label: &str, choices: &[(&str, &str)]) -> Option<String> {
        let kind = FieldKind::Choice(
            choices
                .iter()
                .map(|(value, label)| ((*value).to_owned(), (*label).to_owned()))
                .collect(),
        );
        let answer = one(self, title, label, kind).await?;
        // Whatever a client sends, only what was offered is an answer.
        choices
            .iter()
            .find(|(value, _)| *value == answer.expose())
            .map(|(value, _)| (*value).to_owned())
    }

    async fn show_link(&self, url: &str, text: &str) {
        self.show(Shown::Link {
            url: url.to_owned(),
            text: text.to_owned(),
        })
        .await;
    }
}

async fn one(prompts: &Prompts, title: &str, label: &str, kind: FieldKind) -> Option<Secret> {
    let field = Field {
        name: "answer".to_owned(),
        label: label.to_owned(),
        kind,
        required: true,
        default: None,
    };
    let form = Form {
        title: title.to_owned(),
        instructions: String::new(),
        fields: vec![field],
    };
    prompts.ask(form).await?.remove("answer")
}
