//! What is said of wrong configurations, to the letter: `faults/NAME.toml` gives `faults/NAME.txt`.
//!
//! After a change of the words, `TIDEGATE_BLESS=1 cargo test -p tidegate-config` writes the texts
//! anew; read the difference before it is committed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tidegate_config::Config;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults")
}

/// What is said of the configuration `NAME.toml`.
fn said(name: &str) -> String {
    let path = folder().join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).expect("the folder was just listed");
    match Config::from_str(&format!("{name}.toml"), &text) {
        Ok(_) => panic!("{name}.toml is a valid configuration"),
        Err(faults) => format!("{faults}\n"),
    }
}

#[test]
fn faults_are_said_to_the_letter() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let (mut count, mut different) = (0, Vec::new());
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".toml") else {
            continue;
        };
        let expected_path = folder().join(format!("{name}.txt"));
        let said = said(name);
        if bless {
            fs::write(&expected_path, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if said != expected {
            different.push(format!("{name}.txt should be:\n{said}"));
        }
        count += 1;
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(
        count >= 10,
        "only {count} configurations in {}",
        folder().display()
    );
}

#[test]
fn five_mistakes_are_five_faults() {
    let text = fs::read_to_string(folder().join("five-mistakes.toml")).unwrap();
    let faults = Config::from_str("five-mistakes.toml", &text).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(tidegate_config::Fault::key).collect();
    let expected = [
        "workers.shutdown_timeout",
        "workers.idel",
        "port.addresses",
        "port.mtu",
        "listener.pool",
    ];
    assert_eq!(keys, expected);
    assert!(
        faults
            .iter()
            .all(|fault| fault.line().is_some() && fault.column().is_some())
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.toml");
    let faults = Config::from_file(&path).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!((faults.len(), fault.line()), (1, None));
    assert!(fault.what().contains("No such file"), "{fault}");

    let faults = Config::from_file(folder.path()).unwrap_err();
    assert!(faults.to_string().contains("directory"), "{faults}");

    fs::write(&path, b"[log]\nlevel = \"\xff\xfe\"\n").unwrap();
    let faults = Config::from_file(&path).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(
        (fault.line(), fault.column()),
        (Some(2), Some(10)),
        "{fault}"
    );

    fs::write(&path, vec![b'#'; 5 << 20]).unwrap();
    let faults = Config::from_file(&path).unwrap_err();
    assert!(
        faults.to_string().contains("more than 4194304 bytes"),
        "{faults}"
    );
}
