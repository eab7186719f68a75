// Answers side by side. Models' words are set as text, never as markup, and nothing is fetched.
"use strict";
(() => {
  const holder = document.getElementById("answers-data");
  if (!holder) return;
  const { models, items } = JSON.parse(holder.textContent);
  const at = (id) => document.getElementById(id);
  const [left, right, item, differ] = ["left", "right", "item", "differ"].map(at);
  const MOST_WORDS = 1500; // of two texts: more would take a phone seconds

  const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) || [];

  // [kind, text] pieces: same, gone (in the first alone) or come (in the second alone); null where both are too long.
  const pieces = (first, second) => {
    const a = words(first), b = words(second);
    if (a.length + b.length > MOST_WORDS) return null;
    const rows = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--)
      for (let j = b.length - 1; j >= 0; j--)
        rows[i][j] = a[i] === b[j] ? rows[i + 1][j + 1] + 1 : Math.max(rows[i + 1][j], rows[i][j + 1]);
    const found = [];
    const add = (kind, word) => {
      const last = found[found.length - 1];
      if (last && last[0] === kind) last[1] += word; else found.push([kind, word]);
    };
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { add("same", a[i]); i++; j++; }
      else if (j >= b.length || (i < a.length && rows[i + 1][j] >= rows[i][j + 1])) add("gone", a[i++]);
      else add("come", b[j++]);
    }
    return found;
  };

  const marked = (place, found, mine) => {
    for (const [kind, text] of found) {
      if (kind !== "same" && kind !== mine) continue;
      const part = document.createElement(kind === "gone" ? "del" : kind === "come" ? "ins" : "span");
      part.textContent = text;
      place.append(part);
    }
  };

  const show = () => {
    const asked = items[Number(item.value)];
    at("prompt").textContent = asked.prompt || "The prompt was not recorded.";
    const told = [left, right].map((one) => asked.told[models[Number(one.value)]] || null);
    const both = told[0] && told[1] && differ.checked ? pieces(told[0].text, told[1].text) : null;
    ["left", "right"].forEach((side, place) => {
      const one = told[place], badge = at(`${side}-verdict`), text = at(`${side}-text`);
      at(`${side}-name`).textContent = models[Number([left, right][place].value)];
      badge.hidden = !one || !one.verdict;
      badge.textContent = one ? (one.verdict === "passed" ? "✓ passed" : `✗ ${one.verdict}`) : "";
      badge.className = `badge ${one && one.verdict === "passed" ? "right" : "wrong"}`;
      at(`${side}-message`).textContent = one && one.message ? `What did not hold: ${one.message}` : "";
      text.replaceChildren();
      if (!one) text.textContent = "Not answered.";
      else if (both) marked(text, both, place ? "come" : "gone");
      else text.textContent = one.text;
    });
    at("too-long").hidden = !(differ.checked && told[0] && told[1] && !both);
    at("previous").disabled = item.selectedIndex === 0;
    at("following").disabled = item.selectedIndex === items.length - 1;
  };

  const step = (by) => {
    item.selectedIndex = Math.min(items.length - 1, Math.max(0, item.selectedIndex + by));
    show();
  };
  for (const one of [left, right, item, differ]) one.addEventListener("change", show);
  at("previous").addEventListener("click", () => step(-1));
  at("following").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, textarea")) return;
    if (event.key === "j") step(1); else if (event.key === "k") step(-1);
  });
  const verdictOf = (one, place) => (one.told[models[place]] || {}).verdict;
  const apart = items.findIndex((one) => verdictOf(one, 0) !== verdictOf(one, 1));
  item.selectedIndex = Math.max(0, apart); // begins where the two that are shown first differ
  at("reader").hidden = false;
  show();
})();
