#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use minidom::Element;

use super::chat::{Reply, Talk};
use super::command::{Action, Call, Place};
use super::*;
use crate::model::Secret;

fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.to_owned(),
        label: name.to_uppercase(),
        kind,
        required: true,
        default: None,
    }
}

fn login() -> Form {
    Form {
        title: "Registration with Net".to_owned(),
        instructions: "Enter it.".to_owned(),
        fields: vec![field("password", FieldKind::Password), field("username", FieldKind::Text)],
    }
}

fn known(is_registered: bool) -> Known {
    Known {
        network: "Net".to_owned(),
        login: Some(login()),
        is_registered,
        preferences: Form::default(),
    }
}

fn answers(list: &[(&str, &str)]) -> FormAnswers {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
        .collect()
}

fn code() -> Outcome {
    let form = Form {
        title: String::new(),
        instructions: "We have sent you a code.".to_owned(),
        fields: vec![field("code", FieldKind::Text)],
    };
    Outcome::Prompt(PromptId(4), LoginPrompt::Ask(form))
}

#[test]
fn registration_asks_stores_logs_in_and_passes_on_what_the_network_asks() {
    let (mut dialogue, next) = Dialogue::begin(Command::Register, known(false));
    assert!(matches!(next, Next::Say(Say::Ask { problem: None, .. })));
    let given = answers(&[("username", "romeo"), ("password", "p"), ("other", "x")]);
    let kept = answers(&[("username", "romeo"), ("password", "p")]);
    assert_eq!(dialogue.answered(&given), Next::Do(Order::Register(kept)));
    assert!(matches!(dialogue.carried_out(code()), Next::Say(Say::Ask { .. })));
    let code = answers(&[("code", "1234")]);
    assert_eq!(
        dialogue.answered(&code),
        Next::Do(Order::Answer(PromptId(4), Some(code.clone())))
    );
    let done = Report::text("You are registered and logged in to Net.");
    assert_eq!(dialogue.carried_out(Outcome::LoggedIn), Next::Say(Say::Done(done)));
    assert!(dialogue.is_over());
}

#[test]
fn wrong_answers_are_asked_again_with_the_reason() {
    let (mut dialogue, _) = Dialogue::begin(Command::Register, known(false));
    let next = dialogue.answered(&answers(&[("username", "romeo")]));
    let problem = Some("PASSWORD is missing.".to_owned());
    assert_eq!(next, Next::Say(Say::Ask { form: login(), problem }));
    let next = dialogue.answered(&answers(&[("username", "a\u{7}"), ("password", "p")]));
    assert!(matches!(next, Next::Say(Say::Ask { problem: Some(text), .. }) if text.contains("characters")));
    dialogue.answered(&answers(&[("username", "romeo"), ("password", "p")]));
    // The network does not like it either.
    let failed = Outcome::LoginFailed("The password is wrong.".to_owned());
    let problem = Some("The password is wrong.".to_owned());
    assert_eq!(dialogue.carried_out(failed), Next::Say(Say::Ask { form: login(), problem }));
    assert!(!dialogue.is_over());
}

#[test]
fn who_gives_up_while_the_network_asks_has_the_network_told() {
    let (mut dialogue, _) = Dialogue::begin(Command::Login, known(true));
    dialogue.carried_out(code());
    assert_eq!(dialogue.cancelled(), Some(Order::Answer(PromptId(4), None)));
    assert!(matches!(dialogue.carried_out(Outcome::LoggedIn), Next::Say(Say::Refused(_))));
}

#[test]
fn removal_wants_to_be_confirmed() {
    let begin = || Dialogue::begin(Command::Unregister, known(true)).0;
    assert_eq!(begin().answered(&answers(&[(CONFIRM, "1")])), Next::Do(Order::Unregister));
    let next = begin().answered(&answers(&[(CONFIRM, "false")]));
    assert!(matches!(next, Next::Say(Say::Done(_))), "{next:?}");
    let (_, next) = Dialogue::begin(Command::Unregister, known(false));
    assert!(matches!(next, Next::Say(Say::Refused(refusal)) if refusal.condition == DefinedCondition::RegistrationRequired));
}

#[test]
fn in_a_chat_the_password_comes_last_and_with_a_warning() {
    let (dialogue, next) = Dialogue::begin(Command::Register, known(false));
    let (mut talk, reply) = Talk::begin(dialogue, next, "net.example");
    assert_eq!(
        reply,
        Reply::Say(
            "Registration with Net\nEnter it.\nUSERNAME: write your answer, \"-\" for the default or nothing, or \"cancel\"."
                .to_owned()
        )
    );
    let Reply::Say(asked) = talk.hear(" romeo ") else {
        panic!("nothing is said")
    };
    assert!(
        asked.starts_with("Mind that chats are kept") && asked.contains("net.example"),
        "{asked}"
    );
    assert!(asked.contains("\nPASSWORD: "), "{asked}");
    let kept = answers(&[("username", "romeo"), ("password", "p")]);
    assert_eq!(talk.hear("p"), Reply::Do(Order::Register(kept)));
    let Reply::Say(asked) = talk.carried_out(code()) else {
        panic!("nothing is said")
    };
    assert!(asked.starts_with("We have sent you a code."), "{asked}");
    assert!(matches!(talk.hear("12"), Reply::Do(Order::Answer(PromptId(4), Some(_)))));
    assert_eq!(
        talk.carried_out(Outcome::LoggedIn),
        Reply::Say("You are registered and logged in to Net.".to_owned())
    );
    assert!(talk.is_over());
}

#[test]
fn a_talk_can_be_ended_at_any_question() {
    let (dialogue, next) = Dialogue::begin(Command::Register, known(false));
    let (mut talk, _) = Talk::begin(dialogue, next, "net.example");
    assert_eq!(talk.hear("Cancel"), Reply::Cancelled(None));
    assert!(talk.is_over());
}

fn call(xml: &str) -> Result<Call, Box<xmpp_parsers::stanza_error::StanzaError>> {
    Call::read(&xml.parse::<Element>().unwrap())
}

#[test]
fn calls_are_read_and_strange_ones_refused() {
    let begun = call("<command xmlns='http://jabber.org/protocol/commands' node='n' action='execute'/>").unwrap();
    assert_eq!((begun.node.as_str(), begun.session, begun.action), ("n", None, Action::Next));
    let next = call("<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' action='complete'><x xmlns='jabber:x:data' type='submit'><field var='a'><value>1</value></field></x></command>").unwrap();
    assert_eq!((next.session.as_deref(), next.answers), (Some("s"), answers(&[("a", "1")])));
    let given_up = call("<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s'><x xmlns='jabber:x:data' type='cancel'/></command>").unwrap();
    assert_eq!(given_up.action, Action::Cancel);
    for (xml, condition) in [
        ("<command xmlns='http://jabber.org/protocol/commands'/>", "malformed-action"),
        (
            "<command xmlns='http://jabber.org/protocol/commands' node='n' action='dance'/>",
            "malformed-action",
        ),
        (
            "<command xmlns='http://jabber.org/protocol/commands' node='n'><x xmlns='jabber:x:data' type='result'/></command>",
            "bad-payload",
        ),
    ] {
        let refused = call(xml).unwrap_err();
        assert_eq!(refused.defined_condition, DefinedCondition::BadRequest);
        assert!(refused.other.unwrap().is(condition, command::COMMANDS), "{xml}");
    }
    let long = "x".repeat(300);
    assert!(
        call(&format!(
            "<command xmlns='http://jabber.org/protocol/commands' node='{long}'/>"
        ))
        .is_err()
    );
}

fn shown(say: &Say) -> String {
    let (dialogue, _) = Dialogue::begin(Command::Register, known(false));
    let place = Place {
        node: "n",
        session: "s",
        title: "T",
    };
    String::from(&command::shown(place, say, &dialogue).unwrap()).replace('"', "'")
}

/// Compares elements: the order of attributes means nothing.
fn assert_shown(say: &Say, expected: &str) {
    let expected: Element = expected.parse().unwrap();
    assert_eq!(shown(say).parse::<Element>().unwrap(), expected, "{}", shown(say));
}

#[test]
fn commands_show_forms_pictures_links_and_tables() {
    let ask = Say::Ask {
        form: login(),
        problem: Some("No.".to_owned()),
    };
    assert_shown(
        &ask,
        "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='executing'><actions execute='next'><next/></actions><note type='error'>No.</note><x xmlns='jabber:x:data' type='form'><title>Registration with Net</title><instructions>No.</instructions><instructions>Enter it.</instructions><field type='text-private' var='password' label='PASSWORD'><required/></field><field type='text-single' var='username' label='USERNAME'><required/></field></x></command>",
    );
    let picture = Shown::Picture {
        media_type: "image/png".to_owned(),
        data: Bytes::from_static(b"abc"),
        text: "Scan it.".to_owned(),
    };
    assert_shown(
        &Say::Show(picture),
        "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='executing'><actions execute='next'><next/></actions><x xmlns='jabber:x:data' type='form'><title>T</title><field type='fixed'><value>Scan it.</value></field><field type='fixed' var='picture'><media xmlns='urn:xmpp:media-element'><uri type='image/png'>cid:sha1+a9993e364706816aba3e25717850c26c9cd0d89d@bob.xmpp.org</uri></media></field></x><data xmlns='urn:xmpp:bob' cid='sha1+a9993e364706816aba3e25717850c26c9cd0d89d@bob.xmpp.org' type='image/png' max-age='0'>YWJj</data></command>",
    );
    let link = Shown::Link {
        url: "https://x".to_owned(),
        text: "Look".to_owned(),
    };
    assert!(shown(&Say::Show(link)).contains("<value>https://x</value>"));
    let large = Shown::Picture {
        media_type: "image/png".to_owned(),
        data: vec![0; data_form::MAX_PICTURE_BYTES + 1].into(),
        text: "Too large to show.".to_owned(),
    };
    let large = shown(&Say::Show(large));
    assert!(!large.contains("urn:xmpp:bob") && large.contains("Too large"), "{large}");
    let report = Report {
        text: "One.".to_owned(),
        fields: vec![("n", "N", vec!["1".to_owned()])],
        columns: vec![("jid", "JID")],
        rows: vec![vec!["a@b".to_owned()]],
    };
    assert_shown(
        &Say::Done(report),
        "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='completed'><note type='info'>One.</note><x xmlns='jabber:x:data' type='result'><title>T</title><reported><field type='text-single' var='jid' label='JID'/></reported><item><field var='jid'><value>a@b</value></field></item></x></command>",
    );
}

#[test]
fn forms_with_too_many_questions_are_given_up() {
    let form = Form {
        fields: vec![field("f", FieldKind::Text); MAX_FIELDS + 1],
        ..Form::default()
    };
    let (mut dialogue, _) = Dialogue::begin(Command::Login, known(true));
    let next = dialogue.carried_out(Outcome::Prompt(PromptId(1), LoginPrompt::Ask(form)));
    assert_eq!(next, Next::Do(Order::Answer(PromptId(1), None)));
}
