//! Sealing of secrets at rest: XChaCha20-Poly1305, one data key per user, wrapped by the instance's key.
//!
//! The key file holds one key per line, `ID BASE64`, the current one first. A file with more than one line rotates: at
//! the next start the data keys that an older line opens are wrapped anew with the first, and then the older lines may
//! go. The sealed values themselves are never touched by a rotation. Back the file up apart from the database: neither
//! is worth anything without the other.
//!
//! A sealed value is `version ‖ key id ‖ nonce ‖ ciphertext`; its associated data names instance, user and column, so that
//! a value moved to another row does not open.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::store::StoreError;

const VERSION: u8 = 1;
const ID_BYTES: usize = 4;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;
/// A key file larger than this is none of ours; 64 KiB are some 1,000 keys.
const MAX_FILE_BYTES: u64 = 64 * 1024;
const CANARY: &[u8] = b"spectrum canary";

/// A key and its id. Wiped when dropped, never printed.
pub(crate) struct SealKey {
    id: [u8; ID_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// What a sealed value is bound to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The instance's JID.
    pub(crate) instance: &'a str,
    /// The user's key; empty for the instance's own values.
    pub(crate) user: &'a str,
    /// Which value.
    pub(crate) column: &'static str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.instance.len() + self.user.len() + self.column.len() + 12);
        // Each part behind its length: no two places give the same bytes.
        for part in [self.instance, self.user, self.column] {
            data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }

    fn refused(&self) -> StoreError {
        StoreError::Sealed {
            user: self.user.to_owned(),
            column: self.column,
        }
    }
}

impl SealKey {
    /// Makes a new key.
    pub(crate) fn generate() -> Result<Self, StoreError> {
        let mut id = [0; ID_BYTES];
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut id).map_err(|_| StoreError::Random)?;
        getrandom::fill(key.as_mut_slice()).map_err(|_| StoreError::Random)?;
        Ok(Self { id, key })
    }

    /// Seals a value for a place.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::Random)?;
        let payload = Payload {
            msg: value,
            aad: &place.associated_data(),
        };
        let sealed = XChaCha20Poly1305::new(&(*self.key).into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| place.refused())?;
        let mut record = Vec::with_capacity(HEADER_BYTES + sealed.len());
        record.push(VERSION);
        record.extend_from_slice(&self.id);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    /// Opens a value of a place.
    pub(crate) fn open(&self, place: Place<'_>, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let (nonce, sealed) = match record.split_at_checked(HEADER_BYTES) {
            Some((header, sealed)) if header[0] == VERSION && header[1..=ID_BYTES] == self.id => {
                (&header[1 + ID_BYTES..], sealed)
            }
            _ => return Err(place.refused()),
        };
        let nonce = XNonce::try_from(nonce).map_err(|_| place.refused())?;
        let payload = Payload {
            msg: sealed,
            aad: &place.associated_data(),
        };
        XChaCha20Poly1305::new(&(*self.key).into())
            .decrypt(&nonce, payload)
            .map(Zeroizing::new)
            .map_err(|_| place.refused())
    }

    /// The id as text.
    pub(crate) fn id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The instance's keys, the current one first; seals the data keys of users.
pub(crate) struct Keyring {
    keys: Vec<SealKey>,
}

impl Keyring {
    fn current(&self) -> &SealKey {
        &self.keys[0] // KeyFile never makes an empty ring.
    }

    /// The id of the current key.
    pub(crate) fn current_id(&self) -> String {
        self.current().id()
    }

    /// True if `wrapped` was wrapped with the current key.
    pub(crate) fn is_current(&self, wrapped: &[u8]) -> bool {
        wrapped.get(1..=ID_BYTES) == Some(self.current().id.as_slice())
    }

    /// Wraps a user's data key.
    pub(crate) fn wrap(&self, instance: &str, user: &str, data: &SealKey) -> Result<Vec<u8>, StoreError> {
        let mut plain = Zeroizing::new([0; ID_BYTES + KEY_BYTES]);
        plain[..ID_BYTES].copy_from_slice(&data.id);
        plain[ID_BYTES..].copy_from_slice(data.key.as_slice());
        self.current().seal(data_key_place(instance, user), plain.as_slice())
    }

    /// Unwraps a user's data key with whichever key wrapped it.
    pub(crate) fn unwrap(&self, instance: &str, user: &str, wrapped: &[u8]) -> Result<SealKey, StoreError> {
        let place = data_key_place(instance, user);
        let plain = self.open(place, wrapped)?;
        let (id, key) = plain.split_at_checked(ID_BYTES).ok_or_else(|| place.refused())?;
        Ok(SealKey {
            id: id.try_into().map_err(|_| place.refused())?,
            key: Zeroizing::new(key.try_into().map_err(|_| place.refused())?),
        })
    }

    /// A row that only the current key opens.
    pub(crate) fn canary(&self, instance: &str) -> Result<Vec<u8>, StoreError> {
        self.current().seal(canary_place(instance), CANARY)
    }

    /// True if one of the keys opens the canary.
    pub(crate) fn knows_canary(&self, instance: &str, canary: &[u8]) -> bool {
        self.open(canary_place(instance), canary)
            .is_ok_and(|plain| plain.as_slice() == CANARY)
    }

    fn open(&self, place: Place<'_>, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let id = record.get(1..=ID_BYTES).ok_or_else(|| place.refused())?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| place.refused())?;
        key.open(place, record)
    }
}

fn data_key_place<'a>(instance: &'a str, user: &'a str) -> Place<'a> {
    Place {
        instance,
        user,
        column: "data_key",
    }
}

fn canary_place(instance: &str) -> Place<'_> {
    Place {
        instance,
        user: "",
        column: "canary",
    }
}

/// The file that holds the instance's keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// systemd hands a credential over with an access list, which looks like group permissions.
    is_credential: bool,
}

impl KeyFile {
    /// The file at `path`. `$CREDENTIALS_DIRECTORY` in front of it stands for `credentials`, the directory where systemd
    /// puts them.
    pub fn new(path: &Path, credentials: Option<&Path>) -> Self {
        match (path.strip_prefix("$CREDENTIALS_DIRECTORY"), credentials) {
            (Ok(name), Some(directory)) => Self {
                path: directory.join(name),
                is_credential: true,
            },
            _ => Self {
                path: path.to_owned(),
                is_credential: false,
            },
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a new key in front of those in the file; the next start wraps every data key with it.
    ///
    /// # Errors
    /// [`StoreError::KeyMissing`] without a file, [`StoreError::KeyMalformed`], [`StoreError::KeyFile`] where the file
    /// cannot be replaced, as with a systemd credential.
    pub fn rotate(&self) -> Result<(), StoreError> {
        let mut ring = self
            .load()?
            .ok_or_else(|| StoreError::KeyMissing { path: self.path.clone() })?;
        ring.keys.insert(0, SealKey::generate()?);
        self.write(&ring)
    }

    /// Reads the keys; `None` if there is no file.
    pub(crate) fn load(&self) -> Result<Option<Keyring>, StoreError> {
        let failed = |source| StoreError::KeyFile {
            path: self.path.clone(),
            source,
        };
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if metadata.len() > MAX_FILE_BYTES {
            return Err(StoreError::KeyMalformed {
                path: self.path.clone(),
                line: 1,
            });
        }
        if metadata.mode() & 0o077 != 0 && !self.is_credential {
            tracing::warn!(path = %self.path.display(), "Others may read the key file; its mode should be 0600.");
        }
        let text = Zeroizing::new(fs::read_to_string(&self.path).map_err(failed)?);
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line).ok_or_else(|| StoreError::KeyMalformed {
                path: self.path.clone(),
                line: index + 1,
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(StoreError::KeyMalformed {
                path: self.path.clone(),
                line: 1,
            });
        }
        Ok(Some(Keyring { keys }))
    }

    /// Makes the file with a new key in it.
    pub(crate) fn create(&self) -> Result<Keyring, StoreError> {
        let ring = Keyring {
            keys: vec![SealKey::generate()?],
        };
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).map_err(|source| StoreError::Create {
                path: parent.to_owned(),
                source,
            })?;
        }
        self.write(&ring)?;
        Ok(ring)
    }

    /// Replaces the file in one step: a crash leaves the old one or the new one.
    fn write(&self, ring: &Keyring) -> Result<(), StoreError> {
        let failed = |source| StoreError::KeyFile {
            path: self.path.clone(),
            source,
        };
        let mut text = Zeroizing::new(String::from(
            "# Opens the passwords in the database. Back it up apart from it.\n",
        ));
        for key in &ring.keys {
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(key.key.as_slice()));
            text.push_str(&format!("{} {}\n", key.id(), encoded.as_str()));
        }
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed)?;
        // Root may rotate the key of an instance that runs as somebody else.
        if let Ok(old) = fs::metadata(&self.path)
            && fs::metadata(&new).is_ok_and(|made| made.uid() != old.uid() || made.gid() != old.gid())
        {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid())).map_err(failed)?;
        }
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        fs::rename(&new, &self.path).map_err(failed)?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(parent)
                .and_then(|directory| directory.sync_all())
                .map_err(failed)?;
        }
        Ok(())
    }
}

fn parse_line(line: &str) -> Option<SealKey> {
    let (id, key) = line.trim().split_once(' ')?;
    let id = u32::from_str_radix(id, 16).ok().filter(|_| id.len() == 2 * ID_BYTES)?;
    let key = Zeroizing::new(BASE64_STANDARD.decode(key.trim()).ok()?);
    Some(SealKey {
        id: id.to_be_bytes(),
        key: Zeroizing::new(key.as_slice().try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HERE: Place<'static> = Place {
        instance: "irc.localhost",
        user: "romeo@localhost",
        column: "secret",
    };

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let key = SealKey::generate().unwrap();
        let sealed = key.seal(HERE, b"hunter2").unwrap();
        assert_eq!(key.open(HERE, &sealed).unwrap().as_slice(), b"hunter2");
        for elsewhere in [
            Place {
                user: "juliet@localhost",
                ..HERE
            },
            Place { column: "room", ..HERE },
            Place {
                instance: "xmpp.localhost",
                ..HERE
            },
            Place {
                instance: "irc.localhostromeo",
                user: "@localhost",
                ..HERE
            },
        ] {
            assert!(matches!(key.open(elsewhere, &sealed), Err(StoreError::Sealed { .. })));
        }
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let key = SealKey::generate().unwrap();
        let sealed = key.seal(HERE, b"hunter2").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(HERE, &damaged).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key.open(HERE, &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn two_sealings_of_one_value_differ() {
        let key = SealKey::generate().unwrap();
        assert_ne!(key.seal(HERE, b"x").unwrap(), key.seal(HERE, b"x").unwrap());
    }

    #[test]
    fn key_file_is_made_with_mode_0600_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(&directory.path().join("sub/key"), None);
        let ring = file.create().unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        let data = SealKey::generate().unwrap();
        let wrapped = ring.wrap("i", "u", &data).unwrap();
        let again = file.load().unwrap().unwrap();
        assert_eq!(*again.unwrap("i", "u", &wrapped).unwrap().key, *data.key);
        assert!(again.unwrap("i", "v", &wrapped).is_err());
    }

    #[test]
    fn rotated_file_opens_old_and_wraps_with_new() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(&directory.path().join("key"), None);
        let old = file.create().unwrap();
        let wrapped = old.wrap("i", "u", &SealKey::generate().unwrap()).unwrap();
        file.rotate().unwrap();
        let ring = file.load().unwrap().unwrap();
        assert!(!ring.is_current(&wrapped));
        let data = ring.unwrap("i", "u", &wrapped).unwrap();
        assert!(ring.is_current(&ring.wrap("i", "u", &data).unwrap()));
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn malformed_key_file_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(&directory.path().join("key"), None);
        for (text, expected) in [
            ("", 1),
            ("# only words\n", 1),
            ("# a\nnonsense\n", 2),
            ("0000000a c2hvcnQ=\n", 1),
        ] {
            fs::write(file.path(), text).unwrap();
            match file.load() {
                Err(StoreError::KeyMalformed { line, .. }) => assert_eq!(line, expected, "{text:?}"),
                _ => panic!("{text:?} was taken for a key"),
            }
        }
    }

    #[test]
    fn credentials_directory_stands_in_front() {
        let file = KeyFile::new(
            Path::new("$CREDENTIALS_DIRECTORY/storage.key"),
            Some(Path::new("/run/credentials/x")),
        );
        assert_eq!(file.path(), Path::new("/run/credentials/x/storage.key"));
    }
}
