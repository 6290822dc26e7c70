//! What a backend author implements.
