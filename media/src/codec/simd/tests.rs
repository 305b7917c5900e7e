use super::bank::MAX_TAPS;
use super::*;

fn noise(seed: u32) -> impl Iterator<Item = i16> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as i16
    })
}

/// Lines full of noise, past, present and beyond.
fn noisy_lines(count: usize) -> Vec<Line> {
    let mut lines = vec![Line::SILENT; count];
    for (line, seed) in lines.iter_mut().zip(3..) {
        for _ in 0..2 {
            for (to, from) in line.present().iter_mut().zip(noise(seed)) {
                *to = from;
            }
            line.pass(MAX_FRAMES);
        }
        for (to, from) in line.present().iter_mut().zip(noise(seed + 100)) {
            *to = from;
        }
    }
    lines
}

/// The paths are named apart and the scalar one is always there, so that tests over them prove
/// something.
#[test]
fn paths() {
    let names: Vec<_> = available().map(|path| path.name).collect();
    assert_eq!(names[0], "scalar");
    assert_eq!(names.last(), Some(&active().name));
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(names.contains(&"avx2"), is_x86_feature_detected!("avx2"));
        let vbmi = is_x86_feature_detected!("avx512vbmi");
        assert_eq!(names.contains(&"avx512"), vbmi && is_x86_feature_detected!("avx512vnni"));
    }
}

/// Filters of every shape on full-scale noise: each path equals the scalar twin at every number of
/// frames, and writes only its output.
#[test]
fn filters_equal_their_twin() {
    for (groups, lines, taps) in [
        (1, 1, 2),
        (2, 1, 32),
        (3, 1, 32),
        (6, 1, 32),
        (1, 2, 32),
        (1, 3, 32),
        (1, 6, 32),
        (3, 2, 18),
    ] {
        for pre_shift in [0, 3] {
            let coefficients =
                noise(7).take(groups * lines * taps).map(|c| c / 16 / (taps as i16 / 2)).collect();
            let bank = Bank::new(groups, lines, pre_shift, coefficients).unwrap();
            let input = noisy_lines(lines);
            for (path, frames) in available().flat_map(|p| (0..=MAX_FRAMES).map(move |f| (p, f))) {
                let group = frames % groups;
                let mut expected = vec![0; frames];
                SCALAR.fir(&bank, group, &input, &mut expected);
                let mut out = vec![0x1234; frames + 32];
                path.fir(&bank, group, &input, &mut out[16..16 + frames]);
                assert_eq!(out[16..16 + frames], expected, "{} {groups} {lines} {taps}", path.name);
                assert!(out[..16].iter().chain(&out[16 + frames..]).all(|s| *s == 0x1234));
            }
        }
    }
}

/// Results beyond 16 bits saturate, on each path, in both directions.
#[test]
fn filters_saturate() {
    let bank = Bank::new(1, 1, 0, vec![16384, 16383].into()).unwrap();
    for path in available() {
        for (sample, limit) in [(i16::MAX, i16::MAX), (i16::MIN, i16::MIN)] {
            let mut out = [0; 40];
            let mut lines = [Line::SILENT];
            lines[0].present().fill(sample);
            lines[0].pass(100);
            path.fir(&bank, 0, &lines, &mut out);
            assert_eq!(out, [limit; 40], "{}", path.name);
        }
    }
}

/// A bank whose sums could leave 32 bits, or that the kernels have no room for, does not exist.
#[test]
fn banks_that_do_not_fit() {
    assert!(Bank::new(1, 1, 0, vec![32767, 32767, 1, 1].into()).is_none());
    assert!(Bank::new(1, 1, 0, vec![16384; 6].into()).is_none());
    assert!(Bank::new(1, 2, 1, vec![16384; 6].into()).is_none(), "an odd number of taps");
    assert!(Bank::new(1, 1, 0, vec![1; MAX_TAPS + 2].into()).is_none());
    assert!(Bank::new(0, 1, 0, Box::default()).is_none());
    assert!(Bank::new(7, 1, 0, vec![1; 14].into()).is_none());
    assert!(Bank::new(1, 1, 0, Box::default()).is_none());
    assert!(Bank::new(1, 1, 0, vec![16384, 16384].into()).is_some());
}

/// Splitting and joining on each path: equal to the twin at every number of frames, inverse to each
/// other, and nothing else is written.
#[test]
fn split_and_join() {
    for path in available() {
        for count in 1..=MAX_GROUPS {
            for frames in 0..=MAX_FRAMES {
                let input: Vec<i16> = noise(9).take(count * frames).collect();
                let mut lines = vec![Line::SILENT; count];
                let mut expected = lines.clone();
                let at = frames.min(1).min(MAX_FRAMES - frames);
                path.split(&input, &mut lines, at);
                SCALAR.split(&input, &mut expected, at);
                for (line, expected) in lines.iter().zip(&expected) {
                    assert_eq!(line.window(MAX_TAPS), expected.window(MAX_TAPS), "{}", path.name);
                }
                let groups: Vec<i16> = lines
                    .iter_mut()
                    .flat_map(|l| l.present()[at..][..MAX_FRAMES].to_vec())
                    .collect();
                let mut out = vec![0; count * frames];
                path.join(&groups, count, &mut out);
                assert_eq!(out, input, "{} {count} {frames}", path.name);
            }
        }
    }
}
