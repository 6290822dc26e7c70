//! Verbs: their order, their bounds, their deadlines, and what a panic in one costs.

use super::*;

#[tokio::test(start_paused = true)]
async fn verbs_of_one_chat_run_in_order_and_other_chats_do_not_wait() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.say(A, 1, "x", "slow 1").await;
    kit.say(A, 2, "x", "quick 2").await;
    kit.say(A, 3, "y", "quick 3").await;
    assert_eq!(kit.outcome().await, sent(3));
    assert_eq!(kit.outcome().await, sent(1));
    assert_eq!(kit.outcome().await, sent(2));
    assert_eq!(
        kit.log(),
        [
            "begin slow 1",
            "begin quick 3",
            "end quick 3",
            "end slow 1",
            "begin quick 2",
            "end quick 2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_eight_verbs_of_a_user_run_at_once() {
    let mut kit = start();
    kit.login(A, "me").await;
    for request in 0..20 {
        kit.say(A, request, &format!("contact {request}"), "slow").await;
    }
    for _ in 0..20 {
        kit.outcome().await.1.unwrap();
    }
    assert_eq!(kit.most_running.load(Ordering::SeqCst), CONCURRENT_VERBS);
}

#[tokio::test(start_paused = true)]
async fn a_verb_is_cancelled_at_its_deadline_and_its_own_answer_counts() {
    let mut kit = start();
    kit.login(A, "me").await;
    let begin = Instant::now();
    kit.say(A, 1, "x", "obey").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Network, Certainty::NotSent));
    assert_eq!(begin.elapsed(), VERB_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_verb_that_ignores_its_cancellation_is_dropped_and_maybe_sent() {
    let mut kit = start();
    kit.login(A, "me").await;
    let begin = Instant::now();
    kit.say(A, 1, "x", "hang").await;
    kit.say(A, 2, "x", "quick").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Timeout, Certainty::MaybeSent));
    assert_eq!(begin.elapsed(), VERB_DEADLINE + CANCEL_GRACE);
    // It has waited longer than a verb may take, and was not even begun.
    assert_eq!(kit.failure().await, (2, OpErrorKind::Timeout, Certainty::NotSent));
    assert_eq!(kit.log(), ["begin hang"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_verb_ends_that_session_alone() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.say(A, 1, "x", "panic").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Internal, Certainty::MaybeSent));
    assert_eq!(kit.next().await, event(A, Event::Closed(defect())));
    kit.say(A, 2, "x", "quick").await;
    assert_eq!(kit.failure().await, (2, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.say(B, 3, "x", "quick").await;
    assert_eq!(kit.outcome().await, sent(3));
}

#[tokio::test(start_paused = true)]
async fn verbs_beyond_the_bound_are_refused_and_nobody_else_notices() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.say(A, 0, "x", "hang").await;
    kit.say(B, 1, "x", "quick").await;
    assert_eq!(kit.outcome().await, sent(1));
    let total = 2 * WAITING_VERBS as u64 + 10;
    for request in 2..2 + total {
        kit.say(A, request, "x", "quick").await;
    }
    kit.send(ToBackend::Ping).await;
    let mut refused = 0;
    loop {
        match kit.next().await {
            FromBackend::Outcome { outcome, .. } => {
                let error = outcome.unwrap_err();
                assert_eq!((error.kind, error.certainty), (OpErrorKind::RateLimited, Certainty::NotSent));
                refused += 1;
            }
            FromBackend::Pong => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(refused >= 10, "{refused}");
    kit.say(B, 1, "x", "quick").await;
    loop {
        if let FromBackend::Outcome {
            assignment: B, outcome, ..
        } = kit.next().await
        {
            outcome.unwrap();
            break;
        }
    }
}
