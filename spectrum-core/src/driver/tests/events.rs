//! Events: credit, commitment, and that nothing follows the end.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_closed_and_logout_still_comes_once() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    kit.say(A, 1, "x", "hang").await;
    kit.say(A, 2, "x", "quick").await;
    kit.say(A, 3, "y", "close").await;
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
    );
    assert_eq!(kit.outcome().await, sent(3));
    // What waits was not sent; what runs gets its grace.
    assert_eq!(kit.failure().await, (2, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.failure().await, (1, OpErrorKind::Network, Certainty::MaybeSent));
    assert_eq!(events.emit(notice("late")).await, Err(SessionEnded));
    assert_eq!(events.emit_durable(notice("late")).await, Err(SessionEnded));
    kit.send(ToBackend::Logout { assignment: A }).await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log().iter().filter(|entry| *entry == "logout me").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_for_credit_end_with_the_session() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
        kit.next().await;
    }
    let waiting = events.clone();
    let waiting = Tasks::new().spawn("waiting", Span::none(), async move { waiting.emit(notice("too many")).await });
    tokio::task::yield_now().await;
    // Closed waits for no credit.
    events
        .emit(Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap(), Err(SessionEnded));
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_user_with_too_many_events_on_the_way_waits() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let other = kit.login(B, "other").await;
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
    }
    let (done, mut waits) = oneshot::channel();
    let tasks = Tasks::new();
    tasks.spawn("waiting", Span::none(), async move {
        done.send(events.emit(notice("last")).await).unwrap()
    });
    other.emit(notice("other")).await.unwrap();
    for _ in 0..EVENT_CREDIT {
        assert_eq!(kit.next().await, event(A, notice("n")));
    }
    assert_eq!(kit.next().await, event(B, notice("other")));
    assert!(waits.try_recv().is_err());
    kit.send(ToBackend::Credit {
        assignment: A,
        events: 1,
    })
    .await;
    assert_eq!(kit.next().await, event(A, notice("last")));
    assert_eq!(waits.await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn credit_never_exceeds_its_bound() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    for _ in 0..3 {
        kit.send(ToBackend::Credit {
            assignment: A,
            events: u32::MAX,
        })
        .await;
    }
    kit.send(ToBackend::Ping).await;
    assert_eq!(kit.next().await, FromBackend::Pong);
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
    }
    assert!(
        tokio::time::timeout(Duration::from_secs(1), events.emit(notice("n")))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_durable_event_resolves_once_committed() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let durable = events.clone();
    let committed = Tasks::new().spawn(
        "durable",
        Span::none(),
        async move { durable.emit_durable(notice("keep")).await },
    );
    let FromBackend::Event {
        durable: Some(number), ..
    } = kit.next().await
    else {
        panic!("a durable event expected")
    };
    kit.send(ToBackend::Committed {
        assignment: A,
        event: number + 1,
    })
    .await;
    kit.send(ToBackend::Ping).await;
    assert_eq!(kit.next().await, FromBackend::Pong);
    assert!(!committed.is_finished());
    kit.send(ToBackend::Committed {
        assignment: A,
        event: number,
    })
    .await;
    assert_eq!(committed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_durable_event_that_is_not_committed_ends_with_the_session() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let waiting = Tasks::new().spawn(
        "durable",
        Span::none(),
        async move { events.emit_durable(notice("keep")).await },
    );
    kit.next().await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(waiting.await.unwrap(), Err(SessionEnded));
}
