// A recording: both sides as waves, played and sought in.

import { h, say } from "../lib/dom.js";
import { length } from "../lib/format.js";
import { peaks } from "../lib/wav.js";
import { icon } from "../lib/icons.js";

const HEIGHT = 56;

/** The sides of a call, as they lie on channels. */
const SIDES = ["Caller", "Agent"];

/** A player of what was decoded; `buffer` is the file, which is saved as `file`. */
export function waveform(buffer, { rate, channels }, file) {
  const total = channels[0].length / rate;
  const url = URL.createObjectURL(new Blob([buffer], { type: "audio/wav" }));
  const audio = h("audio", { src: url, preload: "auto" });
  const time = h("span.mono", length(0));
  const play = h(
    "button.round",
    {
      type: "button",
      "aria-label": "Play",
      onclick: () => {
        if (audio.paused) audio.play();
        else audio.pause();
      },
    },
    icon("play"),
  );
  const cursor = h("span.wave-cursor");
  const canvases = channels.map(() => h("canvas", { height: HEIGHT * 2, "aria-hidden": "true" }));
  const room = h(
    "div.wave-room",
    {
      role: "slider",
      tabindex: "0",
      "aria-label": "Position in the recording",
      "aria-valuemin": 0,
      "aria-valuemax": Math.round(total),
      "aria-valuenow": 0,
    },
    channels.map((_, i) =>
      h("div.wave", h("span.wave-name", SIDES[i] ?? `Channel ${i + 1}`), canvases[i]),
    ),
    cursor,
  );
  const seek = (seconds) => {
    audio.currentTime = Math.max(0, Math.min(total, seconds));
    show();
  };
  const show = () => {
    cursor.style.left = `${(audio.currentTime / total) * 100}%`;
    say(time, `${length(audio.currentTime * 1_000)} / ${length(total * 1_000)}`);
    room.setAttribute("aria-valuenow", Math.round(audio.currentTime));
    room.setAttribute("aria-valuetext", length(audio.currentTime * 1_000));
    if (!audio.paused) requestAnimationFrame(show);
  };
  audio.addEventListener("play", () => {
    play.replaceChildren(icon("hold"));
    play.setAttribute("aria-label", "Pause");
    show();
  });
  audio.addEventListener("pause", () => {
    play.replaceChildren(icon("play"));
    play.setAttribute("aria-label", "Play");
  });
  room.addEventListener("click", (event) => {
    const box = room.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * total);
  });
  room.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -5, ArrowRight: 5, Home: -total, End: total }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    seek(audio.currentTime + by);
  });
  const draw = () =>
    canvases.forEach((canvas, i) => {
      const width = Math.max(100, Math.round(room.clientWidth));
      canvas.width = width * 2;
      const pen = canvas.getContext("2d");
      pen.fillStyle = getComputedStyle(canvas).color;
      peaks(channels[i], width).forEach((peak, x) => {
        const tall = Math.max(1, peak * HEIGHT);
        pen.fillRect(x * 2, HEIGHT - tall, 1.6, tall * 2);
      });
    });
  const resize = new ResizeObserver(draw);
  resize.observe(room);
  show();
  return {
    seek,
    release: () => URL.revokeObjectURL(url),
    element: h(
      "div.recording",
      audio,
      h(
        "div.wave-bar",
        play,
        time,
        h(
          "a.button.small",
          { href: url, download: file },
          icon("download", 16),
          h("span", "WAV"),
        ),
      ),
      room,
    ),
  };
}
