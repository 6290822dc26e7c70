//! `[backend.options]` of the demo network. Pure.

use std::str::FromStr;

use spectrum_backend_sdk::model::Secret;
use spectrum_backend_sdk::{Options, OptionsError};

/// Members of the large room unless the options say another number.
const MEMBERS: u32 = 5_000;
/// The large room cannot be larger.
const MAX_MEMBERS: u32 = 50_000;
/// What people send when they are asked for a picture.
const MEDIA: &str = "https://www.rust-lang.org/logos/rust-logo-512x512.png";

/// How people get in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LoginKind {
    /// With the password, if there is one.
    #[default]
    Password,
    /// A code is asked for after the password.
    Code,
    /// A picture with digits is shown, and the digits are asked for.
    Captcha,
    /// A QR code is shown; it counts as scanned a moment later.
    Qr,
    /// A link is shown, and it is asked whether it was followed.
    Link,
}

impl FromStr for LoginKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "password" => Ok(Self::Password),
            "code" => Ok(Self::Code),
            "captcha" => Ok(Self::Captcha),
            "qr" => Ok(Self::Qr),
            "link" => Ok(Self::Link),
            _ => Err("password, code, captcha, qr or link is expected".to_owned()),
        }
    }
}

/// What a demo network is made with.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// `password`: what everybody has to know; without it any password will do.
    pub password: Option<Secret>,
    /// `login`: how people get in. The beginning of an account's name (`code-`, `captcha-`, `qr-`, `link-`) overrules it.
    pub login: LoginKind,
    /// `members`: how many are in the large room.
    pub members: u32,
    /// `media`: the URL of the picture that people send.
    pub media: String,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            password: None,
            login: LoginKind::default(),
            members: MEMBERS,
            media: MEDIA.to_owned(),
        }
    }
}

impl DemoOptions {
    /// Reads them.
    ///
    /// # Errors
    /// An option that is unknown, or whose value it cannot have.
    pub fn read(mut options: Options) -> Result<Self, OptionsError> {
        let default = Self::default();
        let members = options.parse("members")?.unwrap_or(default.members);
        if members > MAX_MEMBERS {
            return Err(OptionsError::Invalid {
                name: "members".to_owned(),
                problem: format!("at most {MAX_MEMBERS}"),
            });
        }
        let read = Self {
            password: options.secret("password").filter(|password| !password.is_empty()),
            login: options.parse("login")?.unwrap_or_default(),
            members,
            media: options.get("media").map_or(default.media, str::to_owned),
        };
        options.finish()?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<DemoOptions, String> {
        let values = pairs.iter().map(|(key, value)| ((*key).to_owned(), Secret::from(*value)));
        DemoOptions::read(Options::new(values.collect())).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_has_a_default_and_wrong_values_are_named() {
        let options = read(&[]).unwrap();
        assert_eq!((options.members, options.login), (MEMBERS, LoginKind::Password));
        let options = read(&[("members", "3"), ("login", "qr"), ("password", "p")]).unwrap();
        assert_eq!((options.members, options.login), (3, LoginKind::Qr));
        assert_eq!(
            read(&[("members", "1000000")]).unwrap_err(),
            "option `members`: at most 50000"
        );
        assert!(read(&[("login", "magic")]).unwrap_err().starts_with("option `login`"));
        assert_eq!(read(&[("colour", "blue")]).unwrap_err(), "unknown options: colour");
    }
}
