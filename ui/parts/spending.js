// What the calls of an organisation have cost, and what is left of what they may.

import { card, facts } from "./basic.js";

/** A card of it; nothing if its calls are not priced. */
export function spending(told) {
  if (!told?.currency) return null;
  const money = (amount) => amount && `${amount} ${told.currency}`;
  const time = (name, { limit, spent, left }) => [
    [`Spent this ${name}`, limit ? `${spent} of ${money(limit)}` : money(spent)],
    [`Left this ${name}`, money(left)],
  ];
  return card(
    "Money",
    {
      about:
        "What calls have cost, by their carriers or by the table of rates; days and months of UTC.",
    },
    facts(
      ...time("day", told.day),
      ...time("month", told.month),
      ["Held by calls now", money(told.held)],
    ),
  );
}
