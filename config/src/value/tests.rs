//! Tests: what each kind of value accepts, and what it says of the rest.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use proptest::prelude::*;
use toml::de::DeTable;

use super::{
    address::{BACKEND, LISTEN, OWNED},
    number::{Period, PowerOfTwo, Share, Size, Whole, duration, size},
    text::{INTERFACE, MODE, NAME, PORTS, SOCKET},
    *,
};
use crate::source::Source;

/// Reads `value` as TOML and then as `kind`: the value, or what and help of its faults.
fn read<K: Kind>(kind: &K, value: &str) -> Result<K::Value, String> {
    let text = format!("key = {value}");
    let source = Source {
        name: "t",
        text: &text,
    };
    let document = DeTable::parse(&text).unwrap_or_else(|error| panic!("{value}: {error}"));
    let findings = Findings::new(&source, Vec::new(), false);
    let node = document.get_ref().get("key").unwrap();
    let read = kind.read(
        node,
        &Place {
            key: "key",
            findings: &findings,
        },
    );
    let said: Vec<String> = findings
        .into_parts()
        .into_iter()
        .map(|(_, what, help)| format!("{what}; {help}"))
        .collect();
    assert_eq!(read.is_none(), !said.is_empty(), "{value}: {said:?}");
    read.ok_or_else(|| said.join("\n"))
}

#[test]
fn durations_have_a_unit_and_a_range() {
    let kind = Period(Duration::from_millis(1)..=Duration::from_secs(7200));
    let accepted = [
        ("1ms", 1_000_000),
        ("200ms", 200_000_000),
        ("1000us", 1_000_000),
    ];
    for (text, nanos) in accepted {
        assert_eq!(
            read(&kind, &format!("{text:?}")),
            Ok(Duration::from_nanos(nanos))
        );
    }
    assert_eq!(read(&kind, "\"2h\""), Ok(Duration::from_secs(7200)));
    assert_eq!(read(&kind, "\"30 s\""), Ok(Duration::from_secs(30)));
    let expected = "expected a duration from \"1ms\" to \"2h\"";
    assert_eq!(
        read(&kind, "\"3h\""),
        Err(format!("\"3h\" is too long; {expected}"))
    );
    assert_eq!(
        read(&kind, "\"1us\""),
        Err(format!("\"1us\" is too short; {expected}"))
    );
    for wrong in [
        "",
        "s",
        "5",
        "5x",
        "-5s",
        "1.5s",
        "5s5",
        "99999999999999999999s",
        "5sec",
        "٣s",
    ] {
        let said = read(&kind, &format!("{wrong:?}")).unwrap_err();
        let what =
            format!("{wrong:?} is not a duration; {expected}; units are ns, us, ms, s, m, h, d");
        assert_eq!(said, what);
    }
    assert!(
        read(&kind, "30")
            .unwrap_err()
            .starts_with("30 has no unit; write \"30s\"")
    );
}

#[test]
fn sizes_take_the_suffixes_of_sysctl() {
    let kind = Size(1..=1 << 40);
    for text in [
        "65536",
        "\"65536\"",
        "\"64k\"",
        "\"64K\"",
        "\"64KiB\"",
        "\"64kib\"",
        "0x1_0000",
    ] {
        assert_eq!(read(&kind, text), Ok(65_536), "{text}");
    }
    assert_eq!(read(&kind, "\"2g\""), Ok(2 << 30));
    for wrong in [
        "\"64kb\"",
        "\"k\"",
        "\"\"",
        "\"1.5m\"",
        "-1",
        "\"64 kk\"",
        "\"99999999999g\"",
    ] {
        assert!(
            read(&kind, wrong).unwrap_err().contains("is not a size"),
            "{wrong}"
        );
    }
    assert!(
        read(&kind, "0")
            .unwrap_err()
            .starts_with("0 is too small; expected a size from \"1\"")
    );
}

#[test]
fn whole_numbers_are_checked_in_their_own_type() {
    let kind = Whole::<u8>::new(1..=200);
    assert_eq!(read(&kind, "200"), Ok(200));
    assert_eq!(read(&kind, "0b11"), Ok(3));
    for (text, what) in [
        ("0", "too small"),
        ("-300", "too small"),
        ("201", "too large"),
        ("300", "too large"),
    ] {
        assert!(read(&kind, text).unwrap_err().contains(what), "{text}");
    }
    assert!(
        read(&kind, "1.0")
            .unwrap_err()
            .starts_with("a number with a fraction cannot stand here")
    );
    assert!(
        read(&kind, "\"5\"")
            .unwrap_err()
            .starts_with("\"5\" is a string; a number stands")
    );
}

#[test]
fn powers_of_two_name_their_neighbours() {
    let kind = PowerOfTwo {
        range: 512..=1 << 20,
    };
    assert_eq!(read(&kind, "4096"), Ok(4096));
    assert_eq!(
        read(&kind, "5000"),
        Err("5000 is not a power of two; the nearest are 4096 and 8192".into())
    );
    for out in ["256", "2097152", "-1", "99999999999"] {
        assert!(
            read(&kind, out)
                .unwrap_err()
                .starts_with(&format!("{out} is out of range")),
            "{out}"
        );
    }
}

#[test]
fn shares_are_fractions_of_one() {
    assert_eq!(read(&Share, "0.25"), Ok(0.25));
    assert_eq!(read(&Share, "1"), Ok(1.0));
    assert_eq!(read(&Share, "5e-1"), Ok(0.5));
    for wrong in ["1.01", "-0.1", "2", "nan", "inf"] {
        assert!(
            read(&Share, wrong).unwrap_err().contains("is out of range"),
            "{wrong}"
        );
    }
}

#[test]
fn choices_suggest_the_nearest_word() {
    let kind = Choice(&[("auto", 1), ("native", 2), ("generic", 3)]);
    assert_eq!(kind.expects(), "\"auto\", \"native\" or \"generic\"");
    assert_eq!(read(&kind, "\"native\""), Ok(2));
    assert!(
        read(&kind, "\"nativ\"")
            .unwrap_err()
            .contains("did you mean \"native\"?")
    );
    assert!(
        !read(&kind, "\"hardware\"")
            .unwrap_err()
            .contains("did you mean")
    );
}

#[test]
fn a_word_may_stand_for_a_value_of_another_kind() {
    let kind = OrWord("auto", Whole::<u32>::new(1..=9));
    assert_eq!(read(&kind, "\"auto\""), Ok(None));
    assert_eq!(read(&kind, "5"), Ok(Some(5)));
    let expected = "expected \"auto\" or a whole number from 1 to 9";
    assert_eq!(
        read(&kind, "10"),
        Err(format!("10 is too large; {expected}"))
    );
}

#[test]
fn a_wrong_item_does_not_hide_the_others() {
    let kind = List {
        of: Whole::<u32>::new(1..=9),
        expects: "a list",
    };
    let complete = read(&kind, "[1, 2]").unwrap().complete();
    assert_eq!(complete, Some(vec![1, 2]));
    let said = {
        let text = "key = [1, 20, 3, \"x\"]";
        let source = Source { name: "t", text };
        let document = DeTable::parse(text).unwrap();
        let findings = Findings::new(&source, Vec::new(), false);
        let node = document.get_ref().get("key").unwrap();
        let items = kind
            .read(
                node,
                &Place {
                    key: "key",
                    findings: &findings,
                },
            )
            .unwrap();
        assert_eq!(
            items
                .known
                .iter()
                .map(|item| item.value)
                .collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!(items.unread, ["20", "x"]);
        findings.into_parts().len()
    };
    assert_eq!(said, 2);
}

#[test]
fn addresses_of_both_families_are_read() {
    let owned = read(&OWNED, "\"10.0.0.2/24\"").unwrap();
    assert_eq!(
        (owned.addr, owned.prefix),
        ("10.0.0.2".parse::<IpAddr>().unwrap(), 24)
    );
    for text in [
        "10.0.0.0/31",
        "10.0.0.1/31",
        "10.0.0.0/32",
        "fd00::/64",
        "fe80::1/64",
    ] {
        assert_eq!(
            read(&OWNED, &format!("{text:?}")).unwrap().to_string(),
            text
        );
    }
    for text in ["10.0.0.2:80", "[fd00::2]:80", "*:80"] {
        assert_eq!(
            read(&LISTEN, &format!("{text:?}")).unwrap().to_string(),
            text
        );
    }
    let backend: SocketAddr = "[fd00::2]:8000".parse().unwrap();
    assert_eq!(read(&BACKEND, "\"[fd00::2]:8000\""), Ok(backend));
    assert!(
        read(&BACKEND, "\"[fe80::2]:8000\"")
            .unwrap_err()
            .contains("only together with a link")
    );
    assert!(read(&BACKEND, "\"*:80\"").is_err());
}

#[test]
fn names_paths_and_modes_are_checked() {
    assert_eq!(read(&NAME, "\"web-1.a_B\"").as_deref(), Ok("web-1.a_B"));
    for wrong in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
        assert!(read(&NAME, &format!("{wrong:?}")).is_err(), "{wrong}");
    }
    for wrong in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-letters-x"] {
        assert!(read(&INTERFACE, &format!("{wrong:?}")).is_err(), "{wrong}");
    }
    assert_eq!(read(&MODE, "\"0660\""), Ok(0o660));
    assert_eq!(read(&MODE, "\"600\""), Ok(0o600));
    for wrong in ["660x", "7777", "8", "+660", "0o660", ""] {
        assert!(read(&MODE, &format!("{wrong:?}")).is_err(), "{wrong}");
    }
    assert!(read(&SOCKET, "\"/run/a.sock\"").is_ok());
    for wrong in [
        "run/a.sock",
        "/",
        "/run/",
        "",
        &format!("/{}", "x".repeat(107)),
    ] {
        assert!(read(&SOCKET, &format!("{wrong:?}")).is_err(), "{wrong}");
    }
}

#[test]
fn nearest_forgives_a_slip_and_no_more() {
    let words = ["rmem", "wmem", "retries2", "congestion_control"];
    assert_eq!(nearest("rmme", words), Some("rmem"));
    assert_eq!(
        nearest("Congestion-Control", words),
        Some("congestion_control")
    );
    assert_eq!(nearest("retries", words), Some("retries2"));
    assert_eq!(nearest("ttl", words), None);
}

proptest! {
    #[test]
    fn a_duration_reads_back_as_it_is_said(nanos in 0_u64..=u64::MAX / 2) {
        let value = Duration::from_nanos(nanos);
        let kind = Period(Duration::ZERO..=Duration::from_secs(u64::MAX / 1_000_000_000));
        prop_assert_eq!(read(&kind, &format!("{:?}", duration(value))), Ok(value));
    }

    #[test]
    fn a_size_reads_back_as_it_is_said(bytes in any::<u64>(), shift in 0_u32..60) {
        let bytes = (bytes >> shift) << (shift / 2).min(10);
        let kind = Size(0..=u64::MAX);
        prop_assert_eq!(read(&kind, &format!("{:?}", size(bytes))), Ok(bytes));
    }
}

#[test]
fn a_range_of_ports_has_two_ends_the_smaller_one_first() {
    assert_eq!(read(&PORTS, "\"32768-60999\""), Ok(32_768..=60_999));
    assert_eq!(read(&PORTS, "\"80 - 80\""), Ok(80..=80));
    for wrong in ["32768", "0-9", "1-65536", "a-b", "1-2-3", ""] {
        assert!(read(&PORTS, &format!("{wrong:?}")).is_err(), "{wrong}");
    }
    let reversed = read(&PORTS, "\"9-8\"").unwrap_err();
    assert!(reversed.ends_with("write \"8-9\""), "{reversed}");
}
