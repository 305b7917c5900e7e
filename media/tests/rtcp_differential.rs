//! Our RTCP bytes against those of an independent implementation, the crate `rtcp`: what one writes
//! the other reads alike.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use bytes::Bytes;
use media::rtcp::{
    Compound, Dlrr, Ntp, ReportBlock, RtcpPacket, SenderInfo, VoipMetrics, XrBlock, write,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rtcp::extended_report::{
    DLRRReport, DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock,
    VoIPMetricsReportBlock,
};
use rtcp::goodbye::Goodbye;
use rtcp::packet::Packet as TheirPacket;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};

use webrtc_util::marshal::Marshal as _;

type Theirs = Vec<Box<dyn TheirPacket + Send + Sync>>;

fn blocks() -> impl Strategy<Value = Vec<ReportBlock>> {
    let lost = -(1 << 23)..1 << 23_i32;
    let block = (any::<[u32; 5]>(), any::<u8>(), lost).prop_map(|(words, fraction_lost, lost)| {
        let [ssrc, highest_seq, jitter, lsr, dlsr] = words;
        ReportBlock { ssrc, fraction_lost, lost, highest_seq, jitter, lsr, dlsr }
    });
    vec(block, 0..32)
}

fn infos() -> impl Strategy<Value = SenderInfo> {
    any::<[u32; 6]>().prop_map(|[ssrc, secs, frac, ts, packets, payload_bytes]| SenderInfo {
        ssrc,
        ntp: Ntp { secs, frac },
        ts,
        packets,
        payload_bytes,
    })
}

fn their_block(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc,
        fraction_lost: block.fraction_lost,
        total_lost: block.lost.cast_unsigned() & 0xff_ffff,
        last_sequence_number: block.highest_seq,
        jitter: block.jitter,
        last_sender_report: block.lsr,
        delay: block.dlsr,
    }
}

fn their_sr(info: &SenderInfo, blocks: &[ReportBlock]) -> SenderReport {
    SenderReport {
        ssrc: info.ssrc,
        ntp_time: u64::from(info.ntp.secs) << 32 | u64::from(info.ntp.frac),
        rtp_time: info.ts,
        packet_count: info.packets,
        octet_count: info.payload_bytes,
        reports: blocks.iter().map(their_block).collect(),
        profile_extensions: Bytes::new(),
    }
}

fn their_rr(ssrc: u32, blocks: &[ReportBlock]) -> ReceiverReport {
    let reports = blocks.iter().map(their_block).collect();
    ReceiverReport { ssrc, reports, profile_extensions: Bytes::new() }
}

fn their_chunk(source: u32, items: &[(u8, Vec<u8>)]) -> SourceDescriptionChunk {
    let items = items
        .iter()
        .map(|(kind, text)| SourceDescriptionItem {
            sdes_type: SdesType::from(*kind),
            text: text.clone().into(),
        })
        .collect();
    SourceDescriptionChunk { source, items }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What we write, the other crate reads, packet by packet.
    #[test]
    fn they_read_what_we_write(
        sends in any::<bool>(),
        info in infos(),
        blocks in blocks(),
        cname in "[ -~]{0,255}",
        sources in vec(any::<u32>(), 0..32),
        reason in "[ -~]{0,255}",
    ) {
        let mut out = [0xee; 2048];
        let mut len = if sends {
            write::sender_report(&mut out, &info, &blocks)
        } else {
            write::receiver_report(&mut out, info.ssrc, &blocks)
        }
        .unwrap();
        len += write::sdes(&mut out[len..], info.ssrc, &cname).unwrap();
        len += write::bye(&mut out[len..], &sources, &reason).unwrap();
        let read = rtcp::packet::unmarshal(&mut &out[..len]).unwrap();
        let report: Box<dyn TheirPacket + Send + Sync> = if sends {
            Box::new(their_sr(&info, &blocks))
        } else {
            Box::new(their_rr(info.ssrc, &blocks))
        };
        let chunks = vec![their_chunk(info.ssrc, &[(1, cname.into_bytes())])];
        let want: Theirs = vec![
            report,
            Box::new(SourceDescription { chunks }),
            Box::new(Goodbye { sources, reason: reason.into() }),
        ];
        prop_assert!(read == want, "{read:?}\n{want:?}");
    }

    /// What the other crate writes, we read part by part; each cut of it is refused unless whole
    /// packets are left.
    #[test]
    fn we_read_what_they_write(
        sends in any::<bool>(),
        info in infos(),
        blocks in blocks(),
        chunks in vec((any::<u32>(), vec((1..8_u8, vec(any::<u8>(), 0..60)), 0..4)), 0..4),
        sources in vec(any::<u32>(), 0..32),
        reason in vec(any::<u8>(), 0..256),
    ) {
        let report: Box<dyn TheirPacket + Send + Sync> = if sends {
            Box::new(their_sr(&info, &blocks))
        } else {
            Box::new(their_rr(info.ssrc, &blocks))
        };
        let their_chunks = chunks.iter().map(|(ssrc, items)| their_chunk(*ssrc, items)).collect();
        let goodbye = Goodbye { sources: sources.clone(), reason: reason.clone().into() };
        let packets: Theirs =
            vec![report, Box::new(SourceDescription { chunks: their_chunks }), Box::new(goodbye)];
        let parts: Vec<Bytes> = packets.iter().map(|packet| packet.marshal().unwrap()).collect();
        let bytes = parts.concat();

        let ours: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
        prop_assert_eq!(ours.len(), 3);
        match ours[0] {
            RtcpPacket::SenderReport(report) => {
                prop_assert!(sends);
                prop_assert_eq!(report.info, info);
                prop_assert_eq!(report.reports.iter().collect::<Vec<_>>(), blocks);
            }
            RtcpPacket::ReceiverReport(report) => {
                prop_assert!(!sends);
                prop_assert_eq!(report.ssrc, info.ssrc);
                prop_assert_eq!(report.reports.iter().collect::<Vec<_>>(), blocks);
            }
            packet => prop_assert!(false, "{packet:?}"),
        }
        let RtcpPacket::Sdes(sdes) = ours[1] else { panic!("{:?}", ours[1]) };
        let read: Vec<_> = sdes
            .chunks()
            .map(|chunk| {
                let items = chunk.items().map(|item| (item.kind, item.text.to_vec())).collect();
                (chunk.ssrc, items)
            })
            .collect();
        prop_assert_eq!(read, chunks);
        let RtcpPacket::Bye(bye) = ours[2] else { panic!("{:?}", ours[2]) };
        prop_assert_eq!(bye.sources().collect::<Vec<_>>(), sources);
        prop_assert_eq!(bye.reason.unwrap_or_default(), &reason[..]);

        let ends = [parts[0].len(), parts[0].len() + parts[1].len()];
        for len in 0..bytes.len() {
            let parsed = Compound::parse(&bytes[..len]).is_ok();
            prop_assert_eq!(parsed, ends.contains(&len), "cut at {}", len);
        }
    }

    /// Extended reports: what we write is what the other crate writes, and we read all of it; every
    /// cut of the packet behind a report is refused.
    #[test]
    fn extended_reports_are_the_same(
        ssrcs in any::<[u32; 6]>(),
        small in any::<[u8; 14]>(),
        wide in any::<[u16; 7]>(),
    ) {
        let [ssrc, of, secs, frac, lrr, dlrr] = ssrcs;
        let [loss_rate, discard_rate, burst_density, gap_density, ..] = small;
        let [_, _, _, _, signal, noise, rerl_db, ..] = small;
        let [.., gmin, r_factor, ext_r_factor, mos_lq_x10, mos_cq_x10, rx_config, _] = small;
        let [burst_ms, gap_ms, round_trip_ms, end_system_ms, nominal, maximum, abs_max] = wide;
        let voip = VoipMetrics {
            ssrc: of,
            loss_rate,
            discard_rate,
            burst_density,
            gap_density,
            burst_ms,
            gap_ms,
            round_trip_ms,
            end_system_ms,
            signal_dbm: signal.cast_signed(),
            noise_dbm: noise.cast_signed(),
            rerl_db,
            gmin,
            r_factor,
            ext_r_factor,
            mos_lq_x10,
            mos_cq_x10,
            rx_config,
            jb_nominal_ms: nominal,
            jb_maximum_ms: maximum,
            jb_abs_max_ms: abs_max,
        };
        let theirs = ExtendedReport {
            sender_ssrc: ssrc,
            reports: vec![
                Box::new(ReceiverReferenceTimeReportBlock {
                    ntp_timestamp: u64::from(secs) << 32 | u64::from(frac),
                }),
                Box::new(DLRRReportBlock {
                    reports: vec![DLRRReport { ssrc: of, last_rr: lrr, dlrr }],
                }),
                Box::new(VoIPMetricsReportBlock {
                    ssrc: of,
                    loss_rate,
                    discard_rate,
                    burst_density,
                    gap_density,
                    burst_duration: burst_ms,
                    gap_duration: gap_ms,
                    round_trip_delay: round_trip_ms,
                    end_system_delay: end_system_ms,
                    signal_level: signal,
                    noise_level: noise,
                    rerl: rerl_db,
                    gmin,
                    rfactor: r_factor,
                    ext_rfactor: ext_r_factor,
                    mos_lq: mos_lq_x10,
                    mos_cq: mos_cq_x10,
                    rx_config,
                    reserved: 0,
                    jb_nominal: nominal,
                    jb_maximum: maximum,
                    jb_abs_max: abs_max,
                }),
            ],
        };
        let (ntp, dlrr) = (Ntp { secs, frac }, Dlrr { ssrc: of, lrr, dlrr });
        let mut bytes = [0; 200];
        let rr = write::receiver_report(&mut bytes, ssrc, &[]).unwrap();
        let xr = write::extended_report(&mut bytes[rr..], ssrc, Some(ntp), Some(dlrr), Some(&voip));
        let end = rr + xr.unwrap();
        prop_assert_eq!(&bytes[rr..end], &theirs.marshal().unwrap()[..]);
        let compound = Compound::parse(&bytes[..end]).unwrap();
        let Some(RtcpPacket::ExtendedReport(report)) = compound.packets().nth(1) else {
            panic!("no extended report");
        };
        prop_assert_eq!(report.ssrc, ssrc);
        let blocks: Vec<_> = report.blocks().collect();
        let expected = [XrBlock::ReferenceTime(ntp), XrBlock::Dlrr(dlrr), XrBlock::Voip(voip)];
        prop_assert_eq!(&blocks[..], &expected[..]);
        for cut in rr + 1..end {
            prop_assert!(Compound::parse(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
    }

    /// Bytes at random, also behind a good report, never make the reader panic, and both crates
    /// agree on what is a well-formed chain of sender and receiver reports.
    #[test]
    fn random_bytes_are_harmless(
        mut bytes in vec(any::<u8>(), 0..100),
        lengths in vec(0..8_u8, 0..4),
    ) {
        // Half-plausible headers, so that more than the first check is reached.
        let mut start = 0;
        for (n, &words) in lengths.iter().enumerate() {
            if let Some(header) = bytes.get_mut(start..start + 4) {
                let pt = if n == 0 { 200 + (header[1] & 1) } else { 200 + (header[1] & 7) };
                header.copy_from_slice(&[0x80 | (header[0] & 0x3f), pt, 0, words]);
            }
            start += 4 + usize::from(words) * 4;
        }
        media::fuzz::rtcp(&bytes);
    }
}
