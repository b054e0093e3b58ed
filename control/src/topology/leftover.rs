//! Removes the namespaces of makers that were killed before they could remove them.

use std::path::Path;

use anyhow::Result;

use super::ip::ip_output;
use super::namespace::Namespace;

/// What was removed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of the namespaces.
    pub namespaces: Vec<String>,
    /// Pids of their makers, which no longer live; each once, in ascending order.
    pub makers: Vec<u32>,
}

/// Removes each namespace `PREFIX-PID-...` whose process PID no longer lives, and ends what still
/// runs inside it.
///
/// # Errors
///
/// `ip` is missing or could not list the namespaces.
pub fn remove_leftovers(prefix: &str) -> Result<Leftovers> {
    let mut removed = Leftovers::default();
    for line in ip_output(&["netns", "list"])?.lines() {
        let Some(name) = line.split_whitespace().next() else {
            continue;
        };
        let Some(maker) = maker_of(name, prefix) else {
            continue;
        };
        if Path::new("/proc").join(maker.to_string()).exists() {
            continue;
        }
        drop(Namespace::adopt(name));
        removed.namespaces.push(name.to_owned());
        removed.makers.push(maker);
    }
    removed.makers.sort_unstable();
    removed.makers.dedup();
    Ok(removed)
}

/// The pid in a name of the form `PREFIX-PID-...`.
fn maker_of(name: &str, prefix: &str) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let (pid, _role) = rest.split_once('-')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::maker_of;

    #[test]
    fn only_our_own_names_carry_a_maker() {
        assert_eq!(
            maker_of("tidegate-demo-4711-client", "tidegate-demo"),
            Some(4711)
        );
        assert_eq!(
            maker_of("tidegate-test-4711-2-client", "tidegate-test"),
            Some(4711)
        );
        assert_eq!(maker_of("tidegate-demo-client", "tidegate-demo"), None);
        assert_eq!(maker_of("tidegate-demo-4711", "tidegate-demo"), None);
        assert_eq!(
            maker_of("tidegate-demonstration-1-x", "tidegate-demo"),
            None
        );
        assert_eq!(maker_of("somebody", "tidegate-demo"), None);
    }
}
