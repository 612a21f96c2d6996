//! That a revision was said from here: whoever claims to be ahead of the store has to show it.
//!
//! A listener ahead of the store means that the store was put back to an older copy, and costs the whole fleet full lists. Nobody may cause
//! that by saying so, whatever its token: a push carries a MAC of its epoch and revision, under the installation's key, and hello shows it
//! again. A restored store has the same key, so a listener that was there before still proves it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use subtle::ConstantTimeEq;

use crate::report::identity::{Key, mac};

/// The proofs of all streams: thousands push to one revision at a time, and its proof is made once.
pub(super) struct Proofs {
    key: Key,
    last: Mutex<Option<(Arc<str>, u64, Bytes)>>,
}

impl Proofs {
    pub(super) fn new(key: Key) -> Self {
        let last = Mutex::default();
        Self { key, last }
    }

    /// What a push to `revision` carries.
    pub(super) fn of(&self, epoch: &Arc<str>, revision: u64) -> Bytes {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, at, proof)) = &*last
            && (of, *at) == (epoch, revision)
        {
            return proof.clone();
        }
        let proof = of(&self.key, epoch, revision);
        *last = Some((epoch.clone(), revision, proof.clone()));
        proof
    }

    /// Whether that came with a push to `revision`.
    pub(super) fn holds(&self, epoch: &str, revision: u64, proof: &[u8]) -> bool {
        holds(&self.key, epoch, revision, proof)
    }
}

fn of(key: &Key, epoch: &str, revision: u64) -> Bytes {
    let proof = mac(key, "plan", &[epoch.as_bytes(), &revision.to_be_bytes()]);
    Bytes::copy_from_slice(&proof)
}

/// Constant time.
fn holds(key: &Key, epoch: &str, revision: u64, proof: &[u8]) -> bool {
    of(key, epoch, revision).ct_eq(proof).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_installation_one_epoch_and_one_revision() {
        let key = Key::new(&[7; 32]);
        let proof = of(&key, "e", 9);
        assert!(holds(&key, "e", 9, &proof));
        assert!(!holds(&key, "e", 10, &proof));
        assert!(!holds(&key, "f", 9, &proof));
        assert!(!holds(&Key::new(&[8; 32]), "e", 9, &proof));
        assert!(!holds(&key, "e", 9, b""));
        assert!(!holds(&key, "e", 9, &proof[..31]));
    }

    #[test]
    fn a_proof_made_before_is_given_for_its_own_epoch_and_revision_alone() {
        let proofs = Proofs::new(Key::new(&[7; 32]));
        for (epoch, revision) in [("e", 9), ("e", 9), ("e", 10), ("f", 10), ("e", 9)] {
            let proof = proofs.of(&epoch.into(), revision);
            assert_eq!(proof, of(&Key::new(&[7; 32]), epoch, revision));
            assert!(proofs.holds(epoch, revision, &proof));
        }
    }
}
