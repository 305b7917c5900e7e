use proptest::prelude::*;

use super::*;

/// Growth is by whole chunks, never beyond the limit, and a reservation that does not fit changes
/// nothing.
#[test]
fn a_pool_grows_with_its_reservations_up_to_its_limit() {
    let mut pool = BlockPool::new(2 * CHUNK_BLOCKS - 1);
    assert_eq!((pool.blocks(), pool.limit_blocks()), (0, 2 * CHUNK_BLOCKS));
    pool.reserve(1).unwrap();
    assert_eq!(pool.blocks(), CHUNK_BLOCKS);
    pool.reserve(CHUNK_BLOCKS - 1).unwrap();
    assert_eq!(pool.blocks(), CHUNK_BLOCKS, "what is there is not made twice");
    pool.reserve(1).unwrap();
    assert_eq!(pool.blocks(), 2 * CHUNK_BLOCKS);
    let refused = pool.reserve(CHUNK_BLOCKS);
    assert_eq!(refused, Err(PoolLimit { limit_blocks: 2 * CHUNK_BLOCKS }));
    pool.unreserve(1);
    pool.reserve(CHUNK_BLOCKS).unwrap();
    assert_eq!(pool.late_chunks(), 0);
}

/// A pool that is used up refuses the newest bytes, keeps what it took, and lends again what comes
/// back.
#[test]
fn an_exhausted_pool_refuses_and_recovers() {
    let mut pool = BlockPool::new(CHUNK_BLOCKS);
    let mut first = Chain::new();
    let mut second = Chain::new();
    let total = CHUNK_BLOCKS * BLOCK_BYTES;
    assert_eq!(first.room_bytes(&pool), total);
    assert_eq!(first.push(&mut pool, &vec![1; total - 10]), total - 10);
    assert_eq!((first.room_bytes(&pool), second.room_bytes(&pool)), (10, 0));
    assert_eq!(second.push(&mut pool, &[2; 5]), 0);
    assert_eq!(first.push(&mut pool, &[3; 20]), 10);
    let mut out = [0; BLOCK_BYTES];
    assert_eq!(first.read(&mut pool, &mut out), BLOCK_BYTES);
    assert_eq!(out, [1; BLOCK_BYTES]);
    assert_eq!(second.push(&mut pool, &[2; 5]), 5);
    assert_eq!(first.clear(&mut pool), total - BLOCK_BYTES);
    assert_eq!(pool.used_blocks(), 1);
    assert_eq!(pool.late_chunks(), 1, "nobody had reserved");
}

/// The block given back last is lent first, so what one burst needed stays untouched afterwards.
#[test]
fn a_warm_block_is_lent_again() {
    let mut pool = BlockPool::new(CHUNK_BLOCKS);
    let mut chain = Chain::new();
    chain.push(&mut pool, &[7]);
    let first = chain.head;
    chain.clear(&mut pool);
    chain.push(&mut pool, &[8]);
    assert_eq!(chain.head, first);
}

proptest! {
    /// Two chains that share a pool each give back exactly what was put in, in order, and hold no
    /// more blocks than their bytes need, whatever the sequence of pushes, reads and clears.
    #[test]
    fn chains_are_queues(
        ops in prop::collection::vec((any::<bool>(), 0..4u8, 0..3000usize), 1..80)
    ) {
        let mut pool = BlockPool::new(1024);
        let mut chains = [Chain::new(), Chain::new()];
        let mut twins = [std::collections::VecDeque::new(), std::collections::VecDeque::new()];
        let mut content = 0u8;
        for (which, op, count) in ops {
            let chain = &mut chains[usize::from(which)];
            let twin = &mut twins[usize::from(which)];
            match op {
                0 | 1 => {
                    let data: Vec<u8> = (0..count).map(|i| content.wrapping_add(i as u8)).collect();
                    content = content.wrapping_add(count as u8).wrapping_add(1);
                    prop_assert_eq!(chain.push(&mut pool, &data), count);
                    twin.extend(data);
                }
                2 => {
                    let mut out = vec![0; count];
                    let read = chain.read(&mut pool, &mut out);
                    let expected: Vec<u8> = twin.drain(..count.min(twin.len())).collect();
                    prop_assert_eq!(&out[..read], &expected[..]);
                }
                _ => {
                    prop_assert_eq!(chain.clear(&mut pool), twin.len());
                    twin.clear();
                }
            }
            prop_assert_eq!(chain.len(), twin.len());
            prop_assert!(chain.blocks() <= chain.len().div_ceil(BLOCK_BYTES) + 1);
            prop_assert_eq!(pool.used_blocks(), chains[0].blocks() + chains[1].blocks());
        }
    }
}
