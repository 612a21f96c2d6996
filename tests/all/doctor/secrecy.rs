//! A conclusion is read by more people than the secret is.

use std::collections::BTreeSet;

use hookplane_rules::Diagnosis;
use hookplane_tests::catalogue::{self, Case};

use super::{diagnose, mistakes};

/// Shorter texts are found by chance: names of headers, units, numbers.
const MIN_BYTES: usize = 8;

/// What must not be in a conclusion: secrets, what was sent in headers, the URL's token, what would have been right, and the body's texts.
fn forbidden(case: &Case, right: &[Case]) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    let of = |case: &Case| -> Vec<String> {
        let token = case.callback_url.rsplit('/').next().unwrap().to_owned();
        let secrets = case.secrets.iter().flat_map(|secret| {
            [
                secret.clone(),
                secret.trim_start_matches("whsec_").to_owned(),
            ]
        });
        // Which host the provider signed is told; the path after it isn't.
        let hosts = |name: &String| name.to_ascii_lowercase().ends_with("host");
        let headers = case.headers.iter().filter(|(name, _)| !hosts(name));
        let pieces = headers.flat_map(|(_, value)| {
            value
                .split([',', ' ', '=', ';', '.'])
                .map(str::to_owned)
                .chain([value.clone()])
                .collect::<Vec<_>>()
        });
        secrets.chain(pieces).chain([token]).collect()
    };
    all.extend(of(case));
    // A signature of the same function's good requests is what would have been right for the tampered one, or near it.
    right.iter().for_each(|case| all.extend(of(case)));
    let body = String::from_utf8_lossy(&case.body()).into_owned();
    let texts = body.split(['"', '&', '=', '<', '>', ',']);
    all.extend(texts.filter(|text| text.len() >= 16).map(str::to_owned));
    all.retain(|text| text.len() >= MIN_BYTES && !is_public(text));
    all
}

/// Media types, and words.
fn is_public(text: &str) -> bool {
    text.contains('/')
        && text.len() < 40
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"/-+".contains(&b))
        || text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"-_ ".contains(&b))
            && !text.starts_with("synthetic")
}

fn leaks(what: &str, case: &Case, right: &[Case], found: &Diagnosis) -> Option<String> {
    let forbidden = forbidden(case, right);
    let said = format!("{found:?}");
    // What the definition says is nobody's secret: a location, a prefix.
    let definition = format!("{:?}", catalogue::connector(&case.connector));
    let leaked = forbidden
        .iter()
        .find(|text| said.contains(text.as_str()) && !definition.contains(text.as_str()))?;
    Some(format!("{what}: `{leaked}` is in {said}"))
}

// Risk 35: what operators read must not let a reader sign, and the doctor has the secrets in hand.
#[test]
fn no_conclusion_holds_a_secret_or_a_signature() {
    let mut looked_at = 0;
    let mut leaked = Vec::new();
    for connector in catalogue::connectors() {
        let Some(cases) = catalogue::cases(catalogue::name(&connector)) else {
            continue;
        };
        let (right, tampered): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(Case::is_good);
        for case in &tampered {
            let Some(found) = diagnose(case) else {
                continue;
            };
            looked_at += 1;
            assert!(found.advice.len() <= 512, "{} is long", found.advice);
            let what = format!("{}: {}", case.connector, case.name);
            leaked.extend(leaks(&what, case, &right, &found));
        }
    }
    for (what, case) in mistakes::all() {
        let found = diagnose(&case).unwrap();
        leaked.extend(leaks(&what, &case, &[], &found));
    }
    assert!(leaked.is_empty(), "{}", leaked.join("\n"));
    assert!(looked_at > 1_000, "{looked_at} were looked at");
}
