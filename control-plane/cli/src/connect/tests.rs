//! Which address and which token.

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hookplane-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, file: &str, text: &str) -> Self {
        std::fs::write(self.0.join(file), text).unwrap();
        self
    }

    fn options(&self, api: Option<&str>, token: Option<&str>) -> Options {
        let client = Client {
            api: api.map(str::to_owned),
            token: token.map(str::to_owned),
            data_dir: Some(self.0.clone()),
            ..Client::default()
        };
        Options::new(&Top::default(), &client)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn address_and_token_come_from_the_data_directory() {
    let folder = Folder::new("both")
        .with(API_FILE, "http://127.0.0.1:9\n")
        .with(TOKEN_FILE, "t0\n");
    let target = Target::resolve(&folder.options(None, None)).unwrap();
    assert_eq!(
        target,
        Target {
            url: "http://127.0.0.1:9".into(),
            token: Some("t0".into()),
            kept_back: false,
            ca_file: None,
            insecure_plaintext: false
        }
    );
}

#[test]
fn address_and_token_are_told_independently() {
    let folder = Folder::new("apart")
        .with(API_FILE, "http://127.0.0.1:9")
        .with(TOKEN_FILE, "t0");
    let target = Target::resolve(&folder.options(Some("127.0.0.1:7"), None)).unwrap();
    assert_eq!(
        (target.url.as_str(), target.token.as_deref()),
        ("http://127.0.0.1:7", Some("t0"))
    );
    let target = Target::resolve(&folder.options(None, Some("mine"))).unwrap();
    assert_eq!(
        (target.url.as_str(), target.token.as_deref()),
        ("http://127.0.0.1:9", Some("mine"))
    );
}

#[test]
fn the_data_directorys_token_goes_to_loopback_only() {
    let folder = Folder::new("loopback").with(TOKEN_FILE, "t0");
    for away in [
        "http://10.0.0.1:8081",
        "http://hooks.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
    ] {
        let target = Target::resolve(&folder.options(Some(away), None)).unwrap();
        assert_eq!((target.token, target.kept_back), (None, true), "{away}");
    }
    for here in ["http://127.0.0.2:1", "http://[::1]:1", "http://localhost:1"] {
        let target = Target::resolve(&folder.options(Some(here), None)).unwrap();
        assert_eq!(target.token.as_deref(), Some("t0"), "{here}");
    }
    let target = Target::resolve(&folder.options(Some("http://10.0.0.1"), Some("mine"))).unwrap();
    assert_eq!(
        target.token.as_deref(),
        Some("mine"),
        "one that was given goes where it was sent"
    );
}

#[test]
fn a_token_goes_over_plain_http_to_loopback_only_unless_told() {
    for url in [
        "http://10.0.0.1",
        "http://hooks.example.com:8081",
        "http://localhost.example.com",
    ] {
        assert!(refuse_plaintext(url, false).is_err(), "{url}");
        assert!(refuse_plaintext(url, true).is_ok(), "{url}");
    }
    for url in ["https://10.0.0.1", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert!(refuse_plaintext(url, false).is_ok(), "{url}");
    }
}

#[test]
fn flags_win_over_the_environment() {
    let top = Top {
        api: Some("http://env".into()),
        token: Some("env".into()),
        ..Top::default()
    };
    let client = Client {
        api: Some("http://flag".into()),
        ..Client::default()
    };
    let target = Target::resolve(&Options::new(&top, &client)).unwrap();
    assert_eq!(
        (target.url.as_str(), target.token.as_deref()),
        ("http://flag", Some("env"))
    );
}

#[test]
fn without_an_address_the_hint_says_what_to_start() {
    let folder = Folder::new("none");
    let Err(Failure::Failed {
        hint: Some(hint), ..
    }) = Target::resolve(&folder.options(None, None))
    else {
        panic!("refused with a hint");
    };
    assert!(hint.contains("hookplane dev"));
}

#[test]
fn other_schemes_are_wrong_usage() {
    let folder = Folder::new("scheme");
    for url in ["unix://a", "ftp://a"] {
        assert!(
            matches!(
                Target::resolve(&folder.options(Some(url), None)),
                Err(Failure::Usage(_))
            ),
            "{url}"
        );
    }
}
