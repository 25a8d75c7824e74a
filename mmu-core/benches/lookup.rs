//! Guest lookups against the loop of the 2008 KVM code, and the prices of guest TLB writes, context
//! changes and worst cases. The baseline is our own rendering of that loop's idea: an array of
//! structures, walked from index 0, each test leaving early.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mmu_core::policy::{AnyPolicy, PolicyKind, RoundRobin};
use mmu_core::{
    Access, ContextId, DirectShadow, EffectiveAddress, Mode, PageSize, Shadow, ShadowPage, ShadowSink, Slot,
    Tlb, TlbEntry,
};

/// The baseline's entry and search.
mod linear {
    #[derive(Copy, Clone, Default)]
    pub(crate) struct Entry {
        pub(crate) tid: u32,
        pub(crate) word0: u32,
        pub(crate) word1: u32,
        pub(crate) word2: u32,
    }

    impl Entry {
        fn start(&self) -> u32 {
            self.word0 & 0xffff_fc00
        }
        fn end(&self) -> u32 {
            let bytes = 1024u32 << (2 * ((self.word0 >> 4) & 15));
            self.start().wrapping_add(bytes - 1)
        }
    }

    pub(crate) fn search(entries: &[Entry; 64], ea: u32, pid: u32, space: u32) -> Option<usize> {
        for (i, entry) in entries.iter().enumerate() {
            if ea < entry.start() || ea > entry.end() {
                continue;
            }
            if entry.tid != 0 && entry.tid != pid {
                continue;
            }
            if entry.word0 & 0x200 == 0 {
                continue;
            }
            if (entry.word0 >> 8) & 1 != space {
                continue;
            }
            return Some(i);
        }
        None
    }

    /// The search, then what `Tlb::translate` computes too: permission and physical address.
    pub(crate) fn translate(entries: &[Entry; 64], ea: u32, pid: u32) -> Option<u64> {
        let entry = &entries[search(entries, ea, pid, 0)?];
        let mask = (1024u32 << (2 * ((entry.word0 >> 4) & 15))).wrapping_neg();
        let low = (entry.word1 & mask) | (ea & !mask);
        (entry.word2 & 1 != 0).then_some(u64::from(entry.word1 & 15) << 32 | u64::from(low))
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(n)) >> 32) as u32
    }
}

const PID: u8 = 7;
const MODE: Mode = Mode { pid: PID, address_space: false, user: false };

fn entry(ea: u32, size: PageSize, tid: u8) -> TlbEntry {
    TlbEntry {
        word0: ea | TlbEntry::V | u32::from(size.code()) << TlbEntry::SIZE_SHIFT,
        word1: ea & 0x0fff_fc00,
        word2: 0x3f,
        tid: u32::from(tid),
    }
}

/// 62 pages of 4 KiB in user space, alternating between TID 0 and the PID, and the kernel's 512 MiB
/// in the two highest entries, where Linux pins them.
fn linux_like(random: &mut Random) -> Vec<TlbEntry> {
    let mut pages = std::collections::BTreeSet::new();
    while pages.len() < 62 {
        pages.insert(0x1000_0000 + (random.below(4096) << 12));
    }
    let mut entries: Vec<_> = pages.into_iter().collect();
    for i in (1..entries.len()).rev() {
        entries.swap(i, random.below(i as u32 + 1) as usize);
    }
    let mut entries: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(i, ea)| entry(ea, PageSize::K4, if i % 2 == 0 { 0 } else { PID }))
        .collect();
    entries.push(entry(0xd000_0000, PageSize::M256, 0));
    entries.push(entry(0xc000_0000, PageSize::M256, 0));
    entries
}

/// Eight entries of each of the eight sizes.
fn all_sizes(random: &mut Random) -> Vec<TlbEntry> {
    let mut entries = vec![];
    for (i, &size) in PageSize::ALL.iter().enumerate() {
        for n in 0..8u32 {
            let ea = match size {
                PageSize::M256 => 0x8000_0000 + (n << 28),
                PageSize::M16 => 0x4000_0000 + (n << 24),
                _ => 0x0100_0000 * (i as u32 + 1) + n * size.bytes() * 2,
            };
            entries.push(entry(ea, size, if n % 2 == 0 { 0 } else { PID }));
        }
    }
    for i in (1..entries.len()).rev() {
        entries.swap(i, random.below(i as u32 + 1) as usize);
    }
    entries
}

fn compare(c: &mut Criterion, name: &str, entries: &[TlbEntry], random: &mut Random) {
    let mut tlb = Tlb::new();
    let mut array = [linear::Entry::default(); 64];
    for (i, e) in entries.iter().enumerate() {
        tlb.set_entry(i as u8, *e);
        array[i] = linear::Entry { tid: e.tid, word0: e.word0, word1: e.word1, word2: e.word2 };
    }
    let probes = 4096;
    let hits: Vec<u32> = (0..probes)
        .map(|_| {
            let e = &entries[random.below(64) as usize];
            e.epn().0 + random.below(e.size().unwrap().bytes())
        })
        .collect();
    let misses: Vec<u32> = std::iter::repeat_with(|| random.below(0x7000_0000) + 0x0001_0000)
        .filter(|&ea| linear::search(&array, ea, PID.into(), 0).is_none())
        .take(probes)
        .collect();
    for (kind, addresses) in [("hit", &hits), ("miss", &misses)] {
        let mut group = c.benchmark_group(format!("{name}/{kind}"));
        group.throughput(Throughput::Elements(probes as u64));
        for &ea in addresses {
            let ours = tlb.translate(EffectiveAddress(ea), Access::Load, MODE).ok().map(|t| t.pa.0);
            assert_eq!(ours, linear::translate(&array, ea, PID.into()));
        }
        group.bench_function("linear", |b| {
            b.iter(|| {
                for &ea in addresses {
                    black_box(linear::translate(black_box(&array), ea, PID.into()));
                }
            });
        });
        group.bench_function("mmu-core", |b| {
            b.iter(|| {
                for &ea in addresses {
                    let _ = black_box(black_box(&tlb).translate(EffectiveAddress(ea), Access::Load, MODE));
                }
            });
        });
    }
}

fn lookups(c: &mut Criterion) {
    let mut random = Random(440);
    let entries = linux_like(&mut random);
    compare(c, "62x4K+2x256M", &entries, &mut random);
    let entries = all_sizes(&mut random);
    compare(c, "all-sizes", &entries, &mut random);
}

/// A direct-mapped fast table, as an engine would have.
struct Table {
    tags: Vec<[u32; 4]>,
    dropped: u64,
}

impl Table {
    fn new() -> Self {
        Self { tags: vec![[!0; 4]; 1024], dropped: 0 }
    }
    fn place(ctx: ContextId, page: &ShadowPage) -> usize {
        (usize::from(ctx.0) * 64 + (page.ea.0 >> 12) as usize) % 1024
    }
}

impl ShadowSink for Table {
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.tags[Self::place(ctx, page)] = [page.ea.0; 4];
    }
    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.dropped += 1;
        let tag = &mut self.tags[Self::place(ctx, page)];
        if tag[0] == page.ea.0 {
            *tag = [!0; 4];
        }
    }
    fn drop_context(&mut self, _: ContextId) {
        self.dropped += 1;
    }
    fn drop_all(&mut self) {
        self.tags.fill([!0; 4]);
    }
}

/// What `Shadow` and `DirectShadow` have in common.
trait Books {
    fn context(&mut self, mode: Mode, sink: &mut Table) -> ContextId;
    fn fill(&mut self, tlb: &Tlb, ctx: ContextId, mode: Mode, ea: u32, sink: &mut Table) -> bool;
    fn tlbwe(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8, sink: &mut Table);
    fn set_entry(&mut self, tlb: &mut Tlb, index: u8, entry: TlbEntry, sink: &mut Table);
}

macro_rules! books {
    ($($generics:ident: $bound:path)?, $shadow:ty) => {
        impl<$($generics: $bound)?> Books for $shadow {
            fn context(&mut self, mode: Mode, sink: &mut Table) -> ContextId {
                self.context(mode, sink)
            }
            fn fill(&mut self, tlb: &Tlb, ctx: ContextId, mode: Mode, ea: u32, sink: &mut Table) -> bool {
                self.fill(tlb, ctx, mode, EffectiveAddress(ea), Access::Load, sink).is_ok()
            }
            fn tlbwe(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8, sink: &mut Table) {
                self.tlbwe(tlb, index, ws, value, stid, sink);
            }
            fn set_entry(&mut self, tlb: &mut Tlb, index: u8, entry: TlbEntry, sink: &mut Table) {
                self.set_entry(tlb, index, entry, sink);
            }
        }
    };
}

books!(P: mmu_core::ReplacementPolicy, Shadow<Vec<Slot>, P>);
books!(, DirectShadow);

struct Setup<B> {
    tlb: Tlb,
    shadow: B,
    sink: Table,
}

fn pool_of<P: mmu_core::ReplacementPolicy>(slots: usize, contexts: usize, policy: P) -> Shadow<Vec<Slot>, P> {
    Shadow::new(vec![Slot::EMPTY; slots], contexts, policy)
}

fn setup<B: Books>(shadow: B) -> Setup<B> {
    let mut tlb = Tlb::new();
    for (i, e) in linux_like(&mut Random(440)).iter().enumerate() {
        tlb.set_entry(i as u8, *e);
    }
    Setup { tlb, shadow, sink: Table::new() }
}

impl<B: Books> Setup<B> {
    fn touch(&mut self, ea: u32, mode: Mode) {
        let ctx = self.shadow.context(mode, &mut self.sink);
        self.shadow.fill(&self.tlb, ctx, mode, ea, &mut self.sink);
    }

    /// Both privileges load from the page of each of the first 62 entries, which are of 4 KiB.
    fn touch_all(&mut self) {
        for mode in [MODE, Mode { user: true, ..MODE }] {
            let ctx = self.shadow.context(mode, &mut self.sink);
            for index in 0..62 {
                let ea = self.tlb.entry(index).epn().0;
                black_box(self.shadow.fill(&self.tlb, ctx, mode, ea, &mut self.sink));
            }
        }
    }

    /// Writes the words of the first 62 entries as Linux does, with these bits of EPN and RPN flipped.
    fn triples(&mut self, entries: &[TlbEntry], epn: u32, rpn: u32) {
        for (i, e) in entries.iter().enumerate() {
            let mut write = |ws, value| {
                self.shadow.tlbwe(&mut self.tlb, i as u8, ws, value, e.tid as u8, &mut self.sink);
            };
            write(1, e.word1 ^ rpn);
            write(0, e.word0 ^ epn);
            write(2, e.word2);
        }
    }
}

/// Replaces 4 KiB entries, each of which has two live shadows: one per privilege. 62 entries are
/// replaced for each measurement, so divide by 62 (criterion's throughput line does); making the
/// shadows is outside the measured time, or is what is measured.
fn writes(c: &mut Criterion) {
    for kind in [PolicyKind::RoundRobin, PolicyKind::Lru] {
        writes_of(c, &kind.to_string(), pool_of(4096, 16, AnyPolicy::from(kind)));
    }
    writes_of(c, "direct", DirectShadow::new(16));
}

fn writes_of<B: Books>(c: &mut Criterion, name: &str, shadow: B) {
    let mut s = setup(shadow);
    let entries: Vec<_> = (0..62).map(|i| s.tlb.entry(i)).collect();
    let (mut epn, mut rpn) = (0, 0);
    let mut group = c.benchmark_group("tlbwe");
    group.throughput(Throughput::Elements(62));
    let mut measure = |what: &str, write: &mut dyn FnMut(&mut Setup<B>)| {
        group.bench_function(format!("{what}/{name}"), |b| {
            b.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    s.touch_all();
                    let before = s.sink.dropped;
                    let start = Instant::now();
                    write(&mut s);
                    time += start.elapsed();
                    assert_eq!(s.sink.dropped - before, 124);
                }
                time
            });
        });
    };
    measure("replace-4K-with-two-shadows", &mut |s| {
        rpn ^= 0x10_0000;
        for (i, e) in entries.iter().enumerate() {
            let new = TlbEntry { word1: e.word1 ^ rpn, ..*e };
            s.shadow.set_entry(&mut s.tlb, i as u8, new, &mut s.sink);
        }
    });
    measure("linux-triple-with-two-shadows", &mut |s| {
        rpn ^= 0x10_0000;
        s.triples(&entries, 0, rpn);
    });
    measure("linux-triple-to-another-page", &mut |s| {
        (epn, rpn) = (epn ^ 0x0100_0000, rpn ^ 0x10_0000);
        s.triples(&entries, epn, rpn);
    });
    group.throughput(Throughput::Elements(124));
    group.bench_function(format!("fill/{name}"), |b| {
        b.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                rpn ^= 0x10_0000;
                s.triples(&entries, epn, rpn);
                let start = Instant::now();
                s.touch_all();
                time += start.elapsed();
            }
            time
        });
    });
    group.finish();
}

fn contexts(c: &mut Criterion) {
    let mut group = c.benchmark_group("context");
    group.throughput(Throughput::Elements(2));
    let mut s = setup(pool_of(4096, 16, RoundRobin::new()));
    let (kernel, user) = (Mode { pid: 0, ..MODE }, Mode { user: true, ..MODE });
    group.bench_function("pid-write", |b| {
        b.iter(|| {
            black_box(s.shadow.context(black_box(kernel), &mut s.sink));
            black_box(s.shadow.context(black_box(user), &mut s.sink));
        });
    });
    group.finish();
}

fn pool(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool");
    let mut s = setup(pool_of(4096, 16, RoundRobin::new()));
    let entries: Vec<_> = (0..64).map(|i| s.tlb.entry(i).epn()).collect();
    for ea in &entries {
        s.touch(ea.0, MODE);
    }
    let ctx = s.shadow.context(MODE, &mut s.sink);
    group.throughput(Throughput::Elements(64));
    group.bench_function("lookup-hit", |b| {
        b.iter(|| {
            for &ea in &entries {
                black_box(s.shadow.lookup(ctx, ea));
            }
        });
    });
    // A full pool: every fill evicts.
    let mut s = setup(pool_of(64, 16, RoundRobin::new()));
    let ctx = s.shadow.context(MODE, &mut s.sink);
    let mut at = 0xc000_0000u32;
    group.throughput(Throughput::Elements(1));
    group.bench_function("fill-with-eviction", |b| {
        b.iter(|| {
            at = 0xc000_0000 | (at.wrapping_add(0x1000) & 0x0fff_ffff);
            black_box(
                s.shadow.fill(&s.tlb, ctx, MODE, EffectiveAddress(at), Access::Load, &mut s.sink).is_ok(),
            );
        });
    });
    group.finish();
}

fn worst_cases(c: &mut Criterion) {
    let mut group = c.benchmark_group("worst-case");
    // One 256 MiB entry, shadowed in 4,096 pieces of 4 KiB spread over all contexts.
    let thousands = |contexts: usize| {
        let mut s = setup(pool_of(4096, contexts, AnyPolicy::from(PolicyKind::Lru)));
        for n in 0..4096u32 {
            let pid = (n as usize % (contexts / 2)) as u8;
            let user = n as usize % contexts >= contexts / 2;
            s.touch(0xc000_0000 + (n << 12), Mode { pid, address_space: false, user });
        }
        s
    };
    for contexts in [16, 256] {
        group.bench_function(format!("entry-with-4096-shadows/{contexts}-contexts"), |b| {
            b.iter_batched_ref(
                || thousands(contexts),
                |s| s.shadow.tlbwe(&mut s.tlb, 63, 0, 0, 0, &mut s.sink),
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function("entry-with-256-shadows", |b| {
        b.iter_batched_ref(
            || {
                let mut s = setup(pool_of(4096, 16, AnyPolicy::from(PolicyKind::Lru)));
                for n in 0..256u32 {
                    s.touch(0xc000_0000 + (n << 12), MODE);
                }
                s
            },
            |s| s.shadow.tlbwe(&mut s.tlb, 63, 0, 0, 0, &mut s.sink),
            BatchSize::LargeInput,
        );
    });
    // 64 entries for one page; the lowest is rewritten, then invalidated.
    let overlapping = || {
        let mut s = setup(pool_of(4096, 16, AnyPolicy::from(PolicyKind::Lru)));
        for i in 0..64 {
            let size = PageSize::ALL[i % 8];
            s.shadow.set_entry(&mut s.tlb, 63 - i as u8, entry(0xc000_0000, size, 0), &mut s.sink);
            for n in 0..64u32 {
                s.touch(0xc000_0000 + (n << 12), Mode { pid: (i % 8) as u8, ..MODE });
            }
        }
        s.shadow.set_entry(&mut s.tlb, 0, TlbEntry::EMPTY, &mut s.sink);
        for n in 0..64u32 {
            s.touch(0xc000_0000 + (n << 12), MODE);
        }
        s
    };
    group.bench_function("64-overlapping-entries/tlbwe", |b| {
        b.iter_batched_ref(
            overlapping,
            |s| s.shadow.set_entry(&mut s.tlb, 0, entry(0xc000_0000, PageSize::M256, 0), &mut s.sink),
            BatchSize::LargeInput,
        );
    });
    let s = overlapping();
    let elsewhere = Mode { address_space: true, ..MODE };
    group.bench_function("64-overlapping-entries/lookup", |b| {
        b.iter(|| {
            black_box(&s.tlb).translate(EffectiveAddress(0xc000_0000), Access::Load, elsewhere).is_ok()
        });
    });
    let full = thousands(16);
    group.bench_function("invalidate-all-4096", |b| {
        b.iter_batched_ref(
            || (full.shadow.clone(), Table::new()),
            |(shadow, sink)| {
                sink.tags.truncate(1);
                shadow.invalidate_all(sink);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, lookups, writes, contexts, pool, worst_cases);
criterion_main!(benches);
