//! Files that the servers keep for themselves: a token, the seal key, the address of the API. Each is made once, whole or not at all, and only its
//! owner may read it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hookplane_control_plane::seal::SealKey;

use crate::connect::{API_FILE, TOKEN_FILE};
use crate::failure::Failure;

/// In the data directory: the key that seals secrets.
const SEAL_KEY_FILE: &str = "seal.key";
/// Of the token: 256 random bits.
const TOKEN_BYTES: usize = 32;

/// A token that somebody else wrote into the file: fewer can be guessed.
const MIN_TOKEN_CHARS: usize = 16;
/// In the data directory: what is sealed with the key.
const SEALED_FILE: &str = "config.db";

fn is_token(text: &str) -> bool {
    text.len() >= MIN_TOKEN_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An open data directory, as `dev` has one.
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Makes it when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!("data directory {}: {error}", path.display()))
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(failed)?;
        // Absolute, since it is printed for other terminals.
        Ok(Self(path.canonicalize().map_err(failed)?))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the token is.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.0.join(TOKEN_FILE)
    }

    /// Where the seal key is.
    pub(crate) fn seal_key_file(&self) -> PathBuf {
        self.0.join(SEAL_KEY_FILE)
    }

    /// Says where the API is.
    pub(crate) fn write_api(&self, url: &str) -> Result<(), Failure> {
        write(&self.0.join(API_FILE), url)
    }
}

/// A token, and whether it was made just now.
pub(crate) struct Token {
    /// Secret.
    pub(crate) text: String,
    /// Whoever started us doesn't know it yet.
    pub(crate) made: bool,
}

/// The token in this file, made when there is none.
pub(crate) fn token_made_once(path: &Path) -> Result<Token, Failure> {
    const ANEW: &str = "remove it to have a new one made";
    refuse_open(path, 0o077, ANEW)?;
    let read =
        read_token(path).map_err(|failure| failure.hint(format!("restore it, or {ANEW}")))?;
    if let Some(text) = read {
        return Ok(Token { text, made: false });
    }
    let text = random_hex(TOKEN_BYTES)?;
    write(path, &text)?;
    Ok(Token { text, made: true })
}

/// A token that somebody else keeps in this file. Its group may read it: that is how orchestrators hand out secrets.
pub(crate) fn given_token(path: &Path) -> Result<String, Failure> {
    const GIVEN: &str = "have one made: `hookplane token create` prints it";
    refuse_open(path, 0o037, GIVEN)?;
    let none = || Failure::new(format!("there is no token in {}", path.display()));
    read_token(path)
        .and_then(|text| text.ok_or_else(none))
        .map_err(|failure| failure.hint(GIVEN))
}

/// None when there is no file, or nothing in it.
fn read_token(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) if is_token(text.trim()) => Ok(Some(text.trim().to_owned())),
        Ok(text) if !text.trim().is_empty() => Err(Failure::new(format!(
            "{} holds no token: at least {MIN_TOKEN_CHARS} characters without spaces",
            path.display()
        ))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format!("read {}: {error}", path.display()))),
    }
}

/// The key that seals the secrets in the store of this directory, made once. Before the store is opened: a store without its key has lost it.
pub(crate) fn seal_key(path: &Path, store: &Path) -> Result<SealKey, Failure> {
    if !path.exists() && store.join(SEALED_FILE).exists() {
        return Err(Failure::new(format!(
            "{} is missing, and what {} holds is sealed with it",
            path.display(),
            store.join(SEALED_FILE).display()
        ))
        .hint("restore it from a backup, or move the directory away to begin anew"));
    }
    SealKey::load_or_create(path).map_err(|error| Failure::new(error.to_string()))
}

/// A password that somebody else wrote into this file; without the line's end.
pub(crate) fn password(path: &Path) -> Result<String, Failure> {
    const GIVEN: &str = "write the password into it, for its owner and group alone";
    refuse_open(path, 0o037, GIVEN)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        let none = format!("there is no password in {}", path.display());
        return Err(Failure::new(none).hint(GIVEN));
    }
    Ok(text.to_owned())
}

/// Whole or not at all, readable by the owner alone.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut next = path.as_os_str().to_owned();
    next.push(".new");
    let next = PathBuf::from(next);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let written = (|| {
        // One left by a run that was killed may have another mode.
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&next)?;
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&next, path)?;
        std::fs::File::open(directory)?.sync_all()
    })();
    written.map_err(|error| Failure::new(format!("write {}: {error}", path.display())))
}

/// Whoever could read the token may have it already, so the mode isn't mended in silence. `others` are the bits that nobody may have,
/// `anew` is how to come by another one.
#[cfg(unix)]
fn refuse_open(path: &Path, others: u32, anew: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::new(format!("read {}: {error}", path.display()))),
    };
    if mode & others == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(
        Failure::new(format!("{path} can be read by others (mode {mode:o})")).hint(format!(
            "{anew}; or run `chmod 600 {path}` if nobody else has read it"
        )),
    )
}

#[cfg(not(unix))]
fn refuse_open(_path: &Path, _others: u32, _anew: &str) -> Result<(), Failure> {
    Ok(())
}

/// Random bytes as hex.
pub(crate) fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0u8; bytes];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_key_or_a_broken_token_is_an_error_and_never_replaced() -> Result<(), Failure> {
        let path = std::env::temp_dir().join(format!("hookplane-dev-lost-{}", std::process::id()));
        let folder = DataDir::open(&path)?;
        seal_key(&folder.seal_key_file(), &path)?;
        std::fs::write(path.join(SEALED_FILE), "x")?;
        std::fs::remove_file(path.join(SEAL_KEY_FILE))?;
        assert!(seal_key(&folder.seal_key_file(), &path).is_err());
        assert!(!path.join(SEAL_KEY_FILE).exists(), "no new one is made");
        let file = folder.token_file();
        assert!(token_made_once(&file)?.made);
        for bad in [
            "short",
            "with a space in it, long enough",
            "two\nlines-that-are-long-enough",
        ] {
            std::fs::write(path.join(TOKEN_FILE), bad)?;
            assert!(token_made_once(&file).is_err(), "{bad}");
            assert_eq!(std::fs::read_to_string(path.join(TOKEN_FILE))?, bad);
        }
        std::fs::remove_dir_all(&path)?;
        Ok(())
    }

    #[test]
    fn the_token_is_made_once_and_only_its_owner_may_read_it() -> Result<(), Failure> {
        let path = std::env::temp_dir().join(format!("hookplane-dev-files-{}", std::process::id()));
        let folder = DataDir::open(&path)?;
        let token = token_made_once(&folder.token_file())?.text;
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(
            token_made_once(&DataDir::open(&path)?.token_file())?.text,
            token,
            "it survives a restart"
        );
        folder.write_api("http://127.0.0.1:1")?;
        folder.write_api("http://127.0.0.1:2")?;
        assert_eq!(
            std::fs::read_to_string(path.join(API_FILE))?,
            "http://127.0.0.1:2\n"
        );
        #[cfg(unix)]
        for file in [TOKEN_FILE, API_FILE] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                std::fs::metadata(path.join(file))?.permissions().mode() & 0o777,
                0o600
            );
        }
        #[cfg(unix)]
        for mode in [0o640, 0o604, 0o620] {
            use std::os::unix::fs::PermissionsExt as _;
            let file = path.join(TOKEN_FILE);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
            let Err(Failure::Failed { message, .. }) = token_made_once(&file) else {
                panic!("a token with mode {mode:o} is taken");
            };
            assert!(message.contains("read by others"), "{message}");
        }
        let file = folder.token_file();
        #[cfg(unix)]
        for (mode, taken) in [(0o400, true), (0o440, true), (0o644, false), (0o660, false)] {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
            assert_eq!(given_token(&file).is_ok(), taken, "{mode:o}");
        }
        std::fs::remove_dir_all(&path)?;
        Ok(())
    }
}
