//! Both ends of the control socket against each other, and strangers' input.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::Span;

use super::*;
use crate::config::Mode;
use crate::instance::XmppStatus;
use crate::main_process::{PoolHealth, PoolStatus};
use crate::session::RecentMessage;
use crate::tasks::Tasks;

#[derive(Default)]
struct Recorder {
    registered: Mutex<Vec<NewRegistration>>,
    users: usize,
}

#[async_trait]
impl Control for Recorder {
    fn status(&self) -> Status {
        Status {
            jid: "irc.example.org".to_owned(),
            mode: Mode::Gateway,
            version: "0",
            uptime_secs: 1,
            xmpp: XmppStatus {
                up: true,
                text: "connected".to_owned(),
            },
            sessions: self.users,
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

    fn users(&self, after: Option<&UserKey>, limit: usize) -> Vec<UserStatus> {
        let user = |n: usize| UserStatus {
            user: UserKey::from(format!("user{n:05}@example.org").as_str()),
            state: "online".to_owned(),
            resources: 1,
            backend: Some(1),
            since_secs: 5,
        };
        (0..self.users)
            .map(user)
            .filter(|status| after.is_none_or(|after| status.user > *after))
            .take(limit)
            .collect()
    }

    fn user(&self, user: &UserKey) -> Option<UserStatus> {
        self.users(None, usize::MAX).into_iter().find(|status| status.user == *user)
    }

    async fn recent(&self, _: &UserKey) -> Result<Vec<RecentMessage>, ControlError> {
        Err(ControlError::NoSuchUser)
    }

    async fn logout(&self, user: &UserKey) -> Result<(), ControlError> {
        if user.as_str() == "panic@example.org" {
            panic!("planned")
        } else {
            Err(ControlError::NoSuchUser)
        }
    }

    async fn register(&self, registration: NewRegistration) -> Result<(), ControlError> {
        self.registered.lock().unwrap().push(registration);
        Ok(())
    }

    async fn unregister(&self, _: &UserKey) -> Result<(), ControlError> {
        Err(ControlError::WrongMode("server mode keeps no registrations".to_owned()))
    }
}

struct Running {
    directory: tempfile::TempDir,
    control: Arc<Recorder>,
    tasks: Tasks,
}

impl Running {
    fn start(users: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = Arc::new(Recorder {
            users,
            ..Recorder::default()
        });
        let tasks = Tasks::new();
        let running = Self {
            directory,
            control,
            tasks,
        };
        let server = ControlServer::bind(&running.path()).unwrap();
        let control: Arc<dyn Control> = Arc::clone(&running.control) as _;
        running
            .tasks
            .spawn("control", Span::none(), server.serve(control, running.tasks.clone()));
        running
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("run/control.sock")
    }

    /// Runs the blocking client beside the server.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let path = self.path();
        tokio::task::spawn_blocking(move || question(&path)).await.unwrap()
    }
}

fn say(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_is_for_its_owner_alone_and_goes_with_the_server() {
    let running = Running::start(0);
    let mode = std::fs::metadata(running.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(running.tasks.stop(std::time::Duration::from_secs(5)).await.is_empty());
    assert!(!running.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_instance_with_the_same_socket_is_refused() {
    let running = Running::start(0);
    assert_eq!(
        ControlServer::bind(&running.path()).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse
    );
    running
        .ask(|path| ControlClient::connect(path).unwrap().status().unwrap())
        .await;
}

#[tokio::test]
async fn file_left_by_a_killed_instance_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    ControlServer::bind(&path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_arrives_as_json() {
    let running = Running::start(3);
    let status = running
        .ask(|path| ControlClient::connect(path).unwrap().status().unwrap())
        .await;
    assert_eq!(status["jid"], "irc.example.org");
    assert_eq!(status["mode"], "gateway");
    assert_eq!(status["sessions"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_users_arrive_over_several_pages() {
    let running = Running::start(1201);
    let pages = running
        .ask(|path| {
            let mut pages = Vec::new();
            let page = |users: Vec<UserStatus>| {
                pages.push(users.len());
                Ok(())
            };
            ControlClient::connect(path).unwrap().users(page).unwrap();
            pages
        })
        .await;
    assert_eq!(pages, [500, 500, 201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_arrives_whole_and_prints_no_password() {
    let running = Running::start(0);
    let registration = NewRegistration {
        user: UserKey::from("a@example.org"),
        username: "nick".to_owned(),
        password: Secret::new("sword\"fish\n"),
        fields: vec![("server".to_owned(), Secret::new("irc.example.net"))],
    };
    assert!(!format!("{registration:?}").contains("fish"));
    let sent = registration.clone();
    running
        .ask(move |path| ControlClient::connect(path).unwrap().register(&sent).unwrap())
        .await;
    assert_eq!(*running.control.registered.lock().unwrap(), [registration]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_keep_their_kind() {
    let running = Running::start(0);
    let answers = running
        .ask(|path| {
            let mut client = ControlClient::connect(path).unwrap();
            let user = UserKey::from("a@example.org");
            (client.logout(&user).unwrap_err(), client.unregister(&user).unwrap_err())
        })
        .await;
    assert!(
        matches!(answers.0, ClientError::Refused(ControlError::NoSuchUser)),
        "{answers:?}"
    );
    assert!(
        matches!(answers.1, ClientError::Refused(ControlError::WrongMode(_))),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_without_quoting_it() {
    let running = Running::start(0);
    let answer = running
        .ask(|path| say(path, b"{\"verb\":\"register\",\"password\":\"hunter2\"}\n"))
        .await;
    assert!(answer.starts_with("{\"error\":{\"kind\":\"refused\""), "{answer}");
    assert!(!answer.contains("hunter2"), "{answer}");
    let answer = running
        .ask(|path| say(path, b"{\"verb\":\"logout\",\"user\":\"a@b@c\"}\n"))
        .await;
    assert_eq!(
        answer,
        "{\"error\":{\"kind\":\"refused\",\"reason\":\"not a JID without a resource\"}}\n"
    );
    let answer = running.ask(|path| say(path, b"\xff\xfe\n")).await;
    assert!(answer.starts_with("{\"error\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_request_is_cut_off() {
    let running = Running::start(0);
    let answer = running
        .ask(|path| say(path, &vec![b' '; usize::try_from(MAX_REQUEST_BYTES).unwrap() + 1]))
        .await;
    assert_eq!(
        answer,
        "{\"error\":{\"kind\":\"refused\",\"reason\":\"a request is one line of at most 65536 bytes\"}}\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_one_request_leaves_the_socket_usable() {
    let running = Running::start(0);
    let user = UserKey::from("panic@example.org");
    let answer = running
        .ask(move |path| ControlClient::connect(path).unwrap().logout(&user))
        .await;
    assert!(answer.is_err());
    running
        .ask(|path| ControlClient::connect(path).unwrap().status().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_connections_free_their_seats() {
    let running = Running::start(0);
    running
        .ask(|path| {
            let all: Vec<_> = (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(path).unwrap()).collect();
            drop(all);
            ControlClient::connect(path).unwrap().status().unwrap()
        })
        .await;
}

#[test]
fn nobody_listening_is_called_not_running() {
    let error = ControlClient::connect(Path::new("/nonexistent/control.sock")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the instance is not running (nobody listens on /nonexistent/control.sock)"
    );
}

#[test]
fn columns_line_up_and_names_cannot_steer_the_terminal() {
    let rows = vec![
        vec!["a\u{1b}[2J".to_owned(), "1".to_owned()],
        vec!["long name".to_owned(), "22".to_owned()],
    ];
    assert_eq!(table(&["USER", "N"], &rows), "USER       N\na?[2J      1\nlong name  22\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_of_administrators_are_run_and_unknown_ones_answered_with_the_list() {
    let running = Running::start(2);
    let (online, has, wrong, unknown) = running
        .ask(|path| {
            let mut client = ControlClient::connect(path).unwrap();
            (
                client.admin("online_users").unwrap(),
                client.admin("get has_online_user user00001@example.org").unwrap(),
                client.admin("registered_users_count").unwrap_err().to_string(),
                client.admin("dance").unwrap_err().to_string(),
            )
        })
        .await;
    assert_eq!(
        online,
        "user00000@example.org  online  1  5\nuser00001@example.org  online  1  5"
    );
    assert_eq!(has, "1");
    assert_eq!(wrong, "server mode keeps no registrations");
    assert!(
        unknown.starts_with("Error: Unknown variable or command\nstatus: "),
        "{unknown}"
    );
}
