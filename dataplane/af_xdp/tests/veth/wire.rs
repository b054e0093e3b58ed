//! Frames for the tests, and one end of the wire: a UMEM with a socket.

use std::net::{IpAddr, Ipv4Addr};

use af_xdp::{Frame, Program, Socket, SocketConfig, Umem, UmemConfig, Wake};

use crate::namespace::wait_readable;

/// An address that the tests let a program own, and one that they do not.
pub(crate) const OWNED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// An Ethernet frame of `len` bytes with an IPv4 datagram for `dst` that carries `number`. It is
/// UDP to the discard port, with no checksum.
pub(crate) fn datagram(dst: Ipv4Addr, number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x02, 0, 0, 0, 0, 2, 0x08, 0x00]);
    let total = u16::try_from(len - 14).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 9]);
    frame.extend(dst.octets());
    frame.extend([0x30, 0x39, 0, 9]);
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(number.to_be_bytes());
    assert!(frame.len() <= len, "no room for the number");
    frame.resize(len, 0x5a);
    frame
}

/// The number in a [`datagram`].
pub(crate) fn number_of(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[42..50].try_into().unwrap())
}

pub(crate) fn umem(frames: u32, tx_metadata: bool) -> Umem {
    Umem::new(UmemConfig {
        frames,
        frame_size: 2048,
        tx_metadata,
    })
    .unwrap()
}

/// Rings that are small, so that they wrap and fill up.
pub(crate) fn small_rings() -> SocketConfig {
    SocketConfig {
        fill_size: 64,
        rx_size: 64,
        tx_size: 64,
        completion_size: 64,
        ..SocketConfig::default()
    }
}

/// One end of a wire: memory of 256 frames and a socket on queue 0.
pub(crate) struct End {
    pub(crate) umem: Umem,
    pub(crate) socket: Socket,
}

impl End {
    pub(crate) fn open(interface: &str) -> Self {
        let mut umem = umem(256, false);
        let socket = Socket::open(&mut umem, interface, 0, small_rings());
        let socket = socket.unwrap_or_else(|error| panic!("{error}"));
        Self { umem, socket }
    }

    /// An end that gets what is for [`OWNED`] through a program.
    pub(crate) fn serve(interface: &str, program: &Program) -> Self {
        let mut end = Self::open(interface);
        end.socket.fill(&mut end.umem);
        program.own(IpAddr::V4(OWNED)).unwrap();
        program
            .serve(&end.socket)
            .unwrap_or_else(|error| panic!("{error}"));
        end
    }

    /// A free frame with these bytes in it.
    pub(crate) fn frame(&mut self, bytes: &[u8]) -> Frame {
        let mut frame = self.umem.take().expect("frames enough for the test");
        frame.resize(bytes.len());
        frame.bytes_mut().copy_from_slice(bytes);
        frame
    }

    /// Sends one frame and gets it back.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let frame = self.frame(bytes);
        self.send_frame(frame);
    }

    pub(crate) fn send_frame(&mut self, frame: Frame) {
        assert_eq!(self.socket.tx(&mut self.umem, [frame]), 1);
        assert_eq!(self.socket.wake_tx(), Wake::Done);
        assert_eq!(self.socket.complete(&mut self.umem), 1);
    }

    /// Waits for one frame and gives its bytes.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        receive(&mut self.umem, &mut self.socket)
    }

    /// free + fill + held + tx = total, where `held` frames are with the test.
    pub(crate) fn assert_frames_add_up(&self, held: u32) {
        let (counts, lent) = (self.umem.counts(), self.socket.frames());
        assert_eq!(
            counts.free + lent.fill + held + lent.tx,
            counts.total,
            "{counts:?} {lent:?}"
        );
        assert_eq!(counts.held, held);
    }
}

/// Waits for one frame on a socket and gives its bytes.
pub(crate) fn receive(umem: &mut Umem, socket: &mut Socket) -> Vec<u8> {
    wait_readable(socket);
    let mut received = None;
    assert_eq!(socket.rx(umem, 1, |frame| received = Some(frame)), 1);
    let frame = received.expect("one was received");
    let bytes = frame.bytes().to_vec();
    umem.give(frame);
    socket.fill(umem);
    socket.wake_rx();
    bytes
}
