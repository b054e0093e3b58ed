//! Numbers, shares, durations and sizes: values with a range, most of them with a unit.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use toml::de::{DeInteger, DeValue};

use super::{Kind, Node, Place};

/// A whole number in a range.
#[derive(Debug)]
pub(crate) struct Whole<T> {
    pub(crate) range: RangeInclusive<T>,
    /// What is counted, after "a whole number": ` of segments`, or nothing. Where the range is one
    /// number, why.
    pub(crate) of: &'static str,
}

/// A power of two in a range.
#[derive(Debug)]
pub(crate) struct PowerOfTwo {
    pub(crate) range: RangeInclusive<u32>,
}

/// A share from 0 to 1.
#[derive(Debug)]
pub(crate) struct Share;

/// A duration in a range, written with its unit: `"200ms"`.
#[derive(Debug)]
pub(crate) struct Period(pub(crate) RangeInclusive<Duration>);

/// A number of bytes in a range, bare or with a suffix: `65536`, `"64k"`.
#[derive(Debug)]
pub(crate) struct Size(pub(crate) RangeInclusive<u64>);

/// Units of durations, the largest first, in nanoseconds.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Suffixes of sizes, the largest first, in bytes. Powers of 1024, as in sysctl.conf and
/// haproxy.cfg.
const SIZE_UNITS: [(&str, u64); 3] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)];

impl<T> Whole<T> {
    /// A number that counts nothing that has a name.
    pub(crate) const fn new(range: RangeInclusive<T>) -> Self {
        Self { range, of: "" }
    }
}

impl<T: Display + Copy + PartialOrd + TryFrom<i128>> Kind for Whole<T> {
    type Value = T;

    fn expects(&self) -> String {
        let (from, to) = (self.range.start(), self.range.end());
        if from == to {
            return format!("{from}{}", self.of);
        }
        format!("a whole number{} from {from} to {to}", self.of)
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<T> {
        let DeValue::Integer(found) = node.get_ref() else {
            place.refuse(node, describe_unquoted(node, self), self);
            return None;
        };
        let Some(number) = integer(found) else {
            place.refuse(
                node,
                format!("{found} is not a number this program can hold"),
                self,
            );
            return None;
        };
        let value = T::try_from(number)
            .ok()
            .filter(|value| self.range.contains(value));
        if value.is_none() {
            // A number too large for the type is above every range; one below the type is below.
            let what = if number < 0 || T::try_from(number).is_ok_and(|v| v < *self.range.start()) {
                format!("{number} is too small")
            } else {
                format!("{number} is too large")
            };
            place.refuse(node, what, self);
        }
        value
    }
}

impl Kind for PowerOfTwo {
    type Value = u32;

    fn expects(&self) -> String {
        format!(
            "a power of two from {} to {}",
            self.range.start(),
            self.range.end()
        )
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<u32> {
        let DeValue::Integer(found) = node.get_ref() else {
            place.refuse(node, describe_unquoted(node, self), self);
            return None;
        };
        let number = integer(found).and_then(|number| u32::try_from(number).ok());
        match number {
            Some(number) if number.is_power_of_two() && self.range.contains(&number) => {
                Some(number)
            }
            Some(number) if self.range.contains(&number) => {
                let below = 1_u32 << number.ilog2();
                let above = below.saturating_mul(2).min(*self.range.end());
                let what = format!("{number} is not a power of two");
                place.complain(node, what, format!("the nearest are {below} and {above}"));
                None
            }
            _ => {
                place.refuse(node, format!("{found} is out of range"), self);
                None
            }
        }
    }
}

impl Kind for Share {
    type Value = f64;

    fn expects(&self) -> String {
        "a share from 0.0 (none) to 1.0 (all)".to_owned()
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<f64> {
        let number = match node.get_ref() {
            DeValue::Float(found) => found.as_str().parse::<f64>().ok(),
            DeValue::Integer(found) => integer(found)
                .and_then(|n| i32::try_from(n).ok())
                .map(f64::from),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                place.refuse(node, describe_unquoted(node, self), self);
                return None;
            }
        };
        // Not a number is in no range, so it is refused here as well.
        let share = number.filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            let found = place.findings.source().slice(node.span().into());
            place.refuse(node, format!("{found} is out of range"), self);
        }
        share
    }
}

impl Kind for Period {
    type Value = Duration;

    fn expects(&self) -> String {
        format!(
            "a duration from {:?} to {:?}",
            duration(*self.0.start()),
            duration(*self.0.end())
        )
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<Duration> {
        if let DeValue::Integer(found) = node.get_ref() {
            let help = format!(
                "write \"{found}s\" or \"{found}ms\"; expected {}",
                self.expects()
            );
            place.complain(node, format!("{found} has no unit"), help);
            return None;
        }
        let Some(found) = node.get_ref().as_str() else {
            place.refuse(node, self.describe(node), self);
            return None;
        };
        let nanos = with_unit(found, &DURATION_UNITS);
        let Some(value) = nanos.map(Duration::from_nanos) else {
            let what = format!("{found:?} is not a duration");
            let units = "units are ns, us, ms, s, m, h, d";
            place.complain(node, what, format!("expected {}; {units}", self.expects()));
            return None;
        };
        let in_range = self.0.contains(&value);
        if !in_range {
            let size = if value < *self.0.start() {
                "short"
            } else {
                "long"
            };
            place.refuse(node, format!("{found:?} is too {size}"), self);
        }
        in_range.then_some(value)
    }
}

impl Kind for Size {
    type Value = u64;

    fn expects(&self) -> String {
        format!(
            "a size from {:?} to {:?}",
            size(*self.0.start()),
            size(*self.0.end())
        )
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<u64> {
        let (bytes, found) = match node.get_ref() {
            DeValue::Integer(found) => {
                let bytes = integer(found).and_then(|number| u64::try_from(number).ok());
                (bytes, found.to_string())
            }
            DeValue::String(found) => (size_of(found), format!("{found:?}")),
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                place.refuse(node, self.describe(node), self);
                return None;
            }
        };
        let Some(bytes) = bytes else {
            let help = format!(
                "expected {}; suffixes are k, m, g (powers of 1024)",
                self.expects()
            );
            place.complain(node, format!("{found} is not a size"), help);
            return None;
        };
        let in_range = self.0.contains(&bytes);
        if !in_range {
            let size = if bytes < *self.0.start() {
                "small"
            } else {
                "large"
            };
            place.refuse(node, format!("{found} is too {size}"), self);
        }
        in_range.then_some(bytes)
    }
}

/// A duration as it is written in the file: in the largest unit that leaves no fraction.
pub(crate) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let exact = DURATION_UNITS
        .iter()
        .find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit)));
    let (name, unit) = exact.expect("every duration is a whole number of nanoseconds");
    format!("{}{name}", nanos / u128::from(*unit))
}

/// A size as it is written in the file: in the largest unit that leaves no fraction.
pub(crate) fn size(bytes: u64) -> String {
    let exact = SIZE_UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    exact.map_or_else(
        || bytes.to_string(),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

/// The bytes that `text` says: `64k`, `64K`, `64KiB` or `65536`.
fn size_of(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let bare = lower
        .strip_suffix("ib")
        .filter(|rest| rest.ends_with(['k', 'm', 'g']));
    let bare = bare.unwrap_or(&lower);
    digits(bare).or_else(|| with_unit(bare, &SIZE_UNITS))
}

/// The number that `text` says in one of `units`.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(end);
    let (_, unit) = units
        .iter()
        .find(|(unit, _)| *unit == name.trim_start_matches(' '))?;
    digits(number)?.checked_mul(*unit)
}

/// The number that `text` says, if it is nothing but digits.
fn digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().ok()).flatten()
}

/// The value of an integer of the document.
fn integer(found: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(found.as_str(), found.radix()).ok()
}

/// What is wrong with a value of another type where a number belongs.
fn describe_unquoted(node: &Node<'_>, kind: &impl Kind) -> String {
    match node.get_ref().as_str() {
        Some(text) if digits(text).is_some() => {
            format!("{text:?} is a string; a number stands without quotes")
        }
        _ => kind.describe(node),
    }
}
