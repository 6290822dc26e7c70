//! Command lines as typed, and an instance as a process of its own.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::admin::{ClientError, ControlClient, ControlError, NewRegistration, UserStatus};
use crate::instance::{Status, XmppStatus};
use crate::main_process::{PoolHealth, PoolStatus};
use crate::model::UserKey;
use crate::session::RecentMessage;

struct Idle {
    jid: jid::BareJid,
}

#[async_trait]
impl Instance for Idle {
    fn jid(&self) -> &jid::BareJid {
        &self.jid
    }

    fn mode(&self) -> Mode {
        Mode::Gateway
    }

    fn status(&self) -> Status {
        Status {
            jid: self.jid.to_string(),
            mode: Mode::Gateway,
            version: "0",
            uptime_secs: 0,
            xmpp: XmppStatus {
                up: true,
                text: "connected".to_owned(),
            },
            sessions: 0,
            logged_in: 0,
            pool: PoolStatus {
                health: PoolHealth::Ready,
                reason: None,
                backends: Vec::new(),
                waiting: 0,
                crashes: Vec::new(),
            },
            degraded: Vec::new(),
        }
    }

    async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), RunError> {
        tracing::info!("Running.");
        shutdown.triggered().await;
        Ok(())
    }
}

#[async_trait]
impl Control for Idle {
    fn status(&self) -> Status {
        Instance::status(self)
    }

    fn users(&self, _: Option<&UserKey>, _: usize) -> Vec<UserStatus> {
        Vec::new()
    }

    fn user(&self, _: &UserKey) -> Option<UserStatus> {
        None
    }

    async fn recent(&self, _: &UserKey) -> Result<Vec<RecentMessage>, ControlError> {
        Err(ControlError::NoSuchUser)
    }

    async fn logout(&self, _: &UserKey) -> Result<(), ControlError> {
        Err(ControlError::NoSuchUser)
    }

    async fn register(&self, _: NewRegistration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn unregister(&self, _: &UserKey) -> Result<(), ControlError> {
        Ok(())
    }
}

struct Fake(Mode);

#[async_trait]
impl Launcher for Fake {
    fn mode(&self) -> Mode {
        self.0
    }

    async fn launch(&self, start: Start) -> Result<Launched, RunError> {
        if start.once {
            return Err(RunError::Unreachable("127.0.0.1:5347 refuses connections".to_owned()));
        }
        let instance = Arc::new(Idle {
            jid: start.config.jid.clone(),
        });
        Ok(Launched {
            instance: Arc::clone(&instance) as _,
            control: instance,
        })
    }

    fn commands(&self) -> Vec<Command> {
        vec![Command::new("demo").about("Show it")]
    }

    fn run_command(&self, name: &str, _: &ArgMatches) -> Exit {
        assert_eq!(name, "demo");
        Exit::Success
    }
}

struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn gateway(&self) -> PathBuf {
        let (log, socket) = (self.path("log"), self.path("control.sock"));
        let text = format!(
            "mode = \"gateway\"\njid = \"irc.example.org\"\ngateway.secret = \"hunter2\"\nbackend.builtin = \"irc\"\nlog.file = {log:?}\ncontrol.socket = {socket:?}\n"
        );
        let path = self.path("gateway.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn typed(mode: Mode, arguments: &[&str]) -> Exit {
    let all = std::iter::once(mode.binary())
        .chain(arguments.iter().copied())
        .map(std::ffi::OsString::from);
    run(&Fake(mode), all)
}

fn parsed(arguments: &[&str]) -> Cli {
    let all = std::iter::once("spectrum-gateway").chain(arguments.iter().copied());
    Cli::from_arg_matches(&command(Mode::Gateway, Vec::new()).try_get_matches_from(all).unwrap()).unwrap()
}

#[test]
fn definition_is_consistent_in_both_modes() {
    command(Mode::Gateway, Fake(Mode::Gateway).commands()).debug_assert();
    command(Mode::Server, Fake(Mode::Server).commands()).debug_assert();
}

#[test]
fn run_is_the_verb_when_there_is_none() {
    for arguments in [
        &["irc"][..],
        &["--config", "irc"],
        &["run", "irc"],
        &["run", "--config", "irc"],
    ] {
        let cli = parsed(arguments);
        let run = match cli.verb {
            Some(Verb::Run(run)) => run,
            None => cli.run,
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!(
            run.instance.path(),
            Path::new("/etc/spectrum2/transports/irc.toml"),
            "{arguments:?}"
        );
    }
}

#[test]
fn names_with_a_slash_or_the_ending_are_paths() {
    for (name, path) in [
        ("./irc", "./irc"),
        ("irc.toml", "irc.toml"),
        ("/a/b", "/a/b"),
        ("irc.example.org", "/etc/spectrum2/transports/irc.example.org.toml"),
    ] {
        assert_eq!(locate::file(name), Path::new(path));
    }
}

#[test]
fn user_stands_behind_the_file_or_alone_with_config() {
    for arguments in [&["logout", "irc", "a@b"][..], &["logout", "--config", "irc", "a@b"]] {
        let Some(Verb::Logout(user)) = parsed(arguments).verb else {
            panic!("{arguments:?}")
        };
        let (instance, jid) = user.split().unwrap();
        assert_eq!(
            (instance.path().to_str().unwrap(), jid),
            ("/etc/spectrum2/transports/irc.toml", "a@b")
        );
    }
    let Some(Verb::Logout(user)) = parsed(&["logout", "a@b"]).verb else {
        panic!("logout")
    };
    assert!(user.split().is_err());
}

#[test]
fn wrong_command_lines_end_with_64() {
    let site = Site::new();
    let file = site.gateway();
    let file = file.to_str().unwrap();
    for arguments in [
        &[][..],
        &["run"],
        &["--nonsense"],
        &["check", file, "--set", "nonsense"],
        &["check", file, "--set", "gateway.secret=x"],
        &["logout", file, "not a jid"],
        &["logout", file],
    ] {
        assert_eq!(typed(Mode::Gateway, arguments), Exit::Usage, "{arguments:?}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    assert_eq!(typed(Mode::Server, &["--version"]), Exit::Success);
    assert_eq!(typed(Mode::Server, &["check", "--help"]), Exit::Success);
}

#[test]
fn registration_verbs_end_with_64_in_server_mode() {
    assert_eq!(
        typed(Mode::Server, &["register", "irc", "a@b", "--username", "x"]),
        Exit::Usage
    );
    assert_eq!(typed(Mode::Server, &["unregister", "irc", "a@b"]), Exit::Usage);
    for verb in ["register", "unregister", "registered_users"] {
        assert_eq!(typed(Mode::Server, &["admin", "irc", verb, "a@b"]), Exit::Usage, "{verb}");
    }
}

#[test]
fn verbs_of_one_binary_reach_its_launcher() {
    assert_eq!(typed(Mode::Server, &["demo"]), Exit::Success);
}

#[test]
fn missing_or_wrong_file_and_other_mode_end_with_78() {
    let site = Site::new();
    let file = site.gateway();
    assert_eq!(typed(Mode::Gateway, &["check", "/nonexistent.toml"]), Exit::Config);
    assert_eq!(typed(Mode::Server, &["check", file.to_str().unwrap()]), Exit::Config);
    assert_eq!(
        typed(Mode::Gateway, &["check", file.to_str().unwrap(), "--set", "log.levle=debug"]),
        Exit::Config
    );
    assert_eq!(typed(Mode::Gateway, &["check", file.to_str().unwrap()]), Exit::Success);
    assert_eq!(
        typed(Mode::Gateway, &["check", "--json", file.to_str().unwrap()]),
        Exit::Success
    );
}

#[test]
fn verbs_without_a_running_instance_end_with_69() {
    let site = Site::new();
    let file = site.gateway();
    assert_eq!(typed(Mode::Gateway, &["status", file.to_str().unwrap()]), Exit::Unavailable);
}

/// Not a test of its own: the process that [`Served`] starts, which is this test binary once more.
#[test]
fn served_child() {
    let Some(arguments) = std::env::var_os("CLI_CHILD") else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let all = arguments.split('\u{1f}').map(std::ffi::OsString::from);
    std::process::exit(i32::from(run(&Fake(Mode::Gateway), all).code()));
}

struct Served {
    child: Child,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let line = std::iter::once("spectrum-gateway")
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join("\u{1f}");
        let child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::tests::served_child", "--nocapture"])
            .env("CLI_CHILD", line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// Asks until it is so; the other process has no channel to us but its files.
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn process_answers_reopens_its_log_and_ends_when_told() {
    let site = Site::new();
    let file = site.gateway();
    let served = Served::start(&[file.to_str().unwrap(), "--set", "log.level=debug"]);
    let socket = site.path("control.sock");
    eventually("the control socket answers", || {
        ControlClient::connect(&socket).is_ok_and(|mut client| client.status().is_ok())
    });
    assert_eq!(typed(Mode::Gateway, &["status", file.to_str().unwrap()]), Exit::Success);
    assert_eq!(typed(Mode::Gateway, &["users", file.to_str().unwrap()]), Exit::Success);
    assert_eq!(
        typed(Mode::Gateway, &["backends", file.to_str().unwrap(), "--json"]),
        Exit::Success
    );
    assert_eq!(
        typed(Mode::Gateway, &["logout", file.to_str().unwrap(), "a@example.org"]),
        Exit::Failure
    );
    assert_eq!(
        typed(
            Mode::Gateway,
            &[
                "register",
                file.to_str().unwrap(),
                "a@example.org",
                "--username",
                "x",
                "--no-password"
            ]
        ),
        Exit::Success
    );

    eventually("the instance runs", || site.log().contains("Running."));
    std::fs::rename(site.path("log"), site.path("log.1")).unwrap();
    served.signal(Signal::HUP);
    eventually("a new log", || site.log().contains("The log was opened anew."));

    let second = Served::start(&[file.to_str().unwrap()]);
    assert_eq!(second.code(), Some(78));

    served.signal(Signal::TERM);
    assert_eq!(served.code(), Some(0));
    assert!(!socket.exists());
    assert!(matches!(ControlClient::connect(&socket), Err(ClientError::NotRunning { .. })));
    assert!(!site.log().contains("hunter2"));
}

#[test]
fn once_ends_with_69_when_the_server_is_away() {
    let site = Site::new();
    let file = site.gateway();
    assert_eq!(Served::start(&["--once", file.to_str().unwrap()]).code(), Some(69));
    assert!(site.log().contains("127.0.0.1:5347 refuses connections"), "{}", site.log());
}

#[test]
fn file_that_cannot_be_read_ends_a_run_with_78() {
    let site = Site::new();
    std::fs::File::create(site.path("x.toml"))
        .unwrap()
        .write_all(b"mode = ")
        .unwrap();
    assert_eq!(Served::start(&[site.path("x.toml").to_str().unwrap()]).code(), Some(78));
}
