//! What can be typed. The man pages are made from this.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Mode;

#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    propagate_version = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    #[command(flatten)]
    pub(super) run: Run,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run an instance (what happens without a verb)
    ///
    /// Runs in the foreground until SIGTERM or SIGINT, which log every user out first; a second signal ends the process at once.
    /// SIGHUP opens the log file anew.
    Run(Run),
    /// Check a configuration and print what is in force
    ///
    /// Prints every value with the place it came from (default, file and line, environment variable, --set), secrets hidden.
    /// Warnings go to standard error. Exit code 78 and all problems at once if the instance would not start.
    Check(Check),
    /// Look at the XMPP server and print what is missing in its configuration (gateway mode)
    ///
    /// Asks over the component link: of the running instance if there is one, otherwise of a link that is opened for it. Prints a
    /// line for each thing looked at (ok, missing, or unknown with the reason), then the lines that the configuration of Prosody or
    /// ejabberd lacks. Exit code 0 if nothing is missing, 1 if something is, 69 if the server cannot be reached or refuses the link.
    Doctor(Query),
    /// Show how a running instance is
    Status(Query),
    /// List the users with a session
    Users(Query),
    /// List the backends with their users
    Backends(Query),
    /// End a user's session, on the legacy network too
    Logout(User),
    /// Store a user's credentials for the legacy network (gateway mode)
    ///
    /// The password is asked for, or read from the first line of standard input; it is never an argument, because every user of
    /// this machine can read command lines.
    Register(Register),
    /// Remove a user's registration and log the user out (gateway mode)
    Unregister(User),
    /// Run a verb of administrators, as in a chat with the transport; without one, list them
    Admin(Admin),
    /// Put a new key in front of those that seal passwords in the database
    ///
    /// Best done while the instance is stopped: the database then uses the new key at once. Otherwise it does from the next
    /// start on.
    RotateKey(RotateKey),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Which instance.
#[derive(Args, Clone, Debug)]
pub(super) struct Instance {
    /// The configuration file; a bare name means /etc/spectrum2/transports/NAME.toml
    #[arg(value_name = "FILE", required_unless_present = "config")]
    pub(super) file: Option<String>,
    /// The same as FILE, for scripts
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(super) config: Option<String>,
    /// Override one key of the file; not for secrets. May be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) instance: Instance,
    /// End with exit code 69 if the XMPP server cannot be reached at the first attempt, instead of trying on
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) instance: Instance,
    /// Print JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct RotateKey {
    #[command(flatten)]
    pub(super) instance: Instance,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Query {
    #[command(flatten)]
    pub(super) instance: Instance,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// Verbs about one user: `FILE USER`, or `--config FILE USER`.
#[derive(Args, Clone, Debug)]
pub(super) struct User {
    /// FILE and USER: the configuration file as for the other verbs, and the user's bare JID
    #[arg(value_names = ["FILE", "USER"], num_args = 1..=2, required = true)]
    pub(super) file_and_user: Vec<String>,
    /// The configuration file; USER is then the only argument
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
    /// Override one key of the file; not for secrets. May be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// A verb with its arguments: `FILE VERB...`.
#[derive(Args, Clone, Debug)]
pub(super) struct Admin {
    /// The configuration file; a bare name means /etc/spectrum2/transports/NAME.toml
    #[arg(value_name = "FILE")]
    pub(super) file: String,
    /// The verb and its arguments
    #[arg(value_name = "VERB", trailing_var_arg = true)]
    pub(super) words: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Register {
    #[command(flatten)]
    pub(super) user: User,
    /// The user's name on the legacy network
    #[arg(long, value_name = "NAME")]
    pub(super) username: String,
    /// The network needs no password: do not ask for one
    #[arg(long)]
    pub(super) no_password: bool,
    /// A further field of the registration form; without =VALUE it is asked for or read from the next line of standard input
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) field: Vec<String>,
}

impl User {
    /// The instance and the user's JID.
    pub(super) fn split(&self) -> Result<(Instance, &str), String> {
        let (file, user) = match (self.config.as_ref(), self.file_and_user.as_slice()) {
            (Some(_), [user]) => (None, user),
            (None, [file, user]) => (Some(file.clone()), user),
            (Some(_), _) => return Err("with --config, USER is the only argument".to_owned()),
            (None, _) => return Err("give FILE and USER".to_owned()),
        };
        let instance = Instance {
            file,
            config: self.config.clone(),
            set: self.set.clone(),
        };
        Ok((instance, user))
    }
}

impl Instance {
    /// The file that is meant.
    pub(super) fn path(&self) -> PathBuf {
        let name = self.config.as_ref().or(self.file.as_ref()).map_or("", String::as_str);
        super::locate::file(name)
    }
}

/// The whole definition of a binary's command line, with the verbs only that binary has.
#[must_use]
pub fn command(mode: Mode, extra: Vec<Command>) -> Command {
    let (about, long_about) = match mode {
        Mode::Gateway => ("XMPP transport as a component of an XMPP server", GATEWAY),
        Mode::Server => ("XMPP transport as a server that clients log in to", SERVER),
    };
    let mut command = Cli::command()
        .name(mode.binary())
        .bin_name(mode.binary())
        .about(about)
        .long_about(long_about)
        .after_long_help(EXAMPLES.replace("BINARY", mode.binary()))
        .subcommands(extra);
    if mode == Mode::Server {
        for verb in ["register", "unregister", "doctor"] {
            command = command.mut_subcommand(verb, |verb| verb.hide(true));
        }
    }
    command
}

const GATEWAY: &str = "\
Bridges an XMPP server and another chat network. It connects to the XMPP server as a component (XEP-0114) and runs backends that \
speak the other network; people keep their XMPP account and find the network's people and rooms under the transport's JID.

One configuration file is one instance. Its key `mode` must be \"gateway\"; for \"server\" there is spectrum-server.";

const SERVER: &str = "\
Lets XMPP clients log in to another chat network directly: it is an XMPP server whose accounts are accounts of that network. \
Backends speak the network.

One configuration file is one instance. Its key `mode` must be \"server\"; for \"gateway\" there is spectrum-gateway.";

const EXAMPLES: &str = "\
Examples:
  BINARY check irc             is /etc/spectrum2/transports/irc.toml right, and what does it amount to?
  BINARY irc                   run it in the foreground
  BINARY ./irc.toml --set log.level=debug
  systemctl enable --now BINARY@irc    run it for good
  BINARY status irc            is it well?
  BINARY users irc --json      who is on, for a script
  BINARY logout irc juliet@example.org

Environment:
  SPECTRUM_SECTION__KEY overrides `key` in `[section]` of the file, such as SPECTRUM_LOG__LEVEL=debug.

Exit codes:
  0 done   1 refused or failed   64 wrong command line   69 not reachable   78 wrong configuration

All keys: configuration.md; everything else: operations.md (/usr/share/doc/spectrum-transport/, or docs/ in the source).";
