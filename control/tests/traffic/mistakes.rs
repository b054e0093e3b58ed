//! A configuration with five mistakes: the binary names each with its line, and does not start.

use crate::setting::run;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../config/tests/faults/five-mistakes.toml"
);

/// What is wrong, and where.
const MISTAKES: [(&str, &str); 5] = [
    ("error[workers.shutdown_timeout]", "five-mistakes.toml:3:20"),
    ("error[workers.idel]", "five-mistakes.toml:4:1"),
    ("error[port.addresses]", "five-mistakes.toml:8:14"),
    ("error[port.mtu]", "five-mistakes.toml:9:7"),
    ("error[listener.pool]", "five-mistakes.toml:15:8"),
];

#[test]
fn five_mistakes_are_named_with_their_lines() {
    for verb in ["run", "check"] {
        let output = run(&[verb, FILE]);
        assert!(!output.status.success(), "{verb} has accepted it");
        let [printed, said] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let text = printed + &said;
        let faults: Vec<&str> = text.split("error[").skip(1).collect();
        assert_eq!(faults.len(), MISTAKES.len(), "{verb}: {text}");
        for (fault, (what, place)) in faults.iter().zip(MISTAKES) {
            let begins = format!("error[{fault}").starts_with(what);
            assert!(
                begins && fault.contains(place),
                "{verb}: {what} {place}:\n{text}"
            );
        }
    }
}
