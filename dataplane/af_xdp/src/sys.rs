//! The system calls of this crate, each behind a safe function or type: one operation a block.
//!
//! Set-up calls give an [`Error`] with advice, or the bare error number where only the caller
//! knows what it was about.

pub(crate) mod bpf;
mod memory;
pub(crate) mod socket;

pub(crate) use memory::Mapping;
#[cfg(test)]
pub(crate) use memory::shared_twice;

use crate::error::Error;

/// The error number of the system call that has just failed.
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .expect("made from errno")
}

/// An [`Error`] from the system call that has just failed.
pub(crate) fn failed(call: &'static str, advice: &'static str) -> Error {
    Error::new(call, errno(), advice)
}
