// API keys: made, shown once, revoked.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ago, exactly } from "../lib/format.js";
import { again } from "../lib/router.js";
import { SCOPES } from "../lib/words.js";
import { badge, button, copyable, empty, heading, notice } from "../parts/basic.js";
import { confirm, dialog, formDialog } from "../parts/dialog.js";
import * as kinds from "../parts/fields.js";
import { metadataForm, submit } from "../parts/form.js";
import { table } from "../parts/table.js";
import { toast } from "../parts/toast.js";

const TONES = { server: "bad", admin: "warn", calls: "live", read: "quiet" };

export async function page({ title }) {
  title("API keys");
  const { items } = await api.get("keys");
  const add = button("Make a key", { icon: "plus", kind: "primary", work: make });
  const own = api.session.key.id;
  return [
    heading(
      "API keys",
      "For programs that place calls and read what happened. A key is shown once.",
      add,
    ),
    items.length
      ? table(
          "API keys",
          [
            {
              label: "Name",
              cell: (key) => [
                h("strong", key.name),
                " ",
                key.id === own && badge("this session", "good"),
              ],
            },
            { label: "May do", cell: (key) => badge(key.scope, TONES[key.scope]) },
            { label: "Id", kind: "grow", cell: (key) => h("span.mono", key.id) },
            {
              label: "Made",
              cell: (key) => h("span", { title: exactly(key.created_at) }, ago(key.created_at)),
            },
            {
              label: "Actions",
              hidden: true,
              kind: "end",
              cell: (key) =>
                button("Revoke", {
                  kind: "small danger quiet",
                  disabled: key.id === own,
                  title: key.id === own ? "A key cannot revoke itself" : "",
                  work: () => revoke(key),
                }),
            },
          ],
          items,
        ).element
      : empty("key", "No keys", "Make one for a program of yours.", add),
  ];
}

async function make() {
  const scopes = api.may("server")
    ? [...SCOPES, ["server", "Server", "Organisations too: for whoever runs the server."]]
    : SCOPES;
  const form = metadataForm({
    fields: [
      {
        field: kinds.line({
          name: "name",
          label: "Name",
          required: true,
          chars_max: 100,
          placeholder: "Dialler in production",
          description: "What uses it: shown here and in the audit log.",
        }),
      },
      {
        field: kinds.cards(
          {
            name: "scope",
            label: "What it may do",
            options: scopes.map(([value, label, description]) => ({ value, label, description })),
          },
          "calls",
        ),
      },
    ],
  });
  form.submit = () => submit(form, (values) => api.post("keys", values));
  const made = await formDialog("Make a key", form, { action: "Make the key" });
  if (!made) return;
  await dialog("Keep this key", (close) => [
    h(
      "div.dialog-body",
      notice(
        "warn",
        "It is shown only now",
        "Copy it to where it is used. It cannot be shown again.",
      ),
      copyable(made.key, "Copy the key"),
    ),
    h("footer.actions", button("I have kept it", { kind: "primary", onclick: () => close() })),
  ]);
  again();
}

async function revoke(key) {
  const gone = await confirm(`Revoke ${key.name}?`, {
    consequences: [
      "Programs that use it are refused from now on.",
      "Sessions and streams that were opened with it end within seconds.",
    ],
    action: "Revoke key",
    work: () => api.remove(`keys/${key.id}`),
  });
  if (gone) {
    toast("The key holds no longer.");
    again();
  }
}
