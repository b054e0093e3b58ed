//! TCP options: MSS (RFC 9293 3.2), window scale and timestamps (RFC 7323), SACK (RFC 2018), Fast
//! Open (RFC 7413).
//!
//! Whether an option means anything on the segment at hand (an MSS without SYN, say) is TCP's to
//! judge. Not done: everything else, which is skipped.

/// Kind: end of the options.
const END: u8 = 0;
/// Kind: one byte of padding.
const NOP: u8 = 1;
/// Kind: maximum segment size.
const MSS: u8 = 2;
/// Kind: window scale.
const WND_SCALE: u8 = 3;
/// Kind: SACK permitted.
const SACK_PERMITTED: u8 = 4;
/// Kind: SACK.
const SACK: u8 = 5;
/// Kind: timestamps.
const TIMESTAMPS: u8 = 8;

/// Kind: Fast Open cookie.
const FAST_OPEN: u8 = 34;

/// The timestamps option behind two bytes of padding, as nearly every segment has it.
const ALIGNED_TIMESTAMPS: [u8; 4] = [NOP, NOP, TIMESTAMPS, 10];

/// The longest that options can be: what a header of 60 bytes leaves.
pub const OPTIONS_LEN_MAX: usize = 40;

/// The options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpOptions {
    /// The longest segment text that the sender wants to receive, in bytes.
    pub mss: Option<u16>,
    /// How far the sender shifts its windows; as received, so it can be above 14.
    pub wnd_shift: Option<u8>,
    /// The sender understands SACK.
    pub sack_permitted: bool,
    /// The sender's clock, and ours as it saw it last.
    pub timestamps: Option<Timestamps>,
    /// What has arrived out of order.
    pub sack: SackBlocks,
    /// A Fast Open cookie, or the request for one.
    pub fast_open: Option<FastOpen>,
}

/// The Fast Open option (RFC 7413 4.1.1): a cookie, or an empty one, which asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FastOpen {
    /// Unused places are zero, so that equality is that of the used ones.
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl FastOpen {
    /// Bytes of the longest cookie; the shortest has 4, and all have an even number.
    pub const LEN_MAX: usize = 16;

    /// The request for a cookie.
    pub const REQUEST: Self = Self {
        bytes: [0; Self::LEN_MAX],
        len: 0,
    };

    /// A cookie, or the request for one where there are no bytes; nothing where there are as many
    /// as no cookie has.
    #[must_use]
    pub fn new(cookie: &[u8]) -> Option<Self> {
        let is_one =
            matches!(cookie.len(), 0 | 4..=Self::LEN_MAX) && cookie.len().is_multiple_of(2);
        let len = u8::try_from(cookie.len()).ok().filter(|_| is_one)?;
        let mut bytes = [0; Self::LEN_MAX];
        bytes[..cookie.len()].copy_from_slice(cookie);
        Some(Self { bytes, len })
    }

    /// The cookie; empty for a request.
    #[must_use]
    pub fn cookie(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether it asks for a cookie.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the option with its padding.
    const fn option_len(&self) -> usize {
        (2 + self.len as usize).next_multiple_of(4)
    }

    /// Writes the option behind its padding; answers where it ends.
    fn emit(&self, out: &mut [u8], at: usize) -> usize {
        let end = at + self.option_len();
        let start = end - 2 - usize::from(self.len);
        out[at..start].fill(NOP);
        out[start] = FAST_OPEN;
        out[start + 1] = 2 + self.len;
        out[start + 2..end].copy_from_slice(self.cookie());
        end
    }
}

/// The timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamps {
    /// The sender's clock (TSval).
    pub value: u32,
    /// The receiver's clock, echoed (TSecr).
    pub echo: u32,
}

/// The blocks of a SACK option: up to four pairs of left edge and right edge, which is the first
/// sequence number after the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SackBlocks {
    /// Unused places are zero, so that equality is that of the used ones.
    blocks: [(u32, u32); Self::MAX],
    /// How many are used.
    len: u8,
}

impl SackBlocks {
    /// How many blocks fit into a header.
    pub const MAX: usize = 4;

    /// Reads the body of a SACK option; a broken one has no blocks.
    fn parse(body: &[u8]) -> Self {
        let mut sack = Self::default();
        if let (blocks, []) = body.as_chunks::<8>() {
            for &[a, b, c, d, e, f, g, h] in blocks {
                let (left, right) = ([a, b, c, d], [e, f, g, h]);
                sack.push(u32::from_be_bytes(left), u32::from_be_bytes(right));
            }
        }
        sack
    }

    /// Appends a block; answers whether there was a place for it.
    pub const fn push(&mut self, left: u32, right: u32) -> bool {
        let at = self.len as usize;
        if at == Self::MAX {
            return false;
        }
        self.blocks[at] = (left, right);
        self.len += 1;
        true
    }

    /// The blocks, the most recent one first.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..self.len()]
    }

    /// How many blocks there are.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no blocks.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl TcpOptions {
    /// Reads the options between the fixed header and the text. It never fails: options are
    /// advice, and a segment without them is still a segment.
    #[inline]
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        // Timestamps and nothing else, twelve bytes in all.
        if let (Some(&ALIGNED_TIMESTAMPS), Some(option)) = (
            bytes.first_chunk(),
            bytes.get(4..).and_then(<[u8]>::as_array::<8>),
        ) {
            return Self {
                timestamps: Some(timestamps(option)),
                ..Self::default()
            };
        }
        Self::parse_any(bytes)
    }

    /// Reads options in whatever order and at whatever place they come (RFC 9293 3.1, MUST-4 and
    /// MUST-5; 3.2, MUST-64).
    fn parse_any(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut unread = Some(bytes);
        while let Some(bytes) = unread {
            unread = options.take_next(bytes);
        }
        options
    }

    /// Takes the option at the start of `bytes`; answers what comes after it, or `None` where no
    /// more is to be read.
    #[inline]
    fn take_next<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            // RFC 9293 3.1, MUST-69 has zeros after the end; whatever is there is not read.
            END => None,
            NOP => Some(rest),
            _ => {
                // MUST-7: what stands before an illegal length counts, and the segment lives.
                let (body, rest) = split_option(rest)?;
                self.take(kind, body);
                Some(rest)
            }
        }
    }

    /// Takes one option. An unknown kind, or a known one of the wrong length, is passed over
    /// (MUST-6 and MUST-7).
    fn take(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            (WND_SCALE, &[shift]) => self.wnd_shift = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, body) => {
                if let Some(body) = body.as_array() {
                    self.timestamps = Some(timestamps(body));
                }
            }
            (SACK, body) => self.sack = SackBlocks::parse(body),
            (FAST_OPEN, body) => self.fast_open = FastOpen::new(body).or(self.fast_open),
            _ => {}
        }
    }

    /// Bytes that [`Self::emit`] writes: a multiple of 4, at most 40.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        let sack = match self.sack_fitting() {
            0 => 0,
            blocks => 4 + 8 * blocks,
        };
        self.len_without_sack() + sack
    }

    /// Whether there are no options.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of everything but the SACK blocks. Each option is padded to whole words, as Linux and
    /// the BSDs do it, so that the aligned timestamps are recognised at a glance.
    const fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let wnd_shift = if self.wnd_shift.is_some() { 4 } else { 0 };
        // With timestamps, SACK-permitted takes the place of their padding.
        let timestamps = match (self.timestamps.is_some(), self.sack_permitted) {
            (true, _) => 12,
            (false, true) => 4,
            (false, false) => 0,
        };
        let fast_open = match &self.fast_open {
            Some(fast_open) => fast_open.option_len(),
            None => 0,
        };
        mss + wnd_shift + timestamps + fast_open
    }

    /// How many SACK blocks there is room for: with timestamps three of four (RFC 2018 3).
    const fn sack_fitting(&self) -> usize {
        let room = (OPTIONS_LEN_MAX - self.len_without_sack()).saturating_sub(4) / 8;
        if self.sack.len() < room {
            self.sack.len()
        } else {
            room
        }
    }

    /// Writes the options at the start of `out` and answers how long they are. SACK blocks that do
    /// not fit are left out, the last ones first. All padding is no-operations, so there is no
    /// end-of-list and nothing behind it that would have to be zero (RFC 9293 3.1, MUST-69).
    ///
    /// # Panics
    /// `out` is shorter than [`Self::len`].
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            at = put(out, at, &[MSS, 4, high, low]);
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            let sack_permitted = [SACK_PERMITTED, 2, TIMESTAMPS, 10];
            let word = if self.sack_permitted {
                sack_permitted
            } else {
                ALIGNED_TIMESTAMPS
            };
            at = put(out, at, &word);
            at = put(out, at, &value.to_be_bytes());
            at = put(out, at, &echo.to_be_bytes());
        } else if self.sack_permitted {
            at = put(out, at, &[NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.wnd_shift {
            at = put(out, at, &[NOP, WND_SCALE, 3, shift]);
        }
        if let Some(fast_open) = &self.fast_open {
            at = fast_open.emit(out, at);
        }
        if !self.sack.is_empty() {
            at = self.emit_sack(out, at);
        }
        at
    }

    /// Writes as many SACK blocks as fit at `at`; answers where they end.
    fn emit_sack(&self, out: &mut [u8], at: usize) -> usize {
        let fitting = self.sack_fitting();
        if fitting == 0 {
            return at;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most four blocks")]
        let len = 2 + 8 * fitting as u8;
        let mut at = put(out, at, &[NOP, NOP, SACK, len]);
        for (left, right) in &self.sack.as_slice()[..fitting] {
            at = put(out, at, &left.to_be_bytes());
            at = put(out, at, &right.to_be_bytes());
        }
        at
    }
}

/// Splits what follows the kind of an option into its body and what comes after; `None` where the
/// length is below its own two bytes or beyond the header.
#[inline]
fn split_option(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len).checked_sub(2)?)
}

/// Writes one word at `at`; answers where it ends.
#[inline]
fn put(out: &mut [u8], at: usize, word: &[u8; 4]) -> usize {
    out[at..at + 4].copy_from_slice(word);
    at + 4
}

/// The two clocks of a timestamps option.
#[inline]
const fn timestamps(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> Timestamps {
    Timestamps {
        value: u32::from_be_bytes([a, b, c, d]),
        echo: u32::from_be_bytes([e, f, g, h]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_skipped_by_their_length() {
        // RFC 9293 3.1, MUST-6: nothing (77), user timeout (28), an experiment (253).
        let bytes = [77, 6, 1, 2, 3, 4, 28, 4, 0, 9, 253, 2, MSS, 4, 0x05, 0xb4];
        assert_eq!(TcpOptions::parse(&bytes).mss, Some(1460));
    }

    #[test]
    fn nothing_behind_the_end_is_read() {
        let bytes = [MSS, 4, 0x05, 0xb4, END, WND_SCALE, 3, 7];
        let options = TcpOptions::parse(&bytes);
        assert_eq!((options.mss, options.wnd_shift), (Some(1460), None));
    }

    #[test]
    fn illegal_lengths_end_the_options_and_not_the_segment() {
        // RFC 9293 3.1, MUST-7: zero, one, twice beyond the header; and a length that is missing.
        let tails: [&[u8]; 4] = [
            &[99, 0, 0, 0],
            &[99, 1, 0, 0],
            &[TIMESTAMPS, 10, 0, 0],
            &[99, 255, 0, 0],
        ];
        for tail in tails {
            let bytes = [&[MSS, 4, 0x02, 0x18], tail, &[WND_SCALE, 3, 7]].concat();
            let options = TcpOptions::parse(&bytes);
            let expected = TcpOptions {
                mss: Some(536),
                ..TcpOptions::default()
            };
            assert_eq!(options, expected, "{tail:?}");
        }
        assert_eq!(
            TcpOptions::parse(&[NOP, NOP, NOP, MSS]),
            TcpOptions::default()
        );
    }

    #[test]
    fn known_options_of_a_wrong_length_are_passed_over() {
        let bytes = [
            &[MSS, 3, 9][..],
            &[WND_SCALE, 2],
            &[SACK_PERMITTED, 3, 0],
            &[TIMESTAMPS, 4, 0, 0],
            &[SACK, 9, 0, 0, 0, 0, 0, 0, 0],
            &[WND_SCALE, 3, 14],
        ]
        .concat();
        let expected = TcpOptions {
            wnd_shift: Some(14),
            ..TcpOptions::default()
        };
        assert_eq!(TcpOptions::parse(&bytes), expected);
    }

    #[test]
    fn aligned_timestamps_are_the_same_by_both_ways() {
        let bytes = [NOP, NOP, TIMESTAMPS, 10, 0, 0, 0, 7, 0xff, 0, 0, 1];
        let options = TcpOptions::parse(&bytes);
        assert_eq!(
            options.timestamps,
            Some(Timestamps {
                value: 7,
                echo: 0xff00_0001
            })
        );
        assert_eq!(options, TcpOptions::parse_any(&bytes));
    }

    #[test]
    fn a_fast_open_cookie_has_4_to_16_bytes_and_an_even_number() {
        // RFC 7413 4.1.1; none at all is the request for one.
        for len in 0..=18 {
            let cookie: Vec<u8> = (1..=len).collect();
            let is_one = len == 0 || (4..=16).contains(&len) && len % 2 == 0;
            let bytes = [&[NOP, FAST_OPEN, len + 2][..], &cookie, &[MSS, 4, 5, 180]].concat();
            let options = TcpOptions::parse(&bytes);
            let seen = options
                .fast_open
                .map(|fast_open| fast_open.cookie().to_vec());
            assert_eq!(seen, is_one.then_some(cookie), "{len}");
            assert_eq!(options.mss, Some(1_460), "what follows counts");
            let mut out = [0; OPTIONS_LEN_MAX];
            let written = options.emit(&mut out);
            assert_eq!((written, written % 4), (options.len(), 0));
            assert_eq!(TcpOptions::parse(&out[..written]), options);
        }
    }

    #[test]
    fn the_longest_cookie_fits_beside_all_that_a_syn_has() {
        let options = TcpOptions {
            mss: Some(1_460),
            wnd_shift: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps::default()),
            fast_open: FastOpen::new(&[7; 16]),
            ..TcpOptions::default()
        };
        assert_eq!(options.len(), OPTIONS_LEN_MAX);
    }

    #[test]
    fn all_that_a_syn_has_fits_into_five_words() {
        let options = TcpOptions {
            mss: Some(1460),
            wnd_shift: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps::default()),
            ..TcpOptions::default()
        };
        assert_eq!(options.len(), 20);
        assert!(TcpOptions::default().is_empty());
    }
}
