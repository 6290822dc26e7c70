//! The echo network as a backend process. Option: `contacts`, how many everybody has (3).

use std::process::ExitCode;

use spectrum_backend_sdk::{Options, OptionsError};
use spectrum_examples::echo::Echo;

const CONTACTS: usize = 3;

fn main() -> ExitCode {
    spectrum_backend_sdk::run(|mut options: Options| {
        let contacts = options.parse("contacts")?.unwrap_or(CONTACTS);
        options.finish()?;
        Ok::<_, OptionsError>(Echo { contacts })
    })
}
