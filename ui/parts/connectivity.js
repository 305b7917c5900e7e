// How a SIP peer reaches this server, and ready pieces of configuration for the other side.

import { h } from "../lib/dom.js";
import { card, copyable, details, facts, notice, snippet } from "./basic.js";
import { at } from "./form.js";
import { trunkStatus } from "./trunks.js";

const port = (address) => address.slice(address.lastIndexOf(":") + 1);
const host = (address) => address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
const isLocal = (address) => /^(127\.|::1|localhost)/.test(address);
const isAny = (address) => /^(0\.0\.0\.0|::)$/.test(address);

/** What a peer is told of an address that is every one of the machine. */
const told = (address) => (isAny(address) ? location.hostname : address);

/** Where this server is called over SIP, as `host:port`; UDP if it listens there. */
export function sipPlace(server) {
  const best = server.sip.find(({ transport }) => transport === "udp") ?? server.sip[0];
  return best ? `${told(host(best.address))}:${port(best.address)}` : "";
}

export function connectivity({ one, server }) {
  if (!server) return null;
  const local = server.sip.every(({ address }) => isLocal(address));
  return card(
    "SIP connectivity",
    { about: "Where the other side sends calls, and what its firewall must let through." },
    local &&
      notice(
        "warn",
        "SIP listens on this machine alone",
        "Phones and trunks elsewhere cannot reach it. Set [sip] listen and [rtp] address to an address of the network.",
      ),
    h("div.badges", one.status ? trunkStatus(one.status) : null),
    facts(
      ...server.sip.map(({ transport, address }) => [
        transport.toUpperCase(),
        copyable(`${told(host(address))}:${port(address)}`),
      ]),
      [
        "Audio (RTP)",
        copyable(
          `${server.rtp.addresses.map(told).join(", ")} UDP ${server.rtp.ports.first}-${server.rtp.ports.last}`,
        ),
      ],
      ["Calls out come from", copyable(server.rtp.addresses.map(told).join(", "))],
      ["Codecs", server.codecs.join(", ")],
    ),
  );
}

/** Pieces of configuration for the other side. */
export function snippets({ one, provider, server }) {
  const origin = server?.base_url ?? location.origin;
  const all = [
    snippet(
      "Place a call by it",
      `curl -H "Authorization: Bearer $TALKPATH_KEY" ${origin}/api/v1/calls \\
  -d '{"to": "+4930123456", "agent": "echo", "telephony_configuration_id": "${one.id}"}'`,
    ),
  ];
  if (provider.connectivity === "sip" && server?.sip.length) all.push(...peers(one, server));
  return card(
    "Ready to paste",
    { about: "With the values of this connection." },
    h("div.snippets", all),
    facts(["Id", copyable(one.id)]),
  );
}

function peers(one, server) {
  const best = server.sip.find(({ transport }) => transport === "udp") ?? server.sip[0];
  const [name, at0] = [
    one.name.toLowerCase().replace(/[^a-z0-9]+/g, "-") || "talkpath",
    sipPlace(server),
  ];
  const codecs = (at(one.credentials, "codecs") ?? ["PCMU", "PCMA"]).map(
    (codec) => ({ PCMU: "ulaw", PCMA: "alaw", G722: "g722" })[codec] ?? codec.toLowerCase(),
  );
  return [
    snippet(
      "PJSIP endpoint of a PBX (pjsip.conf)",
      `[${name}]
type=endpoint
transport=transport-${best.transport}
context=from-${name}
disallow=all
allow=${codecs.join(",")}
aors=${name}
direct_media=no

[${name}]
type=aor
contact=sip:${at0}
qualify_frequency=30

[${name}]
type=identify
endpoint=${name}
match=${told(host(best.address))}`,
    ),
    snippet("Dialplan line", `exten => _X.,1,Dial(PJSIP/\${EXTEN}@${name})`),
    snippet(
      "Gateway of a soft switch (XML)",
      `<gateway name="${name}">
  <param name="proxy" value="${at0}"/>
  <param name="register" value="false"/>
  <param name="caller-id-in-from" value="true"/>
</gateway>`,
    ),
  ].map((figure, i) =>
    i === 0 ? figure : details(figure.querySelector("figcaption span").textContent, figure),
  );
}
