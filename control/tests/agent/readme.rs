//! The README's own commands: what stands there is what happens.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate::testbed::{Bed, skip};

use crate::TIDEGATE;

/// The indented blocks of the README's section with this heading.
fn blocks(heading: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once(heading).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(line) => *last += &format!("{line}\n"),
            None if line.is_empty() && !last.is_empty() => last.push('\n'),
            None if !last.is_empty() => blocks.push(String::new()),
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn has(program: &str) -> bool {
    Command::new(program).arg("-h").output().is_ok()
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    if !has("python3") || !has("nc") {
        return skip("the README's example needs python3 and nc");
    }
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let blocks = blocks("## A TCP endpoint for test labs\n");
    let [commands, program] = blocks.as_slice() else {
        panic!("there are {} blocks", blocks.len());
    };
    // A name that nobody else has. The rest is done in a namespace of the test, so that nothing of
    // the machine is touched.
    let name = format!("{}-lab", bed.tidegate().name());
    let renamed = |text: &str| {
        text.replace("netns add lab", &format!("netns add {name}"))
            .replace("netns lab", &format!("netns {name}"))
            .replace("-n lab ", &format!("-n {name} "))
            .replace("\"lab\"", &format!("\"{name}\""))
            .replace("tidegate agent", &format!("{TIDEGATE} agent"))
    };
    // A namespace is seen only by whoever shares the mounts of its maker, so one shell does it all.
    // The program need not wait for the line that says ready: its socket is there before.
    let script = format!(
        "trap 'ip netns delete {name}' EXIT\n{}\
         while ! [ -S agent.sock ]; do sleep 0.01; done\n\
         python3 program.py > printed\n",
        renamed(commands)
    );
    bed.folder().write("script.sh", &script).unwrap();
    bed.folder().write("program.py", &renamed(program)).unwrap();
    let mut shell = bed.backends().command("sh");
    shell.args(["-e", "script.sh"]);
    shell.current_dir(bed.folder().path());
    bed.folder().collect_output("script", &mut shell).unwrap();
    let has_worked = shell.status().unwrap().success();
    let said = bed.folder().output("script");
    assert!(has_worked, "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("ready ")),
        "{said}"
    );
    let printed = fs::read_to_string(bed.folder().path().join("printed")).unwrap();
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        ["b'HIGH TIDE' True", "TIME-WAIT", "ECONNREFUSED"],
        "{said}"
    );
}
