//! One interface, by a single netlink request (`RTM_GETLINK`, linux/rtnetlink.h and
//! linux/if_link.h, 6.18).
//!
//! The message is small and the answer is flat, so it is written and read here by hand, in safe
//! code; nothing else of netlink is done.

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use tidegate_wire::MacAddr;

use crate::sys::{self, InterfaceRequest};
use crate::{Error, XdpMode};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
/// `struct nlmsghdr`, and `struct ifinfomsg` after it: both 16 bytes.
const HEADER_LEN: usize = 16;
/// `struct rtattr`.
const ATTRIBUTE_LEN: usize = 4;
/// The two upper bits of an attribute's type are flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;

/// Ethernet, the only kind of link that ports work on (`ARPHRD_ETHER`).
const ARPHRD_ETHER: u16 = 1;

const ADVICE: &str = "run `ip link` in the same network namespace to see what is there";

/// What the kernel says about an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its hardware address; zero where it has none.
    pub mac: MacAddr,
    /// Its MTU in bytes, Ethernet header not counted.
    pub mtu: u32,
    /// Whether somebody has set it up (`IFF_UP`).
    pub is_up: bool,
    /// Whether it has a carrier and can pass frames (`IFF_RUNNING`).
    pub is_running: bool,
    /// Whether frames on it have Ethernet headers.
    pub is_ethernet: bool,
    /// What kind of virtual interface it is, such as `veth`; `None` for hardware.
    pub kind: Option<String>,
    /// Receive queues that exist. [`channels`](super::channels) says how many are in use.
    pub rx_queues: u32,
    /// Transmit queues that exist.
    pub tx_queues: u32,
    /// The XDP program that is attached to it, if one is.
    pub xdp: Option<AttachedXdp>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// Where it runs. `Auto` means in hardware or in several places.
    pub mode: XdpMode,
    /// Its number, as `bpftool prog` shows it; 0 where the kernel names none.
    pub program_id: u32,
}

/// Asks the kernel about the interface `name` of the calling thread's network namespace.
///
/// # Errors
///
/// `ENODEV` when there is none of that name; whatever a netlink socket may say.
pub fn interface(name: &str) -> Result<Interface, Error> {
    let failed = |call, error: io::Error| Error::call(name, call, error, ADVICE);
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // Protocol 0 is NETLINK_ROUTE.
    )
    .map_err(|error| failed("socket(AF_NETLINK)", error.into()))?;
    send(&socket, &request(name), SendFlags::empty())
        .map_err(|error| failed("send(RTM_GETLINK)", error.into()))?;
    // One interface without its virtual functions: some 1500 bytes.
    let mut answer = vec![0; 32 * 1024];
    let (len, _) = recv(&socket, &mut answer[..], RecvFlags::empty())
        .map_err(|error| failed("recv(RTM_GETLINK)", error.into()))?;
    parse(&answer[..len]).map_err(|error| failed("RTM_GETLINK", error))
}

/// Sets an interface up (`IFF_UP`).
pub(crate) fn set_up(name: &str) -> Result<(), Error> {
    let failed = |call, error| {
        Error::call(
            name,
            call,
            error,
            "setting an interface up needs CAP_NET_ADMIN",
        )
    };
    let mut request = InterfaceRequest::new(name).map_err(|error| failed("set up", error))?;
    sys::read_flags(&mut request).map_err(|error| failed("ioctl(SIOCGIFFLAGS)", error))?;
    sys::add_flag_up(&mut request).map_err(|error| failed("ioctl(SIOCSIFFLAGS)", error))
}

/// Header, an empty `ifinfomsg`, and the name as the only attribute.
fn request(name: &str) -> Vec<u8> {
    let mut message = vec![0; 2 * HEADER_LEN];
    // The length of an attribute counts its header and the zero, not the padding.
    let name_len = u16::try_from(ATTRIBUTE_LEN + name.len() + 1).unwrap_or(u16::MAX);
    message.extend(name_len.to_ne_bytes());
    message.extend(IFLA_IFNAME.to_ne_bytes());
    message.extend(name.bytes());
    message.push(0);
    message.resize(message.len().next_multiple_of(4), 0);
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    message[0..4].copy_from_slice(&len.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message
}

fn parse(message: &[u8]) -> io::Result<Interface> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let (header, body) = message.split_at_checked(HEADER_LEN).ok_or_else(malformed)?;
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    if kind == NLMSG_ERROR {
        let errno = body.first_chunk().copied().map(i32::from_ne_bytes);
        return Err(errno.map_or_else(malformed, |errno| {
            io::Error::from_raw_os_error(errno.saturating_neg())
        }));
    }
    let (info, attributes) = body.split_at_checked(HEADER_LEN).ok_or_else(malformed)?;
    if kind != RTM_NEWLINK {
        return Err(malformed());
    }
    // struct ifinfomsg: family, padding, type, index, flags, change.
    let flags = word(&info[8..12]);
    let mut interface = Interface {
        index: word(&info[4..8]),
        is_up: flags & 1 != 0,
        is_running: flags & (1 << 6) != 0,
        is_ethernet: u16::from_ne_bytes([info[2], info[3]]) == ARPHRD_ETHER,
        ..Interface::default()
    };
    for (kind, value) in Attributes(attributes) {
        match kind {
            IFLA_IFNAME => interface.name = text(value),
            IFLA_ADDRESS => {
                interface.mac = value.try_into().map_or(MacAddr::ZERO, MacAddr);
            }
            IFLA_MTU => interface.mtu = word(value),
            IFLA_NUM_TX_QUEUES => interface.tx_queues = word(value),
            IFLA_NUM_RX_QUEUES => interface.rx_queues = word(value),
            IFLA_LINKINFO => {
                interface.kind = find(value, IFLA_INFO_KIND).map(text);
            }
            IFLA_XDP => interface.xdp = attached(value),
            _ => {}
        }
    }
    Ok(interface)
}

/// The nested attributes of `IFLA_XDP`.
fn attached(value: &[u8]) -> Option<AttachedXdp> {
    let mode = match find(value, IFLA_XDP_ATTACHED)?.first()? {
        0 => return None,
        1 => XdpMode::Native,
        2 => XdpMode::Generic,
        _ => XdpMode::Auto,
    };
    Some(AttachedXdp {
        mode,
        program_id: find(value, IFLA_XDP_PROG_ID).map_or(0, word),
    })
}

fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = Attributes(attributes);
    attributes
        .find(|(found, _)| *found == kind)
        .map(|(_, value)| value)
}

fn word(value: &[u8]) -> u32 {
    value.first_chunk().copied().map_or(0, u32::from_ne_bytes)
}

/// Text up to the zero that ends it.
fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Type and value of each attribute; ends at the first that does not fit.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header: [u8; ATTRIBUTE_LEN] = *self.0.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & ATTRIBUTE_TYPE;
        let value = self.0.get(ATTRIBUTE_LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(ATTRIBUTE_LEN + value.len()).expect("short");
        let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn an_answer_is_read_whatever_else_is_in_it() {
        let mut body = vec![0; HEADER_LEN];
        body[2..4].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        body[8..12].copy_from_slice(&0x41_u32.to_ne_bytes());
        body.extend(attribute(IFLA_IFNAME, b"veth7\0"));
        body.extend(attribute(99, &[1, 2, 3]));
        body.extend(attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]));
        body.extend(attribute(IFLA_MTU, &1500_u32.to_ne_bytes()));
        body.extend(attribute(
            IFLA_LINKINFO | 0x8000,
            &attribute(IFLA_INFO_KIND, b"veth\0"),
        ));
        let xdp = [
            attribute(IFLA_XDP_ATTACHED, &[2]),
            attribute(IFLA_XDP_PROG_ID, &41_u32.to_ne_bytes()),
        ]
        .concat();
        body.extend(attribute(IFLA_XDP, &xdp));
        let expected = Interface {
            name: "veth7".into(),
            index: 7,
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            mtu: 1500,
            is_up: true,
            is_running: true,
            is_ethernet: true,
            kind: Some("veth".into()),
            rx_queues: 0,
            tx_queues: 0,
            xdp: Some(AttachedXdp {
                mode: XdpMode::Generic,
                program_id: 41,
            }),
        };
        assert_eq!(
            parse(&message(RTM_NEWLINK, &body)).expect("whole"),
            expected
        );
        // However it is cut, reading it does not panic.
        let whole = message(RTM_NEWLINK, &body);
        for len in 0..whole.len() {
            drop(parse(&whole[..len]));
        }
    }

    #[test]
    fn an_error_is_the_kernels() {
        let error = parse(&message(NLMSG_ERROR, &(-libc::ENODEV).to_ne_bytes()));
        assert_eq!(
            error.expect_err("refused").raw_os_error(),
            Some(libc::ENODEV)
        );
    }
}
