//! Looks at the write-ahead log before SQLite does.
//!
//! SQLite takes a write-ahead log up to its first bad frame and forgets the rest without a word. That is right for a torn tail. But each of
//! our commits is synced before the next is begun, so a good frame after a whole transaction that has a bad one proves that something
//! acknowledged was damaged: that is said, and nothing is opened.

/// The file's header, in bytes.
const HEADER: usize = 32;
/// Before each page, in bytes.
const FRAME_HEADER: usize = 24;

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// The format's own running sum over pairs of words, `big` telling their byte order.
fn sum(mut state: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    let read = |bytes: &[u8]| {
        let value = word(bytes, 0);
        if big { value } else { value.swap_bytes() }
    };
    for pair in bytes.chunks_exact(8) {
        state.0 = state.0.wrapping_add(read(&pair[..4])).wrapping_add(state.1);
        state.1 = state.1.wrapping_add(read(&pair[4..])).wrapping_add(state.0);
    }
    state
}

/// Why what was acknowledged is damaged, or none for a whole file and for a torn tail.
pub(super) fn damage(file: &[u8]) -> Option<String> {
    if file.len() < HEADER {
        return None;
    }
    let big = word(file, 0) & 1 == 1;
    let page = word(file, 8) as usize;
    let header_sum = (word(file, 24), word(file, 28));
    let sound = word(file, 0) & !1 == 0x377f_0682
        && page.is_power_of_two()
        && (512..=65536).contains(&page);
    if !sound || sum((0, 0), &file[..24], big) != header_sum {
        // A header is written within one sector, before any frame: torn alone, it leaves nothing behind it.
        return (file[HEADER..].iter().any(|byte| *byte != 0))
            .then(|| "the header of its write-ahead log is not what was written".to_owned());
    }
    let salt = &file[16..24];
    let mut before = header_sum;
    let mut bad = None;
    let mut commit_after_bad = false;
    for (number, frame) in file[HEADER..].chunks_exact(FRAME_HEADER + page).enumerate() {
        let stored = (word(frame, 16), word(frame, 20));
        let good = &frame[8..16] == salt
            && sum(sum(before, &frame[..8], big), &frame[FRAME_HEADER..], big) == stored;
        before = stored;
        if !good {
            bad.get_or_insert(number);
        }
        match bad {
            Some(bad) if good && commit_after_bad => {
                return Some(format!(
                    "frame {bad} of its write-ahead log is not what was written, and sound ones follow it"
                ));
            }
            Some(_) if &frame[8..16] == salt && word(frame, 4) != 0 => commit_after_bad = true,
            _ => {}
        }
    }
    None
}
