//! Classifiers of someone else: what they are to do with packets comes in, a program made of a few
//! instructions comes out, attached beside the tracer's; the kernel counts how often it ran.

use std::os::fd::OwnedFd;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
    },
    sys::{Stats, enable_stats},
};

use crate::netns::Namespace;

/// Verdicts of `linux/pkt_cls.h`; those of TCX have the same numbers.
pub(crate) const UNSPEC: i32 = -1;
pub(crate) const OK: i32 = 0;
pub(crate) const SHOT: i32 = 2;
pub(crate) const PIPE: i32 = 3;

/// What a program does with each packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Nothing but return a verdict.
    Return(i32),
    /// Hands it to the interface with this number, to be sent.
    Redirect(u32),
}

/// Where among the programs at a hook.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// By TCX, before all others.
    First,
    /// By TCX, after all others.
    Last,
    /// As a filter on a clsact qdisc, with this priority.
    Priority(u16),
}

/// An attached program. It leaves with this value, or, a clsact filter, with the namespace.
pub(crate) struct Foreign {
    ebpf: Ebpf,
    _link: Option<SchedClassifierLink>,
    /// While it is open the kernel counts.
    _counting: OwnedFd,
}

impl Foreign {
    const NAME: &str = "foreign";

    /// Attaches one.
    pub(crate) fn attach(
        namespace: &Namespace,
        (interface, hook): (&str, TcAttachType),
        place: Place,
        does: Does,
    ) -> Self {
        let _counting = enable_stats(Stats::RunTime).expect("the kernel counts runs");
        let mut ebpf =
            Ebpf::load(&object(Self::NAME, &instructions(does))).expect("it can be read");
        let link = namespace.run(|| {
            let program = classifier(&mut ebpf);
            program.load().expect("the verifier accepts it");
            let order = match place {
                Place::First => TcAttachOptions::TcxOrder(LinkOrder::first()),
                Place::Last => TcAttachOptions::TcxOrder(LinkOrder::last()),
                Place::Priority(priority) => {
                    // It may be there.
                    qdisc_add_clsact(interface).ok();
                    let handle = TcHandle::AUTO_ASSIGN;
                    TcAttachOptions::Netlink(NlOptions { priority, handle, classid: None })
                }
            };
            let id = program.attach_with_options(interface, hook, order);
            program.take_link(id.expect("it can be attached")).expect("it is attached")
        });
        if matches!(place, Place::Priority(_)) {
            // Detaching would look for the interface in the wrong namespace.
            std::mem::forget(link);
            return Self { ebpf, _link: None, _counting };
        }
        Self { ebpf, _link: Some(link), _counting }
    }

    /// How many packets it has seen.
    pub(crate) fn runs(&mut self) -> u64 {
        classifier(&mut self.ebpf).info().expect("the kernel tells").run_count()
    }
}

fn classifier(ebpf: &mut Ebpf) -> &mut SchedClassifier {
    let program = ebpf.program_mut(Foreign::NAME).expect("the only one");
    program.try_into().expect("a classifier")
}

/// `struct bpf_insn` of `linux/bpf.h`: opcode, registers, offset, constant.
fn instructions(does: Does) -> Vec<u8> {
    const MOVE: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const REDIRECT: i32 = 23;
    let code = match does {
        Does::Return(verdict) => vec![(MOVE, 0, verdict), (EXIT, 0, 0)],
        Does::Redirect(to) => {
            vec![(MOVE, 1, to.cast_signed()), (MOVE, 2, 0), (CALL, 0, REDIRECT), (EXIT, 0, 0)]
        }
    };
    let encode = |(opcode, register, constant): (u8, u8, i32)| {
        let [a, b, c, d] = constant.to_ne_bytes();
        [opcode, register, 0, 0, a, b, c, d]
    };
    code.into_iter().flat_map(encode).collect()
}

/// Bytes of an ELF header, and of a section header.
const HEADER: usize = 64;

/// A relocatable ELF file (elf(5)) with one program, as a compiler would have made it: code, a symbol
/// for it, names, and the headers of these sections.
fn object(name: &str, code: &[u8]) -> Vec<u8> {
    /// Where the names of sections begin, and then the program's, in this.
    const NAMES: &[u8] = b"\0classifier\0.names\0";
    const CLASSIFIER: u32 = 1;
    const OTHERS: u32 = 12;
    let names = [NAMES, name.as_bytes(), b"\0"].concat();
    let mut symbols = vec![0; 24];
    symbols.extend((NAMES.len() as u32).to_ne_bytes());
    // A global function in section 1.
    symbols.extend([0x12, 0, 1, 0]);
    symbols.extend([0, code.len() as u64].map(u64::to_ne_bytes).concat());

    let contents = [code, &symbols, &names].concat();
    let [code, symbols, names] = [code.len(), symbols.len(), names.len()].map(|len| len as u64);
    let at = HEADER as u64;
    let mut file = header((HEADER + contents.len().next_multiple_of(8)) as u64);
    file.extend(contents);
    file.resize(file.len().next_multiple_of(8), 0);
    for section in [
        section(0, 0, 0, [0, 0], [0, 0]),
        // PROGBITS, allocated and executable.
        section(CLASSIFIER, 1, 6, [at, code], [0, 0]),
        // SYMTAB: names are in section 3, the first global symbol is number 1.
        section(OTHERS, 2, 0, [at + code, symbols], [3, 1]),
        // STRTAB.
        section(OTHERS, 3, 0, [at + code + symbols, names], [0, 0]),
    ] {
        file.extend(section);
    }
    file
}

/// An ELF header for four sections, whose headers are at `sections`.
fn header(sections: u64) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\0\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Little-endian is 1, big-endian 2.
    header[5] = if cfg!(target_endian = "little") { 1 } else { 2 };
    // ET_REL, EM_BPF.
    header.extend([1_u16, 247].map(u16::to_ne_bytes).concat());
    header.extend(1_u32.to_ne_bytes());
    header.extend([0, 0, sections].map(u64::to_ne_bytes).concat());
    header.extend(0_u32.to_ne_bytes());
    let size = HEADER as u16;
    // No program headers; names are in the last of four sections.
    header.extend([size, 0, 0, size, 4, 3].map(u16::to_ne_bytes).concat());
    header
}

fn section(name: u32, kind: u32, flags: u64, place: [u64; 2], [link, info]: [u32; 2]) -> Vec<u8> {
    const SYMBOL_TABLE: u32 = 2;
    let [at, len] = place;
    let entry = if kind == SYMBOL_TABLE { 24 } else { 0 };
    let mut header = [name, kind].map(u32::to_ne_bytes).concat();
    header.extend([flags, 0, at, len].map(u64::to_ne_bytes).concat());
    header.extend([link, info].map(u32::to_ne_bytes).concat());
    header.extend([8, entry].map(u64::to_ne_bytes).concat());
    header
}
