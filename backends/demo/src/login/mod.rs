//! Getting in: the password, and what a login may ask back. Which, says the account's name or an option; owns nothing.

use std::time::Duration;

use bytes::Bytes;
use spectrum_backend_sdk::model::Shown;
use spectrum_backend_sdk::{Login, LoginError, LoginErrorKind, PromptsExt as _};

use crate::options::{DemoOptions, LoginKind};
use crate::picture;

/// The code that is asked for; it is in the question, since there is nobody to send it.
pub(crate) const CODE: &str = "314159";
/// How long it takes until the QR code counts as scanned.
const SCANNING: Duration = Duration::from_secs(3);
/// What the QR code says.
const QR_TEXT: &str = "spectrum-demo:login";
const QR: &[u8] = include_bytes!("qr.png");
const LINK: &str = "https://example.org/spectrum-demo/login";

/// Lets somebody in, or not.
///
/// # Errors
/// A wrong password, a wrong answer, or a person who gives up.
pub(crate) async fn admit(login: &Login, options: &DemoOptions) -> Result<(), LoginError> {
    if options.password.is_some() && options.password != login.password {
        return Err(wrong("The demo network does not know this password."));
    }
    match kind(login.name.as_str(), options) {
        LoginKind::Password => Ok(()),
        LoginKind::Code => {
            let title = format!("Enter the code. (A real network sends it to your phone; here it is {CODE}.)");
            let answer = login.prompts.secret(&title, "Code").await.ok_or_else(gave_up)?;
            check(answer.expose(), CODE, "That is not the code.")
        }
        LoginKind::Captcha => {
            let digits = picture::digits_for(login.name.as_str());
            let picture = Shown::Picture {
                media_type: picture::MEDIA_TYPE.to_owned(),
                data: picture::captcha(&digits),
                text: format!("The picture shows the digits {digits}."),
            };
            login.prompts.show(picture).await;
            let title = "Write the digits that the picture shows.";
            let answer = login.prompts.text(title, "Digits").await.ok_or_else(gave_up)?;
            check(&answer, &digits, "Those are not the digits.")
        }
        LoginKind::Qr => {
            let picture = Shown::Picture {
                media_type: picture::MEDIA_TYPE.to_owned(),
                data: Bytes::from_static(QR),
                text: format!("Scan this code with your phone: {QR_TEXT}"),
            };
            login.prompts.show(picture).await;
            tokio::time::sleep(SCANNING).await;
            Ok(())
        }
        LoginKind::Link => {
            login.prompts.show_link(LINK, "Follow this link to log in.").await;
            let followed = login.prompts.confirm("Demo network", "Have you followed the link?").await;
            match followed {
                Some(true) => Ok(()),
                Some(false) => Err(wrong("The link was not followed.")),
                None => Err(gave_up()),
            }
        }
    }
}

fn kind(name: &str, options: &DemoOptions) -> LoginKind {
    let named = name.split_once('-').and_then(|(kind, _)| kind.parse().ok());
    named.unwrap_or(options.login)
}

fn check(answer: &str, expected: &str, otherwise: &str) -> Result<(), LoginError> {
    if answer.trim() == expected {
        Ok(())
    } else {
        Err(wrong(otherwise))
    }
}

fn wrong(text: &str) -> LoginError {
    LoginError::new(LoginErrorKind::AuthenticationFailed, text)
}

fn gave_up() -> LoginError {
    LoginError::new(LoginErrorKind::Cancelled, "The question of the login was not answered.")
}
