//! A verb as data becomes a call, with a deadline, and its panic an outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::backend::{
    Answer, CANCEL_GRACE, Cancel, Certainty, LegacySession, Op, OpError, OpErrorKind, Outcome, Retry, VERB_DEADLINE, Verb,
};
use crate::model::RequestId;

/// How a verb ended.
pub(super) enum Ended {
    /// With an answer.
    With(Outcome),
    /// It panicked.
    Panicked,
}

/// Calls the method. It is cancelled at its deadline or by `cancel`, and dropped if it goes on long after that.
pub(super) async fn run(session: Arc<dyn LegacySession>, request: RequestId, verb: Verb, cancel: CancellationToken) -> Ended {
    let op = Op::new(request, Arc::new(Token(cancel.clone())));
    let work = AssertUnwindSafe(perform(&*session, verb, op)).catch_unwind();
    tokio::pin!(work);
    let by_deadline = tokio::select! {
        biased;
        result = &mut work => return result.map_or(Ended::Panicked, Ended::With),
        () = cancel.cancelled() => false,
        () = tokio::time::sleep(VERB_DEADLINE) => true,
    };
    cancel.cancel();
    match tokio::time::timeout(CANCEL_GRACE, work).await {
        Ok(result) => result.map_or(Ended::Panicked, Ended::With),
        Err(_) if by_deadline => Ended::With(Err(OpError {
            kind: OpErrorKind::Timeout,
            certainty: Certainty::MaybeSent,
            retry: Retry::Never,
            text: "The network did not answer in time.".to_owned(),
        })),
        Err(_) => Ended::With(Err(OpError::maybe_sent("The session ended before the network answered."))),
    }
}

struct Token(CancellationToken);

#[async_trait]
impl Cancel for Token {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}

async fn perform(session: &dyn LegacySession, verb: Verb, cx: Op) -> Outcome {
    let done = |()| Answer::Done;
    match verb {
        Verb::SendMessage(message) => session.send_message(message, cx).await.map(Answer::Sent),
        Verb::Edit(edit) => session.edit_message(edit, cx).await.map(Answer::Sent),
        Verb::Retract(retraction) => session.retract_message(retraction, cx).await.map(done),
        Verb::React(reactions) => session.react(reactions, cx).await.map(done),
        Verb::Mark(marker) => session.mark(marker, cx).await.map(done),
        Verb::SetChatState { chat, state } => session.set_chat_state(chat, state, cx).await.map(done),
        Verb::CallAttention { contact, text } => session.call_attention(contact, text, cx).await.map(done),
        Verb::SetPresence(presence) => session.set_presence(presence, cx).await.map(done),
        Verb::SetProfile(profile) => session.set_profile(profile, cx).await.map(done),
        Verb::FetchProfile(of) => session.fetch_profile(of, cx).await.map(Answer::Profile),
        Verb::AddContact(contact) => session.add_contact(contact, cx).await.map(done),
        Verb::UpdateContact(contact) => session.update_contact(contact, cx).await.map(done),
        Verb::RemoveContact(contact) => session.remove_contact(contact, cx).await.map(done),
        Verb::AnswerContactRequest { contact, accept } => session.answer_contact_request(contact, accept, cx).await.map(done),
        Verb::Block { contact, blocked } => session.block(contact, blocked, cx).await.map(done),
        Verb::Search(text) => session.search(text, cx).await.map(Answer::Contacts),
        Verb::ListRooms => session.list_rooms(cx).await.map(Answer::Rooms),
        Verb::JoinRoom(join) => session.join_room(join, cx).await.map(Answer::Joined),
        Verb::LeaveRoom(room) => session.leave_room(room, cx).await.map(done),
        Verb::RoomInfo(room) => session.room_info(room, cx).await.map(Answer::RoomInfo),
        Verb::SetSubject { room, subject } => session.set_subject(room, subject, cx).await.map(done),
        Verb::ChangeNickname { room, nickname } => session.change_nickname(room, nickname, cx).await.map(done),
        Verb::Invite { room, contact, reason } => session.invite(room, contact, reason, cx).await.map(done),
        Verb::Kick { room, nickname, reason } => session.kick(room, nickname, reason, cx).await.map(done),
        Verb::SetStanding {
            room,
            nickname,
            standing,
            reason,
        } => session.set_standing(room, nickname, standing, reason, cx).await.map(done),
        Verb::RoomSettings(room) => session.room_settings(room, cx).await.map(Answer::Form),
        Verb::ConfigureRoom { room, answers } => session.configure_room(room, answers, cx).await.map(done),
        Verb::ListAffiliated { room, affiliation } => {
            session.list_affiliated(room, affiliation, cx).await.map(Answer::Affiliated)
        }
        Verb::SetAffiliation {
            room,
            who,
            affiliation,
            reason,
        } => session.set_affiliation(room, who, affiliation, reason, cx).await.map(done),
        Verb::History(page) => session.history(page, cx).await.map(Answer::History),
        Verb::RawXml(xml) => session.raw_xml(xml, cx).await.map(done),
    }
}
