//! What survives the process: messages on their way, their order and certainty, and the ids of those that are out.

use super::*;
use crate::backend::{Answer, OpError, OpErrorKind};
use crate::model::{Chat, Edit, Sent};

/// A store for one user: what the session journals is what the next one finds.
#[derive(Default)]
struct Disk(std::collections::BTreeMap<u64, JournalRecord>);

impl Disk {
    /// Takes in what came out of the desk; gives the rest.
    fn take(&mut self, desk: &mut Desk) -> Vec<Output> {
        let mut rest = Vec::new();
        for output in std::mem::take(&mut desk.out) {
            match output {
                Output::Journal(changes) => {
                    self.0.extend(changes.put.into_iter().map(|record| (record.seq, record)));
                    for seq in changes.removed {
                        self.0.remove(&seq);
                    }
                }
                other => rest.push(other),
            }
        }
        rest
    }

    fn account(&self) -> Account {
        Account {
            messages: self.0.values().cloned().collect(),
            ..account()
        }
    }

    /// A new session after the process has died, up to its login.
    fn restarted(&mut self, info: BackendInfo, later: i64) -> Desk {
        let mut desk = Desk::durable(GATEWAY, info);
        desk.now.wall = Timestamp::from_secs(1_700_000_000 + later);
        desk.input(Input::Start);
        desk.user("<presence/>");
        desk.out.clear();
        desk.input(Input::Loaded(Some(Box::new(self.account()))));
        desk
    }
}

fn lines(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(line).collect()
}

fn say(desk: &mut Desk, to: &str, id: &str) {
    desk.user(&format!(
        "<message to='{to}@net.example' type='chat' id='{id}'><body>text of {id}</body></message>"
    ));
}

fn log_in(desk: &mut Desk) {
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.input(Input::Link(LinkInput::LoggedIn));
}

fn online() -> Desk {
    let mut desk = Desk::durable(GATEWAY, info_without(&[Capability::IdempotentSend]));
    desk.log_in();
    desk
}

fn bodies(outputs: Vec<Output>) -> Vec<String> {
    outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Link(LinkRequest::Verb { verb, .. }) => match *verb {
                Verb::SendMessage(message) => Some(message.body),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[test]
fn a_message_is_in_the_journal_before_the_network_is_asked_and_only_its_ids_are_left_afterwards() {
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    let out = desk.lines();
    assert_eq!(out[0], "journal HandedOver m1");
    assert!(out[1].starts_with("verb SendMessage"), "{out:?}");
    say(&mut desk, "juliet", "m2");
    assert_eq!(desk.lines(), ["journal Waits m2"], "it waits for the first");
    desk.outcome(RequestId(2), Ok(Answer::Done));
    let out = desk.lines();
    assert_eq!(out[0], "journal Known m1, HandedOver m2");
}

#[test]
fn what_waited_when_the_process_died_is_sent_in_its_order() {
    let mut disk = Disk::default();
    let mut desk = online();
    desk.event(Event::Closed(crate::backend::LoginError::new(
        crate::backend::LoginErrorKind::Network,
        "gone",
    )));
    for (to, id) in [("juliet", "m1"), ("nurse", "m2"), ("juliet", "m3")] {
        say(&mut desk, to, id);
    }
    disk.take(&mut desk);

    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    assert_eq!(bodies(disk.take(&mut desk)), ["text of m1", "text of m2"]);
    assert_eq!(
        disk.0
            .values()
            .map(|kept| kept.stage)
            .filter(|s| *s == JournalStage::HandedOver)
            .count(),
        2
    );
}

#[test]
fn what_may_have_been_sent_is_answered_as_uncertain_and_never_sent_again() {
    let mut disk = Disk::default();
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    disk.take(&mut desk);

    let mut desk = disk.restarted(info_without(&[Capability::IdempotentSend]), 60);
    log_in(&mut desk);
    let out = disk.take(&mut desk);
    let told: Vec<String> = lines(&out).into_iter().filter(|line| line.contains("type='error'")).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("id='m1'") && told[0].contains("It may have been delivered all the same."),
        "{told:?}"
    );
    assert_eq!(bodies(out), [""; 0]);
    desk.pass(Duration::from_secs(1));
    disk.take(&mut desk);
    assert!(disk.0.values().all(|kept| kept.content.is_none()));

    let mut desk = disk.restarted(info_without(&[Capability::IdempotentSend]), 120);
    assert!(
        !lines(&disk.take(&mut desk)).iter().any(|line| line.contains("type='error'")),
        "told once"
    );
}

#[test]
fn where_sending_twice_is_harmless_it_is_sent_again() {
    let mut disk = Disk::default();
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    disk.take(&mut desk);
    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    assert_eq!(bodies(disk.take(&mut desk)), ["text of m1"]);
}

#[test]
fn what_has_waited_for_a_day_is_told_in_words_if_the_client_is_not_there() {
    let mut disk = Disk::default();
    let mut desk = online();
    desk.event(Event::Closed(crate::backend::LoginError::new(
        crate::backend::LoginErrorKind::Network,
        "gone",
    )));
    desk.user_at(
        "desk",
        "<message to='juliet@net.example' type='chat' id='m1'><body>art thou not Romeo?</body></message>",
    );
    disk.take(&mut desk);

    let mut desk = Desk::durable(GATEWAY, info());
    desk.now.wall = Timestamp::from_secs(1_700_000_000 + 25 * 3_600);
    desk.input(Input::Start);
    desk.user_at("phone", "<presence/>");
    desk.out.clear();
    desk.input(Input::Loaded(Some(Box::new(disk.account()))));
    let out = disk.take(&mut desk);
    let said = lines(&out).into_iter().find(|line| line.contains("<body>")).unwrap();
    assert!(
        said.contains("from='net.example'") && said.contains("to='romeo@example.org'") && said.contains("art thou not Romeo?"),
        "{said}"
    );
    desk.pass(Duration::from_secs(1));
    disk.take(&mut desk);
    assert!(disk.0.is_empty());
}

#[test]
fn the_end_of_the_instance_keeps_what_waits_and_the_next_session_sends_it() {
    let mut disk = Disk::default();
    let mut desk = online();
    desk.event(Event::Closed(crate::backend::LoginError::new(
        crate::backend::LoginErrorKind::Network,
        "gone",
    )));
    say(&mut desk, "juliet", "m1");
    desk.input(Input::End("The transport is stopping.".to_owned()));
    let out = disk.take(&mut desk);
    assert!(!lines(&out).iter().any(|line| line.contains("type='error'")));
    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    assert_eq!(bodies(disk.take(&mut desk)), ["text of m1"]);
}

#[test]
fn what_cannot_be_journaled_is_not_sent_and_its_sender_is_told() {
    let mut desk = online();
    desk.event(Event::Closed(crate::backend::LoginError::new(
        crate::backend::LoginErrorKind::Network,
        "gone",
    )));
    desk.out.clear();
    say(&mut desk, "juliet", "m1");
    let Some(Output::Journal(changes)) = desk.out.first() else {
        panic!("{:?}", desk.out)
    };
    let seq = changes.put[0].seq;
    desk.out.clear();
    desk.input(Input::NotKept(vec![seq]));
    let out = desk.lines();
    assert!(
        out.iter()
            .any(|line| line.contains("<internal-server-error") && line.contains("id='m1'")),
        "{out:?}"
    );
    say(&mut desk, "juliet", "m1");
    assert_eq!(desk.lines(), ["journal Waits m1"], "the same message may be tried again");
}

#[test]
fn a_message_that_the_users_server_brings_twice_is_sent_once() {
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    say(&mut desk, "juliet", "m1");
    assert_eq!(desk.verbs().len(), 1);
    desk.outcome(RequestId(2), Ok(Answer::Done));
    say(&mut desk, "juliet", "m1");
    assert!(desk.verbs().is_empty(), "also when it is out");
}

#[test]
fn a_correction_of_a_message_from_before_the_restart_finds_it() {
    let mut disk = Disk::default();
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    desk.outcome(
        RequestId(2),
        Ok(Answer::Sent(Sent {
            id: Some("n1".into()),
            timestamp: None,
        })),
    );
    disk.take(&mut desk);
    let core = disk.0.values().next().unwrap().core.clone();

    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    desk.out.clear();
    desk.user(
        "<message to='juliet@net.example' type='chat' id='m2'><body>better</body>\
         <replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>",
    );
    let (_, verb) = desk.verb();
    assert!(matches!(verb, Verb::Edit(Edit { id, body, .. }) if id == core && body == "better"));
    desk.event(Event::Delivered {
        chat: Chat::Contact("juliet".into()),
        id: "n1".into(),
    });
    assert!(desk.stanzas()[0].contains("<received xmlns='urn:xmpp:receipts' id='m"));
}

#[test]
fn each_message_says_how_far_it_has_got() {
    let mut desk = online();
    let stages = |desk: &Desk| -> Vec<_> { desk.session.recent().iter().map(|recent| recent.stage).collect() };
    say(&mut desk, "juliet", "m1");
    say(&mut desk, "juliet", "m2");
    assert_eq!(stages(&desk), [MessageStage::Journaled, MessageStage::HandedOver]);
    desk.outcome(RequestId(2), Ok(Answer::Done));
    assert_eq!(stages(&desk), [MessageStage::HandedOver, MessageStage::Sent]);
    let core = desk.verbs().into_iter().find_map(|(_, verb)| match verb {
        Verb::SendMessage(message) if message.body == "text of m1" => Some(message.id),
        _ => None,
    });
    desk.event(Event::Delivered {
        chat: Chat::Contact("juliet".into()),
        id: core.unwrap(),
    });
    assert_eq!(stages(&desk), [MessageStage::HandedOver, MessageStage::Delivered]);
    desk.outcome(RequestId(4), Err(OpError::maybe_sent("lost")));
    assert_eq!(stages(&desk)[0], MessageStage::Uncertain);
}

#[test]
fn what_waits_for_a_day_is_answered_while_the_session_lives() {
    let mut disk = Disk::default();
    let mut desk = online();
    desk.event(Event::Closed(crate::backend::LoginError::new(
        crate::backend::LoginErrorKind::Network,
        "gone",
    )));
    say(&mut desk, "juliet", "m1");
    desk.pass(Duration::from_secs(3_600));
    say(&mut desk, "nurse", "m2");
    desk.out.clear();
    let told = |desk: &mut Desk, disk: &mut Disk| -> Vec<String> {
        let out = disk.take(desk);
        lines(&out).into_iter().filter(|line| line.contains("type='error'")).collect()
    };
    desk.pass(MAX_AGE - Duration::from_secs(3_600) - Duration::from_millis(1));
    assert!(told(&mut desk, &mut disk).iter().all(|line| !line.contains("id='m1'")));
    desk.pass(Duration::from_millis(1));
    let told_now = told(&mut desk, &mut disk);
    assert!(
        told_now
            .iter()
            .any(|line| line.contains("id='m1'") && line.contains("It waited too long to be sent.")),
        "{told_now:?}"
    );
    assert!(told_now.iter().all(|line| !line.contains("id='m2'")), "{told_now:?}");
    desk.pass(Duration::from_secs(3_600));
    assert!(told(&mut desk, &mut disk).iter().any(|line| line.contains("id='m2'")));
}

#[test]
fn what_was_under_way_at_the_end_of_the_instance_is_kept_where_sending_it_twice_is_harmless() {
    let mut disk = Disk::default();
    let mut desk = Desk::durable(GATEWAY, info());
    desk.log_in();
    say(&mut desk, "juliet", "m1");
    disk.take(&mut desk);
    desk.input(Input::End("The transport is stopping.".to_owned()));
    let out = disk.take(&mut desk);
    assert!(!lines(&out).iter().any(|line| line.contains("type='error'")));
    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    assert_eq!(bodies(disk.take(&mut desk)), ["text of m1"]);
}

#[test]
fn another_text_under_an_id_from_before_the_restart_is_another_message() {
    let mut disk = Disk::default();
    let mut desk = online();
    say(&mut desk, "juliet", "1");
    desk.outcome(RequestId(2), Ok(Answer::Done));
    disk.take(&mut desk);
    let mut desk = disk.restarted(info(), 60);
    log_in(&mut desk);
    desk.out.clear();
    desk.user("<message to='juliet@net.example' type='chat' id='1'><body>something else</body></message>");
    say(&mut desk, "juliet", "1");
    assert_eq!(
        bodies(disk.take(&mut desk)),
        ["something else"],
        "and what is repeated is not"
    );
}

/// The answer goes through a queue and a socket; the process may die before it is out.
#[test]
fn what_a_sender_has_just_been_told_is_told_again_after_a_crash_and_not_after_a_second() {
    for (failed, after) in [
        (OpError::maybe_sent("gone"), JournalStage::Known),
        (OpError::new(OpErrorKind::NotAllowed, "no"), JournalStage::Waits),
    ] {
        let mut disk = Disk::default();
        let mut desk = online();
        say(&mut desk, "juliet", "m1");
        disk.take(&mut desk);
        desk.outcome(RequestId(2), Err(failed));
        let out = lines(&disk.take(&mut desk));
        assert!(out.iter().any(|line| line.contains("type='error'")), "{out:?}");

        let next = disk.restarted(info_without(&[Capability::IdempotentSend]), 0);
        let again = lines(&next.out);
        assert_eq!(
            again.iter().filter(|line| line.contains("type='error'")).count(),
            1,
            "{again:?}"
        );

        desk.pass(Duration::from_millis(999));
        assert_eq!(lines(&disk.take(&mut desk)), [""; 0], "not yet");
        assert!(disk.0.values().all(|kept| kept.content.is_some()), "{:?}", disk.0);
        desk.pass(Duration::from_millis(1));
        disk.take(&mut desk);
        match after {
            JournalStage::Known => assert!(disk.0.values().all(|kept| kept.stage == JournalStage::Known)),
            JournalStage::Waits | JournalStage::HandedOver => assert!(disk.0.is_empty(), "{:?}", disk.0),
        }
    }
}

#[test]
fn a_session_that_ends_leaves_nothing_to_tell_again() {
    let mut disk = Disk::default();
    let mut desk = online();
    say(&mut desk, "juliet", "m1");
    desk.outcome(RequestId(2), Err(OpError::maybe_sent("gone")));
    desk.input(Input::End("Bye".to_owned()));
    disk.take(&mut desk);
    assert!(disk.0.values().all(|kept| kept.stage == JournalStage::Known), "{:?}", disk.0);
}
