//! Panics go to the log, with their place and without text that was formatted at run time: it may quote a message.

/// Replaces the process's panic hook.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let reason = info
            .payload()
            .downcast_ref::<&'static str>()
            .copied()
            .unwrap_or("formatted text, not logged");
        let thread = std::thread::current();
        tracing::error!(
            place,
            reason,
            thread = thread.name().unwrap_or("unnamed"),
            "A part of the program panicked."
        );
    }));
}
