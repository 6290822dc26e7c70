//! Small fingerprints of text: the same on every machine and in every version, because some outlive the process.

/// FNV-1a over texts, with a last mix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Of nothing yet; every salt gives another family of fingerprints.
    pub(crate) fn new(salt: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// With this text too; where one text ends matters.
    pub(crate) fn text(mut self, text: &str) -> Self {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self
    }

    /// The number.
    pub(crate) fn finish(self) -> u64 {
        let hash = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^ (hash >> 32)
    }
}

/// The fingerprint of one text.
pub(crate) fn fingerprint(text: &str, salt: u64) -> u64 {
    Fingerprint::new(salt).text(text).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_never_change() {
        assert_eq!(fingerprint("frank", 0), 0x8b48_4eb7_b74f_d4de);
    }

    #[test]
    fn where_a_text_ends_matters() {
        assert_ne!(
            Fingerprint::new(0).text("ab").text("c").finish(),
            Fingerprint::new(0).text("a").text("bc").finish()
        );
    }
}
