// The filter of the page of messages. It needs no server: everything is in the page.
//
// A message of the page has <name> where a value stands, [s] for what may be missing, (a|b) for one of some words.
(() => {
  const wide = /[\s\u2018\u2019'"`]+/g;
  const plain = (text) => text.toLowerCase().replace(wide, " ").trim();
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  // "<n> image[s] (is|are) lost" -> /.{0,300}? image(?:s)? (?:is|are) lost/
  function pattern(message) {
    let made = "";
    for (const piece of plain(message).split(/(<[^<>]*>|\[[^[\]]*\]|\([^()]*\|[^()]*\))/)) {
      if (/^<.*>$/.test(piece)) made += ".{0,300}?";
      else if (/^\[.*\]$/.test(piece)) made += `(?:${piece.slice(1, -1).split("|").map(inner).join("|")})?`;
      else if (/^\(.*\|.*\)$/.test(piece)) made += `(?:${piece.slice(1, -1).split("|").map(inner).join("|")})`;
      else made += escaped(piece);
    }
    return new RegExp(made);
  }
  const inner = (text) => text.split(/<[^<>]*>/).map(escaped).join(".{0,300}?");
  // "images" and "image[s]" are the same word.
  const words = (text) =>
    (text.replace(/<[^<>]*>/g, " ").match(/[a-z][a-z_-]+/g) || []).map((word) => word.replace(/s$/, ""));

  // 2: the whole message stands in what was pasted; 0..1: share of the pasted words that the message has.
  function likeness(entry, asked, typed) {
    if (entry.words.length >= 2 && entry.pattern.test(asked)) return 2 + entry.words.length / 1000;
    if (entry.text.includes(asked)) return 2;
    const known = typed.filter((word) => entry.has.has(word));
    return known.length / typed.length;
  }

  function filter(field, entries, told) {
    const asked = plain(field.value);
    const typed = [...new Set(words(asked))];
    const found = new Map();
    if (asked.length > 2) {
      for (const entry of entries) found.set(entry, typed.length ? likeness(entry, asked, typed) : 0);
    }
    const best = Math.max(0, ...found.values());
    const least = best >= 2 ? 2 : Math.max(0.6 * best, 0.3);
    let shown = 0;
    for (const entry of entries) {
      const hidden = found.size > 0 && found.get(entry) < least;
      entry.item.hidden = hidden;
      shown += !hidden;
    }
    for (const list of new Set(entries.map((entry) => entry.item.parentElement))) {
      const empty = ![...list.children].some((item) => !item.hidden);
      for (let before = list; before; before = before.previousElementSibling) {
        before.hidden = empty;
        if (before.tagName === "H2") break;
      }
    }
    // What stands between the field and the messages would push the found ones off the screen.
    for (let beside = field.closest("div").nextElementSibling; beside; beside = beside.nextElementSibling) {
      if (beside.tagName === "H2") break;
      beside.hidden = found.size > 0;
    }
    told.textContent = found.size === 0 ? "" : shown ? `${shown} of ${entries.length} messages` :
      "no message is like this one; try fewer words";
  }

  function begin() {
    const place = document.getElementById("message-filter");
    if (!place || place.firstChild) return;
    const label = document.createElement("label");
    label.textContent = "The message, or a piece of it: ";
    const field = document.createElement("textarea");
    field.rows = 2;
    field.id = "message-field";
    label.append(field);
    const told = document.createElement("output");
    told.htmlFor = field.id;
    place.append(label, told);
    const entries = [...document.querySelectorAll("h2 ~ ul > li")]
      .filter((item) => item.querySelector(":scope > code:first-child, :scope > p > code:first-child"))
      .map((item) => {
        const text = plain(item.querySelector("code").textContent);
        const all = plain(item.textContent);
        return { item, text, pattern: pattern(text), words: words(text), has: new Set(words(all)) };
      });
    let waiting = 0;
    field.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => filter(field, entries, told), 120);
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
