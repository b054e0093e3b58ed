//! A path between two kernels that loses and delays: the namespace in the middle of a bed forwards
//! frames between its two interfaces, and [`Fault`] decides what becomes of them.
//!
//! Whoever is in the client's namespace, its kernel or a Tidegate beside it on the same interface,
//! sends to the backends' kernel through the same middle.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use tidegate::testbed::Bed;
use tidegate_port::{
    Burst, Driver, DriverChoice, Fault, FaultConfig, Impairment, OpenConfig, Port,
};
use tidegate_wire::Instant;

/// How long the forwarder sleeps when nothing is there: much less than any delay of a path.
const NAP: Duration = Duration::from_micros(100);

/// The network on both sides of the middle.
pub(crate) const NETWORK: &str = "198.18.0";

/// A running forwarder. Dropping it ends it.
pub(crate) struct Middle {
    thread: Option<JoinHandle<()>>,
    is_over: &'static AtomicBool,
}

impl Middle {
    /// Forwards between `near` addresses in the client's namespace and `far` ones in the backends'.
    /// What goes to the far ones is lost and delayed as `impairment` says, what comes back delayed
    /// alone.
    pub(crate) fn start(
        bed: &Bed,
        near: &[IpAddr],
        far: &[IpAddr],
        impairment: Impairment,
    ) -> Self {
        let open = |interface: &str, addresses: &[IpAddr]| {
            let config = OpenConfig {
                driver: DriverChoice::AfPacket,
                addresses: addresses.to_vec(),
                ..OpenConfig::new(interface)
            };
            bed.tidegate().run(|| Driver::open(&config)).unwrap()
        };
        // A port receives what is for its own addresses: here those of the other side.
        let back_again = Impairment {
            loss: 0.0,
            ..impairment
        };
        let config = FaultConfig {
            seed: crate::seed(31),
            rx: impairment,
            tx: back_again,
        };
        let mut front = Fault::new(open("front", far), config);
        let mut back = open("back", near);
        let is_over: &'static AtomicBool = Box::leak(Box::default());
        let thread = thread::spawn(move || run(&mut front, &mut back, is_over));
        Self {
            thread: Some(thread),
            is_over,
        }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            ended.is_some_and(|ended| ended.is_ok()),
            "the forwarder failed"
        );
    }
}

/// Forwards both ways until it is over.
fn run(front: &mut impl Port, back: &mut impl Port, is_over: &AtomicBool) {
    let start = std::time::Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let nanos = u64::try_from(start.elapsed().as_nanos()).expect("a short test");
        let now = Instant::from_nanos(nanos);
        if forward(front, back, now) + forward(back, front, now) == 0 {
            sleep(NAP);
        }
    }
}

/// Copies what has come in at one port to the other. Answers how many frames that were.
fn forward(from: &mut impl Port, to: &mut impl Port, now: Instant) -> usize {
    let (mut arrived, mut leaving) = (Burst::new(), Burst::new());
    from.rx_burst(&mut arrived, now);
    let count = arrived.len();
    for frame in arrived {
        // A port that has no frame left drops, as a router does.
        if let Some(mut copy) = to.take_frame() {
            copy.resize(frame.len());
            copy.bytes_mut().copy_from_slice(frame.bytes());
            leaving.push(copy);
        }
        from.give_frame(frame);
    }
    to.tx_burst(&mut leaving, now);
    leaving.into_iter().for_each(|frame| to.give_frame(frame));
    count
}
