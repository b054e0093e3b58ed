//! Citations of RFCs in comments, and what may be cited: the sections of each RFC, and the labels of
//! RFC 9293.

use std::collections::{BTreeMap, BTreeSet};

use crate::word;

/// The sections of each RFC that may be cited: its number, a colon, its sections.
const SECTIONS: &str = include_str!("sections.txt");

/// The known sections of each RFC.
pub(crate) fn known_sections() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let line = |line: &'static str| {
        let (rfc, sections) = line.split_once(':').expect("number: sections");
        (rfc, sections.split_whitespace().collect())
    };
    SECTIONS.lines().map(line).collect()
}

/// Comments as one line, so that a citation may go over the end of one.
pub(crate) fn flowing(text: &str) -> String {
    let mut flowing = String::new();
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches(['/', '!', '#']);
        flowing.push_str(line.trim());
        flowing.push(' ');
    }
    flowing
}

/// A section number at the start of `text` and what follows it.
fn section(text: &str) -> Option<(&str, &str)> {
    let is_appendix =
        text.starts_with(|letter: char| letter.is_ascii_uppercase()) && text[1..].starts_with('.');
    let start = usize::from(is_appendix);
    let is_end = |letter: char| !(letter.is_ascii_digit() || letter == '.');
    let end = text[start..]
        .find(is_end)
        .map_or(text.len(), |end| start + end);
    let number = text[..end].trim_end_matches('.');
    (number.len() > start).then(|| (number, &text[number.len()..]))
}

/// Every RFC that `text` cites, with the sections it names.
pub(crate) fn citations(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut citations = Vec::new();
    for (at, _) in text.match_indices("RFC ") {
        let rest = &text[at + 4..];
        let rfc = &rest[..rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len())];
        if rfc.is_empty() {
            continue;
        }
        let rest = rest[rfc.len()..].trim_start();
        let rest = ["sections ", "section ", "appendix "]
            .iter()
            .find_map(|word| rest.strip_prefix(word))
            .unwrap_or(rest);
        let mut sections = Vec::new();
        let mut next = section(rest);
        while let Some((number, rest)) = next {
            sections.push(number);
            // More of them look like sections only with a dot in them.
            let more = [", ", " and ", " to "]
                .iter()
                .find_map(|word| rest.strip_prefix(word));
            next = more
                .and_then(section)
                .filter(|(number, _)| number.contains('.'));
        }
        citations.push((rfc, sections));
    }
    citations
}

/// Every label of RFC 9293 that `text` cites.
pub(crate) fn labels(text: &str) -> Vec<&str> {
    let mut labels = Vec::new();
    for series in ["MUST-", "SHLD-", "MAY-", "REC-"] {
        for (at, _) in text.match_indices(series) {
            let number = word(&text[at + series.len()..]);
            if number.starts_with(|letter: char| letter.is_ascii_digit()) {
                labels.push(&text[at..at + series.len() + number.len()]);
            }
        }
    }
    labels
}

#[test]
fn citations_are_found_as_they_are_written() {
    let text = flowing(
        "// RFC 9293 3.10.7.4, MUST-59: no.\n/// (RFC 5681 section\n/// 3.1, RFC 7323 2.2, 2.3: both)\n\
         //! RFC 1071 2(B); RFC 9293 appendix A.3; RFC 6928: 10 of them. RFC 9293 sections 3.10.1 to\n\
         //! 3.10.6. RFC 5681 4.1 in spirit; RFC 9438.",
    );
    let wanted = [
        ("9293", vec!["3.10.7.4"]),
        ("5681", vec!["3.1"]),
        ("7323", vec!["2.2", "2.3"]),
        ("1071", vec!["2"]),
        ("9293", vec!["A.3"]),
        ("6928", vec![]),
        ("9293", vec!["3.10.1", "3.10.6"]),
        ("5681", vec!["4.1"]),
        ("9438", vec![]),
    ];
    assert_eq!(citations(&text), wanted);
    assert_eq!(labels(&text), ["MUST-59"]);
}
