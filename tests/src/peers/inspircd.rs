//! InspIRCd with Anope's services: IRCv3, accounts, SASL.

use super::{Account, Certificates, PeerError, Port, Process, Scratch, program};
use crate::Outcome;
use crate::irc::{Irc, greets};

/// Accounts that NickServ and SASL know.
const ACCOUNTS: [(&str, &str); 3] = [("alice", "alice-pw"), ("bob", "bob-pw"), ("carol", "carol-pw")];

const MODULES: &str = "alias banexception botmode callerid cap chanhistory chghost chgident commonchans customprefix deaf \
    gecosban globops hidechans inviteexception ircv3 ircv3_accounttag ircv3_batch ircv3_capnotify ircv3_chghost ircv3_ctctags \
    ircv3_echomessage ircv3_invitenotify ircv3_labeledresponse ircv3_msgid ircv3_servertime knock md5 monitor muteban namesx \
    noctcp nonotice permchannels pbkdf2 redirect samode sajoin sakick sanick sasl services_account setname sha256 spanningtree \
    ssl_gnutls sslinfo sslmodes svshold timedbans topiclock uhnames uninvite userip watch";

/// A running InspIRCd with services.
#[derive(Debug)]
pub struct Inspircd {
    // Services first: they are ended before the server.
    services: Option<Process>,
    process: Option<Process>,
    account: Account,
    plain: Port,
    tls: Port,
    link: Port,
    certificates: Certificates,
    scratch: Scratch,
}

impl Inspircd {
    /// Starts both and waits until the accounts alice, bob and carol (passwords `alice-pw` and so on) are registered.
    ///
    /// # Errors
    /// If one of them is not installed, or does not come up.
    pub async fn start() -> Result<Self, PeerError> {
        program("inspircd")?;
        program("anope")?;
        let account = Account::of("irc")?;
        let scratch = Scratch::of("inspircd", &account)?;
        let certificates = Certificates::make(&scratch.join("tls"), &account, &["localhost"])?;
        let mut inspircd = Self {
            services: None,
            process: None,
            account,
            plain: Port::free()?,
            tls: Port::free()?,
            link: Port::free()?,
            certificates,
            scratch,
        };
        inspircd.write_files()?;
        inspircd.restart().await?;
        for (nick, password) in ACCOUNTS {
            inspircd.register(nick, password).await?;
        }
        Ok(inspircd)
    }

    /// Starts both (again) on the same ports with the same accounts.
    ///
    /// # Errors
    /// If one does not come up.
    pub async fn restart(&mut self) -> Result<(), PeerError> {
        self.stop();
        let mut command = self.account.command(program("inspircd")?);
        command
            .arg("--nofork")
            .arg("--config")
            .arg(self.scratch.join("inspircd.conf"))
            .current_dir(self.scratch.path());
        let mut process = Process::start(command, "inspircd", &self.scratch.join("inspircd.out"))?;
        process.also_logs_to(&self.scratch.join("log/inspircd.log"));
        let port = self.port();
        process.ready("irc", async || greets(port).await).await?;
        self.process = Some(process);

        let anope = self.scratch.join("anope");
        let mut command = self.account.command(program("anope")?);
        command.arg("--nofork").args([
            "--modulesdir=/usr/lib/anope",
            "--localedir=/usr/share/locale",
            "--config=services.conf",
        ]);
        for option in ["confdir", "dbdir", "logdir"] {
            command.arg(format!("--{option}={}", anope.display()));
        }
        command.current_dir(&anope);
        let mut services = Process::start(command, "anope", &self.scratch.join("anope.out"))?;
        services
            .ready("NickServ", async || {
                let mut irc = Irc::try_connect(port, "probe").await?;
                irc.send("PRIVMSG NickServ :HELP").await;
                let answer = irc
                    .wait_for("NickServ", |line| line.contains(":NickServ!") || line.contains(" 401 "))
                    .await?;
                // 401: no such nick, the services are not linked yet.
                if answer.contains(" 401 ") {
                    Err(answer.into())
                } else {
                    Ok(())
                }
            })
            .await?;
        self.services = Some(services);
        Ok(())
    }

    /// Ends both; [`Inspircd::restart`] brings them back.
    pub fn stop(&mut self) {
        for process in [&mut self.services, &mut self.process] {
            if let Some(mut process) = process.take() {
                process.stop();
            }
        }
    }

    async fn register(&self, nick: &str, password: &str) -> Outcome<()> {
        let mut irc = Irc::try_connect(self.port(), nick).await?;
        irc.send(&format!("PRIVMSG NickServ :REGISTER {password} {nick}@localhost.test"))
            .await;
        irc.wait_for("the registration", |line| {
            line.contains("NOTICE") && line.to_lowercase().contains("registered")
        })
        .await?;
        irc.quit().await;
        Ok(())
    }

    /// Where clients connect without TLS, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.plain.number()
    }

    /// Where clients connect with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls.number()
    }

    /// The authority that its certificate comes from.
    pub fn authority(&self) -> &std::path::Path {
        &self.certificates.authority
    }

    fn write_files(&self) -> Outcome<()> {
        for folder in ["log", "data", "anope"] {
            self.account.folder(&self.scratch.join(folder))?;
        }
        self.account.write(&self.scratch.join("motd"), "Hello from the tests\n")?;
        self.account.write(&self.scratch.join("anope/motd"), "tests\n")?;
        self.account
            .write(&self.scratch.join("inspircd.conf"), self.server_configuration())?;
        self.account
            .write(&self.scratch.join("anope/services.conf"), self.services_configuration())
    }

    fn server_configuration(&self) -> String {
        let modules: String = MODULES
            .split_whitespace()
            .map(|m| format!("<module name=\"{m}\">\n"))
            .collect();
        format!(
            r##"<config format="xml">
<server name="inspircd.localhost" description="tests" network="tests" id="001">
<admin name="tests" nick="admin" email="admin@localhost">
<path configdir="{dir}" datadir="{dir}/data" logdir="{dir}/log" runtimedir="{dir}">
<pid file="{dir}/inspircd.pid">
<sslprofile name="tests" provider="gnutls" certfile="{certificate}" keyfile="{key}" requestclientcert="yes" hash="sha256">
<bind address="127.0.0.1" port="{plain}" type="clients">
<bind address="127.0.0.1" port="{tls}" type="clients" sslprofile="tests">
<bind address="127.0.0.1" port="{link}" type="servers">
# No waits and no limits per address: a gateway's users all come from one.
<connect name="main" allow="*" timeout="60" pingfreq="120" hardsendq="1M" softsendq="65535" recvq="65535"
         threshold="1000000" commandrate="1000000" fakelag="off" localmax="100000" globalmax="100000" maxconnwarn="off"
         resolvehostnames="no" useident="no" maxchans="1000" modes="">
<dns server="127.0.0.1" timeout="1">
<class name="all" commands="*" privs="*" usermodes="*" chanmodes="*" snomasks="*">
<type name="admin" classes="all" maxchans="1000">
<oper name="admin" password="admin-pw" host="*@*" type="admin" maxchans="1000">
<link name="services.localhost" ipaddr="127.0.0.1" port="{link}" allowmask="127.0.0.0/8"
      sendpass="link-pw" recvpass="link-pw" timeout="30" statshidden="no">
<uline server="services.localhost" silent="yes">
<sasl target="services.localhost" requiressl="no">
<options prefixquit="" syntaxhints="yes" cyclehosts="yes" moronbanner="banned" exemptchanops="" nosnoticestack="yes"
         defaultmodes="not" allowzerolimit="yes" modesinlist="yes" invitebypassmodes="yes">
<performance quietbursts="yes" clonesonconnect="no" softlimit="12800" somaxconn="1024">
<security announceinvites="dynamic" hideulines="no" flatlinks="no" hidewhois="" maxtargets="20" genericoper="no"
          customversion="" publicxlinemessage="">
<limits maxnick="30" maxchan="64" maxident="10" maxhost="64" maxtopic="390" maxkick="255" maxreal="130" maxaway="200"
        maxquit="255" maxmodes="20" maxline="512">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="inspircd.log" flush="1">
<whowas groupsize="10" maxgroups="100000" maxkeep="3d">
<chanhistory maxlines="100" maxduration="1d" prefixmsg="no" bots="yes" enableumode="yes">
<files motd="{dir}/motd">
{modules}"##,
            dir = self.scratch.path().display(),
            certificate = self.certificates.certificate.display(),
            key = self.certificates.key.display(),
            plain = self.plain,
            tls = self.tls,
            link = self.link,
        )
    }

    fn services_configuration(&self) -> String {
        let command = |name: &str, module: &str| {
            format!("command {{ service = \"NickServ\"; name = \"{name}\"; command = \"{module}\"; }}\n")
        };
        format!(
            r#"uplink {{ host = "127.0.0.1"; ipv6 = no; ssl = no; port = {link}; password = "link-pw" }}
serverinfo {{ name = "services.localhost"; description = "tests"; id = "00A"; pid = "{dir}/anope.pid"; motd = "{dir}/motd" }}
module {{ name = "inspircd3"; use_server_side_mlock = yes; use_server_side_topiclock = yes }}
networkinfo {{ networkname = "tests"; nicklen = 30; userlen = 10; hostlen = 64; chanlen = 64;
  vhost_chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"; vhost_undotted = no }}
options {{ casemap = "rfc1459"; passlen = 32; seed = 9866235; badpasslimit = 0; updatetimeout = 30s; expiretimeout = 30m;
  readtimeout = 5s; warningtimeout = 4h; timeoutcheck = 3s; retrywait = 1s; hideprivilegedcommands = yes; }}
log {{ target = "services.log"; bot = "NickServ"; logage = 7; admin = "*"; servers = "*"; other = "*"; rawio = no; debug = no }}
module {{ name = "enc_sha256" }}
module {{ name = "db_flatfile"; database = "anope.db"; keepbackups = 0; fork = no }}
module {{ name = "m_sasl" }}
service {{ nick = "NickServ"; user = "services"; host = "services.localhost"; gecos = "Nickname registration" }}
module {{ name = "nickserv"; client = "NickServ"; forceemail = no; confirmemailchanges = no; unregistered_notice = "";
  defaults = "ns_private hide_email"; guestnickprefix = "Guest"; regdelay = 0; expire = 0;
  maxaliases = 16; accessmax = 32; modeonid = yes; hidenetsplitquit = no; killquick = 20s; kill = 60s }}
module {{ name = "ns_register"; registration = "none"; nickregdelay = 0; unconfirmedexpire = 1d }}
module {{ name = "ns_identify"; maxlogins = 0 }}
module {{ name = "ns_cert"; max = 5 }}
module {{ name = "help" }}
{help}{register}{identify}"#,
            link = self.link,
            dir = self.scratch.text("anope"),
            help = command("HELP", "generic/help"),
            register = command("REGISTER", "nickserv/register"),
            identify = command("IDENTIFY", "nickserv/identify"),
        )
    }
}
