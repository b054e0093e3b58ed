//! Mapped memory: `mmap`, `munmap`, and nothing about what lies in it.

#![allow(unsafe_code, reason = "mmap and munmap are system calls on raw memory")]

use std::os::fd::{AsRawFd, BorrowedFd};
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

    /// `len` bytes of what lies at `offset` behind `fd`, shared with everybody who maps it too.
    pub(crate) fn shared(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, Error> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let offset = libc::off_t::try_from(offset).map_err(|_| {
            Error::invalid("mmap", "use a 64-bit program: ring offsets exceed 2^31")
        })?;
        // SAFETY: a mapping at an address of the kernel's choice replaces nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                protection,
                flags,
                fd.as_raw_fd(),
                offset,
            )
        };
        Self::from_result(base, len, "mmap of a ring", "use smaller rings")
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

/// The same `len` bytes of zeroed memory mapped twice, as a ring is by the kernel and its user.
#[cfg(test)]
pub(crate) fn shared_twice(len: usize) -> (Mapping, Mapping) {
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};
    // SAFETY: the name is a C string, and the call touches nothing else.
    let fd = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "memfd_create failed");
    // SAFETY: the descriptor has just been made and nobody else has it.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(len as u64)
        .expect("a memory file of a few pages");
    let map = || Mapping::shared(file.as_fd(), len, 0).expect("a memory file can be mapped");
    (map(), map())
}
