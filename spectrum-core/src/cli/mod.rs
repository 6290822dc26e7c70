//! The command line both binaries share.
