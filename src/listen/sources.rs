//! How many connections each source has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who counts as one by address: whoever has an IPv6 network has 2^64 addresses.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

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

    /// A place, if the source of this address has one left.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let source = source(address);
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

    /// IPv6 addresses of one network count as one, and so does an IPv4 address in either form.
    #[test]
    fn sources_are_networks() {
        let source = |text: &str| source(text.parse().unwrap());
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.2"), source("192.0.2.1"));
    }

    /// Whoever has a network of IPv6 has the places of one, from whichever addresses he comes.
    #[test]
    fn a_network_is_one_source() {
        let sources = Sources::new(4);
        let from = |low: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, low).into();
        let places: Vec<_> = (0..100).filter_map(|low| sources.take(from(low))).collect();
        assert_eq!(places.len(), 4);
        assert!(sources.take("2001:db8:1:3::1".parse().unwrap()).is_some());
        drop(places);
        assert!(sources.take(from(9)).is_some());
    }

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
