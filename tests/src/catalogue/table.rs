//! What the catalogue holds, as a table: schemes, confidence, vectors, and who signed them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hookplane_proto::v1;
use hookplane_proto::v1::Confidence;

use super::{Case, cases, check, connectors, name};

/// Counts over all connectors.
#[derive(Debug, Default)]
pub struct Table {
    connectors: usize,
    functions: usize,
    events: usize,
    /// By scheme: how many connectors of each confidence, and how many of their vectors passed.
    schemes: BTreeMap<&'static str, Row>,
    /// Good vectors by who signed them, and of how many connectors.
    signers: BTreeMap<String, (usize, BTreeSet<String>)>,
    /// Without a good vector, and how many tampered ones they have.
    only_refused: Vec<(String, usize)>,
    unsupported: Vec<(String, String)>,
    limitations: usize,
    failures: Vec<String>,
    thin: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    connectors: BTreeSet<String>,
    verified: BTreeSet<String>,
    documented: BTreeSet<String>,
    unverified: BTreeSet<String>,
    good: usize,
    tampered: usize,
}

/// Fewer would leave a part of the request untampered.
const TAMPERED_AT_LEAST: usize = 8;

/// Their connectors name the one root that a chain may end in, and nobody but the provider has its key: so no good vector can be made, and
/// what must be refused is all that there is.
const ONLY_THE_PROVIDER_SIGNS: &[&str] = &["apple-app-store"];
const TAMPERED_AT_LEAST_THEN: usize = 6;

impl Table {
    /// Runs every vector of every connector.
    pub fn run() -> Self {
        let mut table = Self::default();
        for connector in connectors() {
            table.add(&connector);
        }
        table
    }

    /// Vectors that didn't come out as they must, then connectors that have too few.
    pub fn problems(&self) -> Vec<String> {
        self.failures.iter().chain(&self.thin).cloned().collect()
    }

    /// How many connectors there are.
    pub fn connectors(&self) -> usize {
        self.connectors
    }

    fn add(&mut self, connector: &v1::Connector) {
        let id = name(connector);
        let Some(spec) = &connector.spec else { return };
        self.connectors += 1;
        self.functions += spec.functions.len();
        self.events += spec.functions.iter().map(|f| f.events.len()).sum::<usize>();
        self.limitations += usize::from(!spec.limitations.is_empty());
        for function in spec.functions.iter().filter(|f| !f.unsupported.is_empty()) {
            let which = format!("{id}/{}", function.name);
            self.unsupported.push((which, function.unsupported.clone()));
        }
        let used = kinds(spec);
        for kind in &used {
            let row = self.schemes.entry(kind).or_default();
            row.connectors.insert(id.to_owned());
            let of = match spec.confidence() {
                Confidence::Verified => &mut row.verified,
                Confidence::Documented => &mut row.documented,
                Confidence::Unverified | Confidence::Unspecified => &mut row.unverified,
            };
            of.insert(id.to_owned());
        }
        let cases = cases(id).unwrap_or_default();
        let (mut good, mut tampered) = (0, 0);
        for case in &cases {
            if let Err(problem) = check(case) {
                let at = &case.function;
                self.failures
                    .push(format!("{id}: {at} {}: {problem}", case.name));
                continue;
            }
            if case.is_good() {
                good += 1;
                self.sign(id, case);
            } else {
                tampered += 1;
            }
        }
        let proves = used.iter().any(|kind| *kind != UNSIGNED);
        let thin = if ONLY_THE_PROVIDER_SIGNS.contains(&id) {
            self.only_refused.push((id.to_owned(), tampered));
            tampered < TAMPERED_AT_LEAST_THEN
        } else {
            (proves && (good < 2 || tampered < TAMPERED_AT_LEAST))
                || (!used.is_empty() && good == 0)
        };
        if thin {
            self.thin
                .push(format!("{id}: {good} good and {tampered} tampered vectors"));
        }
        for function in spec.functions.iter().filter(|f| f.unsupported.is_empty()) {
            let is_first = spec.functions.first() == Some(function);
            let mut good = cases.iter().filter(|case| case.is_good());
            let has_one = good.any(|case| {
                case.function == function.name || (is_first && case.function.is_empty())
            });
            let own = function.protocol.as_ref();
            if own.is_some_and(|it| !it.schemes.is_empty()) && !has_one {
                self.thin.push(format!(
                    "{id}: function {} has schemes of its own and no vector",
                    function.name
                ));
            }
        }
        // Of several kinds the vectors count for the first, so that the sum is what there is.
        if let Some(row) = used.first().and_then(|kind| self.schemes.get_mut(kind)) {
            row.good += good;
            row.tampered += tampered;
        }
    }

    fn sign(&mut self, id: &str, case: &Case) {
        let Some(by) = &case.by else { return };
        let (count, whose) = self.signers.entry(by.clone()).or_default();
        *count += 1;
        whose.insert(id.to_owned());
    }
}

const UNSIGNED: &str = "unsigned";

/// What a connector's schemes are, the most usual first.
fn kinds(spec: &v1::ConnectorSpec) -> Vec<&'static str> {
    let own = spec.functions.iter().filter_map(|f| f.protocol.as_ref());
    let mut kinds: Vec<&'static str> = Vec::new();
    for scheme in spec
        .protocol
        .iter()
        .chain(own)
        .flat_map(|protocol| &protocol.schemes)
    {
        let kind = if let Some(hash) = &scheme.hmac {
            match hash.hash() {
                v1::HashFunction::Sha1 => "HMAC-SHA1",
                v1::HashFunction::Sha256 | v1::HashFunction::Unspecified => "HMAC-SHA256",
                v1::HashFunction::Sha384 => "HMAC-SHA384",
                v1::HashFunction::Sha512 => "HMAC-SHA512",
                v1::HashFunction::Md5 => "HMAC-MD5",
                v1::HashFunction::Keccak256 => "HMAC-Keccak256",
            }
        } else if scheme.digest.is_some() {
            "digest with the secret in it"
        } else if scheme.token.is_some() {
            "shared token"
        } else if scheme.basic.is_some() {
            "basic authentication"
        } else if let Some(key) = &scheme.public_key {
            use v1::SignatureAlgorithm as A;
            match key.algorithm() {
                A::Ed25519 => "Ed25519",
                A::EcdsaP256Sha256 | A::EcdsaP256Sha1 => "ECDSA",
                _ => "RSA",
            }
        } else if scheme.jwt.is_some() {
            "JSON Web Token"
        } else {
            UNSIGNED
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Markdown, so that it can stand in a page.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connectors, {} functions, {} events; {} of the connectors state limitations.\n",
            self.connectors, self.functions, self.events, self.limitations
        )?;
        writeln!(
            f,
            "| scheme | connectors | verified | documented | unverified | good vectors | tampered |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        let mut rows: Vec<_> = self.schemes.iter().collect();
        rows.sort_by_key(|(kind, row)| (std::cmp::Reverse(row.connectors.len()), **kind));
        for (kind, row) in rows {
            writeln!(
                f,
                "| {kind} | {} | {} | {} | {} | {} | {} |",
                row.connectors.len(),
                row.verified.len(),
                row.documented.len(),
                row.unverified.len(),
                row.good,
                row.tampered
            )?;
        }
        writeln!(
            f,
            "\nA connector with several schemes counts in each row, its vectors in one.\n"
        )?;
        writeln!(f, "| signed by | good vectors | connectors |")?;
        writeln!(f, "| --- | ---: | ---: |")?;
        let mut signers: Vec<_> = self.signers.iter().collect();
        signers.sort_by_key(|(by, (count, _))| (std::cmp::Reverse(*count), (*by).clone()));
        for (by, (count, whose)) in signers {
            writeln!(f, "| {by} | {count} | {} |", whose.len())?;
        }
        if !self.only_refused.is_empty() {
            writeln!(
                f,
                "\n| no good vector, since only the provider can sign | tampered |"
            )?;
            writeln!(f, "| --- | ---: |")?;
            for (id, tampered) in &self.only_refused {
                writeln!(f, "| {id} | {tampered} |")?;
            }
        }
        if !self.unsupported.is_empty() {
            writeln!(f, "\n| not supported | why |")?;
            writeln!(f, "| --- | --- |")?;
            for (which, why) in &self.unsupported {
                writeln!(f, "| {which} | {why} |")?;
            }
        }
        Ok(())
    }
}
