// Sound in the browser: a telephone, and an ear for calls that live.

import * as api from "./api.js";

/** The level of samples, 0 (silence) to 1 (as loud as can be), on a scale of 60 dB. */
export function level(samples, from = 0, step = 1) {
  let sum = 0;
  let n = 0;
  for (let i = from; i < samples.length; i += step) {
    sum += samples[i] * samples[i];
    n += 1;
  }
  if (!n || !sum) return 0;
  const db = 10 * Math.log10(sum / n / (32_768 * 32_768));
  return Math.max(0, Math.min(1, 1 + db / 60));
}

async function node(context, options) {
  await context.audioWorklet.addModule(new URL("../worklet.js", import.meta.url));
  return new AudioWorkletNode(context, "phone", {
    outputChannelCount: [options.channels],
    processorOptions: options,
  });
}

/** Why there is no microphone, for people. */
export function microphoneFault(error) {
  if (!window.isSecureContext)
    return "Browsers give the microphone to pages over HTTPS and on localhost only.";
  if (error?.name === "NotAllowedError")
    return "The browser was not allowed to use the microphone.";
  if (error?.name === "NotFoundError") return "No microphone was found.";
  return error?.message ?? "The microphone cannot be used.";
}

/** The microphone in a context whose rate it can have. */
async function open(wantsMicrophone) {
  const stream = wantsMicrophone
    ? await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      })
    : null;
  for (const sampleRate of [16_000, 48_000]) {
    const context = new AudioContext({ sampleRate, latencyHint: "interactive" });
    try {
      const source = stream ? context.createMediaStreamSource(stream) : tone(context);
      return { context, source, stream };
    } catch (error) {
      // Some browsers do not change the rate of a microphone.
      await context.close();
      if (sampleRate === 48_000) throw error;
    }
  }
  return null;
}

/** In a microphone's place: two short tones every two seconds, so that an echo is heard. */
function tone(context) {
  const gain = new GainNode(context, { gain: 0 });
  const source = new OscillatorNode(context, { frequency: 440 });
  const now = context.currentTime;
  for (let at = 0.3; at < 600; at += 2) {
    for (const start of [at, at + 0.4]) {
      gain.gain.setTargetAtTime(0.3, now + start, 0.01);
      gain.gain.setTargetAtTime(0, now + start + 0.25, 0.01);
    }
  }
  source.connect(gain);
  source.start();
  return gain;
}

/**
 * A call from this page. `on` has `state(word, detail)` and `levels(mine, theirs)`. The states are
 * "opening", "talking", "over" and "failed".
 */
export class Phone {
  #socket = null;
  #audio = null;
  #node = null;
  #muted = false;
  #ended = false;
  call = null;
  began = 0;

  constructor(on) {
    this.on = on;
    this.mine = 0;
    this.theirs = 0;
  }

  /** Calls whom `request` names: `agent`, or `to`. */
  async start(request, { microphone = true } = {}) {
    this.on.state("opening");
    this.#audio = await open(microphone);
    // Whoever is asked for the microphone may hang up before answering.
    if (this.#ended) return this.#release();
    const { context, source } = this.#audio;
    await context.resume();
    this.#node = await node(context, { channels: 1, captures: true });
    if (this.#ended) return this.#release();
    source.connect(this.#node).connect(context.destination);
    const line = await api.post("phone", { ...request, rate_hz: context.sampleRate });
    this.call = line.call;
    if (this.#ended) {
      this.#release();
      await api.post(`calls/${line.call.id}/hangup`);
      return undefined;
    }
    return this.#connect(line);
  }

  #connect(line) {
    const socket = new WebSocket(api.socketUrl(line.path));
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    this.#node.port.onmessage = ({ data }) => this.#captured(data);
    socket.onmessage = ({ data }) => this.#received(data);
    return new Promise((resolve, reject) => {
      let opened = false;
      socket.onopen = () => {
        opened = true;
        socket.send(JSON.stringify({ event: "start" }));
        this.began = performance.now();
        this.on.state("talking");
        resolve();
      };
      socket.onclose = ({ code }) => {
        this.#release();
        this.on.state("over", code);
        if (!opened) reject(new Error("The call's connection could not be opened."));
      };
    });
  }

  #captured(data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (data instanceof Int16Array) {
      if (this.#muted) data.fill(0);
      this.mine = level(data);
      this.#socket.send(data);
      this.on.levels(this.mine, this.theirs);
      this.theirs *= 0.9;
    } else if (data.mark) {
      this.#socket.send(JSON.stringify({ event: "mark", name: data.mark }));
    }
  }

  #received(data) {
    if (typeof data !== "string") {
      const samples = new Int16Array(data);
      this.theirs = level(samples);
      this.#node.port.postMessage(samples, [samples.buffer]);
      return;
    }
    const message = JSON.parse(data);
    if (message.event === "clear") this.#node.port.postMessage({ clear: true });
    if (message.event === "mark") this.#node.port.postMessage({ mark: message.name });
    if (message.event === "dtmf") this.on.digit?.(message.digit);
  }

  mute(is) {
    this.#muted = is;
  }

  dtmf(digit) {
    this.#socket?.send(JSON.stringify({ event: "dtmf", digit, duration_ms: 120 }));
  }

  hangUp() {
    this.#ended = true;
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ event: "hangup" }));
    }
    this.#socket?.close();
    this.#release();
    // Without a socket nobody else says so.
    if (!this.#socket) this.on.state("over", 1000);
  }

  #release() {
    if (this.#node) this.#node.port.onmessage = null;
    this.#audio?.stream?.getTracks().forEach((track) => track.stop());
    if (this.#audio?.context.state !== "closed") this.#audio?.context.close();
    this.#audio = null;
  }
}

/** Pieces of 20 ms that wait until the browser plays. */
const WAITING_MAX = 100;
const NOT_HEARD =
  "The call cannot be heard: it is over, lives at another server, or as many listen as may.";

/** Hears a call that lives; `on` has `state(word)` and `levels(peer, agent)`. */
export async function listenIn(call, on) {
  const socket = new WebSocket(api.socketUrl(`calls/${call}/listen?channels=2`));
  socket.binaryType = "arraybuffer";
  let context = null;
  let player = null;
  let closed = false;
  const waiting = [];
  const begin = async (rate) => {
    context = new AudioContext({ sampleRate: rate });
    await context.resume();
    const made = await node(context, { channels: 2, captures: false });
    if (closed) return;
    player = made;
    player.connect(context.destination);
    waiting.splice(0).forEach((samples) => player.port.postMessage(samples));
    on.state("listening");
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.event === "start")
        begin(message.rate_hz).catch((error) => closed || on.state("failed", error));
      return;
    }
    const samples = new Int16Array(data);
    on.levels(level(samples, 0, 2), level(samples, 1, 2));
    if (player) player.port.postMessage(samples);
    else if (waiting.length < WAITING_MAX) waiting.push(samples);
  };
  socket.onclose = ({ code }) => {
    closed = true;
    // Browsers do not tell why a server refused them.
    if (!context) on.state("failed", new Error(NOT_HEARD));
    if (context && context.state !== "closed") context.close();
    on.state("over", code);
  };
  return () => {
    // What is closed on purpose has not failed.
    closed = true;
    socket.onclose = null;
    socket.close();
    if (context && context.state !== "closed") context.close();
    on.state("over", 1000);
  };
}
