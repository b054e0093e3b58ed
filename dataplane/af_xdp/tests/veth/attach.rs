//! How programs are attached, and that they do not stay behind.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use af_xdp::{Attachment, Program, ProgramConfig, XdpMode};

use crate::namespace::{LEFT, Pair, ip_output, with_veth, with_veth_of};

const CONFIG: ProgramConfig = ProgramConfig {
    mode: XdpMode::Auto,
    addresses: 8,
    queues: 8,
};

/// Where the interface has an XDP program, as `ip` tells it.
fn attached() -> Option<Attachment> {
    let shown = ip_output(&format!("link show {LEFT}")).unwrap();
    if shown.contains(" xdpgeneric ") {
        Some(Attachment::Generic)
    } else if shown.contains(" xdp ") {
        Some(Attachment::Native)
    } else {
        None
    }
}

#[test]
fn program_is_attached_where_it_says_and_gone_when_dropped() {
    with_veth(|| {
        for (mode, attachment) in [
            (XdpMode::Auto, Attachment::Native),
            (XdpMode::Native, Attachment::Native),
            (XdpMode::Generic, Attachment::Generic),
        ] {
            let program = Program::attach(LEFT, ProgramConfig { mode, ..CONFIG }).unwrap();
            assert_eq!(
                (program.attachment(), attached()),
                (attachment, Some(attachment))
            );
            assert!(program.native_refused().is_none());
            drop(program);
            assert_eq!(attached(), None);
        }
    });
}

#[test]
fn generic_mode_takes_over_where_the_driver_refuses() {
    let large = Pair {
        mtu: 9000,
        ..Pair::default()
    };
    let uneven = Pair {
        right_queues: 2,
        ..Pair::default()
    };
    for (pair, errno, advice) in [
        (large, libc::ERANGE, "lower the MTU"),
        (uneven, libc::ENOSPC, "more rx queues"),
    ] {
        with_veth_of(pair, move || {
            let program = Program::attach(LEFT, CONFIG).unwrap();
            assert_eq!(attached(), Some(Attachment::Generic));
            let refused = program.native_refused().expect("the driver has refused");
            assert_eq!((refused.errno(), refused.interface()), (errno, Some(LEFT)));
            assert!(refused.advice().contains(advice), "{refused}");
            drop(program);
            let native = ProgramConfig {
                mode: XdpMode::Native,
                ..CONFIG
            };
            assert_eq!(Program::attach(LEFT, native).unwrap_err().errno(), errno);
            assert_eq!(attached(), None);
        });
    }
}

#[test]
fn second_program_is_an_error_that_says_so() {
    with_veth(|| {
        for (first, second, errno) in [
            (XdpMode::Native, XdpMode::Auto, libc::EBUSY),
            (XdpMode::Generic, XdpMode::Generic, libc::EBUSY),
            (XdpMode::Generic, XdpMode::Auto, libc::EEXIST),
            (XdpMode::Native, XdpMode::Generic, libc::EEXIST),
        ] {
            let _first = Program::attach(
                LEFT,
                ProgramConfig {
                    mode: first,
                    ..CONFIG
                },
            )
            .unwrap();
            let error = Program::attach(
                LEFT,
                ProgramConfig {
                    mode: second,
                    ..CONFIG
                },
            );
            let error = error.unwrap_err();
            assert_eq!(
                (error.call(), error.errno()),
                ("bpf(BPF_LINK_CREATE)", errno)
            );
            assert!(error.to_string().starts_with("left: "), "{error}");
            assert!(
                error
                    .advice()
                    .contains("has an XDP program: stop the process"),
                "{error}"
            );
        }
    });
}

#[test]
fn missing_interface_is_named() {
    with_veth(|| {
        let error = Program::attach("missing", CONFIG).unwrap_err();
        assert_eq!(
            (error.call(), error.interface()),
            ("if_nametoindex", Some("missing"))
        );
    });
}

#[test]
fn killed_process_leaves_no_program() {
    with_veth(|| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "attach::attach_until_killed",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            said.map_while(Result::ok)
                .any(|line| line.ends_with("attached"))
        );
        assert_eq!(attached(), Some(Attachment::Native));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(attached(), None);
    });
}

/// The process that is killed above, in the namespace of that test.
#[test]
#[ignore = "killed_process_leaves_no_program runs it"]
fn attach_until_killed() {
    let _program = Program::attach(LEFT, CONFIG).unwrap();
    writeln!(io::stdout(), "attached").unwrap();
    loop {
        std::thread::park();
    }
}
