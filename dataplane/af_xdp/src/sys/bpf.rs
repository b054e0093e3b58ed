//! bpf(2): maps, programs, links. The argument is a union of structures, one a command; each is
//! given here as far as it is used, and the kernel takes what is missing for zero
//! (`union bpf_attr` in linux/bpf.h, 6.18).

#![allow(unsafe_code, reason = "bpf(2) takes pointers in structures")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::errno;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_PROG_LOAD: libc::c_int = 5;
#[cfg(test)]
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_DETACH: libc::c_int = 34;

const BPF_PROG_TYPE_XDP: u32 = 6;
/// The attach type of XDP programs (`enum bpf_attach_type`).
const BPF_XDP: u32 = 37;

/// The kinds of map used here (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum MapKind {
    Hash = 1,
    XskMap = 17,
}

/// Where a program is attached (`XDP_FLAGS_*` in linux/if_link.h, 6.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkMode {
    Generic = 1 << 1,
    Native = 1 << 2,
}

/// One instruction: `struct bpf_insn` in linux/bpf.h, 6.18.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination and source, four bits each.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// A map whose keys and values have fixed sizes in bytes.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    key_len: usize,
    value_len: usize,
}

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct MapElement {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

impl Map {
    /// A new map of up to `entries` entries.
    pub(crate) fn create(
        kind: MapKind,
        key_len: usize,
        value_len: usize,
        entries: u32,
    ) -> Result<Self, i32> {
        let mut attr = MapCreate {
            map_type: kind as u32,
            key_size: len_u32(key_len),
            value_size: len_u32(value_len),
            max_entries: entries,
        };
        // SAFETY: the structure belongs to the command and holds no pointers.
        let fd = unsafe { bpf(BPF_MAP_CREATE, &mut attr) }?;
        Ok(Self {
            fd: own(fd),
            key_len,
            value_len,
        })
    }

    /// Sets the value of a key, whether there was one or not.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> Result<(), i32> {
        assert_eq!(
            (key.len(), value.len()),
            (self.key_len, self.value_len),
            "sizes of the map"
        );
        let mut attr = self.element(key, value.as_ptr() as u64);
        // SAFETY: key and value are as long as the map says, and are only read.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(|_| ())
    }

    /// Removes a key; `ENOENT` if it is not there.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), i32> {
        assert_eq!(key.len(), self.key_len, "size of the map's key");
        let mut attr = self.element(key, 0);
        // SAFETY: the key is as long as the map says, and is only read.
        unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }.map(|_| ())
    }

    /// The descriptor, as an instruction names the map.
    pub(crate) fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn element(&self, key: &[u8], value: u64) -> MapElement {
        let map_fd = fd_u32(self.fd.as_raw_fd());
        MapElement {
            map_fd,
            pad: 0,
            key: key.as_ptr() as u64,
            value,
            flags: 0,
        }
    }
}

/// Loads an XDP program. With a `log`, the verifier writes there what it thought, as a C string.
pub(crate) fn load_program(
    instructions: &[Instruction],
    license: &CStr,
    log: Option<&mut [u8]>,
) -> Result<OwnedFd, i32> {
    let (log_level, log_size, log_buf) = match log {
        Some(log) => (1, len_u32(log.len()), log.as_mut_ptr() as u64),
        None => (0, 0, 0),
    };
    let mut attr = ProgramLoad {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: len_u32(instructions.len()),
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level,
        log_size,
        log_buf,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"af_xdp\0\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: BPF_XDP,
    };
    // SAFETY: the instructions, the C string and the log are as long as the structure says and
    // outlive the call.
    unsafe { bpf(BPF_PROG_LOAD, &mut attr) }.map(own)
}

/// Attaches a program to an interface for as long as the returned descriptor is open, so no longer
/// than this process lives.
pub(crate) fn link(program: BorrowedFd<'_>, index: u32, mode: LinkMode) -> Result<OwnedFd, i32> {
    let mut attr = LinkCreate {
        prog_fd: fd_u32(program.as_raw_fd()),
        target_ifindex: index,
        attach_type: BPF_XDP,
        flags: mode as u32,
    };
    // SAFETY: the structure belongs to the command and holds no pointers.
    unsafe { bpf(BPF_LINK_CREATE, &mut attr) }.map(own)
}

/// Detaches what a link attaches, whoever else has a descriptor of the link.
pub(crate) fn detach(link: BorrowedFd<'_>) -> Result<(), i32> {
    let mut link_fd = fd_u32(link.as_raw_fd());
    // SAFETY: the structure of the command is one descriptor and holds no pointers.
    unsafe { bpf(BPF_LINK_DETACH, &mut link_fd) }.map(|_| ())
}

/// Runs a program once on a frame, in the kernel but without an interface, and gives its verdict.
#[cfg(test)]
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> Result<u32, i32> {
    #[repr(C)]
    struct TestRun {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
    }
    let mut attr = TestRun {
        prog_fd: fd_u32(program.as_raw_fd()),
        retval: 0,
        data_size_in: len_u32(frame.len()),
        data_size_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
    };
    // SAFETY: the frame is as long as the structure says and is only read.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

/// # Safety
///
/// `attr` is the structure of the command, and what it points to is as long as it says.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> Result<i32, i32> {
    // SAFETY: the caller vouches for the structure; its size is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    if result < 0 {
        Err(errno())
    } else {
        Ok(i32::try_from(result).expect("a descriptor or 0"))
    }
}

fn own(fd: i32) -> OwnedFd {
    // SAFETY: called only with what bpf(2) has just made, so nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn fd_u32(fd: i32) -> u32 {
    u32::try_from(fd).expect("open descriptors are not negative")
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("keys, frames and programs are short")
}
