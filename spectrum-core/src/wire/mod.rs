//! Frames between the main process and a backend.
