//! Logouts and the end of a driver: always answered, always in time.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_logout_is_done_before_it() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.say(A, 1, "x", "slow 1").await;
    kit.say(A, 2, "x", "quick 2").await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    kit.say(A, 3, "x", "late").await;
    assert_eq!(kit.failure().await, (3, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.outcome().await, sent(1));
    assert_eq!(kit.outcome().await, sent(2));
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(
        kit.log(),
        ["begin slow 1", "end slow 1", "begin quick 2", "end quick 2", "logout me"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_answered_in_time_whatever_the_session_does() {
    for (name, body) in [("clings", "quick"), ("trips", "quick"), ("me", "hang"), ("clings", "hang")] {
        let mut kit = start();
        kit.login(A, name).await;
        kit.say(A, 1, "x", body).await;
        let begin = Instant::now();
        kit.send(ToBackend::Logout { assignment: A }).await;
        assert_eq!(kit.outcome().await.0, 1);
        assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A }, "{name} {body}");
        assert!(begin.elapsed() <= LOGOUT_DEADLINE, "{name} {body}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_answered_all_the_same() {
    let mut kit = start();
    kit.next().await;
    kit.say(A, 1, "x", "quick").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
}

#[tokio::test(start_paused = true)]
async fn exit_logs_everybody_out_and_returns() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.send(ToBackend::Exit).await;
    let mut out = [kit.next().await, kit.next().await];
    out.sort_by_key(|frame| {
        if let FromBackend::LoggedOut { assignment } = frame {
            assignment.0
        } else {
            0
        }
    });
    assert_eq!(
        out,
        [
            FromBackend::LoggedOut { assignment: A },
            FromBackend::LoggedOut { assignment: B }
        ]
    );
    assert_eq!(kit.driver.await, Ok(()));
    // Once the author's handles are gone too, nothing more can come.
    drop((kit.events, kit.logins));
    assert_eq!(kit.from.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_core_is_the_end_of_all_sessions() {
    let mut kit = start();
    kit.login(A, "me").await;
    drop(kit.to);
    assert_eq!(kit.driver.await, Ok(()));
    assert_eq!(*kit.log.lock().unwrap(), ["logout me"]);
}
