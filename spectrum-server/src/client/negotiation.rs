//! From the first byte to a bound resource: TLS, SASL, resource binding (RFC 6120 sections 5 to 7). Lives until then,
//! inside the connection.

use std::time::Duration;

use jid::ResourcePart;
use minidom::Element;
use spectrum_core::session::{AuthError, Input, Ticket};
use spectrum_core::stanza::error;
use spectrum_core::stream::{Event, Header, Limits, Stanza};
use spectrum_core::xml::text_element;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
use xmpp_parsers::stream_error::DefinedCondition;

use super::login::{Credentials, Failure, plain};
use super::wire::{Turn, Wire};
use super::{Me, Outbox, Security, Shared, Stop, random_hex};
use crate::clients::key;
use crate::listener::Seat;

/// Bytes that a client may send before it has bound its resource.
const NEGOTIATION_BYTES: u64 = 64 * 1024;

/// Attempts at authentication in one stream (RFC 6120 section 6.4.5). A refused login ends it at once, because each costs
/// the network a login.
const ATTEMPTS: u8 = 3;

/// The session ends a login in time; a client is not kept waiting much longer if it does not.
const LOGIN_MARGIN: Duration = Duration::from_secs(10);

const TOO_MANY_REFUSED: &str = "Too many logins from your address were refused. Try again in some minutes.";

const FEATURES_PLAIN: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";

const FEATURES_TLS: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism></mechanisms></stream:features>";

const FEATURES_AUTHENTICATED: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
    <ver xmlns='urn:xmpp:features:rosterver'/></stream:features>";

pub(super) struct Negotiation<'a> {
    wire: &'a mut Wire,
    shared: &'a Shared,
    seat: Seat,
    /// What is left of the time that the client may keep us waiting.
    left: Duration,
}

impl<'a> Negotiation<'a> {
    pub(super) fn new(wire: &'a mut Wire, shared: &'a Shared, seat: Seat) -> Self {
        Self {
            wire,
            shared,
            seat,
            left: shared.timing.negotiation,
        }
    }

    pub(super) async fn run(mut self, security: Security) -> Result<Me, Stop> {
        match security {
            Security::DirectTls => self.encrypt(security).await?,
            Security::Plain => {
                self.open(FEATURES_PLAIN).await?;
                self.starttls().await?;
            }
        }
        self.open(FEATURES_TLS).await?;
        let (login, credentials) = self.authenticate().await?;
        self.seat.give_up();
        self.wire.restart(Limits::CLIENT);
        self.open(FEATURES_AUTHENTICATED).await?;
        let me = self.bind(&credentials).await?;
        login.done();
        Ok(me)
    }

    /// The next thing the client says. Its time runs meanwhile.
    async fn next(&mut self) -> Result<Event, Stop> {
        let started = Instant::now();
        let turn = self.wire.turn(None, started + self.left).await;
        self.left = self.left.saturating_sub(started.elapsed());
        self.said(turn)
    }

    fn said(&self, turn: Turn) -> Result<Event, Stop> {
        if self.wire.bytes_read > NEGOTIATION_BYTES {
            return Err(Stop::error(
                DefinedCondition::PolicyViolation,
                "too much before authentication",
            ));
        }
        match turn {
            Turn::Event(Event::Error(error)) => Err(Stop::Error(error)),
            Turn::Event(Event::Closed | Event::PeerError(_)) => Err(Stop::Closed),
            Turn::Event(event) => Ok(event),
            Turn::Deadline => Err(Stop::error(DefinedCondition::ConnectionTimeout, "too slow")),
            Turn::Ended | Turn::Gone => Err(Stop::Gone),
        }
    }

    /// Exchanges stream headers and says what can be done.
    async fn open(&mut self, features: &str) -> Result<(), Stop> {
        let Event::Opened(theirs) = self.next().await? else {
            return Err(DefinedCondition::BadFormat.into());
        };
        self.wire.open(&self.shared.header());
        self.check_domain(&theirs)?;
        self.wire.xml(features);
        Ok(())
    }

    fn check_domain(&self, theirs: &Header) -> Result<(), Stop> {
        let is_ours = theirs
            .to
            .as_deref()
            .and_then(|to| jid::BareJid::new(to).ok())
            .is_some_and(|to| to == self.shared.domain);
        if is_ours {
            Ok(())
        } else {
            Err(DefinedCondition::HostUnknown.into())
        }
    }

    async fn starttls(&mut self) -> Result<(), Stop> {
        loop {
            match self.next().await? {
                Event::Nonza(element) if element.is("starttls", ns::TLS) => break,
                Event::Nonza(element) if element.is("auth", ns::SASL) => self.fail(&Failure::EncryptionRequired),
                event => return Err(unexpected(&event)),
            }
        }
        if self.wire.has_unread() {
            // Somebody on the way may have put it there, to be taken for what the client says inside TLS (CVE-2011-0411).
            self.wire.xml("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            info!("A client, or somebody on its way, sent text behind starttls; the connection is closed.");
            return Err(Stop::Closed);
        }
        self.wire.xml("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        self.within("proceed").await?;
        self.encrypt(Security::Plain).await
    }

    /// Writes what is queued, on the client's time.
    async fn within(&mut self, what: &'static str) -> Result<(), Stop> {
        let started = Instant::now();
        let flushed = timeout(self.left, self.wire.flush()).await;
        self.left = self.left.saturating_sub(started.elapsed());
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                debug!(%error, what, "The connection of a client broke.");
                Err(Stop::Gone)
            }
            Err(_) => Err(Stop::Gone),
        }
    }

    async fn encrypt(&mut self, security: Security) -> Result<(), Stop> {
        let Some(io) = self.wire.take_io() else {
            return Err(Stop::Gone);
        };
        let started = Instant::now();
        let accepted = timeout(self.left, self.shared.tls.accept(security, io)).await;
        self.left = self.left.saturating_sub(started.elapsed());
        match accepted {
            Ok(Ok(io)) => {
                self.wire.set_io(io);
                self.wire.restart(Limits::UNAUTHENTICATED);
                Ok(())
            }
            Ok(Err(error)) => {
                debug!(%error, "A TLS handshake failed.");
                Err(Stop::Gone)
            }
            Err(_) => Err(Stop::Gone),
        }
    }

    async fn authenticate(&mut self) -> Result<(Login<'a>, Credentials), Stop> {
        for _ in 0..ATTEMPTS {
            let failure = match self.credentials().await? {
                Ok(_) if !self.seat.may_try() => {
                    info!("A client's address has had too many logins refused; this one is not tried.");
                    self.fail(&Failure::Temporary(TOO_MANY_REFUSED.to_owned()));
                    return Err(Stop::Closed);
                }
                Ok(credentials) => match self.login(&credentials).await? {
                    (login, Ok(())) => {
                        self.wire.xml("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
                        return Ok((login, credentials));
                    }
                    (_, Err(Failure::Aborted)) => Failure::Aborted,
                    (_, Err(failure)) => {
                        if matches!(failure, Failure::NotAuthorized(_)) {
                            self.seat.refused();
                        }
                        info!(user = %credentials.user, %failure, "A login was refused.");
                        self.fail(&failure);
                        return Err(Stop::Closed);
                    }
                },
                Err(failure) => failure,
            };
            self.fail(&failure);
        }
        Err(Stop::error(
            DefinedCondition::PolicyViolation,
            "too many attempts at authentication",
        ))
    }

    fn fail(&mut self, failure: &Failure) {
        let mut element = Element::builder("failure", ns::SASL)
            .append(Element::bare(failure.condition(), ns::SASL))
            .build();
        if let Some(text) = failure.text() {
            element.append_child(text_element("text", ns::SASL, text));
        }
        self.wire.nonza(&element);
    }

    /// One SASL exchange up to the credentials.
    async fn credentials(&mut self) -> Result<Result<Credentials, Failure>, Stop> {
        let auth = match self.next().await? {
            Event::Nonza(element) if element.is("auth", ns::SASL) => element,
            event => return Err(unexpected(&event)),
        };
        if auth.attr("mechanism") != Some("PLAIN") {
            return Ok(Err(Failure::InvalidMechanism));
        }
        let mut message = auth.text();
        if message.is_empty() {
            self.wire.xml("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
            message = match self.next().await? {
                Event::Nonza(element) if element.is("response", ns::SASL) => element.text(),
                Event::Nonza(element) if element.is("abort", ns::SASL) => return Ok(Err(Failure::Aborted)),
                event => return Err(unexpected(&event)),
            };
        }
        Ok(plain(&message, &self.shared.domain))
    }

    /// Waits for the session to say whether the client is let in. The client's clock stands still; what it says meanwhile
    /// ends the login.
    async fn login(&mut self, credentials: &Credentials) -> Result<(Login<'a>, Result<(), Failure>), Stop> {
        let (ticket, mut answer) = self.shared.clients.expect_login();
        let login = Login {
            shared: self.shared,
            user: key(&credentials.user),
            ticket,
            done: false,
        };
        self.shared
            .sessions
            .authenticate(&credentials.user, ticket, &credentials.name, &credentials.password);
        let deadline = Instant::now() + self.shared.timing.login + LOGIN_MARGIN;
        let turn = tokio::select! {
            biased;
            result = &mut answer => {
                let result = match result {
                    Ok(result) => result.map_err(refused),
                    Err(_) => Err(Failure::Temporary("The session ended.".to_owned())),
                };
                return Ok((login, result));
            }
            turn = self.wire.turn(None, deadline) => turn,
        };
        if matches!(turn, Turn::Deadline) {
            return Ok((
                login,
                Err(Failure::Temporary("The network did not answer in time.".to_owned())),
            ));
        }
        match self.said(turn)? {
            Event::Nonza(element) if element.is("abort", ns::SASL) => Ok((login, Err(Failure::Aborted))),
            event => Err(unexpected(&event)),
        }
    }

    /// Resource binding (RFC 6120 section 7).
    async fn bind(&mut self, credentials: &Credentials) -> Result<Me, Stop> {
        loop {
            let request = match self.next().await? {
                Event::Stanza(stanza) => stanza,
                event => return Err(unexpected(&event)),
            };
            let Stanza::Iq(Iq::Set { payload, .. }) = &request else {
                return Err(DefinedCondition::NotAuthorized.into());
            };
            if !payload.is("bind", ns::BIND) {
                return Err(DefinedCondition::NotAuthorized.into());
            }
            let wanted = payload.get_child("resource", ns::BIND).map(Element::text).unwrap_or_default();
            let wanted = if wanted.is_empty() { random_hex::<8>() } else { wanted };
            let refused = match ResourcePart::new(&wanted) {
                Ok(resource) => match self.bound(credentials, &request, resource.into_owned()) {
                    Some(me) => return Ok(me),
                    None => error(StanzaCondition::ResourceConstraint, "You have too many connections already."),
                },
                Err(_) => error(StanzaCondition::BadRequest, "This is no resource."),
            };
            if let Some(reply) = request.error_reply(refused) {
                self.wire.stanza(&reply);
            }
        }
    }

    /// `None` if the user has too many connections.
    fn bound(&mut self, credentials: &Credentials, request: &Stanza, resource: ResourcePart) -> Option<Me> {
        let user = key(&credentials.user);
        let outbox = std::sync::Arc::new(Outbox::new());
        let bound = self.shared.clients.bind(&user, resource.clone(), outbox.clone())?;
        let jid = credentials.user.with_resource(&resource);
        let result = Element::builder("bind", ns::BIND)
            .append(text_element("jid", ns::BIND, jid.as_str()))
            .build();
        if let Some(reply) = request.result_reply(Some(result)) {
            self.wire.stanza(&reply);
        }
        if bound.replaced {
            // Before anything of the new client, which has the same name.
            self.shared.sessions.tell(&user, Input::ResourceLost(resource));
        }
        Some(Me {
            jid,
            bare: credentials.user.clone(),
            user,
            connection: bound.connection,
            outbox,
        })
    }
}

/// A login in progress, or accepted and not bound yet. Dropping it tells the session that the client is gone.
struct Login<'a> {
    shared: &'a Shared,
    user: spectrum_core::model::UserKey,
    ticket: Ticket,
    done: bool,
}

impl Login<'_> {
    /// The resource is bound: from here on the session hears of the resource.
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        self.shared.clients.forget_login(self.ticket);
        if !self.done {
            self.shared.sessions.tell(&self.user, Input::Abandoned(self.ticket));
        }
    }
}

fn refused(error: AuthError) -> Failure {
    match error {
        AuthError::NotAuthorized => Failure::NotAuthorized("You are logged in with another password.".to_owned()),
        AuthError::Login(error) if error.is_temporary() => Failure::Temporary(error.text),
        AuthError::Login(error) => Failure::NotAuthorized(error.text),
        AuthError::Refused(text) => Failure::Temporary(text),
    }
}

/// What an event that has no place in the negotiation is answered with.
fn unexpected(event: &Event) -> Stop {
    match event {
        Event::Stanza(_) | Event::Invalid(_) => DefinedCondition::NotAuthorized.into(),
        Event::Nonza(_) => DefinedCondition::UnsupportedStanzaType.into(),
        Event::Opened(_) | Event::PeerError(_) | Event::Closed | Event::Error(_) => DefinedCondition::BadFormat.into(),
    }
}
