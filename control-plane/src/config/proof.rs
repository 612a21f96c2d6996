//! That a revision was said from here: whoever claims to be ahead of the store has to show it.
//!
//! A listener ahead of the store means that the store was put back to an older copy, and costs the whole fleet full lists. Nobody may cause
//! that by saying so, whatever its token: a push carries a MAC of its epoch and revision, under the installation's key, and hello shows it
//! again. A restored store has the same key, so a listener that was there before still proves it.

use bytes::Bytes;
use subtle::ConstantTimeEq;

use crate::report::identity::{Key, mac};

/// What a push to `revision` carries.
pub(super) fn of(key: &Key, epoch: &str, revision: u64) -> Bytes {
    let proof = mac(key, "plan", &[epoch.as_bytes(), &revision.to_be_bytes()]);
    Bytes::copy_from_slice(&proof)
}

/// Whether that came with a push to `revision`. Constant time.
pub(super) fn holds(key: &Key, epoch: &str, revision: u64, proof: &[u8]) -> bool {
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
}
