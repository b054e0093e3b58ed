//! As much of HTTP/1.1 (RFC 9112) as the demo's backends and clients need: requests without a
//! body, answers with `Content-Length`, connections that stay open. No chunks, no trailers.
//!
//! The body of an answer follows from the backend's name and the target of the request alone, so a
//! client can check each byte, and a mixed-up, cut or doubled answer does not pass.

use std::io::{self, BufRead, ErrorKind, Read as _, Write};

/// Longest line in bytes. Ours have fewer than 100; the limit keeps a stray peer from filling our
/// memory.
const LINE_MAX: u64 = 8192;

/// Most header fields of a message, for the same reason.
const FIELDS_MAX: usize = 100;

/// Longest body in bytes that a client takes.
const BODY_MAX: usize = 16 << 20;

/// A request, as a backend sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) target: String,
    /// The client wants the connection closed after the answer.
    pub(super) close: bool,
}

/// An answer, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The server closes the connection after this answer.
    pub(super) close: bool,
    pub(super) body: Vec<u8>,
}

/// The start line and the header fields that matter here.
struct Head {
    start: String,
    close: bool,
    length: usize,
}

/// The body with which the backend of this name answers a request for this target.
///
/// It is the line `NAME TARGET`, repeated as often as a query `?lines=N` in the target says.
pub(super) fn body(name: &str, target: &str) -> Vec<u8> {
    let lines = target
        .split_once("?lines=")
        .and_then(|(_, lines)| lines.parse().ok())
        .unwrap_or(1_usize)
        .min(10_000);
    format!("{name} {target}\n").repeat(lines).into_bytes()
}

/// Writes a request for the target.
pub(super) fn write_request(
    mut to: impl Write,
    host: &str,
    target: &str,
    close: bool,
) -> io::Result<()> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n");
    to.write_all(request.as_bytes())
}

/// Reads one request; `None` when the client has closed the connection instead.
pub(super) fn read_request(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(head) = read_head(from)? else {
        return Ok(None);
    };
    let mut words = head.start.split(' ');
    let (Some("GET"), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid(format!("no request line: {:?}", head.start)));
    };
    if head.length != 0 {
        return Err(invalid("a request with a body".to_owned()));
    }
    Ok(Some(Request {
        target: target.to_owned(),
        close: head.close,
    }))
}

/// Writes an answer with this body.
pub(super) fn write_answer(mut to: impl Write, body: &[u8], close: bool) -> io::Result<()> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{close}\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(body);
    to.write_all(&answer)
}

/// Reads one answer.
pub(super) fn read_answer(from: &mut impl BufRead) -> io::Result<Answer> {
    let Some(head) = read_head(from)? else {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the connection was closed instead of an answer",
        ));
    };
    let status = head
        .start
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| invalid(format!("no status line: {:?}", head.start)))?;
    if head.length > BODY_MAX {
        return Err(invalid(format!("a body of {} bytes", head.length)));
    }
    let mut body = vec![0; head.length];
    from.read_exact(&mut body)?;
    Ok(Answer {
        status,
        close: head.close,
        body,
    })
}

/// Reads up to the empty line; `None` where the peer closed before the first byte.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(start) = read_line(from)? else {
        return Ok(None);
    };
    let mut head = Head {
        start,
        close: false,
        length: 0,
    };
    for _ in 0..FIELDS_MAX {
        let line = read_line(from)?
            .ok_or_else(|| invalid("the connection was closed in mid-header".to_owned()))?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(invalid(format!("no header field: {line:?}")));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("content-length") {
            head.length = value
                .parse()
                .map_err(|_| invalid(format!("no length: {value:?}")))?;
        }
    }
    Err(invalid(format!("more than {FIELDS_MAX} header fields")))
}

/// Reads a line and takes its end off; `None` at the end of the stream.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if from.take(LINE_MAX).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let Some(text) = line.strip_suffix('\n') else {
        return Err(invalid("a line without an end".to_owned()));
    };
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let mut wire = Vec::new();
        write_request(&mut wire, "192.0.2.1", "/7?lines=3", true).unwrap();
        let request = read_request(&mut wire.as_slice()).unwrap().unwrap();
        assert_eq!(
            request,
            Request {
                target: "/7?lines=3".to_owned(),
                close: true
            }
        );

        wire.clear();
        let text = body("a", &request.target);
        assert_eq!(text, b"a /7?lines=3\na /7?lines=3\na /7?lines=3\n");
        write_answer(&mut wire, &text, false).unwrap();
        write_answer(&mut wire, b"", true).unwrap();
        let mut wire = wire.as_slice();
        let first = read_answer(&mut wire).unwrap();
        assert_eq!((first.status, first.close, first.body), (200, false, text));
        let second = read_answer(&mut wire).unwrap();
        assert_eq!((second.close, second.body), (true, Vec::new()));
        assert!(wire.is_empty());
    }

    #[test]
    fn closing_early_is_told_from_closing_in_time() {
        let read = |text: &str| read_request(&mut text.as_bytes());
        assert_eq!(read("").unwrap(), None);
        assert!(read("GET / HTTP/1.1\r\nHost: x\r\n").is_err());
        assert!(read("GET / HTTP/1.1").is_err());
        assert!(read("BREW / HTCPCP/1.0\r\n\r\n").is_err());
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour";
        let error = read_answer(&mut cut.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let error = read_answer(&mut "".as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
