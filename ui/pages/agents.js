// The programs that talk on calls.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { span } from "../lib/format.js";
import { go } from "../lib/router.js";
import { guard } from "../lib/unsaved.js";
import { agentKind } from "../lib/words.js";
import { agentForm } from "../parts/agent_form.js";
import {
  backTo,
  badge,
  button,
  busy,
  card,
  copyable,
  empty,
  facts,
  heading,
  linkButton,
  notice,
  snippet,
} from "../parts/basic.js";
import { confirm } from "../parts/dialog.js";
import { openPhone } from "../parts/phone.js";
import { paged } from "../parts/table.js";
import { complain, toast } from "../parts/toast.js";

export async function page({ title, signal }) {
  title("Agents");
  const add =
    api.may("admin") && linkButton("Add agent", "#/agents/new", { icon: "plus", kind: "primary" });
  const list = await paged(
    "Agents",
    "agents",
    [
      { label: "Name", cell: (agent) => h("strong", agent.name) },
      { label: "Kind", cell: (agent) => agentKind(agent.kind) },
      { label: "Where", kind: "grow", cell: (agent) => h("span.mono.clip", where(agent)) },
      {
        label: "Limit",
        cell: (agent) => (agent.max_calls ? `${agent.max_calls} calls` : h("span.muted", "none")),
      },
      { label: "", cell: (agent) => agent.origin === "file" && badge("from file") },
      {
        label: "Actions",
        hidden: true,
        kind: "end",
        cell: (agent) =>
          api.may("calls") &&
          button("Call", {
            icon: "phone",
            kind: "small",
            onclick: () => openPhone({ agent: agent.name, starts: true }),
          }),
      },
    ],
    {
      signal,
      href: (agent) => `#/agents/${agent.id}`,
      none: () =>
        empty(
          "agent",
          "No agents yet",
          "An agent is the program that talks on your calls: your own, reached over a WebSocket, or one that is built in.",
          add,
        ),
    },
  );
  return [heading("Agents", "The programs that talk on your calls.", add), list.element];
}

const where = (agent) =>
  agent.url ?? agent.uri ?? agent.builtin ?? (agent.attach ? "attaches by itself" : "");

export async function agent({ title, params }) {
  const isNew = params.id === "new";
  const stored = isNew ? null : await api.get(`agents/${params.id}`);
  title(isNew ? "New agent" : stored.name);
  const form = await agentForm(stored);
  const readOnly = stored?.origin === "file" || !api.may("admin");
  const save = button(isNew ? "Add agent" : "Save", { kind: "primary", type: "submit" });
  const element = h(
    "form",
    {
      noValidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const saved = await busy(save, form.submit);
          toast(isNew ? "The agent is there. Test it, then call it." : "Saved.");
          go(`agents/${saved.id}`);
        } catch (error) {
          if (error.name !== "Wrong") form.show(error) ?? complain(error);
        }
      },
    },
    form.element,
    !readOnly &&
      h(
        "div.form-foot",
        save,
        linkButton("Cancel", "#/agents"),
        !isNew &&
          button("Delete", {
            icon: "trash",
            kind: "quiet danger push",
            work: () => remove(stored),
          }),
      ),
  );
  if (readOnly)
    for (const input of form.element.querySelectorAll("input, select, textarea, button"))
      input.disabled = true;
  return [
    backTo("#/agents", "Agents"),
    heading(
      isNew ? "New agent" : stored.name,
      isNew ? "The program that talks on your calls." : agentKind(stored.kind),
      !isNew &&
        api.may("calls") &&
        button("Call it", {
          icon: "phone",
          onclick: () => openPhone({ agent: stored.name, starts: true }),
        }),
    ),
    stored?.origin === "file" &&
      notice(
        "info",
        "This agent comes from the configuration file",
        "It is changed there, in [[agents]].",
      ),
    !isNew && api.may("admin") && test(stored),
    guard(element),
    !isNew && use(stored),
  ];
}

/** Connects to the agent, and shows how far that came. */
function test(stored) {
  const outcome = h("div", { role: "status" });
  const run = button("Test the agent", {
    icon: "plug",
    work: async () => {
      mount(outcome, h("p.muted", "Connecting…"));
      try {
        const result = await api.post(`agents/${stored.id}/test`);
        mount(
          outcome,
          result.ok
            ? notice("good", "The agent answers", result.message)
            : notice("bad", "The agent does not answer", result.message),
          h(
            "ol.handshake",
            result.steps.map((step) =>
              h(
                "li",
                { class: step.ok ? "good" : "bad" },
                h("strong", step.name),
                h("span", step.detail),
                step.took_ms !== null && h("span.muted.mono", span(step.took_ms)),
              ),
            ),
          ),
        );
      } catch (error) {
        mount(outcome, notice("bad", error.title, error.message));
      }
    },
  });
  return card(
    "Connection",
    {
      about: "Connects as for a call, and hangs up: nothing is said, nobody is called.",
      actions: run,
    },
    outcome,
  );
}

/** How the agent is used from elsewhere. */
function use(stored) {
  const origin = location.origin;
  return card(
    "Use it",
    { about: "By its name from anywhere, or by its id where numbers and routes lead to it." },
    facts(["Id", copyable(stored.id)]),
    snippet(
      "Call somebody with it",
      `curl -H "Authorization: Bearer $TALKPATH_KEY" \\
  ${origin}/api/v1/calls -d '{"to": "+4930123456", "agent": "${stored.name}"}'`,
    ),
    stored.attach &&
      snippet("Attach to a call", `${origin.replace(/^http/, "ws")}/api/v1/calls/$CALL/stream`),
  );
}

async function remove(stored) {
  const { routes } = await api.get("routes");
  const leading = routes.filter((route) => route.agent_id === stored.id);
  const gone = await confirm(`Delete ${stored.name}?`, {
    consequences: [
      ...leading.map((route) => [
        "A route leads to it, and must lead elsewhere first: ",
        h("a", { href: `#/routes/${route.id}` }, route.to),
      ]),
      "Numbers that lead to it must be given another agent first.",
      "Calls that live with it go on. Records of calls stay.",
    ],
    action: "Delete agent",
    work: () => api.remove(`agents/${stored.id}`),
  });
  if (gone) {
    toast("The agent is gone.");
    go("agents");
  }
}
