//! The program in the kernel, on frames made by hand (`BPF_PROG_TEST_RUN`): each branch of the
//! flow chart in `code`. A redirection without a socket returns the fallback, which is `Drop` here.

use std::net::Ipv6Addr;

use super::*;

const OWNED_V4: &str = "192.0.2.1";
const OWNED_V6: &str = "2001:db8::1:2:3";
const PASS: u32 = Action::Pass as u32;
const REDIRECT: u32 = Action::Drop as u32;

/// The program with two owned addresses, or `None`, loudly, where it may not be loaded.
fn program() -> Option<(Maps, OwnedFd)> {
    let maps = match Maps::new(8, 4) {
        Ok(maps) => maps,
        Err(error) if error.errno() == libc::EPERM => {
            assert!(
                std::env::var_os("TIDEGATE_REQUIRE_NET").is_none(),
                "{error}"
            );
            #[expect(clippy::disallowed_macros, reason = "a skipped test says so")]
            {
                eprintln!("SKIPPED: {error}");
            }
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    maps.own(OWNED_V4.parse().unwrap()).unwrap();
    maps.own(OWNED_V6.parse().unwrap()).unwrap();
    let program = load(&code::build(&maps, Action::Drop)).unwrap_or_else(|error| panic!("{error}"));
    Some((maps, program))
}

fn verdict(program: &OwnedFd, frame: &[u8]) -> u32 {
    bpf::test_run(program.as_fd(), frame).expect("a frame of 14 bytes or more")
}

/// An Ethernet header with the given tags, followed by `body`.
fn ethernet(tags: &[u16], ether_type: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(7u16.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(body);
    frame
}

fn ipv4(dst: &str, options: &[u8], fragment: u16) -> Vec<u8> {
    let words = 5 + u8::try_from(options.len() / 4).unwrap();
    let mut datagram = vec![0x40 | words, 0, 0, 40, 0, 0];
    datagram.extend(fragment.to_be_bytes());
    datagram.extend([64, 6, 0, 0, 198, 51, 100, 9]);
    datagram.extend(dst.parse::<std::net::Ipv4Addr>().unwrap().octets());
    datagram.extend(options);
    datagram.extend([0; 20]);
    datagram
}

fn ipv6(dst: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x60, 0, 0, 0];
    datagram.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    datagram.extend([next_header, 255]);
    datagram.extend("2001:db8::99".parse::<Ipv6Addr>().unwrap().octets());
    datagram.extend(dst.parse::<Ipv6Addr>().unwrap().octets());
    datagram.extend(payload);
    datagram
}

/// A neighbour message of the given type about `target`.
fn neighbour(icmp_type: u8, target: &str) -> Vec<u8> {
    let mut message = vec![icmp_type, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.parse::<Ipv6Addr>().unwrap().octets());
    message.extend([1, 1, 2, 0, 0, 0, 0, 2]);
    message
}

fn arp(header: [u8; 8], target: &str) -> Vec<u8> {
    let mut message = header.to_vec();
    message.extend([2, 0, 0, 0, 0, 2, 198, 51, 100, 9, 0, 0, 0, 0, 0, 0]);
    message.extend(target.parse::<std::net::Ipv4Addr>().unwrap().octets());
    message
}

const SOLICITED_NODE: &str = "ff02::1:ff02:3";

/// A kind of datagram: what it is, its EtherType, its bytes, and whether it is redirected.
type Case = (&'static str, u16, Vec<u8>, bool);

fn ipv4_cases() -> Vec<Case> {
    vec![
        ("v4 for us", 0x0800, ipv4(OWNED_V4, &[], 0), true),
        (
            "v4 for us, with options",
            0x0800,
            ipv4(OWNED_V4, &[1; 40], 0),
            true,
        ),
        (
            "v4 for us, a first fragment",
            0x0800,
            ipv4(OWNED_V4, &[], 0x2000),
            true,
        ),
        (
            "v4 for us, a later fragment",
            0x0800,
            ipv4(OWNED_V4, &[], 0x00b9),
            true,
        ),
        ("v4 not for us", 0x0800, ipv4("192.0.2.2", &[], 0), false),
        (
            "v4 broadcast",
            0x0800,
            ipv4("255.255.255.255", &[], 0),
            false,
        ),
        ("LLDP", 0x88cc, vec![2; 60], false),
    ]
}

fn ipv6_cases() -> Vec<Case> {
    let ns = |target| neighbour(135, target);
    let na = |target| neighbour(136, target);
    let other = "2001:db8::1:2:4";
    let echo = [128, 0, 0, 0, 0, 1, 0, 1];
    vec![
        ("v6 for us", 0x86dd, ipv6(OWNED_V6, 6, &[0; 20]), true),
        ("v6 not for us", 0x86dd, ipv6(other, 6, &[0; 20]), false),
        (
            "v6 to a mapped v4",
            0x86dd,
            ipv6("::ffff:192.0.2.2", 6, &[0; 20]),
            false,
        ),
        ("echo for us", 0x86dd, ipv6(OWNED_V6, 58, &echo), true),
        (
            "NS for us",
            0x86dd,
            ipv6(SOLICITED_NODE, 58, &ns(OWNED_V6)),
            true,
        ),
        ("NS to us", 0x86dd, ipv6(OWNED_V6, 58, &ns(OWNED_V6)), true),
        (
            "NS not for us",
            0x86dd,
            ipv6(SOLICITED_NODE, 58, &ns("fe80::2:3")),
            false,
        ),
        (
            "no NS, but UDP",
            0x86dd,
            ipv6(SOLICITED_NODE, 17, &ns(OWNED_V6)),
            false,
        ),
        ("NA to us", 0x86dd, ipv6(OWNED_V6, 58, &na(other)), true),
        (
            "NA to all nodes",
            0x86dd,
            ipv6("ff02::1", 58, &na(OWNED_V6)),
            false,
        ),
        (
            "router advertisement",
            0x86dd,
            ipv6("ff02::1", 58, &[134; 32]),
            false,
        ),
    ]
}

fn arp_cases() -> Vec<Case> {
    let (request, reply) = ([0, 1, 8, 0, 6, 4, 0, 1], [0, 1, 8, 0, 6, 4, 0, 2]);
    let reverse = [0, 1, 8, 0, 6, 4, 0, 3];
    let token_ring = [0, 6, 8, 0, 6, 4, 0, 1];
    let long = [0, 1, 8, 0, 8, 4, 0, 1];
    vec![
        ("ARP request for us", 0x0806, arp(request, OWNED_V4), true),
        ("ARP reply to us", 0x0806, arp(reply, OWNED_V4), true),
        (
            "ARP request not for us",
            0x0806,
            arp(request, "192.0.2.2"),
            false,
        ),
        ("reverse ARP", 0x0806, arp(reverse, OWNED_V4), false),
        (
            "ARP of token ring",
            0x0806,
            arp(token_ring, OWNED_V4),
            false,
        ),
        (
            "ARP with long addresses",
            0x0806,
            arp(long, OWNED_V4),
            false,
        ),
    ]
}

fn cases() -> impl Iterator<Item = Case> {
    ipv4_cases()
        .into_iter()
        .chain(ipv6_cases())
        .chain(arp_cases())
}

#[test]
fn what_is_for_an_owned_address_is_redirected_and_all_else_passes() {
    let Some((_maps, program)) = program() else {
        return;
    };
    for (name, ether_type, body, redirected) in cases() {
        let wanted = if redirected { REDIRECT } else { PASS };
        for tags in [&[][..], &[0x8100]] {
            let frame = ethernet(tags, ether_type, &body);
            assert_eq!(verdict(&program, &frame), wanted, "{name}, tags {tags:x?}");
        }
        for tags in [[0x88a8, 0x8100], [0x8100, 0x8100], [0x8100, 0x88a8]] {
            let frame = ethernet(&tags, ether_type, &body);
            assert_eq!(verdict(&program, &frame), PASS, "{name}, tags {tags:x?}");
        }
    }
}

#[test]
fn frame_cut_before_its_address_passes() {
    let Some((_maps, program)) = program() else {
        return;
    };
    // How much of the body the decision needs: the header, or a whole solicitation or ARP message.
    let needed = |name: &str, ether_type: u16| match (ether_type, name) {
        (0x0800, _) => 20,
        (0x86dd, "NS for us") => 64,
        (0x86dd, _) => 40,
        _ => 28,
    };
    let tagged = |(name, ether_type, body, redirected): Case| {
        [&[][..], &[0x8100]].map(|tags| {
            let enough = 14 + 4 * tags.len() + needed(name, ether_type);
            (name, ethernet(tags, ether_type, &body), enough, redirected)
        })
    };
    for (name, frame, enough, redirected) in cases().flat_map(tagged) {
        for len in 14..=frame.len() {
            let wanted = if redirected && len >= enough {
                REDIRECT
            } else {
                PASS
            };
            assert_eq!(
                verdict(&program, &frame[..len]),
                wanted,
                "{name}, {len} bytes"
            );
        }
    }
}

#[test]
fn addresses_come_and_go_while_it_runs() {
    let Some((maps, program)) = program() else {
        return;
    };
    let frame = ethernet(&[], 0x0800, &ipv4("192.0.2.77", &[], 0));
    let address = "192.0.2.77".parse().unwrap();
    assert_eq!(verdict(&program, &frame), PASS);
    maps.own(address).unwrap();
    maps.own(address).unwrap();
    assert_eq!(verdict(&program, &frame), REDIRECT);
    maps.disown(address).unwrap();
    maps.disown(address).unwrap();
    assert_eq!(verdict(&program, &frame), PASS);
}

#[test]
fn too_many_addresses_are_an_error_that_says_so() {
    let Some((maps, _program)) = program() else {
        return;
    };
    let error = (0..9).find_map(|host| maps.own(IpAddr::from([192, 0, 2, 100 + host])).err());
    let error = error.expect("the map has room for 8");
    assert_eq!(error.errno(), libc::E2BIG);
    assert!(
        error.to_string().contains("allow more addresses"),
        "{error}"
    );
}

#[test]
fn queue_without_a_socket_passes() {
    let Some((maps, _program)) = program() else {
        return;
    };
    let program = load(&code::build(&maps, Action::Pass)).unwrap();
    let frame = ethernet(&[], 0x0800, &ipv4(OWNED_V4, &[], 0));
    assert_eq!(verdict(&program, &frame), PASS);
}

#[test]
fn refused_program_is_an_error_with_the_log_of_the_verifier() {
    let Some(_) = program() else { return };
    // It returns what nobody has put into r0.
    let exit = bpf::Instruction {
        code: 0x95,
        registers: 0,
        offset: 0,
        immediate: 0,
    };
    let error = load(&[exit]).unwrap_err();
    assert_eq!(
        (error.call(), error.errno()),
        ("bpf(BPF_PROG_LOAD)", libc::EACCES)
    );
    assert!(error.to_string().contains("R0 !read_ok"), "{error}");
}
