//! Calls whose order matters and that a conversation cannot express: RFC 9293 3.10.2 to 3.10.5, as
//! the worker makes them between a segment and the end of the turn.

use std::net::Ipv4Addr;
use std::time::Duration;

use tidegate_tcp::{
    BLOCK_LEN, Context, End, Events, FourTuple, Memory, MemoryConfig, Segment, SendError, SeqNum,
    Settings, State, Tcb, TextQueue, TxChecksumMode,
};
use tidegate_wire::{Instant, PROTOCOL_TCP, Sum, Tcp, TcpFlags, TcpOptions};

const MTU: u32 = 1_500;

/// An established TCB, with a peer that is written by hand.
struct Bench {
    now: Instant,
    tcb: Tcb,
    settings: Settings,
    memory: Memory,
    /// The next number of the peer.
    seq: SeqNum,
    /// What the peer acknowledges.
    ack: SeqNum,
}

impl Bench {
    fn established(blocks: u32) -> Self {
        Self::established_with(blocks, Settings::default())
    }

    fn established_with(blocks: u32, settings: Settings) -> Self {
        let tuple = FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 80,
            remote: Ipv4Addr::new(192, 0, 2, 2).into(),
            remote_port: 40_000,
        };
        let mut memory = Memory::new(MemoryConfig {
            blocks,
            range_sets: 1,
            send_logs: 4,
            bbr_records: 1,
        });
        let mut cx = Context {
            now: Instant::from_secs(1),
            settings: &settings,
            memory: &mut memory,
        };
        let iss = SeqNum::new(1_000);
        let tcb = Tcb::open(tuple, iss, MTU, &mut cx);
        let mut bench = Self {
            now: Instant::from_secs(1),
            tcb,
            settings,
            memory,
            seq: SeqNum::new(5_000),
            ack: iss + 1,
        };
        assert_eq!(bench.transmit().len(), 1, "the SYN");
        let events = bench.arrives(TcpFlags::SYN | TcpFlags::ACK, &[]);
        assert_eq!(events, Events::ESTABLISHED);
        bench.seq += 1;
        assert_eq!(bench.transmit().len(), 1, "the ACK");
        bench
    }

    fn with<T>(&mut self, step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> T) -> T {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let result = step(&mut self.tcb, &mut cx);
        self.tcb.assert_invariants(&self.memory);
        result
    }

    fn segment<'t>(&self, flags: TcpFlags, text: &'t [u8]) -> Segment<'t> {
        Segment {
            tuple: self.tcb.tuple(),
            seq: self.seq,
            ack: self.ack,
            flags,
            wnd: 60_000,
            urgent: 0,
            options: TcpOptions {
                mss: Some(1_460),
                wnd_shift: Some(0),
                ..TcpOptions::default()
            },
            text,
            traffic_class: 0,
        }
    }

    /// A segment arrives; text that is offered in it is left to the queue.
    fn arrives(&mut self, flags: TcpFlags, text: &[u8]) -> Events {
        let seg = self.segment(flags, text);
        let arrival = self
            .with(|tcb, cx| tcb.on_segment(seg, cx))
            .expect("it is acceptable");
        self.with(|tcb, cx| tcb.keep_text(arrival.text, cx));
        self.seq += u32::try_from(text.len()).expect("short");
        arrival.events
    }

    fn transmit(&mut self) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        let mut out = [0; 1_500];
        while let Some(len) =
            self.with(|tcb, cx| tcb.poll_transmit(&mut out, TxChecksumMode::Full, cx))
        {
            segments.push(out[..len].to_vec());
        }
        segments
    }
}

fn header(segment: &[u8]) -> Tcp {
    Tcp::parse(segment)
        .expect("our own segments are well-formed")
        .0
}

#[test]
fn close_in_answer_to_text_that_is_taken_sends_a_fin() {
    let mut bench = Bench::established(8);
    bench.arrives(TcpFlags::ACK, b"GET /");
    let chunk = bench.with(Tcb::detach_text).expect("there is text");
    assert_eq!(chunk.as_slice(), b"GET /");
    assert_eq!(bench.with(|tcb, cx| tcb.send(b"answer", cx)), Ok(6));
    bench.with(Tcb::close);
    bench.with(|tcb, cx| tcb.attach_text(chunk, 5, cx));
    assert_eq!(bench.tcb.state(), State::FinWait1);
    let segments = bench.transmit();
    assert_eq!(segments.len(), 1);
    assert!(header(&segments[0]).flags.contains(TcpFlags::FIN));
}

#[test]
fn close_in_answer_to_text_that_is_left_sends_a_rst() {
    let mut bench = Bench::established(8);
    bench.arrives(TcpFlags::ACK, b"GET /");
    let chunk = bench.with(Tcb::detach_text).expect("there is text");
    bench.with(Tcb::close);
    bench.with(|tcb, cx| tcb.attach_text(chunk, 4, cx));
    assert_eq!(bench.tcb.end(), Some(End::Aborted));
    let segments = bench.transmit();
    assert!(header(&segments[0]).flags.contains(TcpFlags::RST));
    assert!(bench.tcb.is_finished());
    assert_eq!(bench.memory.counts().blocks_free, 8);
}

#[test]
fn close_in_answer_to_text_in_the_frame() {
    for (left, end) in [
        (b"".as_slice(), None),
        (b"/".as_slice(), Some(End::Aborted)),
    ] {
        let mut bench = Bench::established(8);
        let seg = bench.segment(TcpFlags::ACK, b"GET /");
        let arrival = bench
            .with(|tcb, cx| tcb.on_segment(seg, cx))
            .expect("acceptable");
        assert_eq!(arrival.text, b"GET /");
        bench.with(Tcb::close);
        bench.with(|tcb, cx| tcb.keep_text(left, cx));
        assert_eq!(bench.tcb.end(), end);
    }
}

#[test]
fn close_without_linger_in_answer_to_text_sends_one_rst() {
    for is_in_hand in [false, true] {
        let mut bench = Bench::established(8);
        bench.settings.linger = Some(Duration::ZERO);
        if is_in_hand {
            bench.arrives(TcpFlags::ACK, b"GET /");
            let chunk = bench.with(Tcb::detach_text).expect("there is text");
            bench.with(Tcb::close);
            bench.with(|tcb, cx| tcb.attach_text(chunk, 1, cx));
        } else {
            let seg = bench.segment(TcpFlags::ACK, b"GET /");
            let arrival = bench.with(|tcb, cx| tcb.on_segment(seg, cx));
            assert_eq!(arrival.expect("acceptable").text, b"GET /");
            bench.with(Tcb::close);
            bench.with(|tcb, cx| tcb.keep_text(b"ET /", cx));
        }
        assert_eq!(bench.tcb.end(), Some(End::Aborted));
        let segments = bench.transmit();
        assert_eq!(segments.len(), 1);
        assert!(header(&segments[0]).flags.contains(TcpFlags::RST));
        assert!(bench.tcb.is_finished());
        assert_eq!(bench.memory.counts().blocks_free, 8);
    }
}

#[test]
fn abort_gives_up_text_that_outlived_its_connection() {
    let mut bench = Bench::established(8);
    bench.arrives(TcpFlags::ACK, b"last words");
    assert_eq!(bench.with(|tcb, cx| tcb.shutdown(cx)), Ok(()));
    bench.transmit();
    bench.ack += 1;
    bench.arrives(TcpFlags::ACK | TcpFlags::FIN, b"");
    let over = Instant::from_secs(1_000);
    let mut cx = Context {
        now: over,
        settings: &bench.settings,
        memory: &mut bench.memory,
    };
    bench.tcb.on_timeout(&mut cx);
    assert_eq!(bench.tcb.state(), State::Closed, "TIME_WAIT is over");
    assert_eq!(bench.tcb.end(), None, "there is text to be read");
    bench.with(Tcb::abort);
    assert_eq!(bench.tcb.end(), Some(End::Closed));
    assert_eq!(bench.memory.counts().blocks_free, 8);
}

#[test]
fn text_that_finds_no_memory_is_taken_back() {
    let mut bench = Bench::established(1);
    let seg = bench.segment(TcpFlags::ACK, &[9; 1_000]);
    let arrival = bench
        .with(|tcb, cx| tcb.on_segment(seg, cx))
        .expect("acceptable");
    // The user's answer takes the last block, and leaves half of the text.
    assert_eq!(bench.with(|tcb, cx| tcb.send(&[1; 100], cx)), Ok(100));
    assert_eq!(
        bench.with(|tcb, cx| tcb.keep_text(&arrival.text[500..], cx)),
        500
    );
    let segments = bench.transmit();
    assert_eq!(
        header(&segments[0]).ack,
        bench.seq.value() + 500,
        "only what was taken"
    );
    assert_eq!(bench.tcb.readable(), 0);
}

#[test]
fn send_without_memory_is_an_error_while_nothing_is_queued() {
    let mut bench = Bench::established(2);
    bench.arrives(TcpFlags::ACK, &[0; BLOCK_LEN]);
    bench.arrives(TcpFlags::ACK, &[0; BLOCK_LEN]);
    assert_eq!(
        bench.with(|tcb, cx| tcb.send(b"x", cx)),
        Err(SendError::NoMemory)
    );
    let chunk = bench.with(Tcb::detach_text).expect("there is text");
    bench.with(|tcb, cx| tcb.attach_text(chunk, BLOCK_LEN, cx));
    assert_eq!(
        bench.with(|tcb, cx| tcb.send(&[1; 5_000], cx)),
        Ok(BLOCK_LEN)
    );
    assert_eq!(
        bench.with(|tcb, cx| tcb.send(b"x", cx)),
        Ok(0),
        "WRITABLE will come"
    );
}

#[test]
fn a_partial_checksum_is_the_sum_of_the_pseudo_header() {
    let mut out = [0; 1_500];
    let mut bench = Bench::established(4);
    bench
        .with(|tcb, cx| tcb.send(&[0xa5; 777], cx))
        .expect("space");
    let len = bench
        .with(|tcb, cx| tcb.poll_transmit(&mut out, TxChecksumMode::Partial, cx))
        .expect("text");
    let tuple = bench.tcb.tuple();
    let pseudo = Sum::new()
        .add_pseudo_header(
            tuple.local,
            tuple.remote,
            PROTOCOL_TCP,
            u32::try_from(len).unwrap(),
        )
        .partial();
    let field = Tcp::CHECKSUM_AT..Tcp::CHECKSUM_AT + 2;
    assert_eq!(out[field.clone()], pseudo.to_be_bytes());
    // Hardware sums header and text, the field included, and stores the complement.
    let sum = Sum::new().add(&out[..len]).finish();
    out[field].copy_from_slice(&sum.to_be_bytes());
    let whole = Sum::new().add(&out[..len]);
    let whole = whole.add_pseudo_header(
        tuple.local,
        tuple.remote,
        PROTOCOL_TCP,
        u32::try_from(len).unwrap(),
    );
    assert_eq!(whole.finish(), 0);
}

#[test]
fn too_little_room_changes_nothing() {
    let mut bench = Bench::established(4);
    bench
        .with(|tcb, cx| tcb.send(&[7; 1_000], cx))
        .expect("space");
    let before = bench.with(|tcb, cx| tcb.snapshot(cx));
    for room in [0, 19, 500, 1_019] {
        let mut out = vec![0; room];
        let len = bench.with(|tcb, cx| tcb.poll_transmit(&mut out, TxChecksumMode::Full, cx));
        assert_eq!(len, None);
    }
    assert_eq!(bench.with(|tcb, cx| tcb.snapshot(cx)), before);
    assert_eq!(bench.transmit().len(), 1);
}

#[test]
fn an_idle_connection_holds_no_memory() {
    let mut bench = Bench::established(4);
    bench
        .with(|tcb, cx| tcb.send(&[7; 1_000], cx))
        .expect("space");
    bench.transmit();
    bench.ack += 1_000;
    bench.arrives(TcpFlags::ACK, b"answer");
    let chunk = bench.with(Tcb::detach_text).expect("there is text");
    bench.with(|tcb, cx| tcb.attach_text(chunk, 6, cx));
    assert_eq!(bench.memory.counts().blocks_free, 4);
    assert!(size_of::<Tcb>() <= 404, "{} bytes", size_of::<Tcb>());
}

#[test]
fn other_settings_are_told_only_where_the_window_is_larger() {
    let rmem = 65_535;
    let mut bench = Bench::established_with(64, Settings::default().with_rmem(rmem / 4));
    let before = bench.settings;
    bench.settings.nodelay = true;
    bench.with(|tcb, cx| tcb.on_new_settings(&before, cx));
    assert!(bench.transmit().is_empty(), "the peer has nothing to learn");
    let before = bench.settings;
    bench.settings = before.with_rmem(rmem);
    bench.with(|tcb, cx| tcb.on_new_settings(&before, cx));
    let told = bench.transmit();
    assert_eq!(told.len(), 1);
    assert_eq!(header(&told[0]).flags, TcpFlags::ACK);
}

/// The window after two round trips in each of which the user has taken 58 kilobytes, while others
/// hold so many blocks; when it is told they hold none.
fn window_after_reading(blocks_held: usize) -> u32 {
    let mut bench = Bench::established(4_096);
    let mut others = TextQueue::default();
    others.push(&mut bench.memory, &vec![0; blocks_held * BLOCK_LEN]);
    for at in 0..81 {
        // Forty at once, and then a round trip of silence.
        bench.now += Duration::from_millis(if at % 40 == 0 { 10 } else { 0 });
        let seg = bench.segment(TcpFlags::ACK, &[0; 1_460]);
        let arrival = bench.with(|tcb, cx| tcb.on_segment(seg, cx));
        assert_eq!(arrival.expect("it is acceptable").text.len(), 1_460);
        bench.with(|tcb, cx| tcb.keep_text(&[], cx));
        bench.seq += 1_460;
        if at < 80 {
            bench.transmit();
        }
    }
    others.clear(&mut bench.memory);
    bench.now += Duration::from_millis(100);
    bench.with(|tcb, cx| tcb.on_timeout(cx));
    let segments = bench.transmit();
    let wnd = header(segments.last().expect("an ACK is due")).wnd;
    u32::from(wnd) << 7
}

#[test]
fn a_window_that_would_grow_does_not_under_pressure() {
    assert!(window_after_reading(0) > 100_000);
    assert!(window_after_reading(3_200) <= 1 << 16);
}
