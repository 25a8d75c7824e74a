//! Belady's optimum: on a miss with a full pool, evict what is needed again last.

use std::collections::{BTreeSet, HashMap};

/// The misses of the optimum with `size` places. Each reference names a shadow from its installation
/// to its invalidation: after an invalidation the same page is another name, since no policy could
/// have kept it.
pub(crate) fn misses(references: &[u32], size: usize) -> u64 {
    let mut next = vec![usize::MAX; references.len()];
    let mut last = HashMap::new();
    for (time, name) in references.iter().enumerate().rev() {
        if let Some(later) = last.insert(name, time) {
            next[time] = later;
        }
    }
    // The shadows held, by the time of their next use.
    let mut held = BTreeSet::new();
    let mut misses = 0;
    for (time, &name) in references.iter().enumerate() {
        if !held.remove(&(time, name)) {
            misses += 1;
            if held.len() == size {
                held.pop_last();
            }
        }
        held.insert((next[time], name));
    }
    misses
}
