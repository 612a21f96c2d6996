//! What every backend refuses alike, before anything is sent or written.

use super::{MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, MAX_WRITES, StoreError, Transaction, Write};

pub(super) fn check(transaction: &Transaction) -> Result<(), StoreError> {
    let operations = transaction.checks.len() + transaction.writes.len();
    if operations > MAX_WRITES {
        return Err(StoreError::TooLarge(format!(
            "{operations} checks and writes in one transaction, at most {MAX_WRITES} are possible"
        )));
    }
    let mut total = 0;
    for write in &transaction.writes {
        let (key, size) = match write {
            Write::Put(key, value) => (key, value.len()),
            Write::Delete(key) => (key, 0),
        };
        if size > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge(format!(
                "`{key}` would be {size} bytes, at most {MAX_VALUE_BYTES} are possible"
            )));
        }
        total += key.len() + size;
    }
    if total > MAX_TRANSACTION_BYTES {
        return Err(StoreError::TooLarge(format!(
            "{total} bytes in one transaction, at most {MAX_TRANSACTION_BYTES} are possible"
        )));
    }
    Ok(())
}
