//! Looks at the write-ahead log before SQLite does.
//!
//! SQLite takes a write-ahead log up to its first bad frame and forgets the rest without a word. That is right for a torn tail. But each of
//! our commits is synced before the next is begun, so a good frame after a whole transaction that has a bad one proves that something
//! acknowledged was damaged: that is said, and nothing is opened.
//!
//! For this nothing may be left behind the last commit but one transaction that was not finished: transactions don't spill into the file before
//! they end (`cache_spill`), what a refused one left is cut off before the next (`cut` in `files`), and opening begins the file anew.
//!
//! Not told from a torn tail: damage to the very last transaction.

use std::io::{BufRead, ErrorKind, Read};

/// The file's header, in bytes.
const HEADER: usize = 32;
/// Before each page, in bytes.
const FRAME_HEADER: usize = 24;
/// What a disk writes whole or not at all, at the least, in bytes.
const SECTOR: u64 = 512;

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

/// How long the file is with so many pages of such a size: none at all while it holds none.
pub(super) fn length(pages: u64, page: u64) -> u64 {
    match pages {
        0 => 0,
        _ => HEADER as u64 + pages * (FRAME_HEADER as u64 + page),
    }
}

/// Why what was acknowledged is damaged, or none for a whole file and for a torn tail. Reads it frame by frame.
pub(super) fn damage(mut file: impl BufRead) -> std::io::Result<Option<String>> {
    let mut header = [0u8; HEADER];
    if !fill(&mut file, &mut header)? {
        return Ok(None);
    }
    let big = word(&header, 0) & 1 == 1;
    let page = word(&header, 8) as usize;
    let header_sum = (word(&header, 24), word(&header, 28));
    let sound = word(&header, 0) & !1 == 0x377f_0682
        && page.is_power_of_two()
        && (512..=65536).contains(&page);
    if !sound || sum((0, 0), &header[..24], big) != header_sum {
        // A header is written within one sector, and synced before any frame is: torn alone, it leaves nothing behind it.
        let follows = file.bytes().find(|byte| !matches!(byte, Ok(0)));
        return Ok(follows
            .transpose()?
            .map(|_| "the header of its write-ahead log is not what was written".to_owned()));
    }
    let salt = &header[16..24];
    let mut frame = vec![0u8; FRAME_HEADER + page];
    let mut before = header_sum;
    let mut first_bad = None;
    // Whether the frame before this one ended a transaction: its sum is what this one's goes on from, so its header is of this log too.
    let mut ended = false;
    let mut whole_after_bad = false;
    for number in 0u64.. {
        if !fill(&mut file, &mut frame)? {
            break;
        }
        let stored = (word(&frame, 16), word(&frame, 20));
        let good = &frame[8..16] == salt
            && sum(sum(before, &frame[..8], big), &frame[FRAME_HEADER..], big) == stored;
        if let Some(bad) = first_bad
            && good
            && (whole_after_bad || ended)
        {
            return Ok(Some(format!(
                "frame {bad} of its write-ahead log is not what was written, and sound ones follow it"
            )));
        }
        if !good {
            first_bad.get_or_insert(number);
        }
        // A crash tears between sectors. A header across two of them may be half of an older log's frame, and then tells nothing.
        let at = HEADER as u64 + number * frame.len() as u64;
        let untorn = at / SECTOR == (at + FRAME_HEADER as u64 - 1) / SECTOR;
        ended = word(&frame, 4) != 0 && (good || untorn);
        whole_after_bad |= first_bad.is_some() && ended && &frame[8..16] == salt;
        before = stored;
    }
    Ok(None)
}

/// False at the end of the file. A part of a frame is none.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
