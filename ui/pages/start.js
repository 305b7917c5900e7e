// From nothing to a talking phone, in four steps.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { again } from "../lib/router.js";
import { agentKind } from "../lib/words.js";
import { agentForm } from "../parts/agent_form.js";
import { badge, button, copyable, details, heading, linkButton } from "../parts/basic.js";
import { numberForm, PATH } from "../parts/connection_form.js";
import { sipPlace } from "../parts/connectivity.js";
import { formDialog } from "../parts/dialog.js";
import { openPhone } from "../parts/phone.js";
import { toast } from "../parts/toast.js";

export async function page({ title, signal }) {
  title("Get started");
  const [agents, { configurations }, done, server] = await Promise.all([
    api.all("agents", { signal }),
    api.get(PATH, { signal }),
    api.get("calls?status=completed&limit=1", { signal }),
    api.once("server").catch(() => null),
  ]);
  const connections = configurations;
  const numbered = connections.filter((one) => one.phone_number_count > 0);
  const has = {
    agent: agents.length > 0,
    connection: connections.length > 0,
    number: numbered.length > 0,
    call: done.items.length > 0,
  };
  const count = Object.values(has).filter(Boolean).length;
  // A call from the browser needs neither carrier nor number.
  const next = !has.agent
    ? "agent"
    : !has.call
      ? "call"
      : !has.connection
        ? "connection"
        : !has.number
          ? "number"
          : null;
  const meter = h(
    "div.progress",
    {
      role: "progressbar",
      "aria-label": "Steps done",
      "aria-valuemin": 0,
      "aria-valuemax": 4,
      "aria-valuenow": count,
    },
    h("span"),
  );
  meter.firstChild.style.width = `${count * 25}%`;
  return [
    heading(
      has.call ? "You are on the line" : "Let a phone talk",
      has.call
        ? next
          ? "The test call works. Connect the telephone network next."
          : "All four steps are done."
        : "Four steps. The last can be done first: this browser is a telephone too.",
    ),
    meter,
    h(
      "ol.start",
      step(
        {
          n: 1,
          done: has.agent,
          open: next === "agent",
          title: "Choose who talks",
          text: "An agent is the program that talks on your calls: yours, or one that is built in.",
        },
        agentStep(agents),
      ),
      step(
        {
          n: 2,
          done: has.connection,
          open: next === "connection",
          title: "Connect a carrier or a SIP trunk",
          text: "Where calls from the telephone network come by. Not needed for a call from this browser.",
        },
        connectionStep(connections),
      ),
      step(
        {
          n: 3,
          done: has.number,
          open: next === "number",
          title: "Add a number",
          text: "Calls to it go to an agent; calls are placed from it.",
        },
        numberStep(connections, numbered, agents),
      ),
      step(
        {
          n: 4,
          done: has.call,
          open: next === "call" || next === null,
          title: "Make a test call",
          text: "From this browser to an agent: your microphone, no carrier, no cost.",
        },
        callStep(agents, has.call, server && sipPlace(server)),
      ),
    ),
    h(
      "p.muted.next",
      "After that: ",
      h("a", { href: "#/live" }, "watch calls live"),
      ", see ",
      h("a", { href: "#/calls" }, "what happened in each"),
      ", or place them from your program with ",
      h("code", "POST /api/v1/calls"),
      ".",
    ),
  ];
}

function step({ n, done, open, title, text }, content) {
  return h(
    "li.start-step",
    {
      class: `${done ? "done" : ""} ${open ? "open" : ""}`,
      "aria-current": open ? "step" : undefined,
    },
    h("span.step-mark", done ? [icon("check", 16), h("span.offscreen", "done")] : String(n)),
    h("div.start-body", h("h2", title), h("p.muted", text), content),
  );
}

function agentStep(agents) {
  const add =
    api.may("admin") &&
    button(agents.length ? "Add your own" : "Add an agent", {
      icon: "plus",
      kind: agents.length ? "" : "primary",
      work: async () => {
        const made = await formDialog("Add an agent", await agentForm(), {
          action: "Add agent",
          kind: "wide",
        });
        if (!made) return;
        toast(`${made.name} is there.`);
        again();
      },
    });
  return [
    agents.length > 0 &&
      h(
        "ul.chips",
        agents
          .slice(0, 6)
          .map((agent) =>
            h(
              "li",
              h(
                "a.chip",
                { href: `#/agents/${agent.id}` },
                icon("agent", 15),
                agent.name,
                h("span.muted", agentKind(agent.kind)),
              ),
            ),
          ),
      ),
    h("div.actions", add),
  ];
}

function connectionStep(connections) {
  return [
    connections.length > 0 &&
      h(
        "ul.chips",
        connections.map((one) =>
          h(
            "li",
            h(
              "a.chip",
              { href: `#/connections/${one.id}` },
              icon("plug", 15),
              one.name,
              !one.is_ready_for_outbound && badge("incomplete", "warn"),
            ),
          ),
        ),
      ),
    h(
      "div.actions",
      api.may("admin") &&
        linkButton(
          connections.length ? "Connect another" : "Connect",
          "#/connections/new?from=start",
          { icon: "plus" },
        ),
    ),
  ];
}

function numberStep(connections, numbered, agents) {
  if (!connections.length)
    return h("p.hint", icon("info", 15), "Connect a carrier or trunk first: numbers belong to it.");
  const total = numbered.reduce((all, one) => all + one.phone_number_count, 0);
  return [
    total > 0 &&
      h("p", plural(total, "active number"), ` at ${numbered.map(({ name }) => name).join(", ")}.`),
    api.may("admin") &&
      h(
        "div.actions",
        connections.slice(0, 4).map((one) =>
          button(connections.length > 1 ? `Add to ${one.name}` : "Add a number", {
            icon: "plus",
            work: async () => {
              const [whole, providers] = await Promise.all([
                api.get(`${PATH}/${one.id}`),
                api.providers(),
              ]);
              const provider = providers.find((known) => known.provider === one.provider);
              const made = await formDialog(
                `Add a number to ${one.name}`,
                numberForm(whole, agents, null, {
                  canBind: provider.capabilities.includes("bind"),
                }),
                { action: "Add number" },
              );
              if (!made) return;
              if (made.warning) toast(`The number is there. ${made.warning}`, "bad");
              else toast("The number is there.");
              again();
            },
          }),
        ),
      ),
  ];
}

function callStep(agents, has, sip) {
  if (!api.may("calls"))
    return h(
      "p.hint",
      icon("lock", 15),
      "This key may not place calls. Sign in with one of the scope calls or admin.",
    );
  if (!agents.length) return h("p.hint", icon("info", 15), "Choose who talks first.");
  const best = agents.find(({ builtin }) => builtin === "echo") ?? agents[0];
  const select = h(
    "select",
    { "aria-label": "Agent to call" },
    agents.map(({ name }) => h("option", { value: name, selected: name === best.name }, name)),
  );
  const place = h("div");
  const call = button(has ? "Call again" : "Call from this browser", {
    icon: "phone",
    kind: "primary",
    onclick: () =>
      openPhone({
        agent: select.value,
        starts: true,
        onover: (made) => {
          mount(
            place,
            made &&
              h(
                "p.hint.good",
                icon("check", 15),
                "The call is over. ",
                h("a", { href: `#/calls/${made.id}` }, "See what happened"),
              ),
          );
          // The log has it a moment later.
          setTimeout(() => location.hash.startsWith("#/start") && again(), 1_500);
        },
      }),
  });
  return [
    h("div.actions", agents.length > 1 && select, call),
    best.builtin === "echo" &&
      !has &&
      h("p.help", "echo says back what you say: you hear yourself a moment later."),
    place,
    has &&
      sip &&
      details(
        "From a SIP phone",
        h(
          "p.muted",
          "A phone that registers nowhere calls this address. A ",
          h("a", { href: "#/routes" }, "route"),
          " must cover what stands before the @, and a SIP trunk must let the phone in.",
        ),
        copyable(`sip:${best.name}@${sip}`),
      ),
  ];
}
