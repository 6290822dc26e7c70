//! Every key of the configuration. The comments here are the reference in `docs/configuration.md`, word for word.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jid::BareJid;

use super::kinds::{Bookmarking, Journal, LogFormat, LogLevel, Mode, Nodes, StayConnected, StorageUrl, Wire};
use super::options::BackendOptions;
use super::schema::section;
use super::value::ByteSize;
use crate::model::Secret;

/// What `jid` reads as until its absence is reported.
fn stand_in() -> BareJid {
    BareJid::new("invalid").expect("a literal is a JID")
}

section! {
    /// Keys above the first table.
    Top("", r) {
        /// How the instance meets XMPP: `"gateway"` is a component of an existing XMPP server (binary `spectrum-gateway`),
        /// `"server"` is a server that clients log in to (binary `spectrum-server`). Required.
        mode: Mode = r.missing("mode", "missing; write mode = \"gateway\" or mode = \"server\"", Mode::Gateway),
        /// The JID of the transport, such as `"irc.example.org"`. `$jid` in other values expands to it. Required.
        jid: BareJid = r.missing("jid", "missing; write the transport's own JID, such as jid = \"irc.example.org\"", stand_in()),
        /// Who may use the administrative commands over XMPP.
        admins: Vec<BareJid> = Vec::new(),
        /// Whether legacy names become localparts with XEP-0106 escapes (`true`) or with `@` written as `%` and nothing else
        /// (`false`). `"none"`: as the backend says.
        jid_escaping: Option<bool> = None,
    }
}

section! {
    /// The link to the XMPP server (gateway mode).
    Gateway("gateway", r) {
        /// Host name or address of the XMPP server.
        server: String = "127.0.0.1".to_owned(),
        /// Its component port.
        port: u16 = 5347,
        /// The secret it shares with this component. Required in gateway mode, here or as `secret_file`.
        secret: Option<Secret> = None,
        /// A file with the secret, read at start; `$CREDENTIALS_DIRECTORY` expands.
        secret_file: Option<PathBuf> = None,
        /// Whether users stay on the legacy network while none of their clients is online: `"never"` logs them out 30 seconds
        /// after the last one went, `"always"` keeps them. A user's own preference wins.
        stay_connected: StayConnected = StayConnected::Never,
        /// Whether the rooms that a user is in on the network are put into the user's bookmarks (XEP-0402): `"autojoin"` has
        /// clients enter them, `"list"` only list them, `"never"` leaves the bookmarks alone. The users' server has to grant
        /// it (XEP-0356); where it does not, `"autojoin"` invites people to their rooms, once to each. What users change by hand
        /// stays as they want it.
        bookmarks: Bookmarking = Bookmarking::Autojoin,
    }
}

section! {
    /// Listeners for clients (server mode).
    Server("server", r) {
        /// Addresses for clients that start in clear text and must upgrade (STARTTLS).
        listen: Vec<SocketAddr> = vec![SocketAddr::from(([0u16; 8], 5222))],
        /// Addresses for clients that speak TLS from the first byte.
        listen_tls: Vec<SocketAddr> = Vec::new(),
        /// The certificate chain, PEM. Required unless only loopback addresses are bound: then one is made at start and its
        /// fingerprint is printed.
        certificate: Option<PathBuf> = None,
        /// The private key of the certificate, PEM; `$CREDENTIALS_DIRECTORY` expands.
        key: Option<PathBuf> = None,
        /// How long the legacy network may take to accept a login before the client is told to try later.
        login_timeout: Duration = Duration::from_secs(30),
        /// How long a user stays on the legacy network after the last client left.
        linger: Duration = Duration::from_secs(600),
        /// How long a client that lost its connection may resume its stream (XEP-0198).
        resume_timeout: Duration = Duration::from_secs(300),
        /// The name of this machine among `nodes`.
        node: Option<String> = None,
        /// All machines that serve this JID together.
        nodes: Nodes = Nodes::default(),
    }
}

section! {
    /// The HTTP side: WebSocket, host-meta, upload.
    Http("http", r) {
        /// Addresses to listen on. Empty: no HTTP.
        listen: Vec<SocketAddr> = Vec::new(),
        /// The address under which the outside world reaches it, such as `"https://im.example.org"`.
        url: Option<String> = None,
    }
}

section! {
    /// File upload (XEP-0363).
    Upload("upload", r) {
        /// The largest file a user may upload.
        max_size: ByteSize = ByteSize(100_000_000),
    }
}

section! {
    /// How the transport introduces itself in service discovery.
    Identity("identity", r) {
        /// The name people see. `"none"`: the network's name, as the backend gives it.
        name: Option<String> = None,
        /// The category from the XMPP registrar.
        category: String = CATEGORY.to_owned(),
        /// The type from the XMPP registrar, such as `"irc"`. `"none"`: as the backend says.
        kind as "type": Option<String> = None,
        /// A file for the administrators' note of an outage, in the format of XEP-0455. A web server on another machine should hand
        /// it out. Without it a note ends with the process.
        outage_file: Option<PathBuf> = None,
        /// The addresses where that file is handed out: clients are told in service discovery (XEP-0455), and look there when
        /// they cannot connect.
        outage_addresses: Vec<String> = Vec::new(),
        /// Where the administrators are reached, such as `"mailto:admin@example.org"` or `"xmpp:admin@example.org"`: told to whoever
        /// asks in service discovery (XEP-0157).
        admin_addresses: Vec<String> = Vec::new(),
        /// Where abuse is reported (XEP-0157).
        abuse_addresses: Vec<String> = Vec::new(),
        /// Where help is to be had (XEP-0157).
        support_addresses: Vec<String> = Vec::new(),
    }
}

/// The category of a transport (XMPP registrar).
const CATEGORY: &str = "gateway";

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: None,
            category: CATEGORY.to_owned(),
            kind: None,
            outage_file: None,
            outage_addresses: Vec::new(),
            admin_addresses: Vec::new(),
            abuse_addresses: Vec::new(),
            support_addresses: Vec::new(),
        }
    }
}

section! {
    /// The program that speaks the legacy network.
    Backend("backend", r) {
        /// The command and its arguments. Required unless `builtin` is given.
        command: Vec<String> = Vec::new(),
        /// A backend that is part of the binary, such as `"irc"`, instead of a command.
        builtin: Option<String> = None,
        /// The protocol it speaks: `"native"`, or `"spectrum2"` for a backend written for Spectrum 2.
        wire: Wire = Wire::Native,
        /// How many users one backend process serves before another is started: 5000, or 100 with `wire = "spectrum2"`.
        users_per_backend: u32 = match wire {
            Wire::Native => 5000,
            Wire::Spectrum2 => 100,
        },
        /// How many backends without users are kept ready.
        min_spare: u32 = 1,
        /// The largest frame accepted from a backend. One that sends a larger one is restarted.
        max_frame_bytes: ByteSize = ByteSize(16 << 20),
        /// Options of the backend itself; its own documentation lists them. Tables become dotted keys.
        options: BackendOptions = BackendOptions::default(),
    }
}

section! {
    /// Who may register (gateway mode).
    Registration("registration", r) {
        /// Who may register and use the transport: domains, for all of their users, and single users, such as
        /// `"romeo@example.org"`; `"*"` is everybody. Empty: the users of the parent domain of `jid`.
        allow: Vec<String> = Vec::new(),
    }
}

section! {
    /// Where registrations and everything durable are kept.
    Storage("storage", r) {
        /// `"sqlite:///path"`, `"postgres://user@host/database"` or, in server mode, `"none"`, which is the default there.
        url: Option<StorageUrl> = (!r.is_server()).then(|| StorageUrl::Sqlite(r.text("sqlite:///var/lib/spectrum2/$jid/spectrum.db"))),
        /// A file with the password for `url`, so that it need not stand there; `$CREDENTIALS_DIRECTORY` expands.
        password_file: Option<PathBuf> = None,
        /// The key that seals passwords in the storage. It is made at the first start; back it up apart from the database.
        key_file: PathBuf = r.path("/var/lib/spectrum2/$jid/key"),
        /// Messages on their way to the network: `"on"` keeps them through the death of any process, `"full"` through a power cut
        /// too (SQLite then waits for the disk at every commit), `"off"` only in memory.
        journal: Journal = Journal::On,
    }
}

section! {
    /// What was said in rooms, kept for each user and room (XEP-0313). Without storage it is kept in memory while the user is
    /// logged in, and less of it.
    Archive("archive", r) {
        /// How long.
        max_age: Duration = Duration::from_secs(30 * 86_400),
        /// How many lines of one room, for one user.
        max_lines: u32 = 10_000,
    }
}

section! {
    /// The log.
    Log("log", r) {
        /// The file; SIGHUP opens it anew. `"none"`: only the terminal or the journal.
        file: Option<PathBuf> = Some(r.path("/var/log/spectrum2/$jid/spectrum2.log")),
        /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`; more for one part: `"info,spectrum_core::pool=debug"`.
        level: LogLevel = LogLevel::default(),
        /// `"text"`, or `"json"` for one object per line.
        format: LogFormat = LogFormat::Text,
    }
}

section! {
    /// Figures for Prometheus and the checks of service managers.
    Metrics("metrics", r) {
        /// Address for `/metrics`, `/healthz` and `/readyz`, such as `"127.0.0.1:9436"`.
        listen: Option<SocketAddr> = None,
    }
}

section! {
    /// The socket behind `status`, `users` and the other verbs.
    Control("control", r) {
        /// Its path. Only the instance's own system user and root can open it.
        socket: PathBuf = r.path("/run/spectrum2/$jid/control.sock"),
    }
}
