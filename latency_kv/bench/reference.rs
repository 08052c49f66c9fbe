//! The reference of the bench: std's HashMap with FxHash, borrowed.
//!
//! Built by native.py with `rustc -O --crate-type cdylib` and called through ctypes, in
//! the process and by the clock of the other side.  FxHash is the published function:
//! rotate by 5, xor with the word, multiply.

use std::arch::asm;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::slice::from_raw_parts;

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
) -> usize {
    let map = &*map;
    let mut key = keys;
    let mut total = 0;
    for _ in 0..count {
        key = opaque(key);
        if let Some(value) = map.get(from_raw_parts(key, key_size)) {
            let start = opaque(value.as_ptr());
            if read {
                asm!("/* {0} */", in(reg) *start as usize, options(nostack));
            }
            total += value.len();
        }
        key = key.add(stride);
    }
    total
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
