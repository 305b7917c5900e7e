// On the browser's audio thread: what the microphone hears goes out in frames of 20 ms, what comes
// is played in order. 16-bit samples, least significant byte first, as typed arrays hold them.

/** Most that waits to be played, in seconds: whoever is behind for longer skips. */
const QUEUE_MAX_S = 60;

class Phone extends AudioWorkletProcessor {
  constructor({ processorOptions: { channels = 1, captures = true } }) {
    super();
    this.channels = channels;
    this.frame = captures ? new Int16Array(Math.round(sampleRate / 50)) : null;
    this.filled = 0;
    this.queue = [];
    this.at = 0;
    this.waiting = 0;
    this.played = 0;
    this.marks = [];
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(data) {
    if (data instanceof Int16Array) {
      if (this.waiting > QUEUE_MAX_S * sampleRate * this.channels) return;
      this.queue.push(data);
      this.waiting += data.length;
    } else if (data.clear) {
      this.queue = [];
      this.at = 0;
      this.waiting = 0;
      this.tell();
    } else if (data.mark) {
      this.marks.push({ name: data.mark, after: this.played + this.waiting });
      this.tell();
    }
  }

  /** Marks whose audio has been played. */
  tell() {
    while (this.marks.length && (this.marks[0].after <= this.played || !this.waiting)) {
      this.port.postMessage({ mark: this.marks.shift().name });
    }
  }

  process([[heard]], [out]) {
    const length = out[0].length;
    for (let i = 0; i < length; i += 1) {
      for (let c = 0; c < this.channels; c += 1) {
        const next = this.queue[0];
        const sample = next ? next[this.at] / 32768 : 0;
        if (next) {
          this.at += 1;
          this.waiting -= 1;
          this.played += 1;
          if (this.at === next.length) {
            this.queue.shift();
            this.at = 0;
          }
        }
        if (this.channels === 1) for (const channel of out) channel[i] = sample;
        else out[c % out.length][i] = sample;
      }
      if (this.frame) this.capture(heard ? heard[i] : 0);
    }
    if (this.marks.length) this.tell();
    return true;
  }

  capture(sample) {
    this.frame[this.filled] = Math.max(-1, Math.min(1, sample)) * 32767;
    this.filled += 1;
    if (this.filled < this.frame.length) return;
    this.port.postMessage(this.frame.slice());
    this.filled = 0;
  }
}

registerProcessor("phone", Phone);
