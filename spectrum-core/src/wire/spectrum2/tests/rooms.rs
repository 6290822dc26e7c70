//! Rooms: joins and how they fail, who is there, who is who.

use super::*;

#[test]
fn a_join_is_answered_when_the_user_appears_in_the_room() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    assert!(!codec.needs_ping());
    let bob = Occupant {
        role: Role::Moderator,
        affiliation: Affiliation::Admin,
        presence: Presence {
            text: Some("brb".to_owned()),
            ..Presence::of(Availability::Away)
        },
        avatar: Some(AvatarHash::new("hash")),
        ..member("Bob")
    };
    let joined = outcome(1, Ok(Answer::Joined(Joined { nickname: "Me".into() })));
    assert_eq!(
        read(&mut codec, &["occupant", "occupant_self"]),
        [event(Event::Occupant(bob)), event(Event::Occupant(member("Me"))), joined]
    );
    // Once is enough.
    assert_eq!(read(&mut codec, &["occupant_self"]), [event(Event::Occupant(member("Me")))]);
}

#[test]
fn a_join_answers_with_the_nickname_the_network_gives() {
    let joined = outcome(1, Ok(Answer::Joined(Joined { nickname: "Me_".into() })));
    let there = event(Event::Occupant(member("Me_")));
    for given in [&["own_nickname", "self_renamed"][..], &["occupant_flagged_me"]] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        let frames = read(&mut codec, given);
        // The rename of a name the user never had is none.
        assert_eq!(
            frames
                .iter()
                .filter(|f| matches!(f, FromBackend::Outcome { .. }))
                .collect::<Vec<_>>(),
            [&joined],
            "{given:?}"
        );
        assert!(frames.contains(&there), "{frames:?}");
        assert!(
            !frames
                .iter()
                .any(|f| matches!(f, FromBackend::Event { event, .. } if matches!(**event, Event::OccupantRenamed(_))))
        );
    }
}

#[test]
fn a_join_that_fails_is_answered_and_the_room_is_left() {
    let cases = [
        ("self_conflict", OpErrorKind::Conflict),
        ("self_not_authorized", OpErrorKind::NotAuthorized),
        ("self_not_found", OpErrorKind::NotFound),
    ];
    for (name, kind) in cases {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        let frames = read(&mut codec, &[name]);
        assert_eq!(
            frames.iter().map(failure).collect::<Vec<_>>(),
            [(1, kind, Certainty::NotSent)],
            "{name}"
        );
        assert_eq!(output(&mut codec), frame("leave"), "{name}");
    }
    for (name, kind) in [("self_banned", OpErrorKind::Banned), ("self_kicked", OpErrorKind::NotAllowed)] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        assert_eq!(
            failure(&read(&mut codec, &[name])[0]),
            (1, kind, Certainty::NotSent),
            "{name}"
        );
    }
}

#[test]
fn the_echo_of_an_earlier_departure_does_not_fail_a_join() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    assert_eq!(read(&mut codec, &["self_gone"]), []);
    assert_eq!(read(&mut codec, &["occupant_self"]).len(), 2);
}

#[test]
fn errors_of_a_room_that_was_joined_close_it() {
    let mut codec = in_the_room();
    let closed = RoomClosed {
        room: "#room".into(),
        reason: "Key!".to_owned(),
        rejoin: false,
    };
    assert_eq!(read(&mut codec, &["self_not_authorized"]), [event(Event::RoomClosed(closed))]);
    assert_eq!(output(&mut codec), frame("leave"));
    // A conflict of somebody else is nothing of the user's.
    let mut codec = in_the_room();
    assert_eq!(read(&mut codec, &["other_conflict"]), [event(Event::Occupant(member("Bob")))]);
}

#[test]
fn a_join_is_answered_when_it_is_overtaken() {
    for (verb, expected) in [(join(), 1), (Verb::LeaveRoom("#room".into()), 1)] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        asked(&mut codec, 2, verb);
        let answers = answers(&mut codec);
        assert_eq!(
            answers.iter().map(failure).collect::<Vec<_>>(),
            [(expected, OpErrorKind::Invalid, Certainty::NotSent)]
        );
    }
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    written(&mut codec, &ToBackend::Logout { assignment: A });
    assert_eq!(
        failure(&answers(&mut codec)[0]),
        (1, OpErrorKind::NotConnected, Certainty::NotSent)
    );
}

#[test]
fn who_leaves_a_room_and_how_is_read() {
    let mut codec = in_the_room();
    assert_eq!(
        read(&mut codec, &["occupant_gone"]),
        [event(gone("Bob", Departure::Left, Some("bye")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_kicked"]),
        [event(gone("Bob", Departure::Kicked { by: None }, Some("out")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_banned"]),
        [event(gone("Bob", Departure::Banned { by: None }, None))]
    );
    assert_eq!(
        read(&mut codec, &["self_kicked"]),
        [event(gone("Me", Departure::Kicked { by: None }, Some("out")))]
    );
    // Out of the room, the same name is nobody's.
    assert_eq!(read(&mut codec, &["self_conflict"]).len(), 1);
    assert_eq!(output(&mut codec), [0_u8; 0]);
}

#[test]
fn nicknames_change_and_the_user_is_still_known() {
    let mut codec = in_the_room();
    let renamed = |old: &str, new: &str| {
        Event::OccupantRenamed(OccupantRenamed {
            room: "#room".into(),
            old: old.into(),
            new: new.into(),
        })
    };
    assert_eq!(
        read(&mut codec, &["occupant_renamed"]),
        [event(renamed("Bob", "Bobby")), event(Event::Occupant(member("Bobby")))]
    );
    assert_eq!(
        read(&mut codec, &["own_nickname", "self_renamed"]),
        [event(renamed("Me", "Me_")), event(Event::Occupant(member("Me_")))]
    );
    // The old name is somebody else's now.
    assert_eq!(read(&mut codec, &["self_conflict"]).len(), 1);
    assert_eq!(output(&mut codec), [0_u8; 0]);
}

#[test]
fn authors_named_by_an_id_are_shown_by_their_nickname() {
    let mut codec = in_the_room();
    let there = Occupant {
        stable_id: Some("U123".to_owned()),
        ..member("Bob")
    };
    assert_eq!(read(&mut codec, &["occupant_with_alias"]), [event(Event::Occupant(there))]);
    let said = IncomingMessage::new(room(), "hi");
    assert_eq!(
        read(&mut codec, &["said_by_id"]),
        [event(Event::Message(said.clone().by("Bob")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_with_alias_gone"]),
        [event(gone("Bob", Departure::Left, None))]
    );
    assert_eq!(read(&mut codec, &["said_by_id"]), [event(Event::Message(said.by("U123")))]);
}
