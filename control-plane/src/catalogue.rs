//! The built-in connectors: the data files in `control-plane/connectors`, embedded in the binary.
//!
//! A file is a manifest like any other: one document of `kind: Connector` without an org, whose name is the file's.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hookplane_proto::v1;
use hookplane_proto::v1::manifest::Resource;
use hookplane_rules::Connector;

use crate::manifest::{self, Document};

const SUFFIX: &str = ".yaml";
/// Name and text of each file, in order.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/connectors.rs"));

/// All built-in connectors, by name. A file is read when its connector is asked for: a server that starts needs few of them, and soon.
#[derive(Clone)]
pub struct Catalogue {
    entries: Arc<BTreeMap<&'static str, Entry>>,
}

struct Entry {
    file: &'static str,
    text: &'static str,
    connector: OnceLock<Result<v1::Connector, String>>,
    version: OnceLock<String>,
}

impl Catalogue {
    /// The embedded files. The tests read and compile each of them, so that a release has none that can't be read.
    pub fn built_in() -> Self {
        static ONCE: OnceLock<Catalogue> = OnceLock::new();
        ONCE.get_or_init(|| Self::of(FILES)).clone()
    }

    /// Files of the same form as the built-in ones: each with its name and text.
    pub fn of(files: &[(&'static str, &'static str)]) -> Self {
        let entry = |(file, text): &(&'static str, &'static str)| {
            let entry = Entry {
                file,
                text,
                connector: OnceLock::new(),
                version: OnceLock::new(),
            };
            (file.strip_suffix(SUFFIX).unwrap_or(file), entry)
        };
        Self {
            entries: Arc::new(files.iter().map(entry).collect()),
        }
    }

    /// One by its id. None, too, for a file that can't be read.
    pub fn get(&self, name: &str) -> Option<&v1::Connector> {
        self.entries.get(name)?.read().as_ref().ok()
    }

    /// Which version of it this is, as groups pin it. Hashed once: whoever lists groups asks it of each.
    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        let entry = self.entries.get(name)?;
        let spec = entry.read().as_ref().ok()?.spec.as_ref()?;
        let version = entry.version.get_or_init(|| Connector::version_of(spec));
        Some(version)
    }

    /// All, in order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &v1::Connector> {
        let entries = self.entries.values();
        entries.filter_map(|entry| entry.read().as_ref().ok())
    }

    /// All, each with its id, in order.
    pub fn named(&self) -> impl Iterator<Item = (&str, &v1::Connector)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((*name, entry.read().as_ref().ok()?)))
    }

    /// What is wrong with the files: each error with file, line and field.
    pub fn errors(&self) -> Vec<&str> {
        let entries = self.entries.values();
        entries
            .filter_map(|entry| entry.read().as_ref().err())
            .map(String::as_str)
            .collect()
    }
}

impl Entry {
    fn read(&self) -> &Result<v1::Connector, String> {
        self.connector
            .get_or_init(|| connector_of(self.file, self.text).map(|(_, connector)| connector))
    }
}

fn connector_of(file: &str, text: &str) -> Result<(Document, v1::Connector), String> {
    let mut documents = manifest::parse(text)
        .map_err(|error| format!("{file}:{}:{}: {}", error.line, error.column, error.message))?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return Err(format!("{file}: expected one document"));
    };
    let Some(Resource::Connector(connector)) = &document.manifest.resource else {
        let (line, column) = document.locate("kind");
        return Err(format!(
            "{file}:{line}:{column}: kind: expected `Connector`"
        ));
    };
    let connector = connector.clone();
    let metadata = connector.metadata.clone().unwrap_or_default();
    if file.strip_suffix(SUFFIX) != Some(&metadata.name) || !metadata.org.is_empty() {
        let (line, column) = document.locate("metadata.name");
        return Err(format!(
            "{file}:{line}:{column}: metadata.name: must be the file's name, without an org"
        ));
    }
    Ok((document, connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = include_str!("catalogue/testdata/tiny-hmac.yaml");
    const TINY_TOKEN: &str = include_str!("catalogue/testdata/tiny-token.yaml");

    #[test]
    fn every_built_in_file_reads_and_compiles() -> Result<(), String> {
        let mut wrong = Vec::new();
        for (file, text) in FILES {
            let (document, connector) = connector_of(file, text)?;
            for error in Connector::compile(&connector).err().unwrap_or_default() {
                let (line, column) = document.locate(&error.field);
                wrong.push(format!("{file}:{line}:{column}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let catalogue = Catalogue::built_in();
        assert!(catalogue.errors().is_empty());
        assert_eq!(catalogue.all().count(), FILES.len());
        Ok(())
    }

    #[test]
    fn connectors_are_found_by_id_and_listed_in_order() -> Result<(), String> {
        let catalogue = Catalogue::of(&[("tiny-token.yaml", TINY_TOKEN), ("tiny-hmac.yaml", TINY)]);
        let names: Vec<String> = catalogue
            .all()
            .map(|connector| connector.metadata.clone().unwrap_or_default().name)
            .collect();
        assert_eq!(names, ["tiny-hmac", "tiny-token"]);
        let spec = catalogue
            .get("tiny-hmac")
            .and_then(|connector| connector.spec.as_ref())
            .ok_or("not found")?;
        assert_eq!(spec.functions[0].events[0].name, "ping");
        assert!(catalogue.get("other").is_none());
        assert_eq!(
            catalogue.version("tiny-hmac"),
            Some(&*Connector::version_of(spec))
        );
        assert!(catalogue.version("other").is_none());
        // Whoever lists ten thousand groups asks as often.
        let (one, two) = (
            catalogue.version("tiny-hmac"),
            catalogue.version("tiny-hmac"),
        );
        assert!(
            std::ptr::eq(one.unwrap(), two.unwrap()),
            "it was hashed again"
        );
        Ok(())
    }

    #[test]
    fn an_error_names_file_line_and_field() {
        let broken = TINY.replace("contentTypes", "contentType");
        let error = connector_of("tiny-hmac.yaml", &broken)
            .map(|_| ())
            .expect_err("refused");
        let line = TINY
            .lines()
            .position(|line| line.contains("contentTypes"))
            .unwrap()
            + 1;
        assert!(
            error.starts_with(&format!(
                "tiny-hmac.yaml:{line}:5: spec.protocol.contentType: unknown field"
            )),
            "{error}"
        );
    }

    #[test]
    fn a_file_must_carry_its_own_name_and_kind() {
        let other = Catalogue::of(&[("other.yaml", TINY)]);
        assert_eq!((other.errors().len(), other.all().count()), (1, 0));
        assert!(other.get("other").is_none());
        let org = "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: a}\n";
        assert!(connector_of("a.yaml", org).is_err());
    }
}
