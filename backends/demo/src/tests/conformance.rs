//! It does what it declares.

use spectrum_backend_sdk::testing::{Finding, Ground, check, check_on};

use super::*;

#[tokio::test(start_paused = true)]
async fn every_capability_is_what_the_network_really_does() {
    let kit = small().await;
    let mut user = enter(&kit, "you").await;
    let mut other = enter(&kit, "friend").await;
    join(&mut user, "own", "you").await.unwrap();
    join(&mut other, "own", "friend").await.unwrap();
    let ground = Ground {
        contact: ECHO.into(),
        stranger: CAROL.into(),
        room: "own".into(),
        nickname: "you".into(),
        occupant: "friend".into(),
    };
    assert_eq!(check_on(&mut user, kit.info(), &ground).await, Vec::<Finding>::new());
    assert_eq!(check(&mut user, kit.info()).await, Vec::<Finding>::new());
    user.logout().await;
    other.logout().await;
    assert_eq!(kit.stop().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_declares_too_little_is_found_out() {
    let kit = small().await;
    let mut user = enter(&kit, "you").await;
    let mut info = kit.info().clone();
    info.capabilities = spectrum_backend_sdk::model::Capabilities::NONE;
    let ground = Ground {
        contact: ECHO.into(),
        stranger: CAROL.into(),
        room: "own".into(),
        nickname: "you".into(),
        occupant: "nobody".into(),
    };
    let findings = check_on(&mut user, &info, &ground).await;
    for capability in [Capability::Edits, Capability::Search] {
        assert!(findings.contains(&Finding::Undeclared(capability)), "{findings:?}");
    }
}
