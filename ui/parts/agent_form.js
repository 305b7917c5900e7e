// What an agent is: a form whose fields follow its kind.

import * as api from "../lib/api.js";
import { AGENT_KINDS } from "../lib/words.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";

/** Only for agents of this kind, or of these. */
const of = (kind, spec) => ({ ...spec, visible_when: { field: "kind", equals: kind } });

/** Kinds whose audio has a form of its own. */
const STREAMED = ["websocket", "rtp"];

const SECTIONS = [
  { name: "what", title: "What it is" },
  {
    name: "format",
    title: "Audio",
    help: "The form in which the agent is sent audio, and sends it. Left open, it is as the caller's, untouched.",
  },
  { name: "calls", title: "Its calls", help: "Limits, and what is kept." },
];

/** Values that the document of the API allows for a field. */
async function allowed(name) {
  const document = await api.once("openapi.json");
  const schema = document.components.schemas.AgentFields.properties[name];
  return [schema, ...(schema.anyOf ?? [])].find((one) => one.enum)?.enum ?? [];
}

const options = (words, labels = {}) =>
  words.map((value) => ({ value, label: labels[value] ?? value }));

async function fields(stored, isNew) {
  const dialects = await allowed("dialect");
  const kind = kinds.cards(
    {
      name: "kind",
      label: "Kind",
      section: "what",
      required: true,
      options: AGENT_KINDS.map(([value, label, description]) => ({ value, label, description })),
    },
    stored?.kind ?? "websocket",
  );
  return [
    {
      field: kinds.line(
        {
          name: "name",
          label: "Name",
          section: "what",
          required: true,
          placeholder: "support",
          chars_max: 64,
          description: "How routes and calls refer to it.",
        },
        stored?.name,
      ),
    },
    { field: kind },
    of("websocket", {
      name: "url",
      label: "URL",
      type: "text",
      section: "what",
      placeholder: "wss://agent.example.com/call",
      chars_max: 2_048,
      description:
        "Dialled for each call, as early as it rings. Empty if the agent attaches by itself.",
      format: "uri",
    }),
    of("websocket", {
      name: "dialect",
      label: "Dialect",
      type: "select",
      section: "what",
      options: options(dialects),
      description: "What the agent speaks on its socket. The first is Talkpath's own.",
      default: dialects[0],
      required: true,
    }),
    of("websocket", {
      name: "secret",
      label: "Secret",
      type: "password",
      section: "what",
      sensitive: true,
      chars_max: 1_024,
      description: "Signs the token by which the agent knows that it is this server that dials.",
    }),
    of("websocket", {
      name: "attach",
      label: "The agent attaches by itself",
      type: "boolean",
      section: "what",
      advanced: true,
      description: "It connects to the call's stream in place of being dialled.",
    }),
    of("websocket", {
      name: "mux",
      label: "All its calls share one socket",
      type: "boolean",
      section: "what",
      advanced: true,
      description: "It speaks talkpath.v1.mux: for agents with many calls at once.",
    }),
    of("websocket", {
      name: "connect_timeout_ms",
      label: "Time to connect",
      type: "number",
      min: 100,
      max: 60_000,
      unit: "ms",
      section: "what",
      advanced: true,
    }),
    of("websocket", {
      name: "grace_ms",
      label: "Grace",
      type: "number",
      min: 0,
      max: 300_000,
      unit: "ms",
      section: "what",
      advanced: true,
      description: "How long a lost agent is dialled again before the fallback takes over.",
    }),
    of("builtin", {
      name: "builtin",
      label: "What it does",
      type: "select",
      section: "what",
      required: true,
      default: "echo",
      options: options(["echo", "tone", "silence", "voicemail"], {
        echo: "Echo: says back what it hears",
        tone: "Tone: a steady tone",
        silence: "Silence",
        voicemail: "Voicemail: takes a message behind a beep",
      }),
    }),
    of("builtin", {
      name: "frequency_hz",
      label: "Frequency of the tone",
      type: "number",
      min: 50,
      max: 3_800,
      unit: "Hz",
      section: "what",
      advanced: true,
    }),
    {
      name: "max_s",
      label: "Longest message",
      type: "number",
      min: 1,
      max: 3_600,
      unit: "s",
      section: "what",
      placeholder: "180",
      visible_when: { field: "builtin", equals: "voicemail" },
    },
    {
      name: "silence_s",
      label: "Silence that ends a message",
      type: "number",
      min: 1,
      max: 60,
      unit: "s",
      section: "what",
      placeholder: "5",
      visible_when: { field: "builtin", equals: "voicemail" },
    },
    {
      ...of("rtp", {
        name: "rtp_url",
        label: "Address",
        type: "text",
        section: "what",
        required: true,
        placeholder: "rtp://192.0.2.10:4000",
        format: "uri",
      }),
    },
    of("rtp", {
      name: "payload_type",
      label: "Payload type",
      type: "number",
      min: 96,
      max: 127,
      section: "what",
      advanced: true,
    }),
    of("sip", {
      name: "uri",
      label: "SIP URI",
      type: "text",
      section: "what",
      required: true,
      placeholder: "sip:desk@pbx.example.com",
      chars_max: 256,
      format: "sip-uri",
    }),
    of("sip", {
      name: "trunk",
      label: "Trunk",
      type: "text",
      section: "what",
      chars_max: 64,
      description: "The trunk it is called through; straight to the address if empty.",
    }),
    of("sip", {
      name: "from",
      label: "Calls as",
      type: "text",
      section: "what",
      chars_max: 64,
      advanced: true,
      description: "Our user part; the caller's if empty.",
    }),
    of("sip", {
      name: "ring_timeout_s",
      label: "Rings for",
      type: "number",
      min: 1,
      max: 600,
      unit: "s",
      section: "what",
      advanced: true,
    }),
    of("sip", {
      name: "early_media",
      label: "Heard before its answer",
      type: "boolean",
      section: "what",
      advanced: true,
    }),
    of(STREAMED, {
      name: "format.codec",
      label: "Codec",
      type: "select",
      section: "format",
      options: options(["PCMU", "PCMA", "G722", "l16le", "L16"], {
        PCMU: "G.711 µ-law",
        PCMA: "G.711 A-law",
        G722: "G.722",
        l16le: "Linear samples, 16 bits",
        L16: "Linear samples, network order",
      }),
      description: "Speech models mostly like linear samples at 16 or 24 kHz.",
    }),
    of(STREAMED, {
      name: "format.rate_hz",
      label: "Rate",
      type: "number",
      min: 8_000,
      max: 48_000,
      unit: "Hz",
      section: "format",
      placeholder: "16000",
      description: "Of linear samples: 8000, 16000, 24000 or 48000.",
    }),
    of(STREAMED, {
      name: "format.ptime_ms",
      label: "Length of a frame",
      type: "number",
      min: 10,
      max: 60,
      unit: "ms",
      section: "format",
      placeholder: "20",
    }),
    {
      name: "max_calls",
      label: "Most calls at a time",
      type: "number",
      min: 1,
      max: 100_000,
      section: "calls",
    },
    {
      name: "calls_per_second",
      label: "Most new calls a second",
      type: "number",
      min: 1,
      max: 100_000,
      section: "calls",
    },
    { name: "record", label: "Record its calls", type: "boolean", section: "calls" },
    {
      name: "capture",
      label: "Capture the packets of its calls",
      type: "boolean",
      section: "calls",
      advanced: true,
      description:
        "For the ladder of messages and for Wireshark. Costs memory: at most 64 calls at once.",
    },
    {
      name: "max_duration_s",
      label: "Longest call",
      type: "number",
      min: 1,
      max: 31_536_000,
      unit: "s",
      section: "calls",
      advanced: true,
    },
    {
      name: "expiring_s",
      label: "Told of its end before",
      type: "number",
      min: 0,
      max: 3_600,
      unit: "s",
      section: "calls",
      advanced: true,
      description: "How long before a call reaches its longest duration the agent is told.",
    },
    {
      name: "expiring_tone",
      label: "The caller then hears two short tones",
      type: "boolean",
      section: "calls",
      advanced: true,
    },
    {
      name: "answers",
      label: "The agent decides when its calls are answered",
      type: "boolean",
      section: "calls",
      advanced: true,
    },
  ].map((field) => (isNew || !field.default ? field : { ...field, default: field.default }));
}

/** The form of an agent; `saved(agent)` resolves what its submit does. */
export async function agentForm(stored) {
  const shown = stored && { ...stored, rtp_url: stored.url };
  const form = metadataForm({
    sections: SECTIONS,
    fields: await fields(shown, !stored),
    stored: shown,
  });
  // Settings of the agent that this form does not know stay as they are.
  const unknown = { ...stored };
  for (const field of form.fields) delete unknown[field.spec.name.split(".")[0]];
  for (const own of ["id", "origin", "created_at", "updated_at", "url"]) delete unknown[own];
  const body = (values) => {
    const { rtp_url: rtp, ...rest } = values;
    const wanted = { ...unknown, ...rest, ...(rtp && { url: rtp }) };
    // Booleans that say what holds anyway need not be kept.
    for (const [name, value] of Object.entries(wanted)) {
      if (value === false && stored?.[name] === undefined) delete wanted[name];
    }
    if (wanted.attach) delete wanted.url;
    if (wanted.kind === "builtin" || wanted.kind === "sip") delete wanted.format;
    if (wanted.format && !wanted.format.codec) delete wanted.format;
    return wanted;
  };
  const show = form.show;
  form.show = (error) =>
    show({
      ...error,
      title: error.title,
      message: error.message,
      errors: (error.errors ?? []).map((one) => ({
        ...one,
        field: one.field === "url" && form.field("kind").value() === "rtp" ? "rtp_url" : one.field,
      })),
    });
  form.submit = () =>
    submit(form, (values) =>
      stored ? api.put(`agents/${stored.id}`, body(values)) : api.post("agents", body(values)),
    );
  return form;
}
