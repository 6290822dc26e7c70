//! Getting in.

use spectrum_backend_sdk::LoginError;
use spectrum_backend_sdk::model::{FormAnswers, LoginPrompt, Secret, Shown};

use super::*;

async fn attempt(name: &str, answer: Option<&str>) -> Result<(), LoginError> {
    let kit = small().await;
    let answer = answer.map(str::to_owned);
    kit.answer_prompts(move |prompt| match prompt {
        LoginPrompt::Ask(_) => Some(FormAnswers::from([("answer".to_owned(), Secret::new(answer.clone()?))])),
        LoginPrompt::Show(_) => None,
    });
    kit.login(Account::new(name)).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_and_a_wrong_password_are_refused() {
    let kit = Kit::start(Demo::with_password("pw")).await;
    let wrong = kit.login(Account::new("you").password("wrong")).await.err().unwrap();
    assert_eq!(wrong.kind, LoginErrorKind::AuthenticationFailed);
    let you = kit.login(Account::new("you").password("pw")).await.unwrap();
    let again = kit.login(Account::new("you").password("pw")).await.err().unwrap();
    assert_eq!(again.kind, LoginErrorKind::NameInUse);
    let ada = kit.login(Account::new(ADA).password("pw")).await.err().unwrap();
    assert_eq!(ada.kind, LoginErrorKind::InvalidName);
    you.logout().await;
    kit.login(Account::new("you").password("pw")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_code_is_asked_for() {
    assert_eq!(attempt("code-me", Some(crate::login::CODE)).await, Ok(()));
    let wrong = attempt("code-me", Some("1")).await.unwrap_err();
    assert_eq!(wrong.kind, LoginErrorKind::AuthenticationFailed);
    assert_eq!(attempt("code-me", None).await.unwrap_err().kind, LoginErrorKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_captcha_is_asked_for_and_differs_from_name_to_name() {
    let digits = picture::digits_for("captcha-me");
    assert_eq!(attempt("captcha-me", Some(&digits)).await, Ok(()));
    assert_eq!(
        attempt("captcha-you", Some(&digits)).await.unwrap_err().kind,
        LoginErrorKind::AuthenticationFailed
    );
}

#[tokio::test(start_paused = true)]
async fn a_qr_code_and_a_link_are_shown() {
    assert_eq!(attempt("qr-me", None).await, Ok(()));
    assert_eq!(attempt("link-me", Some("true")).await, Ok(()));
    assert_eq!(
        attempt("link-me", Some("false")).await.unwrap_err().kind,
        LoginErrorKind::AuthenticationFailed
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_a_picture_with_the_text_it_stands_for() {
    let kit = Kit::start(Demo::with_options(DemoOptions {
        login: LoginKind::Qr,
        ..DemoOptions::default()
    }))
    .await;
    let begin = tokio::time::Instant::now();
    let (shown, mut showing) = tokio::sync::mpsc::channel(1);
    kit.watch_prompts(move |prompt| {
        if let LoginPrompt::Show(Shown::Picture { data, text, .. }) = prompt {
            let _ = shown.try_send((data.clone(), text.clone()));
        }
    });
    kit.login(Account::new("you")).await.unwrap();
    let (data, text) = showing.recv().await.unwrap();
    assert!(data.starts_with(b"\x89PNG") && text.ends_with("spectrum-demo:login"));
    assert!(begin.elapsed().as_secs() >= 3);
}
