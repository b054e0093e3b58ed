//! The bytes of every answer the service can give, made once when it starts.

use std::fmt::Write as _;

use super::head::Head;

/// What the operator configures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Value of the `Content-Type` field; empty: the field is left out.
    pub content_type: String,
    /// The body. An answer with status 204 or 304 has none.
    pub body: Vec<u8>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            status: 200,
            content_type: "text/plain".into(),
            body: b"Tidegate\n".to_vec(),
        }
    }
}

/// One of the answers that stand ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The configured answer.
    Full(Connection),
    /// Its head alone, for a HEAD request.
    HeadOnly(Connection),
    /// 400: this is not HTTP.
    BadRequest,
    /// 411: a body without a length.
    LengthRequired,
    /// 431: the head does not fit in a buffer.
    HeadTooLarge,
    /// 503: too many clients with half a head.
    Busy,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// It is kept (RFC 9112 section 9.3).
    Kept,
    /// An HTTP/1.0 client asked to keep it, and is told so.
    KeptByRequest,
    /// It is closed after the answer.
    Closed,
}

impl Answer {
    /// The answer to a well-formed request.
    pub(super) const fn for_head(head: &Head) -> Self {
        if head.is_chunked {
            return Self::LengthRequired;
        }
        if head.is_head {
            Self::HeadOnly(head.connection)
        } else {
            Self::Full(head.connection)
        }
    }

    /// Is it the last one on its connection?
    pub(super) const fn closes(self) -> bool {
        !matches!(
            self,
            Self::Full(Connection::Kept | Connection::KeptByRequest)
                | Self::HeadOnly(Connection::Kept | Connection::KeptByRequest)
        )
    }
}

/// The bytes of each [`Answer`].
#[derive(Debug)]
pub(super) struct Answers {
    /// By [`Connection`]: the whole answer and the length of its head.
    full: [(Vec<u8>, usize); 3],
    bad_request: Vec<u8>,
    length_required: Vec<u8>,
    head_too_large: Vec<u8>,
    busy: Vec<u8>,
}

impl Answers {
    pub(super) fn new(response: &Response) -> Self {
        let with = |connection: &str| {
            let mut bytes = head(response, connection).into_bytes();
            let head_len = bytes.len();
            if has_body(response.status) {
                bytes.extend_from_slice(&response.body);
            }
            (bytes, head_len)
        };
        let refusal = |status: u16| {
            let response = Response {
                status,
                body: Vec::new(),
                ..Response::default()
            };
            head(&response, "Connection: close\r\n").into_bytes()
        };
        Self {
            full: [
                with(""),
                with("Connection: keep-alive\r\n"),
                with("Connection: close\r\n"),
            ],
            bad_request: refusal(400),
            length_required: refusal(411),
            head_too_large: refusal(431),
            busy: refusal(503),
        }
    }

    /// The bytes to be sent for `answer`.
    pub(super) fn bytes(&self, answer: Answer) -> &[u8] {
        match answer {
            Answer::Full(connection) => &self.full[connection as usize].0,
            Answer::HeadOnly(connection) => {
                let (bytes, head_len) = &self.full[connection as usize];
                &bytes[..*head_len]
            }
            Answer::BadRequest => &self.bad_request,
            Answer::LengthRequired => &self.length_required,
            Answer::HeadTooLarge => &self.head_too_large,
            Answer::Busy => &self.busy,
        }
    }
}

/// Status line and header fields, with the empty line.
fn head(response: &Response, connection: &str) -> String {
    let mut head = String::new();
    let Response {
        status,
        content_type,
        body,
    } = response;
    // Writing to a String cannot fail.
    let _ = write!(
        head,
        "HTTP/1.1 {status} {}\r\nServer: tidegate\r\n",
        reason(*status)
    );
    if has_body(*status) {
        if !content_type.is_empty() {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str(connection);
    head.push_str("\r\n");
    head
}

/// Whether an answer with this status has a body, be it of no bytes (RFC 9110 section 6.4.1). A
/// client would take the body of one that has none for the beginning of the next answer.
const fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

/// The reason phrase (RFC 9110 section 15); empty for a code we have no phrase for, which is legal.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        411 => "Length Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_states_its_length_and_what_becomes_of_the_connection() {
        let answers = Answers::new(&Response {
            body: b"hello".to_vec(),
            ..Response::default()
        });
        let text = |answer| String::from_utf8(answers.bytes(answer).to_vec()).unwrap();

        let kept = text(Answer::Full(Connection::Kept));
        assert!(kept.starts_with("HTTP/1.1 200 OK\r\n"), "{kept}");
        assert!(
            kept.contains("Content-Length: 5\r\n") && kept.ends_with("\r\n\r\nhello"),
            "{kept}"
        );
        assert!(!kept.contains("Connection:"), "{kept}");

        let head = text(Answer::HeadOnly(Connection::Closed));
        assert!(
            head.contains("Content-Length: 5\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert!(head.contains("Connection: close\r\n"), "{head}");
        assert!(Answer::HeadOnly(Connection::Closed).closes());
        assert!(!Answer::Full(Connection::KeptByRequest).closes());
        assert!(text(Answer::HeadTooLarge).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn an_answer_without_a_body_says_nothing_of_one() {
        for status in [204, 304] {
            let answers = Answers::new(&Response {
                status,
                ..Response::default()
            });
            let bytes = answers.bytes(Answer::Full(Connection::Kept)).to_vec();
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.ends_with("\r\n\r\n"), "{text}");
            assert!(!text.contains("Content-"), "{text}");
        }
    }

    #[test]
    fn an_empty_content_type_leaves_the_field_out() {
        let answers = Answers::new(&Response {
            content_type: String::new(),
            ..Response::default()
        });
        let bytes = answers.bytes(Answer::Full(Connection::Kept)).to_vec();
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("Content-Type"), "{text}");
        assert!(text.contains("Content-Length: 9\r\n"), "{text}");
    }
}
