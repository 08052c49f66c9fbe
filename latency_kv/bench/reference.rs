//! The reference of the bench: std's HashMap with FxHash, borrowed.
//!
//! Built by native.py with `rustc -O --crate-type cdylib` and called through ctypes, in
//! the process and by the clock of the other side.  FxHash is the published function:
//! rotate by 5, xor with the word, multiply.
//!
//! Keys and values are pieces of one size, side by side; a block of values that is shorter
//! than the keys is used again from its start.  `spans` points to as many i64 as there are
//! calls, for the ns of each, or is null: then no clock is read.

use std::arch::asm;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::slice::from_raw_parts;
use std::time::Instant;

const SEED: u64 = 0x51_7c_c1_b7_27_22_0a_95;

#[derive(Default)]
pub struct FxHasher {
    hash: u64,
}

impl FxHasher {
    #[inline]
    fn add(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(SEED);
    }
}

impl Hasher for FxHasher {
    #[inline]
    fn write(&mut self, mut bytes: &[u8]) {
        while bytes.len() >= 8 {
            self.add(u64::from_ne_bytes(bytes[..8].try_into().unwrap()));
            bytes = &bytes[8..];
        }
        if bytes.len() >= 4 {
            self.add(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as u64);
            bytes = &bytes[4..];
        }
        for &byte in bytes {
            self.add(byte as u64);
        }
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.add(word as u64);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

type Map = HashMap<Vec<u8>, Vec<u8>, BuildHasherDefault<FxHasher>>;

/// Fill a new map with `count` entries; the caller frees it with map_free.
///
/// # Safety
/// Both blocks hold `count` entries of the sizes told.
#[no_mangle]
pub unsafe extern "C" fn map_new(
    keys: *const u8,
    key_size: usize,
    values: *const u8,
    value_size: usize,
    count: usize,
) -> *mut Map {
    let mut map = Map::default();
    for i in 0..count {
        let key = from_raw_parts(keys.add(i * key_size), key_size);
        let value = from_raw_parts(values.add(i * value_size), value_size);
        map.insert(key.to_vec(), value.to_vec());
    }
    Box::into_raw(Box::new(map))
}

/// Find `count` keys, `stride` bytes apart, and return the size of all values.
///
/// A stride of 0 asks for the first key every time.  Values are looked into if `read`.
///
/// # Safety
/// `map` comes from map_new; the last key ends within the block; no value is empty.
#[no_mangle]
pub unsafe extern "C" fn map_find_all(
    map: *const Map,
    keys: *const u8,
    key_size: usize,
    stride: usize,
    count: usize,
    read: bool,
    spans: *mut i64,
) -> usize {
    let map = &*map;
    let mut key = keys;
    let mut total = 0;
    for index in 0..count {
        let begin = started(spans);
        key = opaque(key);
        if let Some(value) = map.get(from_raw_parts(key, key_size)) {
            let start = opaque(value.as_ptr());
            if read {
                asm!("/* {0} */", in(reg) *start as usize, options(nostack));
            }
            total += value.len();
        }
        note(spans, index, begin);
        key = key.add(stride);
    }
    total
}

/// Put `count` entries.
///
/// # Safety
/// The block of keys holds `count`, that of values one at least.
#[no_mangle]
pub unsafe extern "C" fn map_put_all(
    map: *mut Map,
    keys: *const u8,
    key_size: usize,
    values: *const u8,
    value_size: usize,
    pieces: usize,
    count: usize,
    spans: *mut i64,
) {
    let map = &mut *map;
    let mut piece = 0;
    for index in 0..count {
        let begin = started(spans);
        let key = from_raw_parts(keys.add(index * key_size), key_size);
        let value = from_raw_parts(values.add(piece * value_size), value_size);
        piece = if piece + 1 == pieces { 0 } else { piece + 1 };
        // As the store does: what is there is overwritten where it stands.
        match map.get_mut(key) {
            Some(old) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => {
                map.insert(key.to_vec(), value.to_vec());
            }
        }
        note(spans, index, begin);
    }
}

/// Delete `count` keys and return how many were there.
///
/// # Safety
/// The block holds `count` keys.
#[no_mangle]
pub unsafe extern "C" fn map_delete_all(
    map: *mut Map,
    keys: *const u8,
    key_size: usize,
    count: usize,
    spans: *mut i64,
) -> usize {
    let map = &mut *map;
    let mut deleted = 0;
    for index in 0..count {
        let begin = started(spans);
        let key = from_raw_parts(keys.add(index * key_size), key_size);
        deleted += map.remove(key).is_some() as usize;
        note(spans, index, begin);
    }
    deleted
}

/// Return the number of entries.
///
/// # Safety
/// `map` comes from map_new.
#[no_mangle]
pub unsafe extern "C" fn map_len(map: *const Map) -> usize {
    (*map).len()
}

/// Copy a value of `value_size` bytes to `out` and return 1, or 0 without such an entry.
///
/// # Safety
/// `out` has room for them.
#[no_mangle]
pub unsafe extern "C" fn map_get(
    map: *const Map,
    key: *const u8,
    key_size: usize,
    out: *mut u8,
    value_size: usize,
) -> usize {
    match (*map).get(from_raw_parts(key, key_size)) {
        Some(value) if value.len() == value_size => {
            out.copy_from_nonoverlapping(value.as_ptr(), value_size);
            1
        }
        _ => 0,
    }
}

#[inline(always)]
fn started(spans: *mut i64) -> Option<Instant> {
    (!spans.is_null()).then(Instant::now)
}

#[inline(always)]
unsafe fn note(spans: *mut i64, index: usize, begin: Option<Instant>) {
    if let Some(begin) = begin {
        *spans.add(index) = begin.elapsed().as_nanos() as i64;
    }
}

/// Return what may be any pointer, as if any memory had changed: so no compiler lifts a
/// lookup out of its loop, or leaves it out.  The same device as operator.pyx has.
#[inline(always)]
unsafe fn opaque(mut pointer: *const u8) -> *const u8 {
    asm!("/* {0} */", inout(reg) pointer, options(nostack, preserves_flags));
    pointer
}

/// Free a map.
///
/// # Safety
/// `map` comes from map_new and is not used again.
#[no_mangle]
pub unsafe extern "C" fn map_free(map: *mut Map) {
    drop(Box::from_raw(map));
}
