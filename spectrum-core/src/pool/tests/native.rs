//! Real processes that speak the native dialect, as far as it takes to be started. The SDK's own tests go further.

use bytes::BytesMut;

use super::*;
use crate::backend::{BackendInfo, Event, LoginError, LoginErrorKind};
use crate::main_process::LinkInput;
use crate::model::{AssignmentId, BackendId, Secret};
use crate::pool::Queries;
use crate::wire::native::BackendCodec;
use crate::wire::{FromBackend, MAX_VERSION};

/// Says what it is told to, as hexadecimal: the first argument at once, the second for each frame that comes, until the
/// socket ends.
const PARROT: &str = r"
import socket, struct, sys
assert sys.argv[3] == '--fd'
s = socket.socket(fileno=int(sys.argv[4]))
def read(n):
    data = b''
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data
s.sendall(bytes.fromhex(sys.argv[1]))
while True:
    read(struct.unpack('!I', read(4))[0])
    s.sendall(bytes.fromhex(sys.argv[2]))
";

fn hex(frames: &[FromBackend]) -> String {
    let mut codec = BackendCodec::new(1_000_000);
    let mut bytes = BytesMut::new();
    for frame in frames {
        codec.encode(frame, &mut bytes);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parrot(greeting: &[FromBackend], answer: &[FromBackend], change: impl FnOnce(&mut PoolOptions, &Path)) -> Rig {
    Rig::command(&["python3", "-c", PARROT, &hex(greeting), &hex(answer)], Wire::Native, change)
}

fn hello() -> FromBackend {
    FromBackend::Hello {
        min: 1,
        max: MAX_VERSION,
    }
}

fn info() -> FromBackend {
    FromBackend::Info(Box::new(BackendInfo::new("Parrot", "parrot")))
}

const HINT: &str = "if it was written for Spectrum 2, set wire = \"spectrum2\"";

#[tokio::test]
async fn backend_is_ready_once_it_has_said_what_it_is_and_that_is_remembered() {
    let accepted = FromBackend::LoggedIn {
        assignment: AssignmentId(1),
    };
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("info.json");
    let rig = parrot(&[hello()], &[info(), FromBackend::Pong, accepted], |options, _| {
        options.info_cache = Some(cache.clone());
        options.options.insert("token".to_owned(), Secret::new("s3cret"));
    });
    let mut known = rig.pool.watch_info();
    let name = timeout(PATIENCE, known.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .as_ref()
        .unwrap()
        .name
        .clone();
    assert_eq!(name, "Parrot");
    let (_assignment, _) = rig.log_in("a@example.org").await;
    let pid = rig.pid().await;
    let argv = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!argv.contains("s3cret"));
    rig.stop().await;
    assert_eq!(super::super::info::load(&cache).unwrap().name, "Parrot");
}

#[tokio::test]
async fn remembered_info_is_known_before_a_backend_is_up() {
    let rig = Rig::command(&["sleep", "60"], Wire::Native, |options, dir| {
        let json = serde_json::to_vec(&BackendInfo::new("Remembered", "x")).unwrap();
        std::fs::write(dir.join("info.json"), json).unwrap();
        options.info_cache = Some(dir.join("info.json"));
    });
    assert_eq!(rig.pool.info().unwrap().name, "Remembered");
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_says_nothing_is_told_from_a_spectrum2_one() {
    let rig = Rig::command(&["sh", "-c", "exec sleep 3600"], Wire::Native, |options, _| {
        options.timings.first_frame = Duration::from_secs(1);
    });
    assert_eq!(
        rig.failure().await,
        format!("the backend sent nothing within 1 s of its start; {HINT}")
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_does_not_know_its_options_may_be_a_spectrum2_one() {
    let rig = Rig::command(&["sh", "-c", "exit 64"], Wire::Native, |_, _| {});
    let reason = rig.failure().await;
    let expected = format!("last: the backend ended before its first frame (exit status 64); {HINT}");
    assert!(reason.ends_with(&expected), "{reason}");
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_begins_with_text_is_refused() {
    let script = "import socket, sys; s = socket.socket(fileno=int(sys.argv[2])); s.sendall(b'HTTP/1.1 200 OK'); s.recv(1)";
    let rig = Rig::command(&["python3", "-c", script], Wire::Native, |_, _| {});
    assert_eq!(
        rig.failure().await,
        format!("the backend did not begin with the versions it speaks; {HINT}")
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_without_a_common_version_is_refused() {
    let rig = parrot(&[FromBackend::Hello { min: 900, max: 901 }], &[], |_, _| {});
    let reason = rig.failure().await;
    assert!(
        reason.starts_with("the backend speaks versions 900 to 901 of the protocol") && reason.ends_with(HINT),
        "{reason}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_begins_with_something_else_is_refused() {
    let rig = parrot(&[FromBackend::Pong], &[], |_, _| {});
    assert_eq!(
        rig.failure().await,
        format!("the backend did not begin with the versions it speaks; {HINT}")
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_refuses_its_options_says_why() {
    let text = "option \"server\" is missing".to_owned();
    let rig = parrot(&[hello()], &[FromBackend::Refused { text: text.clone() }], |_, _| {});
    assert_eq!(rig.failure().await, format!("the backend refuses its options: {text}"));
    rig.stop().await;
}

#[tokio::test]
async fn flood_before_the_backend_is_ready_is_refused() {
    let flood = vec![FromBackend::Pong; 10_000];
    let rig = parrot(&[vec![hello()], flood].concat(), &[], |_, _| {});
    let reason = rig.failure().await;
    assert!(
        reason.ends_with("last: the backend sent too much before it was ready"),
        "{reason}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn backend_that_asks_as_an_admin_is_answered() {
    struct Admin(tokio::sync::mpsc::Sender<(String, usize)>);
    impl Queries for Admin {
        fn answer(&self, _: BackendId, command: &str, status: &PoolStatus) -> Option<String> {
            let _ = self.0.try_send((command.to_owned(), status.backends.len()));
            None
        }
    }
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let query = FromBackend::Query("online_users\n".to_owned());
    let rig = parrot(&[hello(), info()], &[query], |options, _| {
        options.queries = Some(Arc::new(Admin(tell)))
    });
    // The answer to the first question makes the backend ask again.
    for _ in 0..2 {
        assert_eq!(
            timeout(PATIENCE, told.recv()).await.unwrap().unwrap(),
            ("online_users".to_owned(), 1)
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn frame_that_is_too_long_ends_the_backend() {
    let long = FromBackend::Event {
        assignment: AssignmentId(1),
        durable: None,
        event: Box::new(Event::Closed(LoginError::new(LoginErrorKind::Other, "x".repeat(5_000)))),
    };
    let rig = parrot(&[hello(), info()], &[long], |options, _| options.max_frame_bytes = 1_000);
    let (_assignment, inbox) = rig.assign("a@example.org").await.unwrap();
    let (_, input) = inbox.next().await;
    assert!(
        matches!(&input, LinkInput::BackendLost { reason } if reason.starts_with("the backend sent what cannot be understood: ")),
        "{input:?}"
    );
    rig.stop().await;
}
