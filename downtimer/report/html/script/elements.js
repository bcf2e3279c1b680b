// --- Elements: what the page is built of. Text is always text, never markup. ---

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A name that is not ours: what is written from right to left in it moves nothing beside it. */
function named(text) {
  return element("bdi", {}, text);
}

function table(head, rows) {
  const line = (cells, tag) => element("tr", {}, ...cells.map((cell) => element(tag, {}, cell)));
  return element(
    "div",
    { className: "scroll" },
    element(
      "table",
      {},
      element("thead", {}, line(head, "th")),
      element("tbody", {}, ...rows.map((cells) => line(cells, "td"))),
    ),
  );
}

function plural(count, noun) {
  const ending = count === 1 ? "" : noun.endsWith("s") ? "es" : "s";
  return `${count.toLocaleString("en")} ${noun}${ending}`;
}
