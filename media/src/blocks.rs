//! Fixed blocks of memory for queued audio: one pool a worker, shared by its calls.
//!
//! A call that waits for nothing holds no block; a call with 30 s of speech ahead of it holds a few
//! hundred. The pool therefore grows with what its calls have reserved at set-up, and lends beyond
//! that up to its limit. Taking a block from a warm pool and giving it back are a few instructions.
//!
//! Blocks are linked through an array beside the memory, so a [`Chain`] of any length is three
//! numbers, and giving a whole chain back takes as long as giving back one block.

use thiserror::Error;

/// Bytes of one block: 128 ms of G.711.
pub const BLOCK_BYTES: usize = 1024;

/// Blocks by which a pool grows.
pub const CHUNK_BLOCKS: usize = 64;

/// Blocks a pool can ever have: indices are 32 bits wide and one value means "none".
pub const POOL_LIMIT_MAX_BLOCKS: usize = 1 << 24;

const _: () = assert!(POOL_LIMIT_MAX_BLOCKS.is_multiple_of(CHUNK_BLOCKS));
const _: () = assert!(POOL_LIMIT_MAX_BLOCKS < NONE as usize);

/// The index that stands for no block.
const NONE: u32 = u32::MAX;

/// The pool's limit does not allow another reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the pool of audio blocks is at its limit of {limit_blocks} blocks")]
pub struct PoolLimit {
    /// The limit in blocks.
    pub limit_blocks: usize,
}

/// A slab of blocks of [`BLOCK_BYTES`] with a free list, bounded by a limit.
///
/// Freshly grown memory is zeroed by the allocator and not touched before its first use, and the
/// block given back last is lent first, so what a burst needed once stays cold afterwards.
#[derive(Debug)]
pub struct BlockPool {
    /// Each of `CHUNK_BLOCKS * BLOCK_BYTES` bytes.
    chunks: Vec<Box<[u8]>>,
    /// For each block the one after it, on the free list or in its chain.
    next: Vec<u32>,
    free: u32,
    free_blocks: usize,
    reserved_blocks: usize,
    limit_blocks: usize,
    late_chunks: u64,
}

impl BlockPool {
    /// An empty pool that will never hold more than `limit_blocks`, rounded up to whole chunks of
    /// [`CHUNK_BLOCKS`] and cut at [`POOL_LIMIT_MAX_BLOCKS`].
    pub fn new(limit_blocks: usize) -> Self {
        let limit_blocks = limit_blocks.min(POOL_LIMIT_MAX_BLOCKS).next_multiple_of(CHUNK_BLOCKS);
        Self {
            chunks: Vec::new(),
            next: Vec::new(),
            free: NONE,
            free_blocks: 0,
            reserved_blocks: 0,
            limit_blocks,
            late_chunks: 0,
        }
    }

    /// Grows the pool so that `blocks` more are there than were reserved before: called when a call
    /// is set up, so that frames find memory ready.
    ///
    /// # Errors
    ///
    /// [`PoolLimit`] if the reservations together would exceed the limit; nothing is reserved then.
    pub fn reserve(&mut self, blocks: usize) -> Result<(), PoolLimit> {
        let wanted = self.reserved_blocks.saturating_add(blocks);
        if wanted > self.limit_blocks {
            return Err(PoolLimit { limit_blocks: self.limit_blocks });
        }
        while self.next.len() < wanted && self.grow() {}
        self.reserved_blocks = wanted;
        Ok(())
    }

    /// Takes back a reservation of `blocks`. Memory stays with the pool for the next call.
    pub fn unreserve(&mut self, blocks: usize) {
        self.reserved_blocks = self.reserved_blocks.saturating_sub(blocks);
    }

    /// Blocks that exist.
    pub const fn blocks(&self) -> usize {
        self.next.len()
    }

    /// Blocks that nobody holds.
    pub const fn free_blocks(&self) -> usize {
        self.free_blocks
    }

    /// Blocks that chains hold.
    pub const fn used_blocks(&self) -> usize {
        self.next.len() - self.free_blocks
    }

    /// Blocks that can still be taken: the free ones and those the limit allows to make.
    pub const fn available_blocks(&self) -> usize {
        self.limit_blocks - self.used_blocks()
    }

    /// The most blocks there will ever be.
    pub const fn limit_blocks(&self) -> usize {
        self.limit_blocks
    }

    /// Chunks that had to be allocated while audio was being queued, because more was queued than
    /// had been reserved. A figure that rises steadily asks for larger reservations.
    pub const fn late_chunks(&self) -> u64 {
        self.late_chunks
    }

    /// Adds one chunk; false at the limit.
    #[cold]
    fn grow(&mut self) -> bool {
        let first = self.next.len();
        if first >= self.limit_blocks {
            return false;
        }
        self.chunks.push(vec![0; CHUNK_BLOCKS * BLOCK_BYTES].into_boxed_slice());
        // Below NONE by the assertion on the limit, so no index is lost by the conversion.
        let index = |block: usize| u32::try_from(block).unwrap_or(NONE);
        let last = first + CHUNK_BLOCKS - 1;
        self.next.extend((first..last).map(|block| index(block + 1)));
        self.next.push(self.free);
        self.free = index(first);
        self.free_blocks += CHUNK_BLOCKS;
        true
    }

    fn take(&mut self) -> Option<u32> {
        if self.free == NONE {
            if !self.grow() {
                return None;
            }
            self.late_chunks += 1;
        }
        let block = self.free;
        self.free = self.after(block);
        self.free_blocks -= 1;
        self.link(block, NONE);
        Some(block)
    }

    /// Puts the chain of `blocks` blocks from `head` to `tail` on the free list.
    fn give(&mut self, head: u32, tail: u32, blocks: usize) {
        self.link(tail, self.free);
        self.free = head;
        self.free_blocks += blocks;
    }

    fn after(&self, block: u32) -> u32 {
        self.next.get(block as usize).copied().unwrap_or(NONE)
    }

    fn link(&mut self, block: u32, next: u32) {
        if let Some(slot) = self.next.get_mut(block as usize) {
            *slot = next;
        }
    }

    /// The bytes of `block` from `offset` to its end.
    fn bytes(&self, block: u32, offset: usize) -> &[u8] {
        let start = block as usize % CHUNK_BLOCKS * BLOCK_BYTES;
        self.chunks
            .get(block as usize / CHUNK_BLOCKS)
            .and_then(|chunk| chunk.get(start + offset..start + BLOCK_BYTES))
            .unwrap_or_default()
    }

    fn bytes_mut(&mut self, block: u32, offset: usize) -> &mut [u8] {
        let start = block as usize % CHUNK_BLOCKS * BLOCK_BYTES;
        self.chunks
            .get_mut(block as usize / CHUNK_BLOCKS)
            .and_then(|chunk| chunk.get_mut(start + offset..start + BLOCK_BYTES))
            .unwrap_or_default()
    }
}

/// Bytes in order of arrival, in blocks of one [`BlockPool`]: a queue that is itself three indices.
///
/// The pool is handed in with every use and must be the same one each time. A chain that is dropped
/// without [`Chain::clear`] keeps its blocks from the pool for good.
#[derive(Debug)]
pub struct Chain {
    head: u32,
    tail: u32,
    /// Bytes of the head block already read.
    read: usize,
    /// Bytes of the tail block already written.
    written: usize,
    blocks: usize,
    bytes: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// An empty chain, which holds no block.
    pub const fn new() -> Self {
        Self { head: NONE, tail: NONE, read: 0, written: BLOCK_BYTES, blocks: 0, bytes: 0 }
    }

    /// Bytes queued.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// True if no byte is queued.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Blocks held.
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes that can be appended until the pool is at its limit.
    pub const fn room_bytes(&self, pool: &BlockPool) -> usize {
        (BLOCK_BYTES - self.written) + pool.available_blocks() * BLOCK_BYTES
    }

    /// Appends `data`, as far as the pool has blocks for it, and returns how many bytes it took:
    /// less than all only if the pool is at its limit.
    pub fn push(&mut self, pool: &mut BlockPool, data: &[u8]) -> usize {
        let mut rest = data;
        while !rest.is_empty() {
            if self.written == BLOCK_BYTES && !self.extend(pool) {
                break;
            }
            let room = pool.bytes_mut(self.tail, self.written);
            let now = copy(rest, room);
            if now == 0 {
                break;
            }
            self.written += now;
            rest = rest.get(now..).unwrap_or_default();
        }
        let taken = data.len() - rest.len();
        self.bytes += taken;
        taken
    }

    /// Moves bytes from the front to `out`, as many as there are and fit; returns how many.
    pub fn read(&mut self, pool: &mut BlockPool, out: &mut [u8]) -> usize {
        let wanted = out.len().min(self.bytes);
        let mut done = 0;
        while done < wanted {
            let to = out.get_mut(done..wanted).unwrap_or_default();
            let now = copy(pool.bytes(self.head, self.read), to);
            if now == 0 {
                break;
            }
            done += now;
            self.read += now;
            self.bytes -= now;
            if self.bytes == 0 {
                self.clear(pool);
            } else if self.read == BLOCK_BYTES {
                self.drop_head(pool);
            }
        }
        done
    }

    /// Copies bytes from the front to `out`, as many as there are and fit; returns how many.
    pub fn peek(&self, pool: &BlockPool, out: &mut [u8]) -> usize {
        let wanted = out.len().min(self.bytes);
        let (mut block, mut read, mut done) = (self.head, self.read, 0);
        while done < wanted {
            let to = out.get_mut(done..wanted).unwrap_or_default();
            let now = copy(pool.bytes(block, read), to);
            if now == 0 {
                break;
            }
            done += now;
            (block, read) = (pool.after(block), 0);
        }
        done
    }

    /// Gives every block back, at once whatever the length, and returns how many bytes were queued.
    pub fn clear(&mut self, pool: &mut BlockPool) -> usize {
        let dropped = self.bytes;
        if self.blocks > 0 {
            pool.give(self.head, self.tail, self.blocks);
        }
        *self = Self::new();
        dropped
    }

    fn extend(&mut self, pool: &mut BlockPool) -> bool {
        let Some(block) = pool.take() else { return false };
        if self.tail == NONE {
            self.head = block;
        } else {
            pool.link(self.tail, block);
        }
        self.tail = block;
        self.written = 0;
        self.blocks += 1;
        true
    }

    fn drop_head(&mut self, pool: &mut BlockPool) {
        let head = self.head;
        self.head = pool.after(head);
        self.read = 0;
        self.blocks -= 1;
        pool.give(head, head, 1);
    }
}

/// Copies as many bytes as both have and returns how many.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..count), to.get_mut(..count)) {
        to.copy_from_slice(from);
    }
    count
}

#[cfg(test)]
mod tests;
