//! Real processes that speak Spectrum 2's dialect.

use std::fs;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::backend::{Certainty, OpErrorKind};
use crate::main_process::PoolHealth;
use crate::model::Secret;
use crate::pool::testing::say;

/// A backend in Python that knows nothing of us.
const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/backends/spectrum2_echo.py");

fn echo(change: impl FnOnce(&mut PoolOptions, &Path)) -> Rig {
    Rig::command(&["python3", ECHO], Wire::Spectrum2, change)
}

/// A backend that is a line of shell. `$4` is the port, `$8` the configuration.
fn shell(script: &str, change: impl FnOnce(&mut PoolOptions, &Path)) -> Rig {
    Rig::command(&["sh", "-c", script, "backend"], Wire::Spectrum2, change)
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn foreign_backend_runs_unmodified() {
    let rig = echo(|options, _| {
        options.identity.name = Some("Echo Land".to_owned());
    });
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    assignment.send(say(1, "echo", "hello")).unwrap();
    inbox.message("hello").await;
    inbox.outcome(1).await.unwrap();
    assert_eq!(rig.pool.info().unwrap().name, "Echo Land");
    rig.status(|status| (status.backends[0].resident_kib == Some(1_024)).then_some(()))
        .await;
    let pid = rig.pid().await;
    drop(assignment);
    rig.status(|status| (status.backends[0].users == 0).then_some(())).await;
    rig.stop().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn user_is_logged_out_before_the_next_login() {
    let rig = echo(|options, dir| {
        options
            .options
            .insert("echo.log".to_owned(), Secret::new(dir.join("log").to_string_lossy()));
    });
    let (assignment, _) = rig.log_in("a@example.org").await;
    drop(assignment);
    let (assignment, _) = rig.log_in("a@example.org").await;
    let log = fs::read_to_string(rig.dir.path().join("log")).unwrap();
    let story: Vec<&str> = log.lines().filter(|line| line.starts_with("log")).collect();
    assert_eq!(
        story,
        [
            "login a@example.org as legacy",
            "logout a@example.org",
            "login a@example.org as legacy"
        ]
    );
    assert!(log.contains("started as 1 of irc.example.org, -j irc.example.org"), "{log}");
    drop(assignment);
    rig.stop().await;
}

#[tokio::test]
async fn killed_backend_is_replaced_and_its_users_are_told() {
    let rig = echo(|_, _| {});
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    let pid = rig.pid().await;
    // It stops to answer, so this stays open.
    signal(pid, rustix::process::Signal::STOP);
    assignment.send(say(1, "echo", "hello")).unwrap();
    signal(pid, rustix::process::Signal::KILL);
    let error = inbox.outcome(1).await.unwrap_err();
    assert!(matches!(error.kind, OpErrorKind::Network | OpErrorKind::NotConnected));
    assert_eq!(inbox.lost().await, "the backend has ended");
    assert!(assignment.send(say(2, "echo", "hello")).unwrap_err().gone);
    drop(assignment);
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    assert_eq!(assignment.backend().0, 2);
    assignment.send(say(1, "echo", "again")).unwrap();
    inbox.message("again").await;
    let crash = rig.status(|status| status.crashes.first().cloned()).await;
    assert_eq!(crash.how, "the backend has ended (signal 9 (SIGKILL))");
    assert_eq!((crash.id.0, crash.users), (1, 1));
    drop(assignment);
    rig.stop().await;
}

#[tokio::test]
async fn written_request_of_a_backend_that_dies_over_it_is_uncertain() {
    let rig = echo(|_, _| {});
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    assignment.send(say(1, "echo", "!die")).unwrap();
    assert_eq!(inbox.outcome(1).await.unwrap_err().certainty, Certainty::MaybeSent);
    inbox.lost().await;
    let crash = rig.status(|status| status.crashes.first().cloned()).await;
    assert_eq!(crash.how, "the backend has ended (exit status 9)");
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_hangs_is_killed_and_replaced() {
    let rig = echo(|options, _| {
        options.timings.ping_interval = Duration::from_millis(200);
        options.timings.ping_timeout = Duration::from_secs(2);
    });
    let (_assignment, inbox) = rig.log_in("a@example.org").await;
    let pid = rig.pid().await;
    signal(pid, rustix::process::Signal::STOP);
    assert_eq!(inbox.lost().await, "the backend did not answer");
    let how = rig
        .status(|status| status.crashes.first().map(|crash| crash.how.clone()))
        .await;
    assert_eq!(
        how, "the backend did not answer; signal 9 (SIGKILL)",
        "SIGABRT does not reach a stopped process"
    );
    assert!(!is_alive(pid));
    rig.log_in("a@example.org").await;
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_ends_at_once_is_failing_with_its_last_words() {
    let rig = shell("echo 'no such option: x' >&2; exit 3", |_, _| {});
    let reason = "the backend ended before it connected (exit status 3)";
    let crash = rig.status(|status| status.crashes.first().cloned()).await;
    assert_eq!((crash.how.as_str(), crash.stderr.as_str()), (reason, "no such option: x"));
    let failing = rig
        .status(|status| (status.health == PoolHealth::Failing).then(|| status.reason.clone()))
        .await;
    assert_eq!(
        failing.unwrap(),
        format!("backends ended 5 times within a minute; last: {reason}")
    );
    assert_eq!(
        rig.failure().await,
        format!("backends ended 5 times within a minute; last: {reason}")
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_never_connects_is_killed_and_the_reason_told() {
    let rig = shell("exec sleep 3600", |options, _| options.timings.start = Duration::from_secs(1));
    let pid = rig.status(|status| status.backends.first().and_then(|b| b.pid)).await;
    assert_eq!(rig.failure().await, "the backend was not ready within 1 s of its start");
    rig.status(|status| status.crashes.first().cloned()).await;
    assert!(!is_alive(pid));
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_wants_a_database_is_named() {
    let rig = shell("exit 254", |_, _| {});
    let reason = "the backend needs Spectrum 2's database (exit status 254): set database.* in [backend.options]";
    assert_eq!(rig.failure().await, reason);
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_passes_xmpp_through_is_refused_and_named() {
    let rig = echo(|options, _| {
        options.options.insert("echo.features".to_owned(), Secret::new("rawxml=1"));
    });
    let reason = rig.failure().await;
    assert!(
        reason.starts_with("the backend wants to pass XMPP through as it is"),
        "{reason}"
    );
    assert_eq!(rig.pool.status().health, PoolHealth::Failing);
    rig.stop().await;
}

#[tokio::test]
async fn program_that_does_not_exist_is_named() {
    let rig = Rig::command(&["/nonexistent/backend"], Wire::Spectrum2, |_, _| {});
    assert_eq!(
        rig.failure().await,
        "could not start \"/nonexistent/backend\": No such file or directory (os error 2)"
    );
    assert_eq!(rig.pool.status().health, PoolHealth::Failing);
    rig.stop().await;
}

#[tokio::test]
async fn option_that_cannot_be_written_is_named() {
    let rig = echo(|options, _| {
        options.options.insert("nodot".to_owned(), Secret::new("x"));
    });
    let reason = "the backend option \"nodot\" cannot be written to a Spectrum 2 configuration: it must be \"section.key\"";
    assert_eq!(rig.failure().await, reason);
    rig.stop().await;
}

#[tokio::test]
async fn stranger_on_the_port_gets_nothing_and_the_backend_still_connects() {
    // The backend proper starts once the test has been at its port.
    let script = format!("echo $4 > port.new; mv port.new port; cat gate; exec python3 {ECHO} \"$@\"");
    let rig = shell(&script, |options, dir| {
        rustix::fs::mknodat(rustix::fs::CWD, dir.join("gate"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        options.working_dir = Some(dir.to_owned());
    });
    let port = tokio::task::spawn_blocking({
        let path = rig.dir.path().join("port");
        move || loop {
            if let Ok(text) = fs::read_to_string(&path) {
                return text.trim().parse::<u16>().unwrap();
            }
            std::thread::yield_now();
        }
    });
    let port = timeout(PATIENCE, port).await.unwrap().unwrap();
    for _ in 0..2 {
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut got = Vec::new();
        let read = timeout(PATIENCE, stranger.read_to_end(&mut got))
            .await
            .expect("the stranger is turned away");
        assert!(read.is_err() || got.is_empty(), "{got:?}");
    }
    // Another process of the same user is a stranger too.
    let script = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.exit(len(s.recv(99)))";
    let status = tokio::process::Command::new("python3")
        .args(["-c", script, &port.to_string()])
        .stderr(Stdio::null())
        .status();
    let status = timeout(PATIENCE, status).await.unwrap().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "no bytes, or a reset");
    tokio::fs::write(rig.dir.path().join("gate"), "").await.unwrap();
    let (assignment, _) = rig.log_in("a@example.org").await;
    assert_eq!(rig.pool.status().reason, None, "not degraded");
    assert!(
        TcpStream::connect(("127.0.0.1", port)).await.is_err(),
        "the port is closed once the backend has connected"
    );
    drop(assignment);
    rig.stop().await;
}

#[tokio::test]
async fn child_of_a_wrapper_is_let_in() {
    let rig = Rig::command(
        &["sh", "-c", "python3 \"$@\"; exit $?", "wrapper", ECHO],
        Wire::Spectrum2,
        |_, _| {},
    );
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    let pid = rig.pid().await;
    signal(pid, rustix::process::Signal::KILL);
    // The wrapper's child goes with it, which shows as the end of its connection.
    assert_eq!(inbox.lost().await, "the backend has ended");
    drop(assignment);
    let (assignment, _) = rig.log_in("a@example.org").await;
    assert_eq!(assignment.backend().0, 2);
    drop(assignment);
    rig.stop().await;
}

#[tokio::test]
async fn child_gets_its_options_in_a_private_file_and_nothing_else_of_ours() {
    let script = "cp \"$8\" cfg; stat -c %a \"$8\" > mode; env > env; echo \"$@\" > argv; ls -l /proc/self/fd > fds; exit 7";
    let rig = shell(script, |options, dir| {
        options.working_dir = Some(dir.to_owned());
        options.options.insert("echo.token".to_owned(), Secret::new("s3cret"));
        options
            .options
            .insert("service.protocol".to_owned(), Secret::new("prpl-jabber"));
        options.environment.insert("PURPLE_VERBOSE".to_owned(), "1".to_owned());
    });
    rig.status(|status| status.crashes.first().cloned()).await;
    let read = |name: &str| fs::read_to_string(rig.dir.path().join(name)).unwrap();
    let dir = rig.dir.path().display();
    assert_eq!(
        read("cfg"),
        format!(
            "[service]\njid=irc.example.org\nworking_dir={dir}\nusers_per_backend=100\nprotocol=prpl-jabber\n\
             [identity]\nname=irc.example.org\ncategory=gateway\ntype=\n[echo]\ntoken=s3cret\n"
        )
    );
    assert_eq!(read("mode").trim(), "600");
    let argv = read("argv");
    assert!(argv.starts_with("--host 127.0.0.1 --port "), "{argv}");
    assert!(
        argv.contains(" --service.backend_id=1 -j irc.example.org ") && argv.trim_end().ends_with("backend-1.cfg"),
        "{argv}"
    );
    assert!(!argv.contains("s3cret"));
    let env = read("env");
    assert!(env.contains("PURPLE_VERBOSE=1"));
    assert!(!env.contains("CARGO"), "{env}");
    let fds = read("fds");
    assert!(!fds.contains("socket:"), "no descriptor of ours is inherited: {fds}");
    rig.stop().await;
}

#[tokio::test]
async fn stopping_kills_what_does_not_end() {
    let script = format!("trap '' TERM; python3 {ECHO} \"$@\"; while :; do sleep 1; done");
    let rig = shell(&script, |_, _| {});
    let pid = rig.pid().await;
    timeout(PATIENCE, rig.pool.stop(Duration::from_millis(100))).await.unwrap();
    assert!(!is_alive(pid));
    assert!(rig.pool.status().backends.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn runtime_directory_that_is_not_there_is_named() {
    let rig = echo(|options, dir| options.runtime_dir = dir.join("missing"));
    let reason = rig.failure().await;
    assert!(
        reason.starts_with("could not write ") && reason.contains("missing/backend-1.cfg"),
        "{reason}"
    );
    rig.stop().await;
}
