//! Somebody who takes nothing: nobody else notices, and they are cut off.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_member_who_takes_nothing_slows_nobody_and_is_cut_off() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    let mut stuck = enter(&kit, "stuck").await;
    join(&mut you, "own", "me").await.unwrap();
    join(&mut friend, "own", "friend").await.unwrap();
    join(&mut stuck, "own", "stuck").await.unwrap();
    stuck.take_nothing();
    let chat = Chat::Room("own".into());
    let began = tokio::time::Instant::now();
    for n in 0..line::LINE + 200 {
        you.say(chat.clone(), &format!("line {n}")).await.unwrap();
    }
    message(&mut friend, &format!("line {}", line::LINE + 199)).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "nobody waited");
    stuck
        .expect(|e| matches!(e, Event::Closed(error) if error.is_temporary()))
        .await;
    stuck.logout().await;
    let gone = |e: &Event| matches!(e, Event::OccupantGone(gone) if gone.nickname.as_str() == "stuck");
    friend.expect(gone).await;
}
