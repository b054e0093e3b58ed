//! The two hosts whose TCPs are compared, as a script's user calls them: Tidegate's agent, and
//! sockets of the kernel.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::socket::sockopt::{Linger, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket,
};
use serde_json::{Value, json};
use tidegate::topology::Namespace;

use crate::control::Control;

/// What a script's user does. A call that has no connection to act on does nothing: what comes of
/// that is seen on the wire.
pub(crate) trait Host {
    /// Listens on the port of the conversation.
    fn listen(&mut self);
    /// Opens a connection from that port to the same port of the peer.
    fn open(&mut self);
    /// Takes a connection that has come, where one has.
    fn accept(&mut self);
    /// Writes so many octets.
    fn send(&mut self, count: usize);
    /// Reads what is there, `most` octets of it.
    fn read(&mut self, most: usize);
    fn shutdown(&mut self);
    fn close(&mut self);
    fn abort(&mut self);
    fn nodelay(&mut self, is_on: bool);
}

/// `tidegate agent`.
pub(crate) struct Agent {
    control: Control,
    port: u16,
    peer: IpAddr,
    listener: Option<u64>,
    flow: Option<u64>,
}

impl Agent {
    pub(crate) fn new(control: Control, port: u16, peer: IpAddr) -> Self {
        Self {
            control,
            port,
            peer,
            listener: None,
            flow: None,
        }
    }

    fn act(&mut self, op: &str) {
        if let Some(h) = self.flow {
            // It may be refused, as a call on a socket may.
            self.control.ask(&json!({"op": op, "h": h}));
        }
    }
}

impl Host for Agent {
    fn listen(&mut self) {
        self.listener = Some(self.control.listen(self.port, &json!({})));
    }

    fn open(&mut self) {
        let (ip, port) = (self.peer, self.port);
        let request = json!({"op": "connect", "ip": ip, "port": port, "lport": port});
        self.flow = self.control.ok(&request)["h"].as_u64();
    }

    fn accept(&mut self) {
        if let (Some(h), None) = (self.listener, self.flow) {
            let answer = self
                .control
                .ask(&json!({"op": "accept", "h": h, "timeout": 0}));
            self.flow = answer["h"].as_u64();
        }
    }

    fn send(&mut self, count: usize) {
        if let Some(h) = self.flow {
            let text = STANDARD.encode(vec![0; count]);
            self.control
                .ask(&json!({"op": "send", "h": h, "data": text}));
        }
    }

    fn read(&mut self, mut most: usize) {
        while let Some(h) = self.flow.filter(|_| most > 0) {
            let n = most.min(1 << 16);
            let request = json!({"op": "recv", "h": h, "n": n, "timeout": 0});
            let answer = self.control.ask(&request);
            let len = answer["data"]
                .as_str()
                .map_or(0, |data| STANDARD.decode(data).unwrap().len());
            if answer["ok"] != Value::Bool(true) || len == 0 {
                return;
            }
            most -= len;
        }
    }

    fn shutdown(&mut self) {
        self.act("shutdown");
    }

    fn close(&mut self) {
        self.act("close");
    }

    fn abort(&mut self) {
        self.act("abort");
    }

    fn nodelay(&mut self, is_on: bool) {
        if let Some(h) = self.flow {
            let opts = json!({"nodelay": is_on});
            self.control
                .ok(&json!({"op": "setopt", "h": h, "opts": opts}));
        }
    }
}

/// The kernel of a namespace.
pub(crate) struct Linux<'n> {
    namespace: &'n Namespace,
    at: SocketAddr,
    peer: SocketAddr,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
}

impl<'n> Linux<'n> {
    pub(crate) fn new(namespace: &'n Namespace, own: IpAddr, port: u16, peer: IpAddr) -> Self {
        Self {
            namespace,
            at: SocketAddr::new(own, port),
            peer: SocketAddr::new(peer, port),
            listener: None,
            stream: None,
        }
    }
}

impl Host for Linux<'_> {
    fn listen(&mut self) {
        let listener = self.namespace.run(|| TcpListener::bind(self.at)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.listener = Some(listener);
    }

    fn open(&mut self) {
        let (SocketAddr::V4(at), SocketAddr::V4(peer)) = (self.at, self.peer) else {
            unreachable!("the wire is of IPv4");
        };
        let socket: OwnedFd = self.namespace.run(|| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
            setsockopt(&socket, ReuseAddr, &true).unwrap();
            bind(socket.as_raw_fd(), &SockaddrIn::from(at)).unwrap();
            // It is under way, which a socket that does not block calls an error.
            let _ = connect(socket.as_raw_fd(), &SockaddrIn::from(peer));
            socket
        });
        self.stream = Some(TcpStream::from(socket));
    }

    fn accept(&mut self) {
        if let (Some(listener), None) = (&self.listener, &self.stream)
            && let Ok((stream, _)) = listener.accept()
        {
            stream.set_nonblocking(true).unwrap();
            self.stream = Some(stream);
        }
    }

    fn send(&mut self, count: usize) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.write(&vec![0; count]);
        }
    }

    fn read(&mut self, mut most: usize) {
        let mut buffer = vec![0; 1 << 16];
        while let Some(stream) = self.stream.as_mut().filter(|_| most > 0) {
            let n = most.min(buffer.len());
            match stream.read(&mut buffer[..n]) {
                Ok(len) if len > 0 => most -= len,
                _ => return,
            }
        }
    }

    fn shutdown(&mut self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn close(&mut self) {
        self.stream = None;
    }

    fn abort(&mut self) {
        if let Some(stream) = self.stream.take() {
            let at_once = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream, Linger, &at_once).unwrap();
        }
    }

    fn nodelay(&mut self, is_on: bool) {
        if let Some(stream) = &self.stream {
            stream.set_nodelay(is_on).unwrap();
        }
    }
}
