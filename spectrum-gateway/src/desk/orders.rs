//! What dialogues order, carried out: registrations by the registrar, logins by sessions, verbs of administrators by the instance.

use std::sync::Weak;

use jid::BareJid;
use spectrum_core::admin::{self, AdminVerb, ControlError};
use spectrum_core::dialogue::{Order, Outcome, Refusal, Report};
use spectrum_core::model::{FormAnswers, UserKey};
use spectrum_core::session::Input;
use spectrum_core::store::StoreError;
use tracing::{error, info};
use xmpp_parsers::stanza_error::DefinedCondition;

use super::Desk;
use crate::registration::{RegistrationError, Submission};

/// Where an order comes from.
#[derive(Clone, Copy)]
pub(super) enum Surface<'a> {
    /// A command session, which shows what a login asks.
    Command(&'a str),
    /// A talk: the session asks there by itself.
    Talk,
}

impl Desk {
    /// Carries an order out. Waits for the store, and in a command for what the network says next, for a while.
    pub(super) async fn carry_out(&self, user: &BareJid, order: Order, surface: Surface<'_>) -> Outcome {
        let key = UserKey::from(user.as_str());
        let parts = &self.0.parts;
        match order {
            Order::Register(answers) => {
                if let Err(failed) = parts.registrar.enter(user, Submission::new(answers)).await {
                    return Outcome::Refused(refusal(&failed));
                }
                self.log_in(user, surface, "You are registered.").await
            }
            Order::Login => match surface {
                Surface::Talk if parts.router.is_logged_in(&key) => Outcome::LoggedIn,
                Surface::Talk | Surface::Command(_) if !parts.registrar.may_try(user) => {
                    Outcome::Refused(refusal(&RegistrationError::TooOften))
                }
                Surface::Talk | Surface::Command(_) => self.log_in(user, surface, "").await,
            },
            Order::Wait => self.log_in(user, surface, "").await,
            Order::Answer(prompt, answers) => {
                let gives_up = answers.is_none();
                parts.router.tell(&key, Input::Answer(prompt, answers));
                match surface {
                    Surface::Command(session) if gives_up => {
                        self.leave_login(&key, session);
                        Outcome::Done(Report::default())
                    }
                    Surface::Command(session) => self.attend(user, session).await,
                    Surface::Talk => Outcome::Done(Report::default()),
                }
            }
            Order::Unregister => match parts.registrar.unregister(user).await {
                Ok(()) => Outcome::Done(Report::text("You are not registered any more.")),
                Err(failed) => Outcome::Refused(refusal(&failed)),
            },
            Order::Logout => {
                let text = if parts.router.tell(&key, Input::End("You have logged out.".to_owned())) {
                    "You are logged out until you log in or go online again."
                } else {
                    "You were not logged in."
                };
                Outcome::Done(Report::text(text))
            }
            Order::Status => self.status(&key).await,
            Order::Messages => match admin::recent(&parts.router, &*parts.store, &key).await {
                Ok(recent) => Outcome::Done(admin::whereabouts(&recent)),
                Err(failed) => Outcome::Refused(store_failed(&failed)),
            },
            Order::Prefer(choices) => self.prefer(&key, choices).await,
            Order::Admin { verb, answers } => self.administer(user, verb, &answers).await,
        }
    }

    async fn log_in(&self, user: &BareJid, surface: Surface<'_>, done: &str) -> Outcome {
        match surface {
            Surface::Command(session) => self.attend(user, session).await,
            Surface::Talk => {
                self.0.parts.router.start(user);
                let text = format!(
                    "{done} Logging in to {} now. If it asks something, I ask you here.",
                    self.0.parts.naming.name()
                );
                Outcome::Done(Report::text(text.trim_start()))
            }
        }
    }

    async fn status(&self, user: &UserKey) -> Outcome {
        let parts = &self.0.parts;
        let name = parts.naming.name();
        let registration = match parts.store.load_registration(user).await {
            Ok(registration) => registration,
            Err(failed) => return Outcome::Refused(store_failed(&failed)),
        };
        let Some(registration) = registration else {
            return Outcome::Done(Report::text(format!("You are not registered with {name}.")));
        };
        let session = match parts.router.status(user) {
            Some(session) => session.state,
            None => "logged out".to_owned(),
        };
        Outcome::Done(Report::text(format!(
            "You are registered with {name} as {}. State: {session}.",
            registration.legacy_name
        )))
    }

    async fn prefer(&self, user: &UserKey, choices: FormAnswers) -> Outcome {
        for (name, value) in choices {
            // The two spellings of a yes-or-no are one choice.
            let value = match value.expose() {
                "" => continue,
                "1" => "true",
                "0" => "false",
                other => other,
            };
            if let Err(failed) = self.0.parts.store.save_preference(user, &name, Some(value)).await {
                return Outcome::Refused(store_failed(&failed));
            }
            let value = value.to_owned();
            self.0.parts.router.tell(user, Input::Setting { name, value });
        }
        Outcome::Done(Report::text("Your settings are kept."))
    }

    async fn administer(&self, user: &BareJid, verb: &str, answers: &FormAnswers) -> Outcome {
        let (Some(verb), Some(control)) = (AdminVerb::by_name(verb), self.0.control.get().and_then(Weak::upgrade)) else {
            return Outcome::Refused(Refusal::new(
                DefinedCondition::ServiceUnavailable,
                "The transport is not running.",
            ));
        };
        // Looked at again: the configuration decides at the time it is done.
        if !self.is_admin(user) {
            return Outcome::Refused(Refusal::new(DefinedCondition::Forbidden, "You are no administrator."));
        }
        info!(admin = %user, verb = verb.name, "An administrator does something.");
        match verb.perform(answers, control.as_ref()).await {
            Ok(report) => Outcome::Done(report),
            Err(failed) => {
                let condition = match failed {
                    ControlError::NoSuchUser => DefinedCondition::ItemNotFound,
                    ControlError::WrongMode(_) => DefinedCondition::FeatureNotImplemented,
                    ControlError::Refused(_) => DefinedCondition::NotAcceptable,
                    _ => DefinedCondition::InternalServerError,
                };
                Outcome::Refused(Refusal::new(condition, failed.to_string()))
            }
        }
    }
}

/// How a registration's failure is told.
fn refusal(failed: &RegistrationError) -> Refusal {
    let (condition, text) = failed.told();
    Refusal::new(condition, text)
}

/// The database failed: logged, and told.
pub(super) fn store_failed(failed: &StoreError) -> Refusal {
    error!(error = failed as &dyn std::error::Error, "The database failed a command.");
    let text = "The transport's database failed. Try again later.";
    Refusal::new(DefinedCondition::InternalServerError, text)
}
