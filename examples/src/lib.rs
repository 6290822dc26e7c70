//! Networks of the examples, so that a program of a few lines can use them in or out of process.

pub mod echo;
