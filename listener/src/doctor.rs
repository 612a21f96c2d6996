//! The doctor's rounds: of what was refused a little is looked at for its likely cause, beside the requests and never before their answers.
//!
//! ```text
//!   answer decided ─▶ admitted? ─▶ bed (one) ─▶ aside: trials ─▶ the refusal with its diagnosis, for operators
//!                        └ no ─────────────────────────────────▶ the refusal without
//! ```
//!
//! Guarantees: no answer waits for it or depends on it; of one group one refusal a second is looked at; one at a time, one waits, and what is
//! held of them is theirs alone; it rests for a hundred times as long as it worked, by its own watch, so that it takes 1 % of one core.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{Callback, Effort, Group, RefusalKind, Timestamp, Visit};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::body::Share;
use crate::state::State;

/// Between two refusals of one group that are looked at.
const PER_GROUP: Duration = Duration::from_secs(1);
/// After that no trial is begun. Most take less than 2 ms.
const MOST_WORK: Duration = Duration::from_millis(10);
/// Rest after work: 1 % is worked.
const REST: u32 = 99;

/// A refused callback, as it came.
pub(crate) struct Patient {
    pub(crate) group: Arc<Group>,
    pub(crate) callback: Callback,
    pub(crate) clause: RefusalKind,
    pub(crate) now: Timestamp,
    /// What operators are shown, with a diagnosis or without.
    pub(crate) refusal: v1::Refusal,
    /// Counts the body among those that are held.
    pub(crate) share: Share,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Doctor {
    ward: Mutex<Ward>,
    admitted: Notify,
}

#[derive(Default)]
struct Ward {
    /// Somebody takes care of who lies in it.
    is_open: bool,
    bed: Option<Box<Patient>>,
    /// Groups of which one was admitted in the last second.
    seen: HashMap<String, Instant>,
}

impl Ward {
    fn admits(&mut self, group_uid: &str, now: Instant) -> bool {
        if !self.is_open || self.bed.is_some() {
            return false;
        }
        self.seen
            .retain(|_, at| now.duration_since(*at) < PER_GROUP);
        if self.seen.contains_key(group_uid) {
            return false;
        }
        self.seen.insert(group_uid.to_owned(), now);
        true
    }
}

impl Doctor {
    fn lock(&self) -> MutexGuard<'_, Ward> {
        self.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in, or gives back what is shown of it without.
    pub(crate) fn admit(&self, patient: Patient, now: Instant) -> Option<v1::Refusal> {
        let mut ward = self.lock();
        if !ward.admits(patient.group.uid(), now) {
            return Some(patient.refusal);
        }
        ward.bed = Some(Box::new(patient));
        self.admitted.notify_one();
        None
    }

    async fn next(&self) -> Box<Patient> {
        loop {
            let patient = self.lock().bed.take();
            match patient {
                Some(patient) => return patient,
                None => self.admitted.notified().await,
            }
        }
    }

    fn open(&self) {
        self.lock().is_open = true;
    }

    fn close(&self) -> Option<Box<Patient>> {
        let mut ward = self.lock();
        ward.is_open = false;
        ward.bed.take()
    }
}

/// Looks at one after the other until `shutdown`. Who still waits then is shown without.
pub(crate) async fn run(state: Arc<State>, shutdown: CancellationToken) {
    let look_at = |patient| look_at(Arc::clone(&state), patient);
    let left = rounds(&state.doctor, &shutdown, look_at, sleep).await;
    if let Some(patient) = left {
        state.refusals.show(patient.refusal);
    }
}

/// `look_at` says how long it worked. Gives who still waits at `shutdown`.
async fn rounds<L: Future<Output = Duration>, R: Future>(
    doctor: &Doctor,
    shutdown: &CancellationToken,
    look_at: impl Fn(Patient) -> L,
    rest: impl Fn(Duration) -> R,
) -> Option<Box<Patient>> {
    doctor.open();
    while let Some(patient) = shutdown.run_until_cancelled(doctor.next()).await {
        // Not given up halfway: it is short, and who is looked at is shown.
        let worked = look_at(*patient).await;
        let rested = rest(worked * REST);
        if shutdown.run_until_cancelled(rested).await.is_none() {
            break;
        }
    }
    doctor.close()
}

/// Shows it with what was found, and says how long that took.
async fn look_at(state: Arc<State>, patient: Patient) -> Duration {
    let Patient {
        group,
        callback,
        clause,
        now,
        mut refusal,
        share,
    } = patient;
    let keys = Arc::clone(&state.keys);
    let aside = tokio::task::spawn_blocking(move || {
        let started = std::time::Instant::now();
        let diagnosis = group.diagnose(Visit {
            callback: &callback,
            clause,
            keys: &*keys,
            now,
            effort: Effort::Brief,
            go_on: &mut || started.elapsed() < MOST_WORK,
        });
        drop((callback, share));
        (diagnosis, started.elapsed())
    });
    let worked = match aside.await {
        Ok((diagnosis, worked)) => {
            state.metrics.diagnosed(diagnosis.cause);
            diagnosis.cause.name().clone_into(&mut refusal.cause);
            refusal.advice = diagnosis.advice;
            worked
        }
        Err(error) => {
            tracing::error!(%error, "looking for the cause of a refusal panicked: please report this as a bug");
            MOST_WORK
        }
    };
    state.refusals.show(refusal);
    worked
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hookplane_rules::Connector;

    use super::*;
    use crate::body::Buffers;

    fn group(uid: &str) -> Arc<Group> {
        let named = |name: &str| {
            Some(v1::Metadata {
                org: "acme".to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
                ..Default::default()
            })
        };
        let scheme = v1::Scheme {
            token: Some(v1::SharedToken {
                location: "header:X-Token".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let connector = v1::Connector {
            metadata: named("erp"),
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    name: "main".to_owned(),
                    open_events: true,
                    ..Default::default()
                }],
                protocol: Some(v1::Protocol {
                    schemes: vec![scheme],
                    ..Default::default()
                }),
                ..Default::default()
            }),
        };
        let group = v1::WebhookGroup {
            metadata: named("shop"),
            spec: Some(v1::WebhookGroupSpec {
                connector: "erp".to_owned(),
                signature_secrets: vec![v1::SignatureSecret {
                    value: "s3cret".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            status: None,
        };
        let connector = Connector::compile(&connector).unwrap();
        Group::compile(&group, connector, Vec::new()).unwrap()
    }

    fn patient(group: &Arc<Group>) -> Patient {
        Patient {
            group: Arc::clone(group),
            callback: Callback::default(),
            clause: RefusalKind::Signature,
            now: Timestamp(0),
            refusal: v1::Refusal::default(),
            share: Share::none(&Arc::new(Buffers::new(0))),
        }
    }

    // A flood of forgeries costs what it cost without the doctor.
    #[tokio::test]
    async fn of_a_flood_a_hundredth_of_the_time_is_worked_and_the_last_is_shown() {
        let (doctor, shutdown) = (Doctor::default(), CancellationToken::new());
        let groups = ["a", "b", "c", "d"].map(group);
        let (start, passed, worked) = (Instant::now(), Cell::new(Duration::ZERO), Cell::new(0));
        let flood = || {
            let at = start + passed.get();
            let taken = groups.iter().map(|group| doctor.admit(patient(group), at));
            taken.filter(Option::is_none).count()
        };
        let look_at = |_| {
            passed.set(passed.get() + MOST_WORK);
            worked.set(worked.get() + 1);
            flood();
            std::future::ready(MOST_WORK)
        };
        let rest = |time| {
            passed.set(passed.get() + time);
            assert!(flood() <= 1, "one waits");
            if worked.get() == 100 {
                shutdown.cancel();
            }
            std::future::ready(())
        };
        doctor.open();
        assert_eq!(flood(), 1);
        let left = rounds(&doctor, &shutdown, look_at, rest).await;
        assert_eq!(worked.get(), 100);
        assert!(passed.get() >= MOST_WORK * 100 * 100, "1 % is worked");
        assert!(left.is_some(), "who waited is given back");
        assert_eq!(flood(), 0, "and nobody is taken any more");
    }

    #[test]
    fn of_one_group_one_a_second_is_admitted_and_one_waits_at_a_time() {
        let mut ward = Ward::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!ward.admits("a", at(0)), "nobody takes care of them yet");
        ward.is_open = true;
        assert!(ward.admits("a", at(0)));
        assert!(!ward.admits("a", at(999)));
        assert!(ward.admits("b", at(999)), "another group");
        assert!(ward.admits("a", at(1_000)));
        for n in 0..1_000 {
            ward.admits(&n.to_string(), at(2_000 + n));
        }
        assert!(ward.admits("a", at(10_000)));
        assert_eq!(
            ward.seen.len(),
            1,
            "those of the last second are remembered"
        );
    }
}
