//! Mapped memory: `mmap`, `munmap`, and nothing about what lies in it.

#![allow(unsafe_code, reason = "mmap and munmap are system calls on raw memory")]

use std::ptr::{self, NonNull};

use super::failed;
use crate::error::Error;

/// Memory that this process has mapped; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it, and the value gives
// out nothing but its address.
unsafe impl Send for Mapping {}

impl Mapping {
    /// `len` bytes of zeroed memory, page-aligned, private to this process.
    pub(crate) fn anonymous(len: usize) -> Result<Self, Error> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        Self::from_result(
            base,
            len,
            "mmap",
            "use fewer frames or give the machine more memory",
        )
    }

    fn from_result(
        base: *mut libc::c_void,
        len: usize,
        call: &'static str,
        advice: &'static str,
    ) -> Result<Self, Error> {
        if base == libc::MAP_FAILED {
            return Err(failed(call, advice));
        }
        let base = NonNull::new(base.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { base, len })
    }

    /// The first byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Leaves the memory mapped until the process ends.
    pub(crate) fn leak(self) {
        std::mem::forget(self);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what `mmap` gave, and its owner is going away.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of a mapping of our own cannot fail");
    }
}
