//! What a login asks back, and where it is asked.

use super::*;
use crate::model::{Field, FieldKind, Form, FormAnswers, LoginPrompt, PromptId, Shown};

#[test]
fn a_question_of_the_login_is_asked_in_a_chat_with_the_transport() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    let field = |name: &str, kind| Field {
        name: name.to_owned(),
        label: String::new(),
        kind,
        required: true,
        default: None,
    };
    let fields = vec![field("code", FieldKind::Text), field("trust", FieldKind::Boolean)];
    let form = Form {
        title: "Second factor".to_owned(),
        instructions: String::new(),
        fields,
    };
    desk.input(Input::Link(LinkInput::Prompt {
        prompt: PromptId(7),
        what: Box::new(LoginPrompt::Ask(form)),
    }));
    assert_eq!(desk.stanzas().len(), 1);
    desk.pass(Duration::from_secs(200));
    desk.user("<message to='net.example' type='chat'><body>123456</body></message>");
    assert_eq!(desk.stanzas().len(), 1);
    desk.user("<message to='net.example' type='chat'><body>perhaps</body></message>");
    assert_eq!(desk.stanzas().len(), 1);
    desk.user("<message to='net.example' type='chat'><body>yes</body></message>");
    assert_eq!(
        desk.lines(),
        [
            "prompt 7 Some([\"code=123456\", \"trust=true\"])",
            "transport all Offline Connecting to Net"
        ]
    );
}

#[test]
fn a_question_that_nobody_can_see_is_given_up() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    prompted(&mut desk);
    assert_eq!(desk.lines(), ["prompt 7 None"]);
}

#[test]
fn a_login_with_a_password_that_turns_out_to_need_more_is_refused_with_the_reason() {
    let link = Shown::Link {
        url: "https://net.example/login".to_owned(),
        text: "Open this".to_owned(),
    };
    for what in [LoginPrompt::Ask(Form::default()), LoginPrompt::Show(link)] {
        let mut desk = Desk::new(SERVER, info());
        desk.input(Input::Start);
        desk.input(Input::Loaded(Some(Box::default())));
        desk.input(Input::Authenticate {
            ticket: Ticket(1),
            name: "romeo".into(),
            password: "x".into(),
        });
        desk.input(Input::Assigned(Arc::clone(&desk.info)));
        desk.out.clear();
        desk.input(Input::Link(LinkInput::Prompt {
            prompt: PromptId(7),
            what: Box::new(what),
        }));
        let lines = desk.lines();
        let refused = "authenticated 1 Err(Login(LoginError { kind: NoMechanism, retry: Never, text: \"Net wants more than a \
                       name and a password (a code, a picture or a link), and a login with a password has nowhere to show it. \
                       Use Net through a transport that users register with.\" }))";
        assert_eq!(lines[0], refused);
        assert!(lines.contains(&"release".to_owned()), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("close LoginFailed"));
    }
}

fn prompted(desk: &mut Desk) {
    let fields = vec![Field {
        name: "code".to_owned(),
        label: "Code".to_owned(),
        kind: FieldKind::Text,
        required: true,
        default: None,
    }];
    let form = Form {
        fields,
        ..Form::default()
    };
    desk.input(Input::Link(LinkInput::Prompt {
        prompt: PromptId(7),
        what: Box::new(LoginPrompt::Ask(form)),
    }));
}

#[test]
fn whoever_attends_a_login_gets_its_questions_and_its_end() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::new(account()))));
    // Nobody is online: the attendant alone keeps the session.
    desk.input(Input::Attend(true));
    desk.pass(Duration::from_secs(100));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    prompted(&mut desk);
    let lines = desk.lines();
    assert!(
        lines.len() == 1 && lines[0].starts_with("progress Prompt(PromptId(7), Ask("),
        "{lines:?}"
    );
    let answers = FormAnswers::from([("code".to_owned(), "12".into())]);
    desk.input(Input::Answer(PromptId(6), Some(answers.clone())));
    assert!(desk.lines().is_empty(), "an answer to an old question");
    desk.input(Input::Answer(PromptId(7), Some(answers)));
    assert_eq!(desk.lines(), ["prompt 7 Some([\"code=12\"])"]);
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(desk.lines()[..2], ["logged in", "progress LoggedIn"]);
}

#[test]
fn a_question_goes_to_the_chat_when_nobody_attends_any_more() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.input(Input::Attend(true));
    desk.out.clear();
    prompted(&mut desk);
    let shown = desk.lines().pop();
    assert_eq!(shown.as_deref(), Some("transport all Offline Net waits for your answer"));
    desk.input(Input::Attend(false));
    assert_eq!(desk.stanzas().len(), 1);
    desk.user("<message to='net.example' type='chat'><body>12</body></message>");
    assert_eq!(
        desk.lines(),
        ["prompt 7 Some([\"code=12\"])", "transport all Offline Connecting to Net"]
    );
}
