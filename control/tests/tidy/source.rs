//! The sources of the workspace, and just enough of Rust's grammar to find functions in them:
//! comments and literals are blanked out, then braces are counted.

use std::fs;
use std::path::{Path, PathBuf};

/// One `.rs` file.
pub(crate) struct Source {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of the word `fn`, from 1.
    pub(crate) first_line: usize,
    /// Those between its braces, comments and empty lines left out, as clippy counts.
    pub(crate) lines: usize,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let control = Path::new(env!("CARGO_MANIFEST_DIR"));
    control
        .parent()
        .expect("the package is a folder of the repository")
        .to_owned()
}

/// All Rust files of the workspace.
pub(crate) fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files_under(&root(), "rs") {
        let name = path
            .strip_prefix(root())
            .expect("a path below the root")
            .display()
            .to_string();
        sources.push(Source {
            name,
            text: fs::read_to_string(&path).expect("a source is UTF-8"),
        });
    }
    assert!(
        sources.len() > 50,
        "the sources are not where they are looked for"
    );
    sources
}

/// All files with this ending, in the order of their paths; hidden folders and `target` left out.
pub(crate) fn files_under(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry that can be read").path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files_under(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Source {
    /// Whether the whole file is a test or a bench.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["/tests/", "/benches/"];
        folders.iter().any(|folder| self.name.contains(folder)) || self.name.ends_with("/tests.rs")
    }

    /// Lines above the tests at the foot of the file.
    pub(crate) fn code_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_foot = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        lines.windows(2).position(is_foot).unwrap_or(lines.len())
    }

    /// The text with comments and literals blotted out, line by line as before.
    pub(crate) fn bare(&self) -> String {
        bare(&self.text)
    }

    /// The functions above the tests at the foot.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let bare = self.bare();
        let code: Vec<&str> = bare.lines().take(self.code_lines()).collect();
        functions(&code)
    }
}

fn functions(lines: &[&str]) -> Vec<Function> {
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        if let Some(lines) = length_of_body(&lines[at..]) {
            functions.push(Function {
                name,
                first_line: at + 1,
                lines,
            });
        }
    }
    functions
}

/// The name after the word `fn`, if the line declares a function.
fn function_name(line: &str) -> Option<String> {
    let at = line
        .find("fn ")
        .filter(|at| *at == 0 || line[..*at].ends_with([' ', '(']))?;
    let rest = &line[at + 3..];
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_owned())
}

/// Lines with code between the first brace and the one that closes it; `None` where a semicolon
/// comes before it.
fn length_of_body(lines: &[&str]) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    let mut first = None;
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => braces += 1,
                '}' => braces -= 1,
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                // The semicolon of `[u8; 4]` ends nothing.
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
            if c == '{' {
                first.get_or_insert(at + 1);
            }
            if c == '}' && braces == 0 {
                let body = lines.get(first?..at).unwrap_or_default();
                return Some(body.iter().filter(|line| !line.trim().is_empty()).count());
            }
        }
    }
    None
}

/// Turns comments into blanks and literals into underscores; keeps the line breaks.
fn bare(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, bare.chars().next_back());
        if length == 0 {
            bare.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (blanked, after) = rest.split_at(length);
            let blank = if first == '/' { ' ' } else { '_' };
            bare.extend(
                blanked
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { blank }),
            );
            rest = after;
        }
    }
    bare
}

/// Bytes of the comment or literal that the text begins with, 0 if it begins with neither.
fn literal_length(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |at| at + 2);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = text.strip_prefix('b').unwrap_or(text).strip_prefix('r');
    if let Some(raw) = raw.filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let body = text.len() - raw.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            return text[body..]
                .find(&end)
                .map_or(text.len(), |at| body + at + end.len());
        }
    }
    match text.as_bytes()[0] {
        b'"' => quoted_length(text, b'"'),
        // A lifetime has no second quote right after its first character.
        b'\'' if text[1..].starts_with('\\') => quoted_length(text, b'\''),
        b'\'' => {
            let inside = text[1..].chars().next().map_or(0, char::len_utf8);
            if text[1 + inside..].starts_with('\'') {
                inside + 2
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// Bytes up to the quote that ends what begins with one; a backslash hides what follows it.
fn quoted_length(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

#[test]
fn functions_are_found_whatever_stands_in_literals() {
    let text = r###"
        // fn commented() {
        pub const fn one(of: [u8; 4]) -> &'static str {
            let open = '{';
            let escaped = '\'';
            /* } } */
            "} \" {"
        }
        fn declared(only: u32);
        fn two<'a>(x: &'a str) { r#"}"} "#; }
        let not = "fn quoted() {";
    "###;
    let bare = bare(text);
    let lines: Vec<&str> = bare.lines().collect();
    let found: Vec<(String, usize, usize)> = functions(&lines)
        .into_iter()
        .map(|f| (f.name, f.first_line, f.lines))
        .collect();
    assert_eq!(found, [("one".to_owned(), 3, 3), ("two".to_owned(), 10, 0)]);
}
