// What time it is at the server. Its times are told by its own clock, and that of a browser may be
// off by seconds or hours: how long something lasts is the difference of two times of one clock.

/** By how much the server's clock is ahead of this one, in milliseconds: not less, and not more. */
let least = -Infinity;
let most = Infinity;

/** Takes note of the header `Date` of an answer that was asked for at `asked` and had at `got`. */
export function note(date, asked, got) {
  const told = Date.parse(date ?? "");
  if (Number.isNaN(told)) return;
  // The header has whole seconds.
  const [from, to] = [told - got, told + 1_000 - asked];
  // Where the two contradict each other, a clock was set meanwhile.
  if (from > most || to < least) [least, most] = [from, to];
  else [least, most] = [Math.max(least, from), Math.min(most, to)];
}

/** The time at the server, in milliseconds since 1970; this clock's as far as that may be right. */
export const now = () => Date.now() + Math.max(least, Math.min(most, 0));
