//! `spectrum-server demo`: a server to try, with no file, no network and no root.
//!
//! Loopback alone, a certificate made at the start, the demo network linked in, or with `--irc` a real IRC network. It
//! is an ordinary instance: only its configuration is written here instead of by an administrator.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use spectrum_core::cli::{Exit, serve};
use spectrum_core::config::{Loaded, Loader, Mode};

use crate::launch::{assemble, launched};

/// The ports that clients try by themselves; when they are taken, any.
const PORTS: [u16; 2] = [5222, 5223];

/// Stands for the fingerprint of the certificate, which is made later than the text.
const FINGERPRINT: &str = "{fingerprint}";

/// The verb as the command line knows it.
pub(crate) fn command() -> Command {
    Command::new("demo")
        .about("Run a server to try on this machine, with no file, no network and no root")
        .long_about(
            "Runs an XMPP server on loopback with a network in memory: a contact that repeats what it is told, a second \
             person, and rooms. It prints what to log in with and what to try. Nothing is stored.\n\n\
             With --irc it bridges a real IRC network instead: log in with the nickname you want.",
        )
        .arg(
            Arg::new("irc")
                .long("irc")
                .value_name("HOST:PORT")
                .help("Bridge this IRC server instead of the network in memory; TLS on port 6697 or with --irc-tls"),
        )
        .arg(
            Arg::new("irc-tls")
                .long("irc-tls")
                .requires("irc")
                .action(clap::ArgAction::SetTrue)
                .help("Use TLS to the IRC server whatever its port"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("The port for clients (5222, or any that is free)"),
        )
}

/// Runs the demo until it is told to stop. Blocks.
pub(crate) fn run(matches: &ArgMatches) -> Exit {
    match prepare(matches) {
        Ok(demo) => demo.run(),
        Err(problem) => {
            eprintln!("spectrum-server demo: {problem}");
            Exit::Unavailable
        }
    }
}

struct Demo {
    loaded: Loaded,
    directory: PathBuf,
    text: String,
}

impl Demo {
    #[allow(clippy::print_stdout)] // What this verb is for.
    fn run(self) -> Exit {
        let text = self.text;
        let exit = serve(self.loaded, false, async |start| {
            let server = assemble(start, Arc::new(crate::ServerBuiltins)).await?;
            let fingerprint = server.new_certificate().unwrap_or_default();
            println!("{}", text.replace(FINGERPRINT, &fingerprint));
            Ok(launched(server))
        });
        // The control socket's directory is ours alone; a file left in it would be left for good.
        let _ = std::fs::remove_dir_all(&self.directory);
        exit.unwrap_or_else(|error| error.report(Mode::Server))
    }
}

fn prepare(matches: &ArgMatches) -> Result<Demo, String> {
    let directory = private_directory()?;
    let plain = pick_port(matches.get_one::<u16>("port").copied(), PORTS[0])?;
    // Whoever asked for the one that is preferred for TLS has it.
    let direct = pick_port(None, if plain == PORTS[1] { 0 } else { PORTS[1] })?;
    let irc = matches
        .get_one::<String>("irc")
        .map(|server| Irc::new(server, matches.get_flag("irc-tls")));
    let password = make_password()?;
    let config = configuration(&directory, plain, direct, irc.as_ref(), &password);
    let loaded = Loader::text("the demo's configuration", &config)
        .load()
        .map_err(|error| error.to_string())?;
    Ok(Demo {
        loaded,
        directory,
        text: introduction(plain, direct, irc.as_ref(), &password),
    })
}

/// A real IRC network to bridge.
struct Irc {
    server: String,
    tls: bool,
}

impl Irc {
    fn new(server: &str, tls: bool) -> Self {
        let server = if server.contains(':') {
            server.to_owned()
        } else {
            format!("{server}:6667")
        };
        let tls = tls || server.ends_with(":6697");
        Self { server, tls }
    }
}

fn private_directory() -> Result<PathBuf, String> {
    use std::os::unix::fs::DirBuilderExt;
    // Not by process id alone: in a container that is the same at every start, and one that was killed has left its own.
    let directory = std::env::temp_dir().join(format!("spectrum-demo-{}-{}", std::process::id(), make_password()?));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .map_err(|error| format!("{} could not be made: {error}", directory.display()))?;
    Ok(directory)
}

/// The port asked for, which must be free, or the preferred one, or any.
fn pick_port(asked: Option<u16>, preferred: u16) -> Result<u16, String> {
    let free = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).and_then(|l| l.local_addr());
    if let Some(port) = asked {
        return free(port)
            .map(|at| at.port())
            .map_err(|error| format!("port {port} is not to be had: {error}"));
    }
    free(preferred)
        .or_else(|_| free(0))
        .map(|at| at.port())
        .map_err(|error| format!("no port is to be had: {error}"))
}

/// Ten letters that can be told apart when read from a screen.
fn make_password() -> Result<String, String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0_u8; 10];
    getrandom::fill(&mut random).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect())
}

fn configuration(directory: &std::path::Path, plain: u16, direct: u16, irc: Option<&Irc>, password: &str) -> String {
    let socket = toml_string(&directory.join("control.sock").display().to_string());
    let mut config = format!(
        "mode = \"server\"\njid = \"localhost\"\n\
         [server]\nlisten = [\"127.0.0.1:{plain}\"]\nlisten_tls = [\"127.0.0.1:{direct}\"]\n\
         [storage]\nurl = \"none\"\n[log]\nfile = \"none\"\nlevel = \"warn\"\n[control]\nsocket = {socket}\n"
    );
    let backend = match irc {
        None => format!(
            "[backend]\nbuiltin = \"demo\"\n[backend.options]\npassword = {}\n",
            toml_string(password)
        ),
        Some(irc) => format!(
            "[backend]\nbuiltin = \"irc\"\n[backend.options]\nserver = {}\ntls = {}\n",
            toml_string(&irc.server),
            irc.tls
        ),
    };
    config.push_str(&backend);
    config
}

fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn introduction(plain: u16, direct: u16, irc: Option<&Irc>, password: &str) -> String {
    let connect = format!(
        "Server: 127.0.0.1, port {plain} (STARTTLS) or {direct} (direct TLS).\n\
         The certificate is made anew at every start, so your client asks about it: accept it for this machine. Its SHA-256 is\n\
         {FINGERPRINT}\n"
    );
    match irc {
        None => format!(
            "A demo network is running.\n\n\
             JID:      you@localhost      (any name in place of \"you\")\n\
             Password: {password}\n{connect}\n\
             Try:\n\
             - write to echo@localhost, and hear yourself;\n\
             - write to ada@localhost, and ask for help: she edits, reacts, replies, takes back, sends pictures;\n\
             - join the room lobby@localhost, and say hello; crowd@localhost has 5000 members;\n\
             - look at the list of rooms of localhost, and for people: carol, dave and eve can be added;\n\
             - log in a second time under another name, and talk with yourself.\n\n\
             Ctrl-C ends it; nothing is kept.\n"
        ),
        Some(irc) => format!(
            "Bridging {}{}.\n\n\
             JID:      NICKNAME@localhost      (the nickname you want there)\n\
             Password: of your account there, or any if you have none\n{connect}\n\
             Try:\n\
             - join a channel as a room: #channel@localhost;\n\
             - write to a person: nickname@localhost;\n\
             - look at the list of rooms of localhost.\n\n\
             Ctrl-C ends it; nothing is kept.\n",
            irc.server,
            if irc.tls { " over TLS" } else { "" }
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_configurations_are_valid() {
        let directory = PathBuf::from("/tmp/with \"quotes\"");
        for irc in [None, Some(Irc::new("irc.example.org", false))] {
            let config = configuration(&directory, 5222, 5223, irc.as_ref(), "pass\"word");
            let loaded = Loader::text("demo", &config).load().unwrap();
            assert_eq!(loaded.config.mode, Mode::Server);
            assert_eq!(loaded.config.control.socket, directory.join("control.sock"));
        }
    }

    #[test]
    fn the_port_of_an_irc_server_decides_about_tls() {
        assert!(Irc::new("irc.example.org:6697", false).tls);
        assert!(!Irc::new("irc.example.org:6667", false).tls);
        assert_eq!(Irc::new("irc.example.org", false).server, "irc.example.org:6667");
    }

    #[test]
    fn a_port_that_is_taken_is_not_taken_again() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(pick_port(None, port).unwrap(), port);
        assert!(pick_port(Some(port), 5222).is_err());
    }
}
