//! From the words of the configuration to those of the dataplane, one table at a time.

use tidegate_config as config;
use tidegate_port::{DriverChoice, OpenConfig, XdpMode, ZeroCopy};
use tidegate_tcp::{CongestionKind, Ecn, Keepalive, MtuProbing, Pacing, Settings};
use tidegate_wire::RxChecksum;
use tidegate_worker::{Cidr, Idle};

/// `[tcp]`, with what a listener or a pool says otherwise.
pub(super) fn tcp(tcp: &config::Tcp) -> Settings {
    let congestion = match tcp.congestion_control {
        config::CongestionControl::Cubic => CongestionKind::Cubic,
        config::CongestionControl::NewReno => CongestionKind::NewReno,
        config::CongestionControl::Bbr => CongestionKind::Bbr,
    };
    let pacing = match tcp.pacing {
        config::Pacing::Auto => Pacing::Auto,
        config::Pacing::On => Pacing::On,
        config::Pacing::Off => Pacing::Off,
    };
    let mtu_probing = match tcp.mtu_probing {
        config::MtuProbing::Off => MtuProbing::Off,
        config::MtuProbing::BlackHole => MtuProbing::BlackHole,
        config::MtuProbing::Always => MtuProbing::Always,
    };
    let keepalive = tcp.keepalive.map(|keepalive| Keepalive {
        idle: keepalive.time,
        interval: keepalive.intvl,
        count: keepalive.probes,
    });
    Settings {
        rmem: tcp.rmem.unwrap_or(Settings::MEM_AUTO),
        rmem_max: tcp.rmem.unwrap_or(tcp.rmem_max),
        wmem: tcp.wmem.unwrap_or(Settings::MEM_AUTO),
        wmem_max: tcp.wmem.unwrap_or(tcp.wmem_max),
        wnd_scaling: tcp.window_scaling,
        sack: tcp.sack,
        timestamps: tcp.timestamps,
        nodelay: tcp.nodelay,
        delayed_ack: tcp.delayed_ack,
        quick_acks: tcp.quick_acks,
        initial_window: tcp.initial_window,
        initial_rto: tcp.rto_initial,
        hystart: tcp.hystart,
        rto_min: tcp.rto_min,
        rto_max: tcp.rto_max,
        syn_retries: tcp.syn_retries,
        syn_ack_retries: tcp.synack_retries,
        strict: tcp.strict,
        retries2: tcp.retries2,
        time_wait: tcp.time_wait,
        time_wait_reuse: tcp.time_wait_reuse,
        fin_timeout: tcp.fin_timeout,
        keepalive,
        user_timeout: tcp.user_timeout,
        linger: tcp.linger,
        congestion,
        ecn: match tcp.ecn {
            config::Ecn::Off => Ecn::Off,
            config::Ecn::Passive => Ecn::Passive,
            config::Ecn::On => Ecn::On,
        },
        pacing,
        hop_limit: tcp.ttl,
        // RFC 2474 3: the code point is the upper six bits of the byte.
        traffic_class: tcp.dscp << 2,
        mss_max: tcp.mss_max,
        mtu_probing,
        base_mss: tcp.base_mss,
        min_pmtu: tcp.min_pmtu,
    }
}

/// `[[port]]`.
pub(super) fn port(port: &config::Port) -> OpenConfig {
    OpenConfig {
        driver: match port.driver {
            config::Driver::Auto => DriverChoice::Auto,
            config::Driver::AfXdp => DriverChoice::AfXdp,
            config::Driver::AfPacket => DriverChoice::AfPacket,
            config::Driver::Tap => DriverChoice::Tap,
        },
        queues: port.queues,
        frames: port.frames,
        mtu: port.mtu,
        addresses: port.addresses.iter().map(|cidr| cidr.addr).collect(),
        rx_checksum: match port.rx_checksum {
            config::RxChecksum::Verify => RxChecksum::Verify,
            config::RxChecksum::Partial => RxChecksum::TrustPartial,
            config::RxChecksum::Trust => RxChecksum::Trust,
        },
        tx_checksum_offload: port.tx_checksum_offload,
        xdp_mode: match port.xdp_mode {
            config::XdpMode::Auto => XdpMode::Auto,
            config::XdpMode::Native => XdpMode::Native,
            config::XdpMode::Generic => XdpMode::Generic,
        },
        zero_copy: match port.zero_copy {
            config::ZeroCopy::Auto => ZeroCopy::Auto,
            config::ZeroCopy::On => ZeroCopy::On,
            config::ZeroCopy::Off => ZeroCopy::Off,
        },
        ..OpenConfig::new(port.interface.as_str())
    }
}

/// The addresses of a `[[port]]`, with their networks.
pub(super) fn addresses(port: &config::Port) -> Vec<Cidr> {
    port.addresses
        .iter()
        .map(|cidr| Cidr {
            addr: cidr.addr,
            prefix: cidr.prefix,
        })
        .collect()
}

/// `[workers] idle`.
pub(super) fn idle(workers: &config::Workers) -> Idle {
    match workers.idle {
        config::Idle::Adaptive => Idle::Adaptive {
            spin: workers.idle_spin,
        },
        config::Idle::Spin => Idle::Spin,
        config::Idle::Sleep => Idle::Sleep,
    }
}
