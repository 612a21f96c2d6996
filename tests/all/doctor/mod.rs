//! The doctor: each mistake made on purpose is named right, and no conclusion gives anything away.

mod mistakes;
mod secrecy;
mod shown;

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Diagnosis, Effort, Group, RefusalKind, Timestamp, Unproven, Visit};
use hookplane_tests::catalogue::{self, Case};

/// The first vector of a connector that is genuine, and whose name holds this.
fn genuine(connector: &str, named: &str) -> Case {
    let mut cases = catalogue::cases(connector).unwrap().into_iter();
    let found =
        cases.find(|case| case.expect.as_deref() == Some("genuine") && case.name.contains(named));
    found.unwrap_or_else(|| panic!("{connector} has no such vector: {named}"))
}

/// None: it doesn't compile.
fn group(case: &Case) -> Option<Arc<Group>> {
    let spec = v1::WebhookGroupSpec {
        connector: case.connector.clone(),
        function: case.function.clone(),
        signature_secrets: catalogue::secrets(&case.secrets),
        parameters: case.parameters.clone().into_iter().collect(),
        accept_unsigned: case.accept_unsigned,
        ..Default::default()
    };
    catalogue::group(spec, &case.callback_url).ok()
}

/// None where it is taken, or refused for another reason than what the doctor is for.
fn diagnose(case: &Case) -> Option<Diagnosis> {
    diagnose_while(case, &mut || true)
}

fn diagnose_while(case: &Case, go_on: &mut dyn FnMut() -> bool) -> Option<Diagnosis> {
    let group = group(case)?;
    let now = Timestamp(case.now);
    let callback = catalogue::callback(&case.method, &case.query, &case.headers, case.body());
    let keys = catalogue::Found(case);
    let refused = match group.verify_with(callback, &keys, now) {
        Err(Unproven::Refused(refused)) => refused,
        _ => return None,
    };
    let clause = refused.refusal.kind;
    if ![RefusalKind::Signature, RefusalKind::Timestamp].contains(&clause) {
        return None;
    }
    let callback = refused.callback?;
    Some(group.diagnose(Visit {
        callback: &callback,
        clause,
        keys: &keys,
        now,
        effort: Effort::Brief,
        go_on,
    }))
}
