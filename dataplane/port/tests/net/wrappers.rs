//! The wrappers around a real port, with a kernel at the other end.

use std::time::Duration;

use tidegate_port::{Driver, DriverChoice, Fault, FaultConfig, Impairment, OpenConfig, Pcap, Port};

use super::peer::{udp_echo, with_peer};
use super::responder::OWN_V4;
use super::space::{PORT_IF, in_space};

#[test]
fn a_kernel_bears_faults_and_everything_is_written_down() {
    in_space(|space| {
        space.add_veth(1);
        let config = OpenConfig {
            driver: DriverChoice::AfPacket,
            addresses: vec![OWN_V4.into()],
            ..OpenConfig::new(PORT_IF)
        };
        let driver = Driver::open(&config).expect("root may");
        let faults = Impairment {
            loss: 0.03,
            duplication: 0.2,
            corruption: 0.02,
            reordering: 0.1,
            delay: Duration::from_millis(2),
            ..Impairment::default()
        };
        let config = FaultConfig {
            seed: 11,
            rx: faults,
            tx: faults,
        };
        let mut file = Vec::new();
        let port = Fault::new(driver, config);
        let mut port = Pcap::new(port, &mut file, Duration::ZERO).expect("memory takes it");
        with_peer(&mut port, &space.peer, || udp_echo((OWN_V4, 7).into(), 40));

        let (rx, tx) = (port.port().rx_statistics(), port.port().tx_statistics());
        assert!(rx.sent >= 40 && rx.duplicated > 0, "{rx:?}");
        for statistics in [rx, tx] {
            let out = statistics.delivered + statistics.lost + statistics.in_flight;
            assert_eq!(
                statistics.sent + statistics.duplicated,
                out,
                "{statistics:?}"
            );
        }
        let counts = port.frame_counts();
        assert!(counts.is_exact(), "{counts:?}");
        let passed = port.counters().rx_frames + tx.sent;
        assert_eq!(port.statistics().frames, passed);
        port.flush();
        assert_eq!(port.statistics().written, passed);
        drop(port);
        let record_headers = 24 + 16 * usize::try_from(passed).expect("few");
        assert!(file.len() > record_headers);
    });
}
