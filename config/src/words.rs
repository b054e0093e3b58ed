//! Lines of a configuration made of words of a command line, where nobody writes TOML.
//!
//! `time_wait=2s` on a command line is `time_wait = "2s"` in the file. What type a value has there is
//! what the manual's default has, so no key needs to be known here by name. The line is then read
//! like any other, and what is wrong with it is said in the same words.

use toml::de::DeValue;

use crate::manual::Manual;

/// Names under which other programs know keys of `[tcp]`, where they are common on command lines.
const ALIASES: [(&str, &str); 1] = [("congestion", "congestion_control")];

/// The line of `[tcp]` that says `key=value`. A flag may be `on` or `off` as well; quotes are not
/// needed.
///
/// ```
/// use tidegate_config::tcp_line;
///
/// assert_eq!(tcp_line("time_wait", "2s"), "\"time_wait\" = \"2s\"");
/// assert_eq!(tcp_line("sack", "off"), "\"sack\" = false");
/// assert_eq!(tcp_line("delayed_ack", "off"), "\"delayed_ack\" = \"off\"");
/// assert_eq!(tcp_line("initial_window", "10"), "\"initial_window\" = 10");
/// assert_eq!(tcp_line("congestion", "reno"), "\"congestion_control\" = \"reno\"");
/// ```
#[must_use]
pub fn tcp_line(key: &str, value: &str) -> String {
    let key = tcp_key(key);
    let tcp = Manual::defaults().get("tcp");
    let table = tcp.and_then(|node| node.get_ref().as_table());
    let default = table.and_then(|table| table.get(key));
    let is_flag = default.is_some_and(|node| matches!(node.get_ref(), DeValue::Boolean(_)));
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let value = match value {
        "on" | "true" if is_flag => "true".to_owned(),
        "off" | "false" if is_flag => "false".to_owned(),
        // TOML has no number with a zero in front; such a one is no number here either.
        _ if is_number && (value == "0" || !value.starts_with('0')) => value.to_owned(),
        _ => quoted(value),
    };
    format!("{} = {value}", quoted(key))
}

/// The key of `[tcp]` that is meant by `key`.
fn tcp_key(key: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
    alias.map_or(key, |(_, name)| name)
}

/// `text` as a string of TOML, whatever is in it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    /// A stack with these keys of `[tcp]`.
    fn stack(words: &[(&str, &str)]) -> Result<Config, String> {
        let lines: Vec<String> = words
            .iter()
            .map(|(key, value)| tcp_line(key, value))
            .collect();
        let text = format!(
            "[[port]]\ninterface = \"eth1\"\naddresses = [\"192.0.2.1/24\"]\n[tcp]\n{}\n",
            lines.join("\n")
        );
        Config::stack_from_str("command line", &text).map_err(|faults| faults.to_string())
    }

    #[test]
    fn words_of_a_command_line_are_values_of_the_file() {
        use std::time::Duration;

        use crate::CongestionControl;

        let tcp = stack(&[
            ("time_wait", "2s"),
            ("congestion", "reno"),
            ("delayed_ack", "off"),
            ("rto_min", "1s"),
            ("initial_window", "10"),
            ("sack", "off"),
            ("nodelay", "on"),
            ("rmem", "64k"),
            ("wmem", "65536"),
            ("mss_max", "1000"),
        ])
        .unwrap()
        .tcp;
        assert_eq!(tcp.time_wait, Duration::from_secs(2));
        assert_eq!(tcp.congestion_control, CongestionControl::NewReno);
        assert_eq!(tcp.delayed_ack, Duration::ZERO);
        assert_eq!(tcp.rto_min, Duration::from_secs(1));
        assert_eq!((tcp.initial_window, tcp.mss_max), (10, Some(1000)));
        assert!(!tcp.sack && tcp.nodelay && tcp.timestamps);
        assert_eq!((tcp.rmem, tcp.wmem), (Some(65_536), Some(65_536)));
    }

    #[test]
    fn every_default_of_the_manual_can_be_said_on_a_command_line() {
        let defaults = Manual::defaults().get("tcp").unwrap();
        let defaults = defaults.get_ref().as_table().unwrap();
        assert!(defaults.len() > 20);
        let as_written = stack(&[]).unwrap();
        for (key, node) in defaults {
            let value = match node.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(flag) => if *flag { "on" } else { "off" }.to_owned(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => panic!("{key:?} is a {node:?}"),
            };
            assert_eq!(
                stack(&[(key.get_ref(), &value)]).unwrap(),
                as_written,
                "{key:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_names_the_key_and_says_what_would_be_right() {
        for (key, value, said) in [
            ("time_wiat", "2s", "did you mean `time_wait`?"),
            ("time_wait", "2", "write \"2s\" or \"2ms\""),
            ("time_wait", "1h", "is too long"),
            ("sack", "maybe", "expected true or false"),
            (
                "initial_window",
                "ten",
                "expected a whole number of segments from 1 to 64",
            ),
            ("initial_window", "007", "a number stands without quotes"),
            ("congestion", "vegas", "\"vegas\" is not known here"),
            ("rto_min = 1\nsack", "\"\n[port]\u{7f}", "has no key"),
            ("", "", "has no key"),
        ] {
            let faults = stack(&[(key, value)]).unwrap_err();
            assert!(faults.contains(said), "{key}={value}: {faults}");
        }
    }

    #[test]
    fn a_stack_needs_no_listener_but_a_port() {
        assert!(stack(&[]).is_ok());
        let faults = Config::stack_from_str("t", "[tcp]\n").unwrap_err();
        assert!(
            faults.to_string().contains("there is no [[port]]"),
            "{faults}"
        );
    }
}
