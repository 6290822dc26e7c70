//! What an instance keeps.
