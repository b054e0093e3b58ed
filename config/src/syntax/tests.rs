//! Tests: what is said of a text that is not TOML, and what is still read of it.

use super::*;

/// Line, what and help of each fault, and the keys that are still read.
fn read(text: &str) -> (Vec<(usize, String, String)>, Vec<String>) {
    let source = Source { name: "t", text };
    let readable = Readable::new(&source);
    let faults = readable
        .faults
        .iter()
        .map(|f| (source.line(f.span.start), f.what.clone(), f.help.clone()))
        .collect();
    let mut keys = Vec::new();
    list_keys("", &readable.document(), &mut keys);
    (faults, keys)
}

fn list_keys(path: &str, table: &DeTable<'_>, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = format!("{path}{}", key.get_ref());
        match value.get_ref().as_table() {
            Some(inner) => list_keys(&format!("{path}."), inner, keys),
            None => keys.push(path),
        }
    }
}

fn lines(text: &str) -> Vec<(usize, String)> {
    read(text)
        .0
        .into_iter()
        .map(|(line, what, _)| (line, what))
        .collect()
}

#[test]
fn text_that_is_toml_has_no_fault() {
    assert_eq!(
        read("a = 1\n[b]\nc = [[1], [2]]\n"),
        (vec![], vec!["a".into(), "b.c".into()])
    );
}

#[test]
fn unquoted_text_is_one_fault_and_loses_nothing() {
    let (faults, keys) = read("[a]\nx = eth0\ny = 1\n");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].0, 2);
    assert_eq!(faults[0].1, "`eth0` stands without quotes");
    assert_eq!(faults[0].2, "write \"eth0\"");
    assert_eq!(keys, ["a.x", "a.y"]);
}

#[test]
fn unclosed_list_is_one_fault_at_its_beginning() {
    let text = "[a]\nx = [\n  \"1\",\n  \"2\"\ny = [3]\n[b]\nz = 1\nw = what\n";
    let (faults, keys) = read(text);
    let found: Vec<_> = faults.iter().map(|f| (f.0, f.1.as_str())).collect();
    assert_eq!(
        found,
        [
            (2, "this list is not closed"),
            (8, "`what` stands without quotes")
        ]
    );
    assert_eq!(keys, ["a.y", "b.w", "b.z"]);
}

#[test]
fn unclosed_header_takes_its_keys_along_and_nothing_else() {
    let (faults, keys) = read("[a]\nx = 1\n[[b]\ny = 1\n[c]\nz = 1\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(
        (faults[0].0, faults[0].2.as_str()),
        (3, "close the header with `]]`")
    );
    assert_eq!(keys, ["a.x", "c.z"]);
}

#[test]
fn unclosed_multi_line_text_is_one_fault_at_its_beginning() {
    let (faults, keys) = read("a = \"\"\"\nbody\nb = 1\nc = 2\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(
        (faults[0].0, faults[0].1.as_str()),
        (1, "this text is not closed")
    );
    assert_eq!(keys, ["b", "c"]);
}

#[test]
fn each_statement_without_sense_is_one_fault() {
    let text = "[a]\nx\ny = 1\nfoo bar\nz: 2\nw = 0x\n}\nv = 1\n";
    let lines: Vec<_> = lines(text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 4, 5, 7]);
    assert_eq!(read(text).1, ["a.v", "a.w", "a.y"]);
}

#[test]
fn second_definition_of_a_key_is_a_fault_where_it_stands() {
    assert_eq!(
        lines("a = 1\nb = 2\na = 3\n"),
        [(3, "not TOML: duplicate key".to_owned())]
    );
}

#[test]
fn statement_without_end_does_not_loop() {
    for text in [
        "[", "[[", "a = [", "a = {", "a", "=", "\"", "a = '''", "[a]\n[", "{", "]", "a.b",
    ] {
        assert_eq!(lines(text).len(), 1, "{text:?}: {:?}", lines(text));
    }
}
