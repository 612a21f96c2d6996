//! Secrets at rest: sealed with an authenticated cipher, bound to the resource they belong to.
//!
//! A sealed secret is `version (1 byte) | nonce (24 bytes) | XChaCha20-Poly1305 ciphertext and tag`. The associated data is the version,
//! the resource's uid and the field, each with its length, so that a sealed secret copied to another resource or field doesn't open.
//! Nonces are random: 192 bits are enough for any number of secrets.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use hookplane_proto::v1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The only form so far. A later one gets another number.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// A key file is 64 hex digits and perhaps a line end; anything much longer is another file.
const MAX_KEY_FILE_BYTES: u64 = 256;

/// The key that seals secrets. It lives in a file of its own, never in the store.
pub struct SealKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// A sealed secret that can't be opened: another key, another resource, or damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed secret of {uid} can't be opened: the seal key is not the one it was sealed with, or it is damaged"
)]
pub struct SealError {
    /// The resource.
    pub uid: String,
}

/// The field that a signature secret is sealed for: its name.
pub fn secret_field(name: &str) -> &str {
    name
}

/// The field that a secret parameter is sealed for. Names of secrets have no dot, so it is never that of a signature secret.
pub fn parameter_field(name: &str) -> String {
    format!("parameters.{name}")
}

impl SealKey {
    /// A key for something else than sealing, from which this one can't be told.
    pub fn derived(&self, purpose: &str) -> [u8; KEY_BYTES] {
        // Any length is a key for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()).expect("any key length");
        mac.update(b"hookplane derived key 1 ");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Reads the key file; refuses one that others can read.
    pub fn load(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(|e| at(path, &e))?;
        Self::read(path, file)
    }

    /// Reads the key file, or makes it (mode 0600, synced) when there is none.
    ///
    /// The key is written under another name and linked into place, so that a crash never leaves half a key and of two starters both get
    /// the same one.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => return Self::read(path, file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(at(path, &e)),
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        getrandom::fill(key.as_mut()).map_err(random)?;
        let mut unique = [0u8; 8];
        getrandom::fill(&mut unique).map_err(random)?;
        let fresh = directory.join(format!(".seal-key-{}", hex::encode(unique)));
        let made = write_new(&fresh, &key).and_then(|()| std::fs::hard_link(&fresh, path));
        let removed = std::fs::remove_file(&fresh);
        match made {
            Ok(()) => removed?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => removed?,
            Err(e) => return Err(at(path, &e)),
        }
        File::open(directory)?.sync_all()?;
        Self::load(path)
    }

    fn read(path: &Path, file: File) -> io::Result<Self> {
        refuse_readable_by_others(path, &file)?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| at(path, &e))?;
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} is no seal key: it must hold 64 hex digits. Restore it from its backup; secrets sealed with another key can't be opened",
                    path.display()
                ),
            )
        })?;
        Ok(Self { key })
    }

    /// Seals `plain`, which belongs to the resource `uid` and is its `field`.
    pub fn seal(&self, uid: &str, field: &str, plain: &[u8]) -> io::Result<Bytes> {
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(random)?;
        let sealed = self
            .cipher()
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: &associated(uid, field),
                },
            )
            .map_err(|_| io::Error::other("a secret is too long to be sealed"))?;
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out.into())
    }

    /// Opens what was sealed for this `uid` and `field`.
    pub fn open(
        &self,
        uid: &str,
        field: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let refused = || SealError {
            uid: uid.to_owned(),
        };
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(refused());
        };
        let Some((nonce, ciphertext)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(refused());
        };
        self.cipher()
            .decrypt(
                &XNonce::from(*nonce),
                Payload {
                    msg: ciphertext,
                    aad: &associated(uid, field),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| refused())
    }

    /// A stored group with its secrets and secret parameters opened: what `hookplane_rules` compiles and listeners get.
    pub fn open_group(&self, stored: &v1::WebhookGroup) -> Result<v1::WebhookGroup, SealError> {
        let mut group = stored.clone();
        let uid = group
            .metadata
            .as_ref()
            .map(|m| m.uid.clone())
            .unwrap_or_default();
        if let Some(spec) = &mut group.spec {
            for secret in &mut spec.signature_secrets {
                if !secret.sealed.is_empty() {
                    secret.value =
                        self.open_text(&uid, secret_field(&secret.name), &secret.sealed)?;
                    secret.sealed = Bytes::new();
                }
            }
            for (name, sealed) in std::mem::take(&mut spec.sealed_parameters) {
                let value = self.open_text(&uid, &parameter_field(&name), &sealed)?;
                spec.parameters.insert(name, value);
            }
        }
        Ok(group)
    }

    /// The same for what is text.
    pub(crate) fn open_text(
        &self,
        uid: &str,
        field: &str,
        sealed: &[u8],
    ) -> Result<String, SealError> {
        let plain = self.open(uid, field, sealed)?;
        std::str::from_utf8(&plain)
            .map(str::to_owned)
            .map_err(|_| SealError {
                uid: uid.to_owned(),
            })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
    }
}

/// Lengths go first, so that no two pairs of uid and field give the same bytes.
fn associated(uid: &str, field: &str) -> Vec<u8> {
    let mut aad = vec![VERSION];
    for part in [uid, field] {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

fn write_new(path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut text = Zeroizing::new(hex::encode(key));
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} can be read by others (mode {mode:o}): run `chmod 600 {}`",
            path.display(),
            path.display()
        ),
    ))
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("seal key {}: {error}", path.display()),
    )
}

fn random(error: getrandom::Error) -> io::Error {
    io::Error::other(format!("no randomness from the system: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key() -> (tempfile::TempDir, SealKey) {
        let dir = tempfile::tempdir().unwrap();
        let key = SealKey::load_or_create(&dir.path().join("seal.key")).unwrap();
        (dir, key)
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_uid_and_field_only() {
        let (_dir, key) = key();
        let sealed = key.seal("uid-1", "secret-1", b"s3cret").unwrap();
        assert_eq!(
            key.open("uid-1", "secret-1", &sealed).unwrap().as_slice(),
            b"s3cret"
        );
        assert!(key.open("uid-2", "secret-1", &sealed).is_err());
        assert!(key.open("uid-1", "secret-2", &sealed).is_err());
        // The border between uid and field is part of what is bound.
        assert!(key.open("uid-1s", "ecret-1", &sealed).is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let (_dir, key) = key();
        let sealed = key.seal("u", "f", b"value").unwrap();
        for i in 0..sealed.len() {
            let mut bent = sealed.to_vec();
            bent[i] ^= 1;
            assert!(key.open("u", "f", &bent).is_err(), "byte {i}");
        }
        for length in 0..sealed.len() {
            assert!(
                key.open("u", "f", &sealed[..length]).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn the_plain_text_is_not_in_the_sealed_form_and_seals_differ() {
        let (_dir, key) = key();
        let one = key.seal("u", "f", b"a-long-planted-secret").unwrap();
        let two = key.seal("u", "f", b"a-long-planted-secret").unwrap();
        assert_ne!(one, two);
        assert!(!one.windows(7).any(|w| w == b"planted"));
    }

    #[test]
    fn the_key_file_is_private_and_the_same_after_a_restart() {
        let (dir, key) = key();
        let path = dir.path().join("seal.key");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let sealed = key.seal("u", "f", b"v").unwrap();
        let again = SealKey::load_or_create(&path).unwrap();
        assert_eq!(again.open("u", "f", &sealed).unwrap().as_slice(), b"v");
        // Nothing but the key is left in the directory.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let (dir, _key) = key();
        let path = dir.path().join("seal.key");
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = SealKey::load(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_damaged_key_file_is_refused_without_showing_it() {
        let (dir, _key) = key();
        let path = dir.path().join("seal.key");
        std::fs::write(&path, "not-the-key-you-want").unwrap();
        let error = SealKey::load(&path).unwrap_err();
        assert!(!error.to_string().contains("not-the-key"), "{error}");
        assert!(SealKey::load(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn derived_keys_differ_by_what_they_are_for_and_stay() {
        let (dir, key) = key();
        let again = SealKey::load(&dir.path().join("seal.key")).unwrap();
        assert_eq!(key.derived("a"), again.derived("a"));
        assert_ne!(key.derived("a"), key.derived("b"));
        assert_ne!(key.derived("a").as_slice(), key.key.as_slice());
    }

    #[test]
    fn debug_shows_no_key() {
        let (_dir, key) = key();
        assert_eq!(format!("{key:?}"), "SealKey(..)");
    }

    #[test]
    fn a_group_is_opened_whole_or_not_at_all() {
        let (_dir, key) = key();
        let mut group = v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                uid: "g".into(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookGroupSpec {
                signature_secrets: vec![v1::SignatureSecret {
                    name: "secret-1".into(),
                    value: String::new(),
                    sealed: key.seal("g", secret_field("secret-1"), b"one").unwrap(),
                }],
                ..Default::default()
            }),
            status: None,
        };
        if let Some(spec) = &mut group.spec {
            spec.sealed_parameters.insert(
                "verify_token".into(),
                key.seal("g", &parameter_field("verify_token"), b"two")
                    .unwrap(),
            );
        }
        let opened = key.open_group(&group).unwrap().spec.unwrap();
        assert_eq!(opened.signature_secrets[0].value, "one");
        assert_eq!(opened.parameters["verify_token"], "two");
        assert!(opened.sealed_parameters.is_empty());
        if let Some(metadata) = &mut group.metadata {
            metadata.uid = "another".into();
        }
        assert!(key.open_group(&group).is_err());
    }
}
