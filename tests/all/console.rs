//! The console, over real HTTP: what a browser is answered, whatever the page looks like in it.

mod browser;
mod came;
mod destinations;
mod fleet;
mod form;
mod groups;
mod kept;
mod live;
mod log_away;
mod mapping;
mod sign_in;
mod tokens;
mod webhooks;

use hookplane_tests::http::{Answer, Connection};
use hookplane_tests::product::{Dev, eventually};

/// Somebody at a browser without scripts: a cookie, and forms that are sent as a browser sends them.
pub(crate) struct Visitor {
    base: String,
    cookie: Option<String>,
}

impl Visitor {
    /// Nobody yet. What `dev` sets up at first is there: the API answers before that.
    pub(crate) fn at(dev: &Dev) -> Self {
        eventually("dev has said all it says", || {
            dev.printed().contains("Ctrl-C ends it").then_some(())
        });
        Self {
            base: dev.api_url(),
            cookie: None,
        }
    }

    /// Signed in with this token.
    pub(crate) fn signed_in(dev: &Dev, token: &str) -> Self {
        let mut visitor = Self::at(dev);
        let answer = visitor.sign_in(token);
        assert_eq!(answer.status, 303, "{}", text(&answer));
        visitor
    }

    pub(crate) fn sign_in(&mut self, token: &str) -> Answer {
        let answer = self.send("/sign-in", &[("token", token)], &same_origin());
        self.keep(&answer);
        answer
    }

    /// Takes the cookie that an answer sets.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Vec::new(), b"")
    }

    /// As a script does that asks for a part of the page that it is on.
    pub(crate) fn part(&self, path: &str, page: &str) -> Answer {
        let headers = [
            ("hx-request", "true".to_owned()),
            ("hx-current-url", format!("{}{page}", self.base)),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        self.ask("GET", path, headers.into(), b"")
    }

    /// Opens it and reads on for as long as it goes.
    pub(crate) fn stream(&self, path: &str) -> live::Stream {
        let cookie = self.cookie.as_deref().unwrap_or_default();
        live::Stream::open(&self.base, path, cookie)
    }

    /// The page, which is there.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", text(&answer));
        text(&answer)
    }

    /// Sends a form of the page at `path`, with the mark that it has.
    pub(crate) fn post(&self, path: &str, from: &str, fields: &[(&str, &str)]) -> Answer {
        let mark = mark(&self.page(from));
        let mut all = vec![("mark", mark.as_str())];
        all.extend_from_slice(fields);
        self.send(path, &all, &same_origin())
    }

    /// Sends fields with headers of one's own.
    pub(crate) fn send(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let headers = headers
            .iter()
            .chain(&[("content-type", "application/x-www-form-urlencoded")])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.ask("POST", path, headers.collect(), body.finish().as_bytes())
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        mut headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Answer {
        if let Some(cookie) = &self.cookie {
            headers.push(("cookie".to_owned(), cookie.clone()));
        }
        let url = format!("{}{path}", self.base);
        Connection::open(&url)
            .expect("connects")
            .request(method, &url, &headers, body)
            .expect("answers")
    }
}

/// What a browser says of a form of the same site.
pub(crate) fn same_origin() -> [(&'static str, &'static str); 1] {
    [("sec-fetch-site", "same-origin")]
}

pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The session's, as forms carry it.
pub(crate) fn mark(page: &str) -> String {
    let (_, rest) = page
        .split_once(r#"name="mark" value=""#)
        .expect("the page has a form");
    rest.split('"').next().expect("a value").to_owned()
}
