//! No text, however broken, makes reading panic, and whatever is refused is refused with a reason.

use proptest::prelude::*;
use tidegate_config::{Config, DEFAULT_TOML, Faults};

/// What must hold of every refusal.
fn check(text: &str, result: Result<Config, Faults>) {
    let Err(faults) = result else { return };
    let lines = text.split('\n').count();
    assert!(faults.len() > 0);
    for fault in &faults {
        assert!(
            !fault.what().is_empty() && !fault.help().is_empty(),
            "{fault}"
        );
        assert!(
            fault.line().is_none_or(|line| (1..=lines).contains(&line)),
            "{fault}"
        );
        assert!(fault.column().is_none_or(|column| column >= 1), "{fault}");
    }
    let shown = faults.to_string();
    assert_eq!(shown.matches("error").count().min(1), 1);
    assert!(
        !shown.contains('\u{1b}'),
        "an escape character reaches the terminal"
    );
}

/// Text from the pieces that configurations are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "{",
        "}",
        ",",
        ".",
        "#",
        "\n",
        " ",
        "\t",
        "\r\n",
        "port",
        "tcp",
        "listener",
        "pool",
        "backend",
        "workers",
        "rmem",
        "addresses",
        "name",
        "interface",
        "service",
        "fault",
        "loss",
        "nan",
        "inf",
        "true",
        "0x",
        "-1",
        "1e9",
        "1979-05-27",
        "99999999999999999999999",
        "\"10.0.0.2/24\"",
        "\"[::1]:80\"",
        "\"*:80\"",
        "\"200ms\"",
        "\\u",
        "\u{0}",
        "\u{1b}",
        "ß",
        "😀",
        "[[port]]\n",
        "[tcp]\n",
        "[[pool]]\n[[pool.backend]]\n",
        "rmem = \"64k\"\n",
        "interface = \"a\"\n",
        "= [\n",
        "\"\\uD800\"",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        check(&text, Config::from_bytes("random", &bytes));
    }

    #[test]
    fn arbitrary_text(text in "\\PC{0,200}") {
        check(&text, Config::from_str("random", &text));
    }

    #[test]
    fn pieces_of_configurations(text in pieces()) {
        check(&text, Config::from_str("pieces", &text));
    }

    /// The manual without its comments, with some stretch of it replaced.
    #[test]
    fn damaged_manual(at in any::<prop::sample::Index>(), len in 0_usize..40, patch in pieces()) {
        let manual = stripped_manual();
        let chars: Vec<char> = manual.chars().collect();
        let start = at.index(chars.len());
        let end = (start + len).min(chars.len());
        let patch: String = patch.chars().take(30).collect();
        let head: String = chars[..start].iter().collect();
        let tail: String = chars[end..].iter().collect();
        let text = format!("{head}{patch}{tail}");
        check(&text, Config::from_str("damaged", &text));
    }
}

fn stripped_manual() -> String {
    let lines = DEFAULT_TOML
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_line_of_the_manual_left_out_is_valid_or_named() {
    let manual = stripped_manual();
    let lines: Vec<&str> = manual.lines().collect();
    for left_out in 0..lines.len() {
        let rest: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != left_out)
            .map(|(_, line)| *line)
            .collect();
        let text = rest.join("\n");
        check(&text, Config::from_str("left out", &text));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for deep in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        "{a=".repeat(50_000),
    ] {
        check(&deep, Config::from_str("deep", &deep));
    }
    let dotted = format!("{}a = 1", "a.".repeat(20_000));
    check(&dotted, Config::from_str("dotted", &dotted));
}
