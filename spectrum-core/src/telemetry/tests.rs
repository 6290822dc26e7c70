//! What reaches the log and what must not; the HTTP answers on a real socket.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::Span;

use super::http::MetricsServer;
use super::*;
use crate::config::{Config, Loader};
use crate::model::Secret;
use crate::tasks::Tasks;

struct Logged {
    _directory: tempfile::TempDir,
    path: PathBuf,
    logs: Logs,
    dispatch: tracing::Dispatch,
}

impl Logged {
    fn start(keys: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/spectrum2.log");
        let text = format!(
            "mode = \"server\"\njid = \"irc.example.org\"\nserver.listen = [\"127.0.0.1:0\"]\nbackend.builtin = \"irc\"\nlog.file = {path:?}\n{keys}"
        );
        let (logs, dispatch) = Logs::build(&Config::from_toml(&text).unwrap().log, Terminal::Other).unwrap();
        Self {
            _directory: directory,
            path,
            logs,
            dispatch,
        }
    }

    fn run(&self, body: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.dispatch, body);
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

#[test]
fn log_at_trace_contains_no_secret() {
    let text = "\
mode = \"gateway\"
jid = \"irc.example.org\"
gateway.secret = \"hunter2\"
storage.url = \"postgres://spectrum:dragon@localhost/db\"
backend.command = [\"/bin/backend\"]
backend.options.server_password = \"swordfish\"
";
    let loaded = Loader::text("irc.toml", text).load().unwrap();
    let secret = Secret::new("open sesame");
    let logged = Logged::start("log.level = \"trace,tokio_xmpp=trace,xso::parse=trace\"");
    logged.run(|| {
        tracing::trace!(?loaded, "The configuration was loaded.");
        tracing::trace!(?secret, "Somebody logs in.");
        tracing::trace!(target: "tokio_xmpp::xmlstream::common", "<auth>c2VjcmV0IHBheWxvYWQ=</auth>");
        tracing::debug!(target: "sqlx::query", "select 'c2VjcmV0IHBheWxvYWQ='");
        tracing::trace!(target: "xso::parse", "c2VjcmV0IHBheWxvYWQ=");
    });
    let log = logged.text();
    assert!(
        log.contains("The configuration was loaded.") && log.contains("Somebody logs in."),
        "{log}"
    );
    for secret in ["hunter2", "dragon", "swordfish", "open sesame", "c2VjcmV0IHBheWxvYWQ="] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn reopened_log_goes_on_in_a_new_file() {
    let logged = Logged::start("");
    let moved = logged.path.with_extension("1");
    logged.run(|| {
        tracing::info!("Before.");
        std::fs::rename(&logged.path, &moved).unwrap();
        tracing::info!("Between.");
        logged.logs.reopen().unwrap();
        tracing::info!("After.");
    });
    let old = std::fs::read_to_string(moved).unwrap();
    assert!(
        old.contains("Before.") && old.contains("Between.") && !old.contains("After."),
        "{old}"
    );
    assert!(logged.text().contains("After."));
}

#[test]
fn level_can_change_while_running() {
    let logged = Logged::start("");
    logged.run(|| {
        tracing::debug!("Too early.");
        let debug = Config::from_toml(
            "mode = \"server\"\njid = \"a.b\"\nserver.listen = [\"127.0.0.1:0\"]\nbackend.builtin = \"irc\"\nlog.level = \"debug\"",
        );
        logged.logs.set_level(&debug.unwrap().log.level);
        tracing::debug!("In time.");
    });
    assert!(!logged.text().contains("Too early.") && logged.text().contains("In time."));
}

#[test]
fn json_lines_are_objects_with_the_fields_of_their_spans() {
    let logged = Logged::start("log.format = \"json\"");
    logged.run(|| {
        let _span = tracing::info_span!("session", user = "a@example.org").entered();
        tracing::info!(bytes = 5, "Sent.");
    });
    let line: serde_json::Value = serde_json::from_str(logged.text().trim()).unwrap();
    assert_eq!(line["message"], "Sent.");
    assert_eq!(line["bytes"], 5);
    assert_eq!(line["span"]["user"], "a@example.org");
}

#[test]
fn name_with_a_line_break_cannot_forge_a_line() {
    let logged = Logged::start("");
    logged.run(|| tracing::info!(name = %"x\n2026-01-01 ERROR forged\r\n", "Joined."));
    assert_eq!(logged.text().lines().count(), 1, "{}", logged.text());
}

#[test]
fn unusable_log_file_names_its_key() {
    let text = "mode = \"server\"\njid = \"a.b\"\nserver.listen = [\"127.0.0.1:0\"]\nbackend.builtin = \"irc\"\nlog.file = \"/dev/null/x\"";
    let error = Logs::build(&Config::from_toml(text).unwrap().log, Terminal::Other)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("could not open the log /dev/null/x (key log.file): "),
        "{error}"
    );
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn probes_and_metrics_answer_over_http() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readiness = {
        let ready = Arc::clone(&ready);
        Box::new(move || {
            if ready.load(std::sync::atomic::Ordering::Relaxed) {
                Readiness::Ready
            } else {
                Readiness::NotReady("no backend is up yet".to_owned())
            }
        })
    };
    metrics::with_local_recorder(&recorder, || metrics::counter!("spectrum_tests_total").increment(3));
    let measured = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let probes = Probes {
        readiness,
        refresh: {
            let measured = Arc::clone(&measured);
            Box::new(move || {
                measured.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            })
        },
    };
    let server = MetricsServer::bind(([127, 0, 0, 1], 0).into(), recorder.handle(), probes)
        .await
        .unwrap();
    let address = server.address().unwrap();
    let tasks = Tasks::new();
    tasks.spawn("metrics", Span::none(), server.serve(tasks.clone()));

    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let metrics = ask(address, &get("/metrics")).await;
    assert!(
        metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\nspectrum_tests_total 3\n"),
        "{metrics}"
    );
    assert_eq!(measured.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(ask(address, &get("/healthz")).await.ends_with("\r\n\r\nok\n"));
    let not_ready = ask(address, &get("/readyz")).await;
    assert!(
        not_ready.starts_with("HTTP/1.1 503 ") && not_ready.ends_with("no backend is up yet\n"),
        "{not_ready}"
    );
    ready.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(ask(address, &get("/readyz")).await.starts_with("HTTP/1.1 200 "));
    assert!(ask(address, &get("/etc/passwd")).await.starts_with("HTTP/1.1 404 "));
    assert!(
        ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405 ")
    );
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(64 << 10));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert!(tasks.stop(std::time::Duration::from_secs(5)).await.is_empty());
}
