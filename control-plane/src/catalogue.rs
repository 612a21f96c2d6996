//! The built-in connectors: the data files in `control-plane/connectors`, embedded in the binary.
//!
//! A file is a manifest like any other: one document of `kind: Connector` without an org, whose name is the file's.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hookplane_proto::v1;
use hookplane_proto::v1::manifest::Resource;

use crate::manifest::{self, Document};

/// Name and text of each file, in order.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/connectors.rs"));

/// All built-in connectors, by name.
#[derive(Clone)]
pub struct Catalogue {
    connectors: Arc<BTreeMap<String, v1::Connector>>,
}

impl Catalogue {
    /// Reads the embedded files, once per process. An error names file, line and field; the tests read them all, so a release has
    /// none.
    pub fn built_in() -> Result<Self, String> {
        static ONCE: OnceLock<Result<Catalogue, String>> = OnceLock::new();
        ONCE.get_or_init(|| Self::read(FILES)).clone()
    }

    /// Reads files of the same form as the built-in ones: each with its name and text.
    pub fn read(files: &[(&str, &str)]) -> Result<Self, String> {
        let mut connectors = BTreeMap::new();
        for (file, text) in files {
            let (_, connector) = connector_of(file, text)?;
            let name = connector.metadata.clone().unwrap_or_default().name;
            connectors.insert(name, connector);
        }
        Ok(Self {
            connectors: Arc::new(connectors),
        })
    }

    /// One by its id.
    pub fn get(&self, name: &str) -> Option<&v1::Connector> {
        self.connectors.get(name)
    }

    /// All, in order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &v1::Connector> {
        self.connectors.values()
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
    if file.strip_suffix(".yaml") != Some(&metadata.name) || !metadata.org.is_empty() {
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
    use hookplane_rules::Connector;

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
        assert_eq!(Catalogue::built_in()?.all().count(), FILES.len());
        Ok(())
    }

    #[test]
    fn connectors_are_found_by_id_and_listed_in_order() -> Result<(), String> {
        let catalogue =
            Catalogue::read(&[("tiny-token.yaml", TINY_TOKEN), ("tiny-hmac.yaml", TINY)])?;
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
        Ok(())
    }

    #[test]
    fn an_error_names_file_line_and_field() {
        let broken = TINY.replace("contentTypes", "contentType");
        let error = Catalogue::read(&[("tiny-hmac.yaml", &broken)])
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
        assert!(Catalogue::read(&[("other.yaml", TINY)]).is_err());
        let org = "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: a}\n";
        assert!(Catalogue::read(&[("a.yaml", org)]).is_err());
    }
}
