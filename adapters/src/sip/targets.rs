//! The order in which the targets of a peer are tried.

use super::{SipOutbound, SipTarget};

impl SipOutbound {
    /// The targets in the order to try them for one call, as [`in_order`] does.
    pub fn order(&self, random: impl FnMut(u32) -> u32) -> Vec<&SipTarget> {
        in_order(self.targets.iter(), |target| (target.priority, target.weight), random)
    }
}

/// Servers in the order to try them for one call: by priority, and within one priority by lot,
/// weighted (RFC 2782, "Usage rules"). A weight of 0 has a small chance.
///
/// `share` tells priority and weight of a server; `random` yields a number from 0 up to and
/// including its argument.
pub fn in_order<T>(
    servers: impl Iterator<Item = T>,
    share: impl Fn(&T) -> (u16, u16),
    mut random: impl FnMut(u32) -> u32,
) -> Vec<T> {
    let mut left: Vec<T> = servers.collect();
    // Those without weight come first, so that a lot of 0 picks them.
    left.sort_by_key(|server| {
        let (priority, weight) = share(server);
        (priority, weight > 0)
    });
    let mut order = Vec::with_capacity(left.len());
    while let Some((priority, _)) = left.first().map(&share) {
        let peers = || left.iter().map(&share).take_while(|(other, _)| *other == priority);
        let total = peers().map(|(_, weight)| u32::from(weight)).sum();
        let lot = random(total).min(total);
        let mut sum = 0;
        let at = peers().position(|(_, weight)| {
            sum += u32::from(weight);
            sum >= lot
        });
        order.push(left.remove(at.unwrap_or(0)));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::{CallerIdHeader, NumberFormat};
    use super::*;
    use crate::network::HostPort;

    fn outbound(targets: &[(&str, u16, u16)]) -> SipOutbound {
        let target = |&(host, priority, weight): &(&str, u16, u16)| SipTarget {
            host: HostPort { host: host.into(), port: None },
            priority,
            weight,
        };
        SipOutbound {
            targets: targets.iter().map(target).collect(),
            proxy: None,
            caller_id: None,
            caller_id_header: CallerIdHeader::From,
            number_format: NumberFormat::Plus,
            headers: Vec::new(),
        }
    }

    /// Lower priorities come first whatever their weight, and every target comes exactly once, for
    /// any lot, even one out of range.
    #[test]
    fn priorities_come_in_order() {
        let outbound = outbound(&[("c", 20, 9), ("a", 10, 1), ("d", 30, 0), ("b", 10, 0)]);
        for lot in [0, 1, 5, u32::MAX] {
            let order = outbound.order(|_| lot);
            let priorities: Vec<_> = order.iter().map(|target| target.priority).collect();
            assert_eq!(priorities, [10, 10, 20, 30]);
            let mut hosts: Vec<_> = order.iter().map(|target| &target.host.host).collect();
            hosts.sort();
            assert_eq!(hosts, ["a", "b", "c", "d"]);
        }
    }

    /// Over all lots each target comes first as often as its weight says; one without weight does
    /// so for the one lot of 0.
    #[test]
    fn weights_share_the_calls() {
        let outbound = outbound(&[("a", 1, 60), ("b", 1, 30), ("c", 1, 10), ("z", 1, 0)]);
        let firsts = |host: &str| {
            let is_first = |lot: &u32| outbound.order(|_| *lot)[0].host.host == host;
            (0..=100).filter(is_first).count()
        };
        assert_eq!((firsts("a"), firsts("b"), firsts("c"), firsts("z")), (60, 30, 10, 1));
    }
}
