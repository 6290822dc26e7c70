//! Logins: what they carry, how they are refused, asked back and given up.

use super::*;

#[tokio::test(start_paused = true)]
async fn first_frame_says_what_the_backend_is() {
    let mut kit = start();
    assert_eq!(
        kit.next().await,
        FromBackend::Info(Box::new(BackendInfo::new("Scripted", "test")))
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_carries_everything_and_events_may_come_before_it_returns() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "early").await;
    assert_eq!(kit.next().await, event(A, notice("hello")));
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: A });
    let login = kit.logins.recv().await.unwrap();
    assert_eq!((login.user.as_str(), login.name.as_str()), ("user@example.org", "early"));
    assert_eq!(login.password.unwrap().expose(), "secret");
    assert_eq!(login.settings["a"], "b");
    assert_eq!(login.contacts, [ContactUpdate::new("nurse").alias("Nurse")]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_closes_the_session_and_logs_nothing_out() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "refused").await;
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::AuthenticationFailed, "No.")))
    );
    kit.say(A, 1, "x", "hi").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_login_and_none_is_lost() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "me").await;
    kit.say(A, 1, "x", "quick").await;
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: A });
    assert_eq!(kit.outcome().await, sent(1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_login_ends_that_session_alone() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "panics").await;
    assert_eq!(kit.next().await, event(A, Event::Closed(defect())));
    kit.begin_login(B, "other").await;
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: B });
}

#[tokio::test(start_paused = true)]
async fn a_login_is_dropped_when_the_user_gives_up() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "never").await;
    kit.say(A, 1, "x", "quick").await;
    let login = kit.logins.recv().await.unwrap();
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log(), Vec::<String>::new());
    assert_eq!(login.prompts.ask(Form::default()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_login_can_ask_back() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "never").await;
    let prompts = kit.logins.recv().await.unwrap().prompts;
    let form = Form {
        title: "Code".to_owned(),
        ..Form::default()
    };
    for answers in [Some(FormAnswers::from([("code".to_owned(), Secret::new("123"))])), None] {
        let (prompts, asked) = (prompts.clone(), form.clone());
        let asking = Tasks::new().spawn("asking", Span::none(), async move { prompts.ask(asked).await });
        let FromBackend::Prompt {
            assignment: A,
            prompt,
            what,
        } = kit.next().await
        else {
            panic!("a prompt expected")
        };
        assert_eq!(*what, LoginPrompt::Ask(form.clone()));
        kit.send(ToBackend::PromptAnswer {
            assignment: A,
            prompt,
            answers: answers.clone(),
        })
        .await;
        assert_eq!(asking.await.unwrap(), answers);
    }
    let link = Shown::Link {
        url: "https://example.org".to_owned(),
        text: "Open".to_owned(),
    };
    prompts.show(link.clone()).await;
    let FromBackend::Prompt { what, .. } = kit.next().await else {
        panic!("a prompt expected")
    };
    assert_eq!(*what, LoginPrompt::Show(link));
}
