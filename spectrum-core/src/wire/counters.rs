//! What a backend does wrong on the wire, counted: nothing of it ends the link.

/// Counts since the link began. Frames counted here, other than repaired ones, were skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WireCounters {
    /// Frames of a type that is unknown, or that only the other side may send.
    pub unknown_type: u64,
    /// Frames that are no protobuf, or that say nothing known.
    pub malformed: u64,
    /// Frames without a field that has to be there.
    pub missing_field: u64,
    /// Frames with more fields than any honest one has.
    pub too_many_fields: u64,
    /// Frames for users who are not on this link.
    pub foreign_user: u64,
    /// Texts that were no UTF-8, or held characters that XML cannot carry; they were repaired.
    pub repaired_text: u64,
    /// Frames that were too long to be sent, and answers to questions nobody asked.
    pub dropped: u64,
}

impl WireCounters {
    /// How many frames went nowhere.
    pub fn skipped(&self) -> u64 {
        self.unknown_type + self.malformed + self.missing_field + self.too_many_fields + self.foreign_user + self.dropped
    }

    pub(super) fn violation(&mut self, violation: Violation) {
        let counter = match violation {
            Violation::UnknownType => &mut self.unknown_type,
            Violation::Malformed => &mut self.malformed,
            Violation::Missing => &mut self.missing_field,
            Violation::TooManyFields => &mut self.too_many_fields,
            Violation::ForeignUser => &mut self.foreign_user,
        };
        *counter += 1;
    }
}

/// Why a frame was skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Violation {
    UnknownType,
    Malformed,
    Missing,
    TooManyFields,
    ForeignUser,
}

impl From<prost::DecodeError> for Violation {
    fn from(_: prost::DecodeError) -> Self {
        Self::Malformed
    }
}
