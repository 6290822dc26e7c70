//! One running transport, as an embedder sees it.
