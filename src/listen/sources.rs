//! How many connections each source has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections each source has, and how many it may have.
#[derive(Clone, Debug)]
pub struct Sources {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
}

/// One connection's place among those of its source; given back when dropped.
#[derive(Debug)]
pub struct Place {
    sources: Sources,
    source: IpAddr,
}

impl Sources {
    /// Every source may have `each_max` connections.
    pub fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// A place, if the source has one left.
    pub fn take(&self, source: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { sources: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.sources.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source gets no more than its places, another has its own, and a place comes back.
    #[test]
    fn places_are_counted_by_source() {
        let sources = Sources::new(512);
        let (one, two): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut places: Vec<Place> = (0..512).map(|_| sources.take(one).unwrap()).collect();
        assert!(sources.take(one).is_none());
        assert!(sources.take(two).is_some());
        places.pop();
        assert!(sources.take(one).is_some());
        drop(places);
        assert!(sources.counts.lock().unwrap().is_empty());
    }
}
