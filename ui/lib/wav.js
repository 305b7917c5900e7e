// Recordings: what is in the file, and who spoke when.

/** The samples of a WAV file of 16 bits: `{rate, channels: [Int16Array]}`. */
export function decode(buffer) {
  const view = new DataView(buffer);
  const word = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (buffer.byteLength < 12 || word(0) !== "RIFF" || word(8) !== "WAVE")
    throw new Error("This is no recording.");
  let [rate, count] = [0, 0];
  for (let at = 12; at + 8 <= buffer.byteLength;) {
    const [name, size] = [word(at), view.getUint32(at + 4, true)];
    if (name === "fmt ") {
      [count, rate] = [view.getUint16(at + 10, true), view.getUint32(at + 12, true)];
      if (view.getUint16(at + 22, true) !== 16)
        throw new Error("The recording has samples of another size.");
    }
    if (name === "data" && rate && count) {
      const length = Math.min(size, buffer.byteLength - at - 8) >> 1;
      const all = new Int16Array(buffer.slice(at + 8, at + 8 + length * 2));
      const channels = Array.from({ length: count }, (_, c) => {
        const one = new Int16Array(Math.floor(length / count));
        for (let i = 0; i < one.length; i += 1) one[i] = all[i * count + c];
        return one;
      });
      return { rate, channels };
    }
    at += 8 + size + (size & 1);
  }
  throw new Error("The recording is empty.");
}

/** The greatest of each of `n` stretches, 0 to 1. */
export function peaks(samples, n) {
  const found = new Float32Array(n);
  const step = samples.length / n;
  for (let i = 0; i < n; i += 1) {
    let most = 0;
    const end = Math.min(samples.length, Math.floor((i + 1) * step));
    for (let at = Math.floor(i * step); at < end; at += 1)
      most = Math.max(most, Math.abs(samples[at]));
    found[i] = most / 32_768;
  }
  return found;
}

const FRAME_MS = 20;
/** Pauses within what somebody says, in milliseconds. */
const PAUSE_MS = 400;
/** Shorter sounds are noise, in milliseconds. */
const SPEECH_MIN_MS = 80;

/** When somebody speaks: `[[from, to]]` in milliseconds. */
export function speech(samples, rate) {
  const length = Math.max(1, Math.round((rate * FRAME_MS) / 1_000));
  const levels = [];
  for (let at = 0; at + length <= samples.length; at += length) {
    let sum = 0;
    for (let i = at; i < at + length; i += 1) sum += samples[i] * samples[i];
    levels.push(sum / length);
  }
  const sorted = Float64Array.from(levels).sort();
  const floor = sorted[Math.floor(sorted.length * 0.1)] ?? 0;
  // 12 dB above what is always there, and at least -50 dB.
  const enough = Math.max(floor * 16, 32_768 ** 2 * 1e-5);
  const found = [];
  levels.forEach((level, i) => {
    if (level < enough) return;
    const [from, to] = [i * FRAME_MS, (i + 1) * FRAME_MS];
    const last = found.at(-1);
    if (last && from - last[1] <= PAUSE_MS) last[1] = to;
    else found.push([from, to]);
  });
  return found.filter(([from, to]) => to - from >= SPEECH_MIN_MS);
}

/** Longest time after an interruption in which the agent stops if it heard it, in milliseconds. */
const YIELD_MAX_MS = 1_500;

/** Who spoke in turn: `{who, from, to, after, interrupts, yields}`, times in milliseconds. */
export function turns(peer, agent) {
  const all = [
    ...peer.map(([from, to]) => ({ who: "caller", from, to })),
    ...agent.map(([from, to]) => ({ who: "agent", from, to })),
  ].sort((a, b) => a.from - b.from);
  return all.map((turn, i) => {
    const others = all.slice(0, i).filter((one) => one.who !== turn.who);
    const talking = others.find((one) => one.to > turn.from);
    const before = others.reduce(
      (best, one) => (one.to <= turn.from && one.to > (best?.to ?? -1) ? one : best),
      null,
    );
    const own = all
      .slice(0, i)
      .filter((one) => one.who === turn.who)
      .at(-1);
    // The gap counts only where the other spoke last.
    const answers = before && (!own || own.to <= before.to);
    return {
      ...turn,
      after: answers && !talking ? turn.from - before.to : null,
      interrupts: Boolean(talking),
      yields: talking ? Math.max(0, talking.to - turn.from) : null,
      yielded: Boolean(talking) && talking.to - turn.from <= YIELD_MAX_MS,
    };
  });
}
