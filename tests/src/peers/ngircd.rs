//! ngIRCd: a plain IRC server (its one capability is multi-prefix).

use super::{Account, PeerError, Port, Process, Scratch, program};
use crate::Outcome;
use crate::irc::greets;

/// A running ngIRCd.
#[derive(Debug)]
pub struct Ngircd {
    process: Option<Process>,
    account: Account,
    port: Port,
    scratch: Scratch,
}

impl Ngircd {
    /// Starts one and waits until it welcomes a client.
    ///
    /// # Errors
    /// If it is not installed, or does not come up.
    pub async fn start() -> Result<Self, PeerError> {
        program("ngircd")?;
        let account = Account::of("irc")?;
        let scratch = Scratch::of("ngircd", &account)?;
        let port = Port::free()?;
        // It allows 5 connections per address and makes clients wait (penalties); a gateway's users all come from one.
        account.write(
            &scratch.join("ngircd.conf"),
            format!(
                "[Global]\n  Name = ngircd.localhost\n  AdminInfo1 = tests\n  Info = tests\n  Listen = 127.0.0.1\n  \
                 Ports = {port}\n  MotdPhrase = Hello from the tests\n\
                 [Limits]\n  MaxConnections = 0\n  MaxConnectionsIP = 0\n  MaxPenaltyTime = 0\n  MaxNickLength = 30\n  MaxJoins = 0\n  \
                 PingTimeout = 120\n  PongTimeout = 20\n\
                 [Options]\n  DNS = no\n  Ident = no\n  PAM = no\n  SyslogFacility = local1\n  OperCanUseMode = yes\n\
                 [Operator]\n  Name = admin\n  Password = admin-pw\n"
            ),
        )?;
        let mut ngircd = Self {
            process: None,
            account,
            port,
            scratch,
        };
        ngircd.restart().await?;
        Ok(ngircd)
    }

    /// Starts it (again) on the same port.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> Result<(), PeerError> {
        self.stop();
        let mut command = self.account.command(program("ngircd")?);
        command
            .arg("-n")
            .arg("-f")
            .arg(self.scratch.join("ngircd.conf"))
            .current_dir(self.scratch.path());
        let mut process = Process::start(command, "ngircd", &self.scratch.join("ngircd.log"))?;
        let port = self.port();
        process.ready("irc", async || greets(port).await).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it; [`Ngircd::restart`] brings it back.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The end of its log.
    pub fn log_tail(&self) -> Outcome<String> {
        Ok(self.process.as_ref().map(Process::log_tail).unwrap_or_default())
    }
}
