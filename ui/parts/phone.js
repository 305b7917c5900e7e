// The door to the test phone, which is fetched when somebody opens it.

import { complain } from "./toast.js";

let panel = null;

/** Opens the phone; `agent` is called at once if `starts`. `onover` hears of its end. */
export async function openPhone(wish) {
  try {
    panel = await import("./phone_panel.js");
    panel.openPhone(wish);
  } catch (error) {
    complain(error);
  }
}

export function hangUpPhone() {
  panel?.hangUpPhone();
}
