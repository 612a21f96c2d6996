//! Every vector through admit and verify: what the providers' libraries sign is genuine, and nothing tampered with is.
// Risks 33 to 40.

use hookplane_tests::catalogue::{Table, page};

/// What users are promised.
const CONNECTORS_AT_LEAST: usize = 340;

#[test]
fn every_vector_comes_out_as_expected_and_every_connector_has_enough() {
    let table = Table::run();
    let problems = table.problems();
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert!(table.connectors() >= CONNECTORS_AT_LEAST);
    assert_eq!(
        page().as_deref(),
        Ok(table.to_string().as_str()),
        "the page beside the catalogue is out of date: cargo run -p hookplane-tests --bin catalogue -- --write"
    );
}
