//! What was said before: the archive as clients ask for it, history on join, the network's own history, lines taken away.

use super::*;
use crate::model::{HistoryPage, MessageId, PageRequest};

const MAM: &str = "urn:xmpp:mam:2";

impl Stage {
    /// Lines of `op` with these ids, a minute apart and an hour ago.
    fn said(&mut self, ids: &[&str]) {
        for (n, id) in (0..).zip(ids) {
            self.event(Event::Message(old_line(n, id)));
        }
        self.seen();
    }

    fn query(&mut self, inside: &str) -> Vec<String> {
        self.user(
            "laptop",
            &format!("<iq to='#r@net.example' type='set' id='q'><query xmlns='{MAM}' queryid='f'>{inside}</query></iq>"),
        );
        self.seen()
    }
}

fn old_line(minute: i64, id: &str) -> IncomingMessage {
    let mut line = IncomingMessage::new(Chat::Room(ROOM.into()), format!("text of {id}")).by("op");
    line.id = Some(id.into());
    line.timestamp = Some(Timestamp::from_secs(1_000_000_000 - 3_600 + minute * 60));
    line
}

fn result(id: &str, minute: i64) -> String {
    format!(
        "<message from='#r@net.example' to='u@example/laptop'><result xmlns='{MAM}' id='{id}' queryid='f'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2001-09-09T00:{:02}:40.000Z'/>\
         <message from='#r@net.example/op' id='{id}' type='groupchat'><body>text of {id}</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='{id}'/></message></forwarded></result></message>",
        46 + minute
    )
}

fn fin(attributes: &str, set: &str) -> String {
    format!("<iq from='#r@net.example' id='q' to='u@example/laptop' type='result'><fin xmlns='{MAM}'{attributes}><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></fin></iq>")
        .replace("<set xmlns='http://jabber.org/protocol/rsm'></set>", "<set xmlns='http://jabber.org/protocol/rsm'/>")
}

fn rsm(inside: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>")
}

#[test]
fn the_archive_is_read_page_by_page_in_both_directions() {
    let mut stage = Stage::inside();
    stage.said(&["a", "b", "c", "d"]);
    assert_eq!(
        stage.query(&rsm("<max>3</max>")),
        [
            result("a", 0),
            result("b", 1),
            result("c", 2),
            fin("", "<first>a</first><last>c</last>")
        ]
    );
    assert_eq!(
        stage.query(&rsm("<max>3</max><after>c</after>")),
        [result("d", 3), fin(" complete='true'", "<first>d</first><last>d</last>")]
    );
    let backwards = rsm("<max>2</max><before/>");
    assert_eq!(
        stage.query(&format!("{backwards}<flip-page/>")),
        [result("d", 3), result("c", 2), fin("", "<first>c</first><last>d</last>")]
    );
    assert_eq!(
        stage.query(&rsm("<max>2</max><before>c</before>")),
        [
            result("a", 0),
            result("b", 1),
            fin(" complete='true'", "<first>a</first><last>b</last>")
        ]
    );
    assert_eq!(
        stage.query(&rsm("<max>0</max>")),
        [fin(" complete='true'", "<count>4</count>").replace(" complete='true'", "")]
    );
}

#[test]
fn a_query_may_name_times_ids_and_who() {
    let mut stage = Stage::inside();
    stage.said(&["a", "b", "c", "d"]);
    let form = |fields: &[(&str, &[&str])]| {
        let fields: String = fields
            .iter()
            .map(|(name, values)| {
                let values: String = values.iter().map(|v| format!("<value>{v}</value>")).collect();
                format!("<field var='{name}'>{values}</field>")
            })
            .collect();
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>{fields}</x>"
        )
    };
    let between: &[(&str, &[&str])] = &[("start", &["2001-09-09T00:47:40Z"]), ("end", &["2001-09-09T00:48:40Z"])];
    assert_eq!(
        stage.query(&form(between)),
        [
            result("b", 1),
            result("c", 2),
            fin(" complete='true'", "<first>b</first><last>c</last>")
        ]
    );
    assert_eq!(stage.query(&form(&[("after-id", &["a"]), ("before-id", &["c"])])).len(), 2);
    assert_eq!(stage.query(&form(&[("ids", &["d", "a"])])).len(), 3);
    assert_eq!(stage.query(&form(&[("with", &["#r@net.example/me"])])).len(), 1);
    for unknown in [
        form(&[("ids", &["a", "z"])]),
        form(&[("after-id", &["z"])]),
        rsm("<before>z</before>"),
    ] {
        let seen = stage.query(&unknown);
        assert!(seen.len() == 1 && seen[0].contains("<item-not-found"), "{seen:?}");
    }
    assert!(stage.query(&form(&[("start", &["yesterday"])]))[0].contains("<bad-request"));
    assert!(stage.query(&form(&[("colour", &["red"])]))[0].contains("<feature-not-implemented"));
    let many: Vec<&str> = vec!["a"; 500];
    assert!(stage.query(&form(&[("ids", &many)]))[0].contains("<policy-violation"));
}

#[test]
fn metadata_names_the_ends_and_the_form_its_fields() {
    let mut stage = Stage::inside();
    stage.said(&["a", "b", "c"]);
    stage.user(
        "laptop",
        &format!("<iq to='#r@net.example' type='get' id='m'><metadata xmlns='{MAM}'/></iq>"),
    );
    assert_eq!(
        stage.seen(),
        [format!(
            "<iq from='#r@net.example' id='m' to='u@example/laptop' type='result'><metadata xmlns='{MAM}'>\
             <start id='a' timestamp='2001-09-09T00:46:40.000Z'/><end id='c' timestamp='2001-09-09T00:48:40.000Z'/></metadata></iq>"
        )]
    );
    stage.user(
        "laptop",
        &format!("<iq to='#r@net.example' type='get' id='f'><query xmlns='{MAM}'/></iq>"),
    );
    let seen = stage.seen();
    for field in ["start", "end", "with", "before-id", "after-id", "ids"] {
        assert!(seen[0].contains(&format!("var='{field}'")), "{seen:?}");
    }
}

#[test]
fn who_joins_hears_as_much_of_before_as_they_want() {
    let mut stage = Stage::inside();
    stage.said(&["a", "b", "c", "d"]);
    let mut bodies = |n: usize, wish: &str| {
        let history = format!("<history {wish}/>");
        stage.user(
            &format!("phone{n}"),
            &format!("<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'>{history}</x></presence>"),
        );
        let seen = stage.seen();
        assert!(seen.last().is_some_and(|last| last.contains("<subject")), "{seen:?}");
        let old = seen.iter().filter(|s| s.contains("<body>"));
        let old: Vec<String> = old.map(|s| s.split("text of ").nth(1).unwrap()[..1].to_owned()).collect();
        old.concat()
    };
    assert_eq!(bodies(1, "maxstanzas='2'"), "cd");
    assert_eq!(bodies(2, "maxstanzas='0'"), "");
    assert_eq!(bodies(3, "seconds='3500'"), "cd");
    assert_eq!(bodies(4, "since='2001-09-09T00:49:00Z'"), "d");
    assert_eq!(bodies(5, "maxchars='400'"), "d");
    assert_eq!(bodies(6, ""), "abcd");
}

#[test]
fn a_line_that_a_client_has_faked_ids_in_is_shown_and_kept_with_the_rooms_own() {
    let mut stage = Stage::inside();
    stage.shows_occupant_ids = true;
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>hi</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='fake'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='fake'/>\
         <origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Ok(Answer::Done));
    let id = stage.rooms.rooms.values().next().unwrap().occupant_id(&"me".into());
    let inside = format!(
        "<body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='{id}'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='ID'/></message>"
    );
    assert_eq!(
        stage.seen(),
        [format!(
            "<message from='#r@net.example/me' id='x1' to='u@example/laptop' type='groupchat'>{inside}"
        )]
    );
    let seen = stage.query("");
    assert!(
        seen[0].contains(&format!(
            "<message from='#r@net.example/me' id='x1' type='groupchat'>{inside}"
        )),
        "{seen:?}"
    );
}

#[test]
fn an_occupant_has_one_id_in_presence_and_in_what_they_say() {
    let mut stage = Stage::inside();
    stage.shows_occupant_ids = true;
    let id = stage.rooms.rooms.values().next().unwrap().occupant_id(&"op".into());
    let written = format!("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{id}'/>");
    stage.event(Event::Message(IncomingMessage::new(Chat::Room(ROOM.into()), "hi").by("op")));
    stage.user(
        "phone",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    stage.event(Event::OccupantGone(OccupantGone {
        room: ROOM.into(),
        nickname: "op".into(),
        departure: Departure::Left,
        reason: None,
    }));
    let from_op: Vec<String> = stage
        .seen()
        .into_iter()
        .filter(|s| s.contains("from='#r@net.example/op'"))
        .collect();
    // The line, twice; the presence on joining; the departure for both.
    assert_eq!(from_op.len(), 5, "{from_op:?}");
    assert!(from_op.iter().all(|s| s.contains(&written)), "{from_op:?}");
}

fn moderate(id: &str) -> String {
    format!(
        "<iq to='#r@net.example' type='set' id='m'><moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'>\
         <retract xmlns='urn:xmpp:message-retract:1'/><reason>rude</reason></moderate></iq>"
    )
}

#[test]
fn a_moderated_line_is_announced_and_its_text_is_gone_from_the_archive() {
    let mut stage = Stage::inside();
    stage.info = stage
        .info
        .clone()
        .capabilities(&[Capability::Rooms, Capability::RoomModeration, Capability::Retractions]);
    stage.said(&["a", "b"]);
    stage.user("laptop", &moderate("a"));
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::Retract(r) if r.id == "a".into() && r.reason.as_deref() == Some("rude")));
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(
        stage.seen(),
        [
            "<message from='#r@net.example' id='ID' to='u@example/laptop' type='groupchat'>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='ID'/><retract xmlns='urn:xmpp:message-retract:1' id='a'>\
             <moderated xmlns='urn:xmpp:message-moderate:1' by='#r@net.example/me'></moderated><reason>rude</reason></retract></message>",
            "<iq from='#r@net.example' id='m' to='u@example/laptop' type='result'/>",
        ]
    );
    let seen = stage.query("");
    assert_eq!(seen.len(), 4);
    assert!(
        !seen[0].contains("text of a") && seen[0].contains("<retracted xmlns='urn:xmpp:message-retract:1' id='ID'"),
        "{seen:?}"
    );
    assert!(seen[1].contains("text of b"));
    assert!(seen[2].contains("<moderated"));
}

#[test]
fn where_the_network_moderates_nothing_the_users_own_archive_is_moderated_and_the_reason_says_so() {
    let mut stage = Stage::inside();
    stage.said(&["a"]);
    stage.user("laptop", &moderate("a"));
    assert!(stage.verbs().is_empty());
    let seen = stage.seen();
    assert!(
        seen[0].contains("<reason>rude (Taken away for you alone: Net has no moderation of lines.)</reason>"),
        "{seen:?}"
    );
    assert!(seen[1].contains("type='result'"));
    assert!(!stage.query("")[0].contains("text of a"));
    stage.user("phone", &moderate("a"));
    assert!(
        stage.seen()[0].contains("<not-acceptable"),
        "who is not in the room moderates nothing"
    );
}

#[test]
fn retractions_reactions_and_corrections_go_both_ways_under_the_rooms_ids() {
    let mut stage = Stage::inside();
    let all = [
        Capability::Rooms,
        Capability::Retractions,
        Capability::Reactions,
        Capability::Edits,
        Capability::Replies,
    ];
    stage.info = stage.info.clone().capabilities(&all);
    stage.said(&["a"]);
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>mine</body></message>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    let sent = Sent {
        id: Some("n1".into()),
        timestamp: None,
    };
    stage.outcome(request, Ok(Answer::Sent(sent)));
    stage.seen();
    let mut asked = |inside: &str| {
        stage.user(
            "laptop",
            &format!("<message to='#r@net.example' type='groupchat' id='y'>{inside}</message>"),
        );
        let (request, verb) = stage.verbs().pop().unwrap();
        stage.outcome(request, Ok(Answer::Done));
        (verb, stage.seen().concat())
    };
    // Reactions to a line of somebody else and to the user's own, which the client knows by the room's id.
    let (verb, seen) = asked("<reactions xmlns='urn:xmpp:reactions:0' id='a'><reaction>+</reaction></reactions>");
    assert!(matches!(verb, Verb::React(r) if r.id == "a".into() && r.emojis == ["+"]));
    assert!(
        seen.contains("from='#r@net.example/me'") && seen.contains("<reactions") && seen.contains("<stanza-id"),
        "{seen}"
    );
    let (verb, _) = asked("<reactions xmlns='urn:xmpp:reactions:0' id='n1'/>");
    let own = match verb {
        Verb::React(r) => r.id,
        other => panic!("{other:?}"),
    };
    let (verb, seen) = asked("<body>mine, better</body><replace xmlns='urn:xmpp:message-correct:0' id='x1'/>");
    assert!(matches!(verb, Verb::Edit(e) if e.id == own && e.body == "mine, better"));
    assert!(seen.contains("<replace"), "{seen}");
    let (verb, _) = asked("<body>no</body><reply xmlns='urn:xmpp:reply:0' id='a'/>");
    assert!(matches!(verb, Verb::SendMessage(m) if m.reply.as_ref().is_some_and(|r| r.to == "a".into())));
    let (verb, _) = asked("<retract xmlns='urn:xmpp:message-retract:1' id='n1'/>");
    assert!(matches!(verb, Verb::Retract(r) if r.id == own));
    assert!(stage.query("").concat().contains("<retracted"), "the text is gone");
    // What the network says of the user's line has the id that the client gave it, or the room.
    stage.event(Event::Edited(crate::model::Edit {
        chat: Chat::Room(ROOM.into()),
        nickname: Some("me".into()),
        id: "n1".into(),
        body: "again".into(),
        origin: crate::model::Origin::OwnOtherDevice,
    }));
    stage.event(Event::Reacted(crate::model::Reactions {
        chat: Chat::Room(ROOM.into()),
        nickname: Some("op".into()),
        id: own,
        emojis: vec!["!".to_owned()],
        origin: crate::model::Origin::Other,
    }));
    let seen = stage.seen();
    assert!(
        seen[0].contains("<replace xmlns='urn:xmpp:message-correct:0' id='y'/>") || seen[0].contains("id='x1'/>"),
        "{seen:?}"
    );
    assert!(
        seen[1].contains("<reactions xmlns='urn:xmpp:reactions:0' id='n1'>"),
        "{seen:?}"
    );
}

#[test]
fn what_the_network_cannot_do_about_a_line_is_refused() {
    let mut stage = Stage::inside();
    for inside in [
        "<reactions xmlns='urn:xmpp:reactions:0' id='a'><reaction>+</reaction></reactions>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='a'/>",
    ] {
        stage.user(
            "laptop",
            &format!("<message to='#r@net.example' type='groupchat' id='y'>{inside}</message>"),
        );
        assert!(stage.verbs().is_empty());
        assert!(stage.seen()[0].contains("<feature-not-implemented"));
    }
    // A correction is a line of its own to the network, and a correction to the user's other resources.
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='y'><body>b</body><replace xmlns='urn:xmpp:message-correct:0' id='x'/></message>",
    );
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SendMessage(m) if m.body == "b"));
    stage.outcome(request, Ok(Answer::Done));
    assert!(stage.seen()[0].contains("<replace"));
}

#[test]
fn the_networks_history_fills_the_archive_before_anybody_hears_of_it() {
    let mut stage = Stage::new();
    stage.info = stage.info.clone().capabilities(&[Capability::Rooms, Capability::History]);
    stage.info.room_prefixes = "#".to_owned();
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    let (request, verb) = stage.verbs().pop().unwrap();
    let seen = stage.seen();
    assert!(
        seen.len() == 1 && seen[0].contains("<status code='110'/>"),
        "presence does not wait: {seen:?}"
    );
    let page = |before: Option<&str>, after: Option<&str>| {
        Verb::History(PageRequest {
            chat: Chat::Room(ROOM.into()),
            before: before.map(MessageId::from),
            after: after.map(MessageId::from),
            limit: 100,
        })
    };
    assert_eq!(verb, page(None, None));
    // What is said meanwhile is not lost, and not shown before what was said earlier.
    stage.event(Event::Message(IncomingMessage::new(Chat::Room(ROOM.into()), "live").by("op")));
    assert_eq!(stage.seen(), [""; 0]);
    let history = |ids: &[(i64, &str)], complete| {
        Ok(Answer::History(HistoryPage {
            messages: ids.iter().map(|(n, id)| old_line(*n, id)).collect(),
            complete,
        }))
    };
    stage.outcome(request, history(&[(2, "c"), (3, "d")], false));
    let seen = stage.seen().concat();
    let place = |text: &str| seen.find(text).unwrap_or_else(|| panic!("{text} is missing: {seen}"));
    assert!(place("text of c") < place("text of d") && place("text of d") < place("live") && place("live") < place("<subject"));
    // An older page is fetched when it is asked for, once.
    stage.user(
        "laptop",
        &format!(
            "<iq to='#r@net.example' type='set' id='q'><query xmlns='{MAM}' queryid='f'>{}</query></iq>",
            rsm("<before>c</before>")
        ),
    );
    let (request, verb) = stage.verbs().pop().unwrap();
    assert_eq!(verb, page(Some("c"), None));
    assert_eq!(stage.seen(), [""; 0]);
    stage.outcome(request, history(&[(0, "a"), (1, "b")], true));
    assert_eq!(
        stage.seen(),
        [
            result("a", 0),
            result("b", 1),
            fin(" complete='true'", "<first>a</first><last>b</last>")
        ]
    );
    assert_eq!(stage.query(&rsm("<before>a</before>")), [fin(" complete='true'", "")]);
    assert!(stage.verbs().is_empty());
    // After a loss everything since the last line is fetched.
    stage.with(|rooms, cx| rooms.network_lost(cx, "gone"));
    stage.with(Rooms::logged_in);
    let (request, _) = stage.verbs().pop().unwrap();
    stage.event(Event::Occupant(Occupant::new(ROOM.into(), "me")));
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(&verb, Verb::History(p) if p.after.is_some()), "{verb:?}");
    stage.outcome(request, Err(OpError::new(OpErrorKind::NotFound, "")));
    let (request, verb) = stage.verbs().pop().unwrap();
    assert_eq!(
        verb,
        page(None, None),
        "a line that the network does not know is no reason to have a hole"
    );
    stage.outcome(request, history(&[(3, "d"), (4, "e")], true));
    assert!(stage.query(&rsm("<before/><max>2</max>")).concat().contains("live"));
    assert!(stage.query("").concat().contains("text of e"));
}

#[test]
fn with_storage_lines_go_to_the_store_in_batches_and_before_every_question() {
    let mut stage = Stage::inside();
    stage.rooms.archive.stored = true;
    stage.event(Event::Message(old_line(0, "a")));
    stage.event(Event::Message(old_line(1, "b")));
    assert!(
        !stage.out.iter().any(|o| matches!(o, Output::Store(_))),
        "they wait for others"
    );
    stage.out.clear();
    stage.now.mono = stage.rooms.next_deadline().unwrap();
    stage.with(Rooms::tick);
    let appended = |out: &[Output]| match out {
        [
            Output::Store(StoreRequest::ChangeArchive {
                room,
                change: ArchiveChange::Append(lines),
            }),
            ..,
        ] if room == "#r" => lines.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(appended(&stage.out), 2);
    stage.out.clear();
    stage.said(&["c"]);
    let query = format!("<iq to='#r@net.example' type='set' id='q'><query xmlns='{MAM}'/></iq>");
    stage.user("laptop", &query);
    assert_eq!(appended(&stage.out), 1);
    let Some(Output::Store(StoreRequest::AskArchive { request, .. })) = stage.out.pop() else {
        panic!("the store is asked")
    };
    stage.with(|rooms, cx| rooms.archive_answer(cx, request, Err("It broke.".to_owned())));
    assert!(stage.seen()[0].contains("<internal-server-error"));
    for n in 0..200 {
        stage.event(Event::Message(old_line(9, &format!("n{n}"))));
    }
    assert_eq!(stage.rooms.next_deadline(), Some(stage.now.mono), "many lines do not wait");
    stage.seen();
    stage.user("laptop", "<presence to='#r@net.example/me' type='unavailable'/>");
    let kept = stage
        .out
        .iter()
        .any(|o| matches!(o, Output::Store(StoreRequest::ChangeArchive { .. })));
    assert!(kept, "what was said is kept when the user leaves");
}
