//! The backend as the core sees it: what IRC can do, and logins. Owns the options and the TLS settings, nothing of a user.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use spectrum_backend_sdk::model::{Capability, CaseMapping, ContactId, Field, FieldKind, Secret};
use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{Backend, BackendInfo, Events, LegacySession, Login, LoginError, LoginErrorKind};

use crate::connection::{Connection, Start};
use crate::engine::{Identity, Setup};
use crate::names::{Scope, split_qualified};
use spectrum_backend_sdk::ServerAddress;

use crate::options::{IrcOptions, Networks};
use crate::session::{IrcSession, Several, Slot, away_text};
use crate::transport::{Tls, connect};

/// Networks that have fields of their own in the registration form; more would be a form that nobody fills in.
const MAX_FORM_NETWORKS: usize = 8;

/// IRC, for any number of users.
#[derive(Clone, Debug)]
pub struct IrcBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: IrcOptions,
    tls: Option<Tls>,
    tasks: Tasks,
}

/// The backend cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("could not set up encrypted connections: {0}")]
pub struct StartError(#[source] tokio_rustls::rustls::Error);

/// Makes the connections of one user.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
    events: Events,
    nick: String,
    settings: BTreeMap<String, String>,
}

/// What is particular to one connection of a user.
struct Beginning {
    scope: Scope,
    identity: Identity,
    away: Option<String>,
    watched: Vec<(ContactId, String)>,
    ends_session: bool,
}

impl IrcBackend {
    /// Sets the backend up. Reads the system's trusted certificates, so it may block for a moment.
    ///
    /// # Errors
    /// [`StartError`] if the cryptography cannot be used.
    pub fn from_options(options: IrcOptions) -> Result<Self, StartError> {
        let tls = if options.tls {
            Some(Tls::new(options.tls_verify).map_err(StartError)?)
        } else {
            None
        };
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                tls,
                tasks: Tasks::new(),
            }),
        })
    }
}

fn field(name: impl Into<String>, label: impl Into<String>, kind: FieldKind, required: bool) -> Field {
    Field {
        name: name.into(),
        label: label.into(),
        kind,
        required,
        default: None,
    }
}

#[async_trait]
impl Backend for IrcBackend {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("IRC", "irc").capabilities(&[
            Capability::Rooms,
            Capability::RoomList,
            Capability::NicknameChange,
            Capability::RoomSubject,
            Capability::RoomInvite,
            Capability::RoomModeration,
            Capability::RoomSettings,
            Capability::RoomAffiliations,
            Capability::PrivateMessages,
            Capability::Presence,
            Capability::AddContacts,
            Capability::UpdateContacts,
            Capability::RemoveContacts,
            Capability::Profiles,
            Capability::ContactsAtLogin,
        ]);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
        info.case_mapping = CaseMapping::Rfc1459;
        "Nickname".clone_into(&mut info.contact_prompt);
        // The host behind a name is seen as `%host`, in the form that people write.
        info.jid_escaping = false;
        "#&".clone_into(&mut info.room_prefixes);
        info.registration = vec![field("username", "Nickname", FieldKind::Name, true)];
        match &self.shared.options.networks {
            Networks::Fixed(server) => {
                info.registration.push(field(
                    "password",
                    "Password of your account, if you have one",
                    FieldKind::Password,
                    false,
                ));
                info.registration_instructions = format!(
                    "Enter the nickname to use on {}, and the password if it is registered there.",
                    server.host
                );
            }
            Networks::Several(list) => {
                // People join rooms right away, as on the original.
                info.needs_registration = false;
                for server in list.iter().take(MAX_FORM_NETWORKS) {
                    let host = &server.host;
                    info.registration.push(field(
                        format!("nickname@{host}"),
                        format!("Nickname on {host}"),
                        FieldKind::Name,
                        false,
                    ));
                    info.registration.push(field(
                        format!("password@{host}"),
                        format!("Password on {host}"),
                        FieldKind::Password,
                        false,
                    ));
                }
                "Enter the nickname to use, and where you have accounts, their passwords."
                    .clone_into(&mut info.registration_instructions);
            }
        }
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        let name = login.name.as_str();
        let qualified = split_qualified(name);
        let nick = qualified.as_ref().map_or(name, |(nick, _)| nick).to_owned();
        let connector = Connector {
            shared: Arc::clone(&self.shared),
            events,
            nick,
            settings: login.settings,
        };
        let away = away_text(&login.presence);
        let host = qualified.map(|(_, host)| host);
        let server = match (&self.shared.options.networks, &host) {
            (Networks::Fixed(server), None) => Some(server),
            (Networks::Fixed(server), Some(host)) if *host == *server.host => Some(server),
            (Networks::Fixed(server), Some(_)) => {
                let text = format!("This transport connects to {} and nowhere else.", server.host);
                return Err(LoginError::new(LoginErrorKind::InvalidName, text));
            }
            (Networks::Several(_), None) => None,
            (Networks::Several(list), Some(host)) => match list.iter().find(|a| *a.host == **host) {
                Some(server) => Some(server),
                None => {
                    let hosts: Vec<_> = list.iter().map(|a| &*a.host).collect();
                    let text = format!("This transport does not connect to {host}, but to {}.", hosts.join(", "));
                    return Err(LoginError::new(LoginErrorKind::InvalidName, text));
                }
            },
        };
        let session = match (server, &self.shared.options.networks) {
            (Some(server), _) => {
                let start = Beginning {
                    scope: Scope::Plain,
                    identity: connector.identity(login.password),
                    away,
                    watched: login
                        .contacts
                        .into_iter()
                        .map(|c| (c.id.clone(), c.id.as_str().to_owned()))
                        .collect(),
                    ends_session: true,
                };
                IrcSession::Fixed(Arc::new(connector.connect_as(server, start).await?))
            }
            (None, Networks::Several(list)) => {
                let several = Several {
                    slots: list.iter().map(|a| (a.host.to_string(), Slot::new(a.clone()))).collect(),
                    away: Mutex::new(away),
                    connector,
                };
                // They are watched on each network once it is connected.
                login.contacts.into_iter().for_each(|contact| several.remember(contact.id));
                IrcSession::Several(several)
            }
            (None, Networks::Fixed(_)) => {
                return Err(LoginError::new(
                    LoginErrorKind::Settings,
                    "There is no network to connect to.",
                ));
            }
        };
        Ok(Box::new(session))
    }
}

impl Connector {
    fn identity(&self, password: Option<Secret>) -> Identity {
        let options = &self.shared.options;
        Identity {
            nick: self.nick.clone(),
            account: self.nick.clone(),
            password: password.filter(|p| !p.is_empty()),
            server_password: options.server_password.clone(),
            real_name: self
                .settings
                .get("realname")
                .filter(|n| !n.trim().is_empty())
                .unwrap_or(&self.nick)
                .clone(),
            sasl: options.sasl,
        }
    }

    /// Connects to one network of several, with the credentials the user has there. A password given for one network
    /// never goes to another.
    pub(crate) async fn connect(
        &self,
        address: &ServerAddress,
        scope: Scope,
        nick: Option<&str>,
        (away, watched): (Option<String>, Vec<(ContactId, String)>),
    ) -> Result<Connection, LoginError> {
        let setting = |what: &str| {
            self.settings
                .get(&format!("{what}@{}", address.host))
                .filter(|v| !v.is_empty())
        };
        let mut identity = self.identity(setting("password").map(|p| Secret::new(p.as_str())));
        if let Some(nick) = setting("nickname").map(String::as_str).or(nick) {
            nick.clone_into(&mut identity.nick);
            nick.clone_into(&mut identity.account);
            nick.clone_into(&mut identity.real_name);
        }
        let start = Beginning {
            scope,
            identity,
            away,
            watched,
            ends_session: false,
        };
        self.connect_as(address, start).await
    }

    async fn connect_as(&self, address: &ServerAddress, beginning: Beginning) -> Result<Connection, LoginError> {
        let Beginning {
            scope,
            identity,
            away,
            watched,
            ends_session,
        } = beginning;
        let options = &self.shared.options;
        let encoding = options.encoding.unwrap_or(encoding_rs::UTF_8);
        let start = Start {
            setup: Setup {
                identity,
                scope,
                nickserv: options.nickserv.clone(),
                lines_per_second: options.max_messages_per_second,
                // Four bytes there for what are two in UTF-8.
                halve_text: encoding == encoding_rs::GB18030 || encoding == encoding_rs::GBK,
                away,
                watched,
            },
            encoding,
            fallback: if encoding == encoding_rs::UTF_8 {
                encoding_rs::WINDOWS_1252
            } else {
                encoding
            },
            events: self.events.clone(),
            ends_session,
        };
        let stream = connect(address, self.shared.tls.as_ref()).await?;
        Connection::open(stream, start, &self.shared.tasks).await
    }
}
