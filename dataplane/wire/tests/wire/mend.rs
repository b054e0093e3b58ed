//! Frames changed on purpose, with their checksums made right again by a plain reading of
//! RFC 1071 that shares nothing with the crate's.

/// Bytes of an Ethernet header without a tag.
pub(crate) const ETHERNET: usize = 14;
/// Where the segment or message of a frame with a plain IPv4 header begins.
pub(crate) const IPV4_PAYLOAD: usize = ETHERNET + 20;
/// Where the segment or message of a frame with a plain IPv6 header begins.
pub(crate) const IPV6_PAYLOAD: usize = ETHERNET + 40;

/// A copy of `frame` with `bytes` written at `at`.
pub(crate) fn edit(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut copy = frame.to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    copy
}

/// A copy of `frame` with an 802.1Q tag.
pub(crate) fn tag(frame: &[u8], tag: u16) -> Vec<u8> {
    let mut copy = frame.to_vec();
    let [high, low] = tag.to_be_bytes();
    copy.splice(12..12, [0x81, 0x00, high, low]);
    copy
}

/// A copy of an untagged `frame` in which all checksums are right, as far as its lengths allow.
pub(crate) fn mend(frame: &[u8]) -> Vec<u8> {
    let mut copy = frame.to_vec();
    match frame.get(12..14) {
        Some([0x08, 0x00]) => {
            let _ = mend_ipv4(&mut copy[ETHERNET..]);
        }
        Some([0x86, 0xdd]) => {
            let _ = mend_ipv6(&mut copy[ETHERNET..]);
        }
        _ => {}
    }
    copy
}

/// Mends a datagram; `None` where it is too broken for that.
fn mend_ipv4(datagram: &mut [u8]) -> Option<()> {
    let header_len = usize::from(*datagram.first()? & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
    let (header, payload) = datagram
        .get_mut(..total_len)?
        .split_at_mut_checked(header_len)?;
    store(header, 10, &[])?;
    let mut pseudo = header.get(12..20)?.to_vec();
    let protocol = header[9];
    pseudo.extend([0, protocol]);
    pseudo.extend(u16::try_from(payload.len()).ok()?.to_be_bytes());
    match protocol {
        1 => store(payload, 2, &[]),
        6 => store(payload, 16, &pseudo),
        _ => None,
    }
}

/// Mends a datagram without extension headers, or with those of one frame that has some.
fn mend_ipv6(datagram: &mut [u8]) -> Option<()> {
    let (header, payload) = datagram.split_at_mut_checked(40)?;
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut payload = payload.get_mut(..payload_len)?;
    let mut protocol = header[6];
    while matches!(protocol, 0 | 43 | 44 | 60) {
        let len = if protocol == 44 {
            8
        } else {
            8 + usize::from(*payload.get(1)?) * 8
        };
        protocol = *payload.first()?;
        payload = payload.split_at_mut_checked(len)?.1;
    }
    let mut pseudo = header[8..40].to_vec();
    pseudo.extend(u32::try_from(payload.len()).ok()?.to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    match protocol {
        6 => store(payload, 16, &pseudo),
        58 => store(payload, 2, &pseudo),
        _ => None,
    }
}

/// Stores the checksum of `pseudo` and `bytes` at `at` in `bytes`.
fn store(bytes: &mut [u8], at: usize, pseudo: &[u8]) -> Option<()> {
    bytes.get_mut(at..at + 2)?.fill(0);
    let whole = [pseudo, bytes].concat();
    bytes[at..at + 2].copy_from_slice(&naive_checksum(&whole).to_be_bytes());
    Some(())
}

/// RFC 1071 1, word by word.
pub(crate) fn naive_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([word[0], low]));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !u16::try_from(sum).unwrap()
}
