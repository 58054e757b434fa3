"use strict";

// What a reader does with the page besides looking at figures: open, find, sort, take along.

const parts = [...document.querySelectorAll(".panel > details")];

function reveal() {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  const closed = place.querySelector(":scope > details") ?? place.closest("details");
  if (closed) closed.open = true;
  place.scrollIntoView();
}

addEventListener("hashchange", reveal);
reveal();

const openAll = document.getElementById("open-all");
openAll.addEventListener("click", () => {
  const open = openAll.textContent === "Open all";
  parts.forEach((part) => { part.open = open; });
  openAll.textContent = open ? "Close all" : "Open all";
});

// On paper everything is open that was not closed by hand within its part.

let closedBefore = [];
addEventListener("beforeprint", () => {
  closedBefore = parts.filter((part) => !part.open);
  closedBefore.forEach((part) => { part.open = true; });
});
addEventListener("afterprint", () => closedBefore.forEach((part) => { part.open = false; }));

// The menu marks the chapter that is being read.

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const read = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    const link = links.get(target.id);
    if (isIntersecting) {
      links.forEach((other) => other.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
    }
  }
}, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("section.chapter").forEach((chapter) => read.observe(chapter));

// Tables: a click on a heading sorts.

for (const heading of document.querySelectorAll("table.sortable thead th")) {
  heading.querySelector("button").addEventListener("click", () => {
    const body = heading.closest("table").tBodies[0];
    const falling = heading.getAttribute("aria-sort") !== "descending";
    const key = (row) => row.cells[heading.cellIndex].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const way = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return falling ? -way : way;
    };
    heading.parentElement.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...[...body.rows].sort(compare));
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.text);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1200);
  });
}

// Tables leave the page as they are seen: sorted as they are, values with their intervals.

function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

function saveText(text, name, kind) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function seen(cell) {
  const copy = cell.cloneNode(true);
  copy.querySelectorAll("button.mark, button.copy").forEach((button) => button.remove());
  const note = copy.querySelector("small");
  note?.remove();
  return { text: copy.textContent.trim().replace(/\s+/g, " "), note: note?.textContent ?? "",
    isBest: cell.classList.contains("best"), isText: cell.matches(".text, .order, th:first-child") };
}

function contentOf(table) {
  const head = [...table.tHead.rows[0].cells].map((cell) => seen(cell).text);
  return { title: table.caption.textContent, head,
    lines: [...table.tBodies[0].rows].map((row) => [...row.cells].map(seen)) };
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
const bounds = (note) => note.match(/^\[(.*), (.*)\]$/)?.slice(1);

function asCsv({ head, lines }) {
  const bounded = head.map((_, i) => lines.some((line) => bounds(line[i].note)));
  const titles = head.flatMap((title, i) =>
    (bounded[i] ? [title, `${title} low`, `${title} high`] : [title]));
  const rows = lines.map((line) => line.flatMap(({ text, note }, i) =>
    (bounded[i] ? [text, ...(bounds(note) ?? ["", ""])] : [note ? `${text} ${note}` : text])));
  return [titles, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

const marks = JSON.parse(document.getElementById("marks").textContent);
const tex = (text) => text.replace(/[^]/gu, (c) => marks[c] ?? (c > "\u00ff" ? "?" : c))
  .replace(/(^|[[ ])-(?=[.\d])/g, "$1$-$");

function asTex({ title, head, lines }) {
  const columns = head.map((_, i) => (lines.some((line) => line[i].isText) ? "l" : "r")).join("");
  const cell = ({ text, note, isBest }) => {
    const value = isBest ? `\\textbf{${tex(text)}}` : tex(text);
    return note ? `${value} {\\scriptsize ${tex(note)}}` : value;
  };
  const row = (cells) => `${cells.join(" & ")} \\\\`;
  return ["% \\usepackage{booktabs}", "\\begin{table}", "\\centering", `\\caption{${tex(title)}}`,
    `\\begin{tabular}{${columns}}`, "\\toprule", row(head.map(tex)), "\\midrule",
    ...lines.map((line) => row(line.map(cell))), "\\bottomrule", "\\end{tabular}", "\\end{table}",
    ""].join("\n");
}

for (const button of document.querySelectorAll(".exports button.export:not([data-figure])")) {
  button.addEventListener("click", () => {
    const content = contentOf(button.parentElement.previousElementSibling.querySelector("table"));
    const name = content.title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    if (button.dataset.format === "csv") saveText(asCsv(content), `${name}.csv`, "text/csv");
    else saveText(asTex(content), `${name}.tex`, "text/x-tex");
  });
}

// The data behind figures and tables travel in the page; only what is too large lies beside it.

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const carried = JSON.parse(document.getElementById("tables").textContent);
for (const link of document.querySelectorAll("a[data-table]")) {
  const name = link.dataset.table;
  if (!carried[name]) continue;
  link.href = `#${link.closest(".panel").id}`;
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    saveText(await unpacked(carried[name]), `${name}.csv`, "text/csv");
  });
}
