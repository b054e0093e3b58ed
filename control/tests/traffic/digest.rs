//! Long texts that are never held as a whole: made piece by piece, compared by length and hash.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::io::{ErrorKind, Read, Result, Write};

/// Bytes of a piece. Both ends hash whole pieces, so that it does not matter how the text was cut
/// on its way.
const PIECE: usize = 64 << 10;

/// What is left of a text when it has gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) length: u64,
    hash: u64,
}

/// A text of this length under way, different for each seed.
#[derive(Debug)]
pub(crate) struct Text {
    state: u64,
    left: u64,
}

impl Text {
    pub(crate) const fn new(seed: u64, length: u64) -> Self {
        // Marsaglia's xorshift stands still at 0.
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            left: length,
        }
    }

    /// The next bytes: as many as there is room for, fewer only at the end.
    fn next<'a>(&mut self, piece: &'a mut [u8]) -> &'a [u8] {
        let length = usize::try_from(self.left).map_or(piece.len(), |left| left.min(piece.len()));
        for eight in piece[..length].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            eight.copy_from_slice(&self.state.to_le_bytes()[..eight.len()]);
        }
        self.left -= length as u64;
        &piece[..length]
    }

    /// All of it, for short ones.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.left).expect("a short text")];
        self.next(&mut bytes);
        bytes
    }

    /// Writes all of it.
    pub(crate) fn send(mut self, mut to: impl Write) -> Result<Digest> {
        let (mut piece, mut hashing) = (vec![0; PIECE], Hashing::default());
        while self.left > 0 {
            let bytes = self.next(&mut piece);
            hashing.add(bytes);
            to.write_all(bytes)?;
        }
        Ok(hashing.finish())
    }
}

/// Reads to the end.
pub(crate) fn receive(mut from: impl Read) -> Result<Digest> {
    let (mut piece, mut hashing) = (vec![0; PIECE], Hashing::default());
    loop {
        let length = read_piece(&mut from, &mut piece)?;
        hashing.add(&piece[..length]);
        if length < PIECE {
            return Ok(hashing.finish());
        }
    }
}

/// Fills the piece; fewer bytes only at the end.
fn read_piece(from: &mut impl Read, piece: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match from.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[derive(Default)]
struct Hashing {
    length: u64,
    hasher: DefaultHasher,
}

impl Hashing {
    fn add(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.hasher.write(piece);
    }

    fn finish(&self) -> Digest {
        Digest {
            length: self.length,
            hash: self.hasher.finish(),
        }
    }
}

#[test]
fn digests_differ_by_length_and_by_content() {
    let length = 3 * PIECE as u64 + 5;
    let sent = Text::new(1, length).send(std::io::sink()).unwrap();
    let mut text = Text::new(1, length).bytes();
    assert_eq!(sent, receive(text.as_slice()).unwrap());
    text[PIECE] ^= 1;
    assert_ne!(sent, receive(text.as_slice()).unwrap());
    text[PIECE] ^= 1;
    text.push(0);
    assert_ne!(sent, receive(text.as_slice()).unwrap());
    let other = Text::new(2, length).send(std::io::sink()).unwrap();
    assert_ne!(sent, other);
}
