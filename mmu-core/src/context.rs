//! Contexts: the small numbers that stand for (PID, AS, PR). A direct table finds the number of a
//! mode, a list in order of use finds the one to recycle, and a generation tells the shadows of a
//! context's present life from those of an earlier one. All operations take constant time.

use crate::tlb::Mode;

/// The largest number of contexts that a shadow can have.
pub(crate) const MAX_CONTEXTS: usize = 256;
/// There are no more modes than this: 8 bits of PID, AS, PR.
const MODES: usize = 1024;
const NONE: u16 = u16::MAX;

/// A set of contexts.
pub(crate) type ContextSet = [u64; MAX_CONTEXTS / 64];

#[derive(Copy, Clone, Debug)]
struct Record {
    /// The mode's number, or `NONE` before the first use.
    key: u16,
    generation: u16,
    newer: u16,
    older: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    of_mode: [u16; MODES],
    records: [Record; MAX_CONTEXTS],
    count: u16,
    used: u16,
    newest: u16,
    oldest: u16,
    /// The key of `newest`.
    newest_key: u16,
}

/// What [`Contexts::select`] did.
pub(crate) struct Selected {
    pub(crate) id: u16,
    /// The number stood for another mode until now.
    pub(crate) recycled: bool,
}

const fn key(mode: Mode) -> u16 {
    mode.pid as u16 | (mode.address_space as u16) << 8 | (mode.user as u16) << 9
}

const fn mode(key: u16) -> Mode {
    Mode { pid: key as u8, address_space: key & 0x100 != 0, user: key & 0x200 != 0 }
}

impl Contexts {
    /// `count` is 1 to [`MAX_CONTEXTS`].
    pub(crate) const fn new(count: u16) -> Self {
        let record = Record { key: NONE, generation: 0, newer: NONE, older: NONE };
        Self {
            of_mode: [NONE; MODES],
            records: [record; MAX_CONTEXTS],
            count,
            used: 0,
            newest: NONE,
            oldest: NONE,
            newest_key: NONE,
        }
    }

    pub(crate) const fn count(&self) -> u16 {
        self.count
    }

    /// The contexts that stand for a mode.
    pub(crate) const fn used(&self) -> u16 {
        self.used
    }

    pub(crate) const fn generation(&self, id: u16) -> u16 {
        self.records[id as usize % MAX_CONTEXTS].generation
    }

    /// Makes all shadows of the context stale.
    pub(crate) const fn next_generation(&mut self, id: u16) {
        let record = &mut self.records[id as usize % MAX_CONTEXTS];
        record.generation = record.generation.wrapping_add(1);
    }

    /// The mode that `id` stands for.
    pub(crate) fn mode(&self, id: u16) -> Option<Mode> {
        let record = self.records.get(usize::from(id))?;
        (record.key != NONE).then(|| mode(record.key))
    }

    /// Does `id` stand for `wanted`?
    pub(crate) fn is(&self, id: u16, wanted: Mode) -> bool {
        self.records.get(usize::from(id)).is_some_and(|record| record.key == key(wanted))
    }

    /// The context of `wanted`, made the most recently used.
    #[inline]
    pub(crate) fn select(&mut self, wanted: Mode) -> Selected {
        let key = key(wanted);
        if key == self.newest_key {
            return Selected { id: self.newest, recycled: false };
        }
        let known = self.of_mode[usize::from(key) % MODES];
        let selected = if known != NONE {
            self.take_out(known);
            Selected { id: known, recycled: false }
        } else {
            self.assign(key)
        };
        self.put_newest(selected.id);
        self.newest_key = key;
        selected
    }

    fn assign(&mut self, key: u16) -> Selected {
        let recycled = self.used == self.count;
        let id = if recycled {
            let id = self.oldest;
            self.take_out(id);
            self.of_mode[usize::from(self.records[usize::from(id)].key)] = NONE;
            id
        } else {
            self.used += 1;
            self.used - 1
        };
        self.records[usize::from(id)].key = key;
        self.of_mode[usize::from(key)] = id;
        Selected { id, recycled }
    }

    fn take_out(&mut self, id: u16) {
        let Record { newer, older, .. } = self.records[usize::from(id) % MAX_CONTEXTS];
        match newer {
            NONE => self.newest = older,
            _ => self.records[usize::from(newer) % MAX_CONTEXTS].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            _ => self.records[usize::from(older) % MAX_CONTEXTS].newer = newer,
        }
    }

    fn put_newest(&mut self, id: u16) {
        let next = self.newest;
        let record = &mut self.records[usize::from(id) % MAX_CONTEXTS];
        (record.newer, record.older) = (NONE, next);
        match next {
            NONE => self.oldest = id,
            _ => self.records[usize::from(next) % MAX_CONTEXTS].newer = id,
        }
        self.newest = id;
    }
}

/// The members of a set, lowest first.
pub(crate) fn members(set: ContextSet) -> impl Iterator<Item = u16> {
    set.into_iter().enumerate().flat_map(|(word, bits)| ones(bits).map(move |bit| word as u16 * 64 + bit))
}

/// The numbers of the bits that are set, lowest first.
#[inline]
pub(crate) fn ones(mut bits: u64) -> impl Iterator<Item = u16> {
    core::iter::from_fn(move || {
        let bit = bits.trailing_zeros() as u16;
        bits &= bits.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}
