//! An assembler for the few eBPF instructions that the XDP program uses.
//!
//! Each function here makes one line of a program; `assemble` resolves the labels. The encoding is
//! that of RFC 9669; where a name differs from the RFC's it is the C operator's.

use crate::sys::bpf::Instruction;

/// A register. Calls take r1 to r5, return r0 and keep r6 to r9; r10 is the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);
pub(super) const R8: Register = Register(8);
pub(super) const R9: Register = Register(9);
pub(super) const R10: Register = Register(10);

/// How many bytes an instruction loads or stores (RFC 9669 section 5).
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    U8 = 0x10,
    U16 = 0x08,
    U32 = 0x00,
    U64 = 0x18,
}

/// A line of a program over labels `L`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<L> {
    /// An instruction that is complete.
    Instruction(Instruction),
    /// A jump whose offset is still to be found.
    Jump(Instruction, L),
    /// A place to jump to; no instruction.
    Label(L),
}

/// The classes of instructions and the operations in them, as the RFC's tables give them.
mod code {
    pub(super) const LDX_MEM: u8 = 0x61;
    pub(super) const ST_MEM: u8 = 0x62;
    pub(super) const STX_MEM: u8 = 0x63;
    pub(super) const LD_IMM64: u8 = 0x18;
    pub(super) const MOV64_X: u8 = 0xbf;
    pub(super) const MOV64_K: u8 = 0xb7;
    pub(super) const ADD64_K: u8 = 0x07;
    pub(super) const JA: u8 = 0x05;
    pub(super) const JEQ_K: u8 = 0x15;
    pub(super) const JNE_K: u8 = 0x55;
    pub(super) const JGT_X: u8 = 0x2d;
    pub(super) const CALL: u8 = 0x85;
    pub(super) const EXIT: u8 = 0x95;
    /// In the source register of `LD_IMM64`: the number is the descriptor of a map.
    pub(super) const PSEUDO_MAP_FD: u8 = 1;
}

const NONE: Register = Register(0);

/// `to = from`
pub(super) fn copy<L>(to: Register, from: Register) -> Line<L> {
    Line::Instruction(instruction(code::MOV64_X, to, from, 0, 0))
}

/// `to = number`
pub(super) fn set<L>(to: Register, number: i32) -> Line<L> {
    Line::Instruction(instruction(code::MOV64_K, to, NONE, 0, number))
}

/// `to += number`
pub(super) fn add<L>(to: Register, number: i32) -> Line<L> {
    Line::Instruction(instruction(code::ADD64_K, to, NONE, 0, number))
}

/// `to = *(width *)(at + offset)`
pub(super) fn load<L>(width: Width, to: Register, at: Register, offset: i16) -> Line<L> {
    Line::Instruction(instruction(code::LDX_MEM | width as u8, to, at, offset, 0))
}

/// `*(width *)(at + offset) = from`
pub(super) fn store<L>(width: Width, at: Register, offset: i16, from: Register) -> Line<L> {
    Line::Instruction(instruction(
        code::STX_MEM | width as u8,
        at,
        from,
        offset,
        0,
    ))
}

/// `*(width *)(at + offset) = number`
pub(super) fn store_number<L>(width: Width, at: Register, offset: i16, number: i32) -> Line<L> {
    Line::Instruction(instruction(
        code::ST_MEM | width as u8,
        at,
        NONE,
        offset,
        number,
    ))
}

/// `goto label`
pub(super) fn jump<L>(label: L) -> Line<L> {
    Line::Jump(instruction(code::JA, NONE, NONE, 0, 0), label)
}

/// `if (left == number) goto label`
pub(super) fn jump_if_equal<L>(left: Register, number: i32, label: L) -> Line<L> {
    Line::Jump(instruction(code::JEQ_K, left, NONE, 0, number), label)
}

/// `if (left != number) goto label`
pub(super) fn jump_unless_equal<L>(left: Register, number: i32, label: L) -> Line<L> {
    Line::Jump(instruction(code::JNE_K, left, NONE, 0, number), label)
}

/// `if (left > right) goto label`, without signs
pub(super) fn jump_if_above<L>(left: Register, right: Register, label: L) -> Line<L> {
    Line::Jump(instruction(code::JGT_X, left, right, 0, 0), label)
}

/// `to = &map`; an instruction of double length.
pub(super) fn load_map<L>(to: Register, fd: i32) -> [Line<L>; 2] {
    let source = Register(code::PSEUDO_MAP_FD);
    [
        Line::Instruction(instruction(code::LD_IMM64, to, source, 0, fd)),
        Line::Instruction(instruction(0, NONE, NONE, 0, 0)),
    ]
}

/// `r0 = function(r1, r2, r3, r4, r5)`
pub(super) fn call<L>(function: i32) -> Line<L> {
    Line::Instruction(instruction(code::CALL, NONE, NONE, 0, function))
}

/// `return r0`
pub(super) fn exit<L>() -> Line<L> {
    Line::Instruction(instruction(code::EXIT, NONE, NONE, 0, 0))
}

/// Resolves the labels.
///
/// # Panics
///
/// If a label that is jumped to stands nowhere, stands twice, or is out of reach: a fault in the
/// program's text, found by any test that assembles it.
pub(super) fn assemble<L: Copy + PartialEq + std::fmt::Debug>(
    lines: &[Line<L>],
) -> Vec<Instruction> {
    let mut places: Vec<(L, usize)> = Vec::new();
    let mut count = 0;
    for line in lines {
        match *line {
            Line::Label(label) => {
                assert!(
                    places.iter().all(|(other, _)| *other != label),
                    "{label:?} stands twice"
                );
                places.push((label, count));
            }
            Line::Instruction(_) | Line::Jump(..) => count += 1,
        }
    }
    let place_of = |label: L| {
        let place = places.iter().find(|(other, _)| *other == label);
        place
            .unwrap_or_else(|| panic!("{label:?} stands nowhere"))
            .1
    };
    let mut program = Vec::with_capacity(count);
    for line in lines {
        match *line {
            Line::Label(_) => {}
            Line::Instruction(instruction) => program.push(instruction),
            Line::Jump(instruction, label) => {
                // Counted from the instruction behind the jump.
                let offset = place_of(label).cast_signed() - (program.len() + 1).cast_signed();
                let offset = i16::try_from(offset).expect("the program is shorter than 32 K");
                program.push(Instruction {
                    offset,
                    ..instruction
                });
            }
        }
    }
    program
}

fn instruction(
    code: u8,
    destination: Register,
    source: Register,
    offset: i16,
    immediate: i32,
) -> Instruction {
    // The two halves of the byte are bit fields in C, which follow the order of bytes.
    let registers = if cfg!(target_endian = "little") {
        source.0 << 4 | destination.0
    } else {
        destination.0 << 4 | source.0
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_count_from_the_next_instruction_and_labels_take_no_room() {
        let program = assemble(&[
            Line::Label('a'),
            set(R0, 1),
            jump_if_equal(R0, 1, 'b'),
            jump('a'),
            Line::Label('b'),
            exit(),
        ]);
        let offsets: Vec<i16> = program
            .iter()
            .map(|instruction| instruction.offset)
            .collect();
        assert_eq!(offsets, [0, 1, -3, 0]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_have_the_bytes_of_the_tables_in_rfc_9669() {
        // r6 = r1; r7 = *(u32 *)(r6 + 4); *(u64 *)(r10 - 24) = r1
        let program = assemble::<()>(&[
            copy(R6, R1),
            load(Width::U32, R7, R6, 4),
            store(Width::U64, R10, -24, R1),
        ]);
        let bytes: Vec<(u8, u8, i16)> = program
            .iter()
            .map(|line| (line.code, line.registers, line.offset))
            .collect();
        assert_eq!(bytes, [(0xbf, 0x16, 0), (0x61, 0x67, 4), (0x7b, 0x1a, -24)]);
    }

    #[test]
    #[should_panic(expected = "'x' stands nowhere")]
    fn missing_label_is_found() {
        assemble(&[jump('x')]);
    }
}
