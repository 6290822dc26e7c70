//! Rooms the user is in (XEP-0045).

/// What the outcome of a room's request is for.
#[derive(Debug)]
pub(crate) enum RoomRequest {}
