//! The head of a request: found, gathered when it is split, and understood (RFC 9112).

use std::ops::Range;

use super::response::{Answer, Connection};

/// The longest head that is understood, in bytes; nginx and Apache allow about as much. A longer
/// one is answered with 431.
const HEAD_MAX: usize = 8_192;
/// Header fields in one head; more are answered with 431.
const FIELDS_MAX: usize = 64;
/// Heads that may be half here at one time; with all taken, the next split head is answered with
/// 503.
const PARTIAL_MAX: u32 = 256;

/// What matters of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The method is HEAD: the answer has no body.
    pub(super) is_head: bool,
    /// The body has a transfer coding, so its length is not known.
    pub(super) is_chunked: bool,
    /// Bytes of body that follow the head.
    pub(super) content_length: u64,
    /// What becomes of the connection after the answer.
    pub(super) connection: Connection,
}

/// What came of a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The head is not whole yet; all the text has been taken.
    Incomplete,
    /// A request.
    Whole(Head),
    /// Not a request that we serve; this answer says why, and is the last.
    Refused(Answer),
}

/// The buffers for split heads.
#[derive(Debug)]
pub(super) struct Heads {
    bytes: Vec<u8>,
    lens: Vec<u16>,
    free: Vec<u32>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; PARTIAL_MAX as usize * HEAD_MAX],
            lens: vec![0; PARTIAL_MAX as usize],
            free: (0..PARTIAL_MAX).rev().collect(),
        }
    }

    /// Gives a buffer back.
    pub(super) fn give(&mut self, buffer: u32) {
        self.lens[buffer as usize] = 0;
        self.free.push(buffer);
    }

    /// Reads a head from `text`, which goes on where the buffer `partial` ends; returns how many
    /// bytes of `text` belong to the head.
    pub(super) fn parse(&mut self, partial: &mut Option<u32>, text: &[u8]) -> (usize, Parsed) {
        let Some(buffer) = *partial else {
            return match understand(text) {
                Ok(Some((used, head))) => (used, Parsed::Whole(head)),
                Ok(None) => self.gather_first(partial, text),
                Err(answer) => (text.len(), Parsed::Refused(answer)),
            };
        };
        let gathered = usize::from(self.lens[buffer as usize]);
        let more = text.len().min(HEAD_MAX - gathered);
        let area = area(buffer);
        self.bytes[area.start + gathered..area.start + gathered + more]
            .copy_from_slice(&text[..more]);
        let whole = &self.bytes[area.start..area.start + gathered + more];
        let (used, parsed) = match understand(whole) {
            Ok(Some((used, head))) => (used - gathered, Parsed::Whole(head)),
            Ok(None) if whole.len() == HEAD_MAX => {
                (text.len(), Parsed::Refused(Answer::HeadTooLarge))
            }
            Ok(None) => {
                self.keep_len(buffer, gathered + more);
                return (more, Parsed::Incomplete);
            }
            Err(answer) => (text.len(), Parsed::Refused(answer)),
        };
        self.give(buffer);
        *partial = None;
        (used, parsed)
    }

    /// Puts the first part of a split head into a buffer.
    fn gather_first(&mut self, partial: &mut Option<u32>, text: &[u8]) -> (usize, Parsed) {
        if text.len() >= HEAD_MAX {
            return (text.len(), Parsed::Refused(Answer::HeadTooLarge));
        }
        let Some(buffer) = self.free.pop() else {
            return (text.len(), Parsed::Refused(Answer::Busy));
        };
        let area = area(buffer);
        self.bytes[area.start..area.start + text.len()].copy_from_slice(text);
        self.keep_len(buffer, text.len());
        *partial = Some(buffer);
        (text.len(), Parsed::Incomplete)
    }

    fn keep_len(&mut self, buffer: u32, len: usize) {
        self.lens[buffer as usize] = u16::try_from(len).expect("a head is at most HEAD_MAX bytes");
    }
}

/// Where the buffer lies.
const fn area(buffer: u32) -> Range<usize> {
    let start = buffer as usize * HEAD_MAX;
    start..start + HEAD_MAX
}

/// The head at the front of `text` with its length, or none where it is not whole.
fn understand(text: &[u8]) -> Result<Option<(usize, Head)>, Answer> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(text) {
        Ok(httparse::Status::Complete(len)) => Ok(Some((len, meaning(&request)?))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Answer::HeadTooLarge),
        Err(_) => Err(Answer::BadRequest),
    }
}

/// What the fields of a whole head say.
fn meaning(request: &httparse::Request<'_, '_>) -> Result<Head, Answer> {
    let is_old = request.version == Some(0);
    let mut head = Head {
        is_head: request.method == Some("HEAD"),
        is_chunked: false,
        content_length: 0,
        connection: if is_old {
            Connection::Closed
        } else {
            Connection::Kept
        },
    };
    let mut length = None;
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let len = content_length(field.value).ok_or(Answer::BadRequest)?;
            // RFC 9112 section 6.3: with two lengths nobody knows where the next request begins.
            if length.replace(len).is_some_and(|other| other != len) {
                return Err(Answer::BadRequest);
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            head.is_chunked = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            // RFC 9112 section 9.3: the option close wins over keep-alive.
            if has_option(field.value, b"close") {
                head.connection = Connection::Closed;
            } else if is_old && has_option(field.value, b"keep-alive") {
                head.connection = Connection::KeptByRequest;
            }
        }
    }
    head.content_length = length.unwrap_or(0);
    Ok(head)
}

/// The value of a `Content-Length` field: digits and nothing else (RFC 9110 section 8.6).
fn content_length(value: &[u8]) -> Option<u64> {
    // What `parse` would take beside digits is a sign.
    let digits = std::str::from_utf8(value).ok()?.trim_ascii();
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| digits.parse().ok())?
}

/// Does the comma-separated list contain `option`?
fn has_option(list: &[u8], option: &[u8]) -> bool {
    list.split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] =
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\n";

    fn head() -> Head {
        Head {
            is_head: false,
            is_chunked: false,
            content_length: 3,
            connection: Connection::Closed,
        }
    }

    proptest! {
        #[test]
        fn a_head_is_understood_however_it_is_split(
            cuts in proptest::collection::vec(1..20_usize, 0..20),
        ) {
            let mut heads = Heads::new();
            let mut partial = None;
            let mut text = [REQUEST, b"xyz"].concat();
            let mut total = 0;
            let mut cuts = cuts.into_iter();
            loop {
                let piece = cuts.next().unwrap_or(text.len()).min(text.len());
                let (used, parsed) = heads.parse(&mut partial, &text[..piece]);
                total += used;
                text.drain(..used);
                if parsed != Parsed::Incomplete {
                    prop_assert_eq!(parsed, Parsed::Whole(head()));
                    break;
                }
            }
            prop_assert_eq!(total, REQUEST.len());
            prop_assert_eq!(heads.free.len(), PARTIAL_MAX as usize);
        }
    }

    #[test]
    fn refusals_say_why() {
        let mut heads = Heads::new();
        let refused = |heads: &mut Heads, text: &[u8]| heads.parse(&mut None, text).1;
        assert_eq!(
            refused(&mut heads, b"\x16\x03\x01 tls?\r\n\r\n"),
            Parsed::Refused(Answer::BadRequest)
        );
        for length in [
            "-1",
            "+1",
            "",
            "1 1",
            "0x1",
            "18446744073709551616",
            "1\r\nContent-Length: 2",
        ] {
            let text = format!("GET / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
            let parsed = refused(&mut heads, text.as_bytes());
            assert_eq!(parsed, Parsed::Refused(Answer::BadRequest), "{length}");
        }
        let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
        long.resize(HEAD_MAX, b'a');
        assert_eq!(
            refused(&mut heads, &long),
            Parsed::Refused(Answer::HeadTooLarge)
        );
        for _ in 0..PARTIAL_MAX {
            assert_eq!(refused(&mut heads, b"GET"), Parsed::Incomplete);
        }
        assert_eq!(refused(&mut heads, b"GET"), Parsed::Refused(Answer::Busy));
    }

    #[test]
    fn an_old_client_is_kept_only_when_it_asks() {
        let connection = |text: &[u8]| understand(text).unwrap().unwrap().1.connection;
        assert_eq!(connection(b"GET / HTTP/1.0\r\n\r\n"), Connection::Closed);
        let asks = b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        assert_eq!(connection(asks), Connection::KeptByRequest);
    }
}
