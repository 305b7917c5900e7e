//! SDES, the source description (RFC 3550 6.5).

use super::{PT_SDES, PacketWriter, RtcpError, take_u32};

/// Longest text of an item.
pub const CNAME_BYTES_MAX: usize = 255;
const ITEM_END: u8 = 0;
const ITEM_CNAME: u8 = 1;

/// Who some sources are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

/// What is said of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The source.
    pub ssrc: u32,
    items: &'a [u8],
}

/// One thing that is said of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it is: 1 is CNAME.
    pub kind: u8,
    /// Text, in UTF-8 if the peer obeys.
    pub text: &'a [u8],
}

impl<'a> Sdes<'a> {
    /// The chunks in order, up to the first that does not fit. Descriptions are decoration: what is
    /// wrong in them does not spoil the report before them.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + use<'a> {
        let mut rest = self.body;
        (0..self.count).map_while(move |_| {
            let ssrc = take_u32(&mut rest).ok()?;
            let len = items_len(rest)?;
            let (items, after) = rest.split_at_checked(len)?;
            // Zeros, one at least, up to the next word; the last chunk may lack them in the field.
            let padded = (len + 1).next_multiple_of(4);
            rest = after.get(padded - len..).unwrap_or(&[]);
            Some(Chunk { ssrc, items })
        })
    }
}

impl<'a> Chunk<'a> {
    /// The items in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (item, after) = split_item(rest)?;
            rest = after;
            Some(item)
        })
    }

    /// The source's canonical name.
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items().find(|item| item.kind == ITEM_CNAME).map(|item| item.text)
    }
}

/// Writes a description of `ssrc` with its canonical name to the start of `out`; returns its
/// length.
///
/// # Errors
///
/// [`RtcpError::NoRoom`] or, beyond [`CNAME_BYTES_MAX`], [`RtcpError::TooMany`].
pub fn write(out: &mut [u8], ssrc: u32, cname: &str) -> Result<usize, RtcpError> {
    let len = u8::try_from(cname.len()).map_err(|_| RtcpError::TooMany)?;
    let mut writer = PacketWriter::new(out, PT_SDES, 1)?;
    writer.put_u32(ssrc)?;
    writer.put(&[ITEM_CNAME, len])?;
    writer.put(cname.as_bytes())?;
    writer.put(&[ITEM_END])?;
    writer.align()?;
    writer.finish()
}

pub(super) const fn parse(count: u8, body: &[u8]) -> Sdes<'_> {
    Sdes { count, body }
}

/// Bytes of the items before the zero that ends them or the end of all; `None` if one does not fit.
fn items_len(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while rest.first().is_some_and(|&kind| kind != ITEM_END) {
        (_, rest) = split_item(rest)?;
    }
    Some(bytes.len() - rest.len())
}

fn split_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&[kind, len], rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(len))?;
    Some((Item { kind, text }, rest))
}
