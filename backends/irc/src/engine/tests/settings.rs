//! How a channel is set up, and its bans, against scripted servers.

use spectrum_backend_sdk::model::{Affiliated, FormAnswers, room_field};

use super::*;

fn settings() -> Ask {
    Ask::Settings {
        channel: "#room".to_owned(),
    }
}

fn configure(answers: &[(&str, &str)]) -> Ask {
    let answers = answers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
    Ask::Configure {
        channel: "#room".to_owned(),
        answers: answers.collect(),
    }
}

fn affiliate(who: &str, affiliation: Affiliation) -> Ask {
    Ask::Affiliate {
        channel: "#room".to_owned(),
        who: who.to_owned(),
        affiliation,
        reason: None,
    }
}

/// A user in a channel that is set up so (a 324).
fn set_up(modes: &str) -> Play {
    let mut play = Play::online("");
    play.join("@bob");
    play.lines();
    let no = play.ask(settings());
    assert_eq!(play.lines()[0], "MODE #room");
    play.hear(&format!(":irc.test 324 dan #room {modes}"));
    play.answer(no).unwrap();
    play
}

#[test]
fn modes_are_the_fields_of_a_form() {
    let mut play = Play::online("");
    play.join("@bob");
    play.lines();
    let no = play.ask(settings());
    assert_eq!(play.lines(), ["MODE #room", "PING fence-1"]);
    play.hear(":irc.test 324 dan #room +tnpflk 5:6 20 key");
    let Ok(Answer::Form(form)) = play.answer(no) else {
        panic!("no form")
    };
    let values: Vec<_> = form
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.default.as_deref().unwrap()))
        .collect();
    assert_eq!(
        values,
        [
            (room_field::MODERATED, "false"),
            (room_field::MEMBERS_ONLY, "false"),
            (room_field::SUBJECT_BY_ALL, "false"),
            (room_field::PUBLIC, "false"),
            ("no_outside_messages", "true"),
            (room_field::PASSWORD, "key"),
            (room_field::MAX_OCCUPANTS, "20"),
        ]
    );
    play.hear("PONG irc.test fence-1");
    assert_eq!(play.effects().len(), 0);
    // A server that says nothing.
    let no = play.ask(settings());
    assert_eq!(play.lines(), ["MODE #room", "PING fence-2"]);
    play.hear("PONG irc.test fence-2");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
}

#[test]
fn answers_become_the_modes_that_differ() {
    let lines = |modes: &str, answers: &[(&str, &str)]| {
        let mut play = set_up(modes);
        play.lines();
        play.ask(configure(answers));
        let mut lines = play.lines();
        lines.retain(|line| line.starts_with("MODE"));
        lines
    };
    assert_eq!(
        lines("+nt", &[(room_field::MODERATED, "1"), (room_field::SUBJECT_BY_ALL, "true")]),
        ["MODE #room +m-t"]
    );
    assert_eq!(lines("+p", &[(room_field::PUBLIC, "1")]), ["MODE #room -p"]);
    assert_eq!(lines("+s", &[(room_field::PUBLIC, "1")]), ["MODE #room -s"]);
    assert_eq!(lines("+n", &[(room_field::PUBLIC, "0")]), ["MODE #room +s"]);
    assert_eq!(lines("+k old", &[(room_field::PASSWORD, "new")]), ["MODE #room -k+k old new"]);
    assert_eq!(lines("+k old", &[(room_field::PASSWORD, "")]), ["MODE #room -k old"]);
    assert_eq!(lines("+", &[(room_field::PASSWORD, "new")]), ["MODE #room +k new"]);
    assert_eq!(lines("+l 5", &[(room_field::MAX_OCCUPANTS, "0")]), ["MODE #room -l"]);
    assert_eq!(lines("+", &[(room_field::MAX_OCCUPANTS, "7")]), ["MODE #room +l 7"]);
    // Four modes at once are all that this server takes.
    let many = [
        (room_field::MODERATED, "1"),
        (room_field::MEMBERS_ONLY, "1"),
        (room_field::SUBJECT_BY_ALL, "0"),
        ("no_outside_messages", "1"),
        (room_field::MAX_OCCUPANTS, "7"),
    ];
    assert_eq!(lines("+", &many), ["MODE #room +m+i+t+n", "MODE #room +l 7"]);
}

#[test]
fn what_cannot_be_set_is_refused() {
    for (name, value) in [
        (room_field::PASSWORD, "a,b"),
        (room_field::PASSWORD, "a b"),
        (room_field::PASSWORD, "a\r\nQUIT"),
        (room_field::MAX_OCCUPANTS, "many"),
        (room_field::MAX_OCCUPANTS, "-1"),
    ] {
        let mut play = set_up("+");
        play.lines();
        let no = play.ask(configure(&[(name, value)]));
        assert_eq!(play.refused(no).kind, OpErrorKind::Invalid, "{value:?}");
        assert_eq!(play.lines(), [""; 0]);
    }
    let mut play = set_up("+");
    play.lines();
    let no = play.ask(configure(&[(room_field::MODERATED, "1")]));
    play.lines();
    play.hear(":irc.test 482 dan #room :You're not channel operator");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
    let no = play.ask(Ask::Configure {
        channel: "#elsewhere".to_owned(),
        answers: FormAnswers::new(),
    });
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
}

#[test]
fn the_banned_are_listed_and_no_other_list_is_there() {
    let mut play = Play::online("");
    play.join("@bob");
    play.lines();
    let list = |affiliation| Ask::Affiliated {
        channel: "#room".to_owned(),
        affiliation,
    };
    let no = play.ask(list(Affiliation::Member));
    assert_eq!(play.refused(no).kind, OpErrorKind::Unsupported);
    let no = play.ask(list(Affiliation::Outcast));
    assert_eq!(play.lines()[0], "MODE #room +b");
    play.hear(":irc.test 367 dan #room *!*@evil.test bob 1700000000");
    play.hear(":irc.test 367 dan #other *!*@good.test");
    play.hear(":irc.test 367 dan #room eve!*@*");
    play.hear(":irc.test 368 dan #room :End");
    let banned = |who: &str, reason: Option<&str>| Affiliated {
        who: who.into(),
        affiliation: Affiliation::Outcast,
        nickname: None,
        reason: reason.map(str::to_owned),
    };
    assert_eq!(
        play.answer(no),
        Ok(Answer::Affiliated(vec![
            banned("*!*@evil.test", Some("Banned by bob.")),
            banned("eve!*@*", None)
        ]))
    );
    // A list without end is cut.
    play.hear("PONG irc.test fence-1");
    let no = play.ask(list(Affiliation::Outcast));
    for n in 0..2_000 {
        play.hear(&format!(":irc.test 367 dan #room *!*@h{n}.test"));
    }
    play.hear(":irc.test 368 dan #room :End");
    assert!(matches!(play.answer(no), Ok(Answer::Affiliated(list)) if list.len() == 500));
}

#[test]
fn who_is_not_there_is_banned_by_a_mask() {
    let mut play = Play::online("");
    play.join("@bob");
    play.lines();
    let line = |play: &mut Play, who: &str, affiliation| {
        play.ask(affiliate(who, affiliation));
        play.lines().into_iter().find(|line| line.starts_with("MODE"))
    };
    let (out, none) = (Affiliation::Outcast, Affiliation::None);
    assert_eq!(line(&mut play, "eve", out).as_deref(), Some("MODE #room +b eve!*@*"));
    assert_eq!(
        line(&mut play, "*!*@evil.test", none).as_deref(),
        Some("MODE #room -b *!*@evil.test")
    );
    // Who is there has a host.
    play.hear(":mallory!m@bad.test JOIN #room");
    play.effects();
    assert_eq!(line(&mut play, "mallory", out).as_deref(), Some("MODE #room +b *!*@bad.test"));
    let no = play.ask(affiliate("eve", Affiliation::Admin));
    assert_eq!(play.refused(no).kind, OpErrorKind::NotFound);
}
