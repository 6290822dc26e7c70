//! "Where is my last message?": what is known of a user's last messages, from the session or, without one, from the journal.
//! Says to whom, when and how far; never what was written. Owns nothing.

use crate::dialogue::Report;
use crate::model::{Chat, Timestamp, UserKey};
use crate::router::Router;
use crate::session::{JournalStage, MessageStage, RecentMessage};
use crate::store::{MessageRecord, Store, StoreError};

/// The last messages of a user, the newest first. Waits for the session, or for the store.
///
/// # Errors
/// The database's.
pub async fn recent(router: &Router, store: &dyn Store, user: &UserKey) -> Result<Vec<RecentMessage>, StoreError> {
    if let Some(recent) = router.recent(user).await {
        return Ok(recent);
    }
    let kept = store.load_messages(user).await?;
    Ok(kept.into_iter().rev().filter_map(from_journal).collect())
}

/// Messages of everybody that have no fate yet, the oldest first, at most `limit` of them. Waits for the store.
///
/// # Errors
/// The database's.
pub async fn waiting(store: &dyn Store, limit: u32) -> Result<Vec<(UserKey, RecentMessage)>, StoreError> {
    let kept = store.list_waiting(Timestamp::from_millis(i64::MAX), limit).await?;
    let of = |(user, record)| Some((user, from_journal(record)?));
    Ok(kept.into_iter().filter_map(of).collect())
}

/// What the journal says of a message while its user has no session.
fn from_journal(record: MessageRecord) -> Option<RecentMessage> {
    let kept = crate::store::decode(record)?;
    Some(RecentMessage {
        at: kept.at,
        chat: kept.chat,
        client: kept.client,
        stage: match kept.stage {
            JournalStage::Waits => MessageStage::Journaled,
            // Whoever wrote that has ended since: the next login answers it as uncertain.
            JournalStage::HandedOver => MessageStage::Uncertain,
            JournalStage::Known => MessageStage::Sent,
        },
    })
}

/// As a user or an administrator sees it.
pub fn report(messages: &[RecentMessage]) -> Report {
    if messages.is_empty() {
        return Report::text("There is no message that anything is known of.");
    }
    Report {
        columns: vec![("at", "Sent at"), ("to", "To"), ("state", "State")],
        rows: messages.iter().map(row).collect(),
        ..Report::default()
    }
}

/// Messages of everybody.
pub(crate) fn report_of_all(messages: &[(UserKey, RecentMessage)]) -> Report {
    if messages.is_empty() {
        return Report::text("No message waits.");
    }
    let of = |(user, message): &(UserKey, RecentMessage)| {
        let mut row = row(message);
        row.insert(0, user.to_string());
        row
    };
    Report {
        columns: vec![("jid", "User"), ("at", "Sent at"), ("to", "To"), ("state", "State")],
        rows: messages.iter().map(of).collect(),
        ..Report::default()
    }
}

fn row(message: &RecentMessage) -> Vec<String> {
    vec![message.at.date_time(), goal(&message.chat), state(message.stage).to_owned()]
}

fn goal(chat: &Chat) -> String {
    match chat {
        Chat::Contact(contact) => contact.as_str().to_owned(),
        Chat::Room(room) => room.as_str().to_owned(),
        Chat::Occupant { room, nickname } => format!("{} in {}", nickname.as_str(), room.as_str()),
    }
}

fn state(stage: MessageStage) -> &'static str {
    match stage {
        MessageStage::Accepted => "waiting for the network, in memory",
        MessageStage::Journaled => "waiting for the network, on disk",
        MessageStage::HandedOver => "handed to the network, which has not confirmed it yet",
        MessageStage::Sent => "sent",
        MessageStage::Delivered => "delivered",
        MessageStage::Displayed => "read",
        MessageStage::Uncertain => "perhaps sent: the connection ended before the network confirmed it",
        MessageStage::Failed => "not sent: the sender was told why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContactId;

    fn message(stage: MessageStage) -> RecentMessage {
        RecentMessage {
            at: Timestamp::from_secs(0),
            chat: Chat::Contact(ContactId::from("carol")),
            client: "c1".into(),
            stage,
        }
    }

    #[test]
    fn a_report_says_when_to_whom_and_how_far() {
        let lines = report(&[message(MessageStage::Displayed), message(MessageStage::Journaled)]).lines();
        assert_eq!(
            lines,
            "1970-01-01T00:00:00.000Z  carol  read\n1970-01-01T00:00:00.000Z  carol  waiting for the network, on disk"
        );
        assert_eq!(report(&[]).lines(), "There is no message that anything is known of.");
    }

    #[test]
    fn a_message_of_everybody_is_told_with_its_user() {
        let lines = report_of_all(&[(UserKey::from("romeo@x"), message(MessageStage::Uncertain))]).lines();
        assert_eq!(
            lines,
            "romeo@x  1970-01-01T00:00:00.000Z  carol  perhaps sent: the connection ended before the network confirmed it"
        );
    }

    #[test]
    fn the_journal_tells_without_a_session() {
        let record = |stage| MessageRecord {
            seq: 1,
            at: Timestamp::from_secs(0),
            stage,
            entry: r#"{"c":{"c":"carol"},"i":"1","k":"c1","p":1,"m":{"b":"x"}}"#.to_owned(),
        };
        for (stage, expected) in [
            (JournalStage::Waits, MessageStage::Journaled),
            (JournalStage::HandedOver, MessageStage::Uncertain),
            (JournalStage::Known, MessageStage::Sent),
        ] {
            assert_eq!(from_journal(record(stage)), Some(message(expected)));
        }
    }
}
