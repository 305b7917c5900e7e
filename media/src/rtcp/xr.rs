//! XR, extended reports (RFC 3611): receiver reference time, DLRR, VoIP metrics.

use super::{Ntp, PT_XR, PacketWriter, RtcpError, take_u32};

/// Block type of the receiver reference time (RFC 3611 4.4).
const BT_REFERENCE_TIME: u8 = 4;
/// Block type of DLRR (RFC 3611 4.5).
const BT_DLRR: u8 = 5;
/// Block type of VoIP metrics (RFC 3611 4.7).
const BT_VOIP: u8 = 7;
/// Bytes of a block's header.
const BLOCK_HEADER_BYTES: usize = 4;
/// Bytes of one DLRR sub-block.
const DLRR_BYTES: usize = 12;
/// Bytes of a VoIP metrics block without its header.
const VOIP_BYTES: usize = 32;
/// Largest extended report of a session that sends audio, and so needs no reference time.
pub(super) const XR_BYTES_MAX: usize = 8 + BLOCK_HEADER_BYTES * 2 + DLRR_BYTES + VOIP_BYTES;

/// What a metric says that is not known (RFC 3611 4.7.4, 4.7.5).
pub const UNKNOWN: u8 = 127;

/// How speech from one source sounds (RFC 3611 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The source.
    pub ssrc: u32,
    /// Packets that never came, in 256ths.
    pub loss_rate: u8,
    /// Packets that came too late, in 256ths.
    pub discard_rate: u8,
    /// Packets lost or discarded within bursts, in 256ths.
    pub burst_density: u8,
    /// The same between bursts.
    pub gap_density: u8,
    /// Mean length of bursts, in milliseconds.
    pub burst_ms: u16,
    /// Mean length of what is between them.
    pub gap_ms: u16,
    /// The last round trip, in milliseconds; 0 if unknown.
    pub round_trip_ms: u16,
    /// Delay within the reporter, in milliseconds; 0 if unknown.
    pub end_system_ms: u16,
    /// Level of speech in dBm0, -30 to 3 as a rule; 127 if unknown.
    pub signal_dbm: i8,
    /// Level of what is between speech; 127 if unknown.
    pub noise_dbm: i8,
    /// Residual echo return loss in dB; 127 if unknown.
    pub rerl_db: u8,
    /// Packets received in a row that end a burst.
    pub gmin: u8,
    /// Transmission rating, 0 to 100; 127 if unknown.
    pub r_factor: u8,
    /// The rating with other networks on the way; 127 if unknown.
    pub ext_r_factor: u8,
    /// Listening quality, ten times its mean opinion score; 127 if unknown.
    pub mos_lq_x10: u8,
    /// Conversational quality, likewise.
    pub mos_cq_x10: u8,
    /// Concealment (two bits), jitter buffer (two), and how quickly it adapts (four).
    pub rx_config: u8,
    /// Delay of the jitter buffer for packets that come in time, in milliseconds.
    pub jb_nominal_ms: u16,
    /// Delay for the latest packet that it would not discard.
    pub jb_maximum_ms: u16,
    /// The most that this can become.
    pub jb_abs_max_ms: u16,
}

/// Gaps are not concealed, and the buffer does not adapt (RFC 3611 4.7.6).
pub const RX_CONFIG_BARE: u8 = 0b0110_0000;
/// Gaps are concealed, and the buffer adapts.
pub const RX_CONFIG_ADAPTIVE: u8 = 0b1111_0000;

impl VoipMetrics {
    /// Metrics of `ssrc` of which nothing is known.
    pub const fn unknown(ssrc: u32) -> Self {
        Self {
            ssrc,
            loss_rate: 0,
            discard_rate: 0,
            burst_density: 0,
            gap_density: 0,
            burst_ms: 0,
            gap_ms: 0,
            round_trip_ms: 0,
            end_system_ms: 0,
            signal_dbm: UNKNOWN as i8,
            noise_dbm: UNKNOWN as i8,
            rerl_db: UNKNOWN,
            gmin: super::GMIN,
            r_factor: UNKNOWN,
            ext_r_factor: UNKNOWN,
            mos_lq_x10: UNKNOWN,
            mos_cq_x10: UNKNOWN,
            rx_config: 0,
            jb_nominal_ms: 0,
            jb_maximum_ms: 0,
            jb_abs_max_ms: 0,
        }
    }

    /// The score that speech has at the reporter, if it tells: conversational, else listening.
    pub fn mos(&self) -> Option<f32> {
        let scores = [self.mos_cq_x10, self.mos_lq_x10];
        let score = scores.into_iter().find(|score| (10..=50).contains(score))?;
        Some(f32::from(score) / 10.0)
    }

    fn parse(body: &[u8; VOIP_BYTES]) -> Self {
        let [s0, s1, s2, s3, rates @ .., n0, n1, m0, m1, a0, a1] = *body;
        let [loss_rate, discard_rate, burst_density, gap_density, rest @ ..] = rates;
        let [b0, b1, g0, g1, r0, r1, e0, e1, levels @ ..] = rest;
        let [signal, noise, rerl_db, gmin, r_factor, ext_r_factor, mos_lq, mos_cq, config, _] =
            levels;
        Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            loss_rate,
            discard_rate,
            burst_density,
            gap_density,
            burst_ms: u16::from_be_bytes([b0, b1]),
            gap_ms: u16::from_be_bytes([g0, g1]),
            round_trip_ms: u16::from_be_bytes([r0, r1]),
            end_system_ms: u16::from_be_bytes([e0, e1]),
            signal_dbm: signal.cast_signed(),
            noise_dbm: noise.cast_signed(),
            rerl_db,
            gmin,
            r_factor,
            ext_r_factor,
            mos_lq_x10: mos_lq,
            mos_cq_x10: mos_cq,
            rx_config: config,
            jb_nominal_ms: u16::from_be_bytes([n0, n1]),
            jb_maximum_ms: u16::from_be_bytes([m0, m1]),
            jb_abs_max_ms: u16::from_be_bytes([a0, a1]),
        }
    }

    fn put(&self, writer: &mut PacketWriter<'_>) -> Result<(), RtcpError> {
        writer.put(&block_header(BT_VOIP, VOIP_BYTES))?;
        writer.put_u32(self.ssrc)?;
        writer.put(&[self.loss_rate, self.discard_rate, self.burst_density, self.gap_density])?;
        for field in [self.burst_ms, self.gap_ms, self.round_trip_ms, self.end_system_ms] {
            writer.put(&field.to_be_bytes())?;
        }
        let [signal, noise] = [self.signal_dbm, self.noise_dbm].map(i8::cast_unsigned);
        writer.put(&[signal, noise, self.rerl_db, self.gmin])?;
        writer.put(&[self.r_factor, self.ext_r_factor, self.mos_lq_x10, self.mos_cq_x10])?;
        writer.put(&[self.rx_config, 0])?;
        for field in [self.jb_nominal_ms, self.jb_maximum_ms, self.jb_abs_max_ms] {
            writer.put(&field.to_be_bytes())?;
        }
        Ok(())
    }
}

/// What a receiver is told of its reference time, so that it learns the round trip though it sends
/// nothing (RFC 3611 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlrr {
    /// The receiver.
    pub ssrc: u32,
    /// Middle bits of its last reference time.
    pub lrr: u32,
    /// Time since that came, in 2^-16 s.
    pub dlrr: u32,
}

/// One block that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrBlock {
    /// The reporter's clock.
    ReferenceTime(Ntp),
    /// One sub-block of a DLRR block.
    Dlrr(Dlrr),
    /// How a source sounds.
    Voip(VoipMetrics),
}

/// An extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> ExtendedReport<'a> {
    /// The blocks that are understood, in order; others are passed over (RFC 3611 3), and what
    /// follows a block that runs past the end is not read.
    pub fn blocks(&self) -> impl Iterator<Item = XrBlock> + use<'a> {
        let mut rest = self.blocks;
        let mut delays: &[[u8; DLRR_BYTES]] = &[];
        std::iter::from_fn(move || {
            loop {
                if let Some((delay, more)) = delays.split_first() {
                    delays = more;
                    return Some(XrBlock::Dlrr(read_dlrr(delay)));
                }
                let (&[kind, _, l0, l1], after) = rest.split_first_chunk()?;
                let bytes = usize::from(u16::from_be_bytes([l0, l1])) * 4;
                let (body, after) = after.split_at_checked(bytes)?;
                rest = after;
                match kind {
                    BT_DLRR => delays = body.as_chunks().0,
                    BT_REFERENCE_TIME => {
                        if let Some(&[s0, s1, s2, s3, f0, f1, f2, f3]) = body.first_chunk() {
                            let secs = u32::from_be_bytes([s0, s1, s2, s3]);
                            let frac = u32::from_be_bytes([f0, f1, f2, f3]);
                            return Some(XrBlock::ReferenceTime(Ntp { secs, frac }));
                        }
                    }
                    BT_VOIP => {
                        if let Some(body) = body.first_chunk() {
                            return Some(XrBlock::Voip(VoipMetrics::parse(body)));
                        }
                    }
                    _ => {}
                }
            }
        })
    }
}

fn read_dlrr(bytes: &[u8; DLRR_BYTES]) -> Dlrr {
    let &[s0, s1, s2, s3, l0, l1, l2, l3, d0, d1, d2, d3] = bytes;
    Dlrr {
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        lrr: u32::from_be_bytes([l0, l1, l2, l3]),
        dlrr: u32::from_be_bytes([d0, d1, d2, d3]),
    }
}

const fn block_header(kind: u8, body_bytes: usize) -> [u8; BLOCK_HEADER_BYTES] {
    let [l0, l1] = ((body_bytes / 4) as u16).to_be_bytes();
    [kind, 0, l0, l1]
}

pub(super) fn parse(mut body: &[u8]) -> Result<ExtendedReport<'_>, RtcpError> {
    let ssrc = take_u32(&mut body)?;
    Ok(ExtendedReport { ssrc, blocks: body })
}

/// Writes an extended report of `ssrc` to the start of `out`; returns its length.
///
/// # Errors
///
/// [`RtcpError::NoRoom`].
pub fn write(
    out: &mut [u8],
    ssrc: u32,
    reference: Option<Ntp>,
    dlrr: Option<Dlrr>,
    voip: Option<&VoipMetrics>,
) -> Result<usize, RtcpError> {
    let mut writer = PacketWriter::new(out, PT_XR, 0)?;
    writer.put_u32(ssrc)?;
    if let Some(ntp) = reference {
        writer.put(&block_header(BT_REFERENCE_TIME, 8))?;
        writer.put_u32(ntp.secs)?;
        writer.put_u32(ntp.frac)?;
    }
    if let Some(Dlrr { ssrc, lrr, dlrr }) = dlrr {
        writer.put(&block_header(BT_DLRR, DLRR_BYTES))?;
        for word in [ssrc, lrr, dlrr] {
            writer.put_u32(word)?;
        }
    }
    if let Some(voip) = voip {
        voip.put(&mut writer)?;
    }
    writer.finish()
}
