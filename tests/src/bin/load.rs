//! `load gateway` and `load server`: measure the built programs and print a table. See docs/performance.md.

use clap::{Args, Parser, Subcommand};
use spectrum_tests::load::{GatewayLoad, ServerLoad, run_gateway, run_server};

/// Measures spectrum-gateway or spectrum-server, as built next to this program, and prints a table of medians.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Plays the XMPP server of a gateway and all its users.
    Gateway {
        /// Users that register and log in.
        #[arg(long, default_value_t = 1000)]
        users: usize,
        /// Contacts per user when the memory of contacts is measured; 1 leaves that out.
        #[arg(long, default_value_t = 51)]
        contacts: usize,
        /// Messages under way at the same time at full speed.
        #[arg(long, default_value_t = 64)]
        in_flight: usize,
        /// Messages with one under way.
        #[arg(long, default_value_t = 2000)]
        single: usize,
        /// Whether messages on their way survive the process: `on`, `full`, or `off` as in Spectrum 2.
        #[arg(long, default_value = "on")]
        journal: String,
        #[command(flatten)]
        common: Common,
    },
    /// Plays many TLS clients of a server.
    Server {
        /// Clients that are logged in at the same time.
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Messages at full speed per run.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A file with further lines for the configuration.
    #[arg(long)]
    extra: Option<std::path::PathBuf>,
}

impl Common {
    fn extra(&self) -> std::io::Result<String> {
        self.extra.as_ref().map_or(Ok(String::new()), std::fs::read_to_string)
    }
}

// One thread: the generator takes no processor from the main process that it could spare.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the table is the result")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = match Command::parse().mode {
        Mode::Gateway {
            users,
            contacts,
            in_flight,
            single,
            journal,
            common,
        } => {
            let (messages, runs, extra) = (common.messages, common.runs, common.extra()?);
            run_gateway(&GatewayLoad {
                users,
                contacts,
                messages,
                in_flight,
                single,
                runs,
                journal,
                extra,
            })
            .await?
        }
        Mode::Server { clients, common } => {
            let (messages, runs, extra) = (common.messages, common.runs, common.extra()?);
            run_server(&ServerLoad {
                clients,
                messages,
                runs,
                extra,
            })
            .await?
        }
    };
    println!("{table}");
    Ok(())
}
