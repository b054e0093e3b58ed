//! What a client of `respond` makes of the bytes that come: answers, by RFC 9112.

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Value of the `Connection` field, or nothing.
    pub(crate) connection: String,
    /// Value of the `Content-Length` field.
    pub(crate) content_length: usize,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Whether it is the configured answer with this body, on a connection that goes on.
    pub(crate) fn is_full(&self, body: &[u8]) -> bool {
        self.status == 200 && self.connection.is_empty() && self.body == body
    }
}

/// The answers in `text`, all of it, to requests of which none was HEAD.
pub(crate) fn answers(text: &[u8]) -> Vec<Answer> {
    read(text, true)
}

/// The answers in `text` to requests that were all HEAD.
pub(crate) fn heads(text: &[u8]) -> Vec<Answer> {
    read(text, false)
}

/// # Panics
/// Where `text` ends in the middle of an answer, or is none.
fn read(mut text: &[u8], has_bodies: bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !text.is_empty() {
        let (answer, rest) = first(text, has_bodies);
        answers.push(answer);
        text = rest;
    }
    answers
}

fn first(text: &[u8], has_body: bool) -> (Answer, &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let head_len = response.parse(text).unwrap().unwrap();
    assert_eq!(response.version, Some(1));
    let value = |name: &str| {
        let field = response.headers.iter().find(|field| field.name == name);
        field.map_or("", |field| std::str::from_utf8(field.value).unwrap())
    };
    let content_length = value("Content-Length").parse().unwrap();
    let body_len = if has_body { content_length } else { 0 };
    let rest = &text[head_len..];
    let (body, rest) = rest.split_at_checked(body_len).expect("a whole body");
    let answer = Answer {
        status: response.code.unwrap(),
        connection: value("Connection").to_owned(),
        content_length,
        body: body.to_vec(),
    };
    (answer, rest)
}
