//! What is not for Tidegate passes: the kernel's own connections on the same interface go on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tidegate::testbed::Bed;
use tidegate::topology::Side;

use crate::client::{assert_same, connect, exchange, front, pattern};
use crate::{TIDEGATE, listener};

/// The kernel's own addresses on Tidegate's interface.
const KERNEL: [&str; 2] = ["192.0.2.9", "2001:db8:1::9"];

#[test]
fn connections_to_the_kernels_own_address_are_untouched() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let interface = Side::FRONT.interface;
    let namespace = bed.tidegate();
    namespace
        .ip(&["address", "add", "192.0.2.9/24", "dev", interface])
        .unwrap();
    namespace
        .ip(&[
            "address",
            "add",
            "2001:db8:1::9/64",
            "dev",
            interface,
            "nodad",
        ])
        .unwrap();
    let addresses = KERNEL.map(|address| SocketAddr::new(address.parse().unwrap(), 22));
    let listeners = addresses.map(|address| namespace.run(|| TcpListener::bind(address)).unwrap());
    let servers = listeners.map(|listener| std::thread::spawn(move || serve(&listener)));

    // One connection of each kind is open before Tidegate starts, and outlives it.
    let before = addresses.map(|address| connect(&bed, address));
    let mut tidegate = bed.run(&listener("echo", 22, "echo"));
    let sent = pattern(1_000_000);
    for address in addresses.into_iter().chain(front(22)) {
        assert_same(&exchange(&connect(&bed, address), &sent), &sent);
    }
    tidegate.process().kill().unwrap();
    for stream in before {
        assert_same(&exchange(&stream, &sent), &sent);
    }
    servers
        .into_iter()
        .for_each(|server| server.join().unwrap());
}

/// Serves two connections, side by side.
fn serve(listener: &TcpListener) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (stream, _) = listener.accept().expect("a client");
            scope.spawn(move || echo(stream));
        }
    });
}

/// Sends back all that it reads, then FIN.
fn echo(mut stream: TcpStream) {
    let mut block = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut block).expect("the client ends with FIN");
        if length == 0 {
            return;
        }
        stream
            .write_all(&block[..length])
            .expect("the client reads");
    }
}
