//! Backends that are part of this binary, for `backend.builtin` and the demo.

use std::sync::Arc;

use spectrum_core::assembly::Builtins;
use spectrum_core::backend::Backend;
use spectrum_core::config::BackendOptions;

/// `demo`, and `irc` where the feature of that name is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerBuiltins;

impl Builtins for ServerBuiltins {
    fn names(&self) -> &'static [&'static str] {
        if cfg!(feature = "irc") { &["demo", "irc"] } else { &["demo"] }
    }

    fn make(&self, name: &str, options: &BackendOptions) -> Option<Result<Arc<dyn Backend>, String>> {
        match name {
            "demo" => Some(demo(options)),
            #[cfg(feature = "irc")]
            "irc" => Some(irc(options)),
            _ => None,
        }
    }
}

fn demo(options: &BackendOptions) -> Result<Arc<dyn Backend>, String> {
    let values = options.flatten().into_iter().map(|(key, value)| (key, value.into()));
    let options = spectrum_demo::DemoOptions::read(spectrum_demo::Options::new(values.collect()));
    let options = options.map_err(|wrong| wrong.to_string())?;
    Ok(Arc::new(spectrum_demo::Demo::with_options(options)))
}

#[cfg(feature = "irc")]
fn irc(options: &BackendOptions) -> Result<Arc<dyn Backend>, String> {
    let pairs = options
        .flatten()
        .into_iter()
        .map(|(key, value)| (key, spectrum_irc::OptionValue::from(value.as_str())));
    let options = spectrum_irc::IrcOptions::parse(pairs).map_err(|wrong| wrong.to_string())?;
    let backend = spectrum_irc::IrcBackend::from_options(options).map_err(|wrong| wrong.to_string())?;
    Ok(Arc::new(backend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_backend_or_says_what_it_lacks() {
        for name in ServerBuiltins.names() {
            assert!(ServerBuiltins.make(name, &BackendOptions::default()).is_some(), "{name}");
        }
        assert!(ServerBuiltins.make("icq", &BackendOptions::default()).is_none());
    }
}
