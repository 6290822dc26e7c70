//! Connections tried from outside, byte for byte, over memory: no network, no session behind them, no real time.
#![allow(clippy::unwrap_used)]

mod stage;

mod bound;
mod hostile;
mod negotiation;
