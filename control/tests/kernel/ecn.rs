//! Explicit congestion notification (RFC 3168), agreed on with the kernel in both roles.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tidegate::testbed::{Bed, skip};
use tidegate::topology::{Namespace, Side};

use crate::client::{assert_same, connect, front, pattern};
use crate::{PATIENCE, TIDEGATE, listener};

/// Text in each direction, some windows of it.
const LENGTH: usize = 300_000;

/// `net.ipv4.tcp_ecn` of a namespace, which is also that of IPv6.
fn set_tcp_ecn(namespace: &Namespace, value: &str) {
    namespace
        .run(|| fs::write("/proc/sys/net/ipv4/tcp_ecn", value))
        .unwrap();
}

/// What `ss -io` of iproute2 says in a namespace about its connections with the far end `remote`,
/// and nothing where there is no `ss`.
fn ss(namespace: &Namespace, remote: SocketAddr) -> Option<String> {
    let mut ss = namespace.command("ss");
    let output = ss.args(["-Htino", "dst", &remote.to_string()]).output();
    Some(String::from_utf8(output.ok()?.stdout).unwrap())
}

/// Whether the kernel says that ECN is agreed on, and that text has come as ECT.
fn assert_agreed(namespace: &Namespace, remote: SocketAddr, is_agreed: bool) {
    let Some(text) = ss(namespace, remote) else {
        return skip("ss is not installed");
    };
    let says = |word| text.split_whitespace().any(|other| other == word);
    assert_eq!(says("ecn"), is_agreed, "{text}");
    assert_eq!(says("ecnseen"), is_agreed, "{text}");
}

/// Text there and back over a connection that stays open.
fn talk(stream: &mut TcpStream) {
    let sent = pattern(LENGTH);
    let mut received = vec![0; LENGTH];
    let mut reader = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| reader.read_exact(&mut received).unwrap());
        stream.write_all(&sent).unwrap();
    });
    assert_same(&received, &sent);
}

#[test]
fn the_kernel_and_we_agree_on_ecn() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let mut tidegate = bed.run(
        &(listener("passive", 7, "echo")
            + &listener("off", 8, "echo")
            + "[listener.tcp]\necn = \"off\"\n"),
    );
    for (tcp_ecn, port, is_agreed) in [("1", 7, true), ("1", 8, false), ("2", 7, false)] {
        set_tcp_ecn(bed.client(), tcp_ecn);
        for address in front(port) {
            let mut stream = connect(&bed, address);
            talk(&mut stream);
            assert_agreed(bed.client(), address, is_agreed);
            let mut flows = tidegate.admin().flows(true).unwrap();
            flows.retain(|flow| flow.remote == stream.local_addr().unwrap());
            let options = &flows[0].info.as_ref().unwrap().options;
            assert_eq!(options.iter().any(|name| name == "ecn"), is_agreed);
        }
    }
}

#[test]
fn a_kernel_that_only_accepts_grants_what_we_ask_for() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    set_tcp_ecn(bed.backends(), "2");
    let (v4, v6) = Side::BACK.kernel[0];
    for (port, backend) in (1000..).zip([SocketAddr::from((v4, 80)), SocketAddr::from((v6, 80))]) {
        let server = bed.backends().run(|| TcpListener::bind(backend)).unwrap();
        let tables = listener("front", port, "proxy")
            + &format!(
                "pool = \"back\"\n\n[[pool]]\nname = \"back\"\n[pool.tcp]\necn = \"on\"\n\
                 [[pool.backend]]\nname = \"one\"\naddress = \"{backend}\"\n"
            );
        let _tidegate = bed.run(&tables);
        let mut client = connect(&bed, front(port)[0]);
        client.write_all(b"!").unwrap();
        let (mut accepted, remote) = server.accept().unwrap();
        accepted.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut byte = [0];
        accepted.read_exact(&mut byte).unwrap();
        assert_agreed(bed.backends(), remote, true);
    }
}
