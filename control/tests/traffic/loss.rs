//! Goodput over a path that loses, next to that of the kernel's CUBIC over the same path at the same
//! time.
//!
//! At 1 % loss and 20 ms it is the losses that bound a sender, at about a megabyte a second, and not
//! the machine; so the two can be compared on any machine that is not overwhelmed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use tidegate::testbed::Bed;
use tidegate::topology::{Namespace, Service};
use tidegate_port::Impairment;

use crate::middle::{Middle, NETWORK};
use crate::{PATIENCE, TIDEGATE};

/// Connections of each sender; the chances of losses even out among them.
const CONNECTIONS: usize = 8;

/// How long they send.
const TIME: Duration = Duration::from_secs(10);

/// Times that this is done at most: until the share is reached in all of them together. The losses
/// of one are not enough to tell a share of 0.95 from one of 0.85.
const ROUNDS: u32 = 3;

/// What of the kernel's goodput ours reaches at least.
const SHARE_MIN: f64 = 0.9;

fn address(host: u8) -> IpAddr {
    format!("{NETWORK}.{host}").parse().unwrap()
}

/// The kernel that sends, ours, and the kernel that receives.
const KERNEL: u8 = 1;
const OURS: u8 = 2;
const RECEIVER: u8 = 3;

/// A kernel's side gets an address, and neither merges segments nor remembers paths.
fn prepare(namespace: &Namespace, host: u8) {
    let address = format!("{}/24", address(host));
    namespace
        .ip(&["address", "add", &address, "dev", "eth0"])
        .unwrap();
    namespace.run(|| {
        let _ = fs::write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
    });
}

/// Ours, beside the kernel on the same interface.
fn start_ours(bed: &Bed) -> Service {
    let text = format!(
        "[admin]\nsocket = \"{}\"\n\n[[port]]\ninterface = \"eth0\"\ndriver = \"af_packet\"\n\
         addresses = [\"{}/24\"]\nrx_checksum = \"partial\"\n\n\
         [[listener]]\nname = \"source\"\naddresses = [\"*:19\"]\nservice = \"chargen\"\n",
        bed.folder().socket().display(),
        address(OURS),
    );
    Service::start(TIDEGATE, bed.client(), bed.folder(), &text).unwrap()
}

/// The kernel's chargen: whoever connects gets text without end.
fn start_kernel(bed: &Bed) {
    let at = SocketAddr::new(address(KERNEL), 19);
    let listener = bed.client().run(|| TcpListener::bind(at)).unwrap();
    setsockopt(&listener, sockopt::TcpCongestion, &"cubic".into()).unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || send_without_end(stream));
        }
    });
}

fn send_without_end(mut stream: TcpStream) {
    let text = [b'x'; 64 << 10];
    while stream.write_all(&text).is_ok() {}
}

/// Connects to a sender and counts what comes until the time is over.
fn receive(bed: &Bed, from: u8) -> thread::JoinHandle<u64> {
    let at = SocketAddr::new(address(from), 19);
    let stream = bed
        .backends()
        .run(|| TcpStream::connect_timeout(&at, PATIENCE));
    let mut stream = stream.unwrap_or_else(|error| panic!("connecting to {at}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::spawn(move || {
        let (mut received, mut buffer) = (0, vec![0; 256 << 10]);
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            let count = stream
                .read(&mut buffer)
                .expect("a sender sends without end");
            received += count as u64;
        }
        received
    })
}

#[test]
fn at_one_per_cent_we_are_as_fast_as_the_kernel() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    prepare(bed.client(), KERNEL);
    prepare(bed.backends(), RECEIVER);
    let impairment = Impairment {
        loss: 0.01,
        delay: Duration::from_millis(10),
        ..Impairment::default()
    };
    let near = [address(KERNEL), address(OURS)];
    let _middle = Middle::start(&bed, &near, &[address(RECEIVER)], impairment);
    let _ours = start_ours(&bed);
    start_kernel(&bed);
    let [mut ours, mut kernel] = [0, 0];
    for round in 1..=ROUNDS {
        let receivers: Vec<_> = (0..2 * CONNECTIONS)
            .map(|number| receive(&bed, [OURS, KERNEL][number % 2]))
            .collect();
        for (number, receiver) in receivers.into_iter().enumerate() {
            let count = receiver.join().unwrap();
            *[&mut ours, &mut kernel][number % 2] += count;
        }
        let share = ours as f64 / kernel as f64;
        println!("{round}: ours {ours} bytes, the kernel's {kernel}: {share:.2}");
        if share >= SHARE_MIN {
            return;
        }
    }
    panic!("less than {SHARE_MIN} of the kernel's goodput");
}
