// The doors to the test phone, and to the form that places a call: both are fetched when somebody
// opens them.

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

/** Asks whom to call over a connection, and calls. */
export const placeCall = async () => (await import("./place_call.js")).placeCall();
