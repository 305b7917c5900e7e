// Light, dark, or as the system has it.

const KEY = "talkpath-theme";
export const THEMES = ["system", "light", "dark"];

export function theme() {
  try {
    const kept = localStorage.getItem(KEY);
    return THEMES.includes(kept) ? kept : "system";
  } catch {
    return "system";
  }
}

export function apply(name = theme()) {
  const root = document.documentElement;
  if (name === "system") root.removeAttribute("data-theme");
  else root.dataset.theme = name;
}

export function choose(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply(name);
}
