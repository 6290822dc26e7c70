//! What an administrator has of a running program: probes, metrics, the verbs, the log, the signals and the exit codes.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Duration;

use spectrum_tests::peers::{Port, Scratch, Signal, wait_until};
use spectrum_tests::programs::{Instance, built};

const PATIENCE: Duration = Duration::from_secs(20);

/// Status and body of what the instance answers; `None` if nobody listens.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn verb(arguments: &[&str], scratch: &Scratch) -> Output {
    Command::new(built("spectrum-server").unwrap())
        .args(arguments)
        .current_dir(scratch.path())
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_running_instance_says_how_it_is_and_ends_when_told() {
    let scratch = Scratch::new("operations").unwrap();
    let (xmpp, http) = (Port::free().unwrap(), Port::free().unwrap());
    let configuration = format!(
        "mode = \"server\"\njid = \"demo.localhost\"\n[server]\nlisten = [\"127.0.0.1:{xmpp}\"]\nlisten_tls = []\n\
         [backend]\nbuiltin = \"demo\"\n[log]\nfile = \"instance.log\"\n[metrics]\nlisten = \"127.0.0.1:{http}\"\n\
         [control]\nsocket = \"./control.sock\"\n"
    );
    let mut instance = Instance::start("spectrum-server", scratch, &configuration).unwrap();
    let http = http.number();
    let ready = || get(http, "/readyz").filter(|(status, _)| *status == 200);
    let (_, text) = wait_until("readiness", PATIENCE, ready).await.unwrap();
    assert_eq!(text, "ready\n");
    assert_eq!(get(http, "/healthz"), Some((200, "ok\n".to_owned())));
    let (status, metrics) = get(http, "/metrics").unwrap();
    assert_eq!(status, 200);
    for line in [
        "spectrum_xmpp_up 1",
        "spectrum_sessions 0",
        "spectrum_users_logged_in 0",
        "spectrum_backends 1",
        "spectrum_backend_users 0",
        "spectrum_users_waiting 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
        let name = line.split(' ').next().unwrap();
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} is explained: {metrics}");
    }

    let status = verb(&["status", "./instance.toml"], instance.scratch());
    let text = String::from_utf8(status.stdout).unwrap();
    assert_eq!(status.status.code(), Some(0), "{text}");
    assert!(text.contains("backends  ready, 1 running, 0 users waiting"), "{text}");
    let nobody = verb(&["logout", "./instance.toml", "nobody@demo.localhost"], instance.scratch());
    assert_eq!(nobody.status.code(), Some(1));
    let registered = verb(
        &["register", "./instance.toml", "a@b.c", "--username", "x"],
        instance.scratch(),
    );
    assert_eq!(registered.status.code(), Some(64), "a server registers nobody");
    let twice = verb(&["run", "./instance.toml"], instance.scratch());
    assert_eq!(twice.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("is running"));

    let log = instance.scratch().join("instance.log");
    std::fs::rename(&log, instance.scratch().join("instance.log.1")).unwrap();
    instance.process().signal(Signal::HUP);
    let reopened = || std::fs::read_to_string(&log).ok().filter(|text| text.contains("opened anew"));
    wait_until("a new log", PATIENCE, reopened).await.unwrap();

    instance.process().signal(Signal::TERM);
    let ended = instance.process().ends_within(PATIENCE).await.unwrap();
    assert_eq!(ended.code(), Some(0));
    let gone = verb(&["status", "./instance.toml"], instance.scratch());
    assert_eq!(gone.status.code(), Some(69));
}

#[test]
fn check_finds_what_would_keep_an_instance_from_starting() {
    let scratch = Scratch::new("check").unwrap();
    let server = "mode = \"server\"\njid = \"demo.localhost\"\n[server]\nlisten = [\"127.0.0.1:5222\"]\nlisten_tls = []\n";
    for (program, text, code, said) in [
        (
            "spectrum-server",
            format!("{server}[backend]\nbuiltin = \"icq\"\n"),
            78,
            "there is no such backend here",
        ),
        (
            "spectrum-server",
            format!("{server}[backend]\nbuiltin = \"irc\"\n[backend.options]\nservr = \"x:1\"\n"),
            78,
            "backend.options: ",
        ),
        (
            "spectrum-server",
            format!(
                "{}certificate = \"./instance.toml\"\nkey = \"./instance.toml\"\n[backend]\nbuiltin = \"demo\"\n",
                server
            ),
            78,
            "server.certificate",
        ),
        (
            "spectrum-gateway",
            "mode = \"gateway\"\njid = \"irc.localhost\"\n[gateway]\nsecret = \"s\"\n[backend]\nbuiltin = \"irc\"\n".to_owned(),
            78,
            "none is part of this binary",
        ),
        (
            "spectrum-server",
            format!("{server}[backend]\ncommand = [\"/nonexistent/backend\"]\n"),
            0,
            "warning: backend.command: /nonexistent/backend: No such file",
        ),
        ("spectrum-server", format!("{server}[backend]\nbuiltin = \"demo\"\n"), 0, ""),
    ] {
        std::fs::write(scratch.join("instance.toml"), &text).unwrap();
        let checked = Command::new(built(program).unwrap())
            .args(["check", "./instance.toml"])
            .current_dir(scratch.path())
            .output()
            .unwrap();
        let errors = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(code), "{text}{errors}");
        assert!(errors.contains(said), "{text}{errors}");
    }
}

#[tokio::test]
async fn a_key_is_rotated_while_the_instance_runs_and_while_it_does_not() {
    let scratch = Scratch::new("rotation").unwrap();
    let (xmpp, http) = (Port::free().unwrap(), Port::free().unwrap());
    let configuration = format!(
        "mode = \"server\"\njid = \"demo.localhost\"\n[server]\nlisten = [\"127.0.0.1:{xmpp}\"]\nlisten_tls = []\n\
         [backend]\nbuiltin = \"demo\"\n[log]\nfile = \"instance.log\"\n[metrics]\nlisten = \"127.0.0.1:{http}\"\n\
         [control]\nsocket = \"./control.sock\"\n[storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\n",
        folder = scratch.path().display(),
    );
    let mut instance = Instance::start("spectrum-server", scratch, &configuration).unwrap();
    let http = http.number();
    let ready = || get(http, "/readyz").filter(|(status, _)| *status == 200);
    wait_until("readiness", PATIENCE, ready).await.unwrap();
    let keys = |instance: &Instance| {
        let text = std::fs::read_to_string(instance.scratch().join("key")).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = keys(&instance);
    for (is_running, count, expected) in [(true, 2, "starts the next time"), (false, 3, "the database uses it")] {
        if !is_running {
            instance.stop();
        }
        let rotated = verb(&["rotate-key", "./instance.toml"], instance.scratch());
        let said = String::from_utf8(rotated.stdout).unwrap();
        assert_eq!((rotated.status.code(), said.contains(expected)), (Some(0), true), "{said}");
        let now = keys(&instance);
        assert_eq!((now.len(), now.last()), (count, first.last()));
    }
    // Only the newest opens the database now.
    let newest = keys(&instance).swap_remove(0);
    std::fs::write(instance.scratch().join("key"), newest).unwrap();
    instance.restart().unwrap();
    wait_until("readiness", PATIENCE, ready).await.unwrap();
    instance.stop();
    std::fs::write(instance.scratch().join("key"), &first[0]).unwrap();
    let refused = verb(&["rotate-key", "./instance.toml"], instance.scratch());
    assert_eq!(refused.status.code(), Some(78), "a key that does not open the database");
    assert_eq!(keys(&instance), first, "and nothing was changed");
    let nothing = verb(
        &["rotate-key", "./instance.toml", "--set", "storage.url=none"],
        instance.scratch(),
    );
    assert_eq!(nothing.status.code(), Some(64));
}
