"use strict";
// Tables are made by DataTables; what is ours: numbers sort as numbers, copying, links of points, and paper.
(() => {
  const NUMBER = /^\(?(-?\d[\d.]*)(?: ± [\d.]+\)?)?(e[+-]?\d+)?$/;
  const WORDS = { diverges: Infinity, inf: Infinity, exact: Infinity, "-inf": -Infinity };
  const MOST_PRINTED = 500;
  const value = (cell) => {
    const found = NUMBER.exec(cell);
    return found ? Number(found[1] + (found[2] || "")) : (WORDS[cell] ?? Number.MAX_VALUE);
  };
  const text = DataTable.render.text().display;

  function begin(section) {
    const data = JSON.parse(section.querySelector("script").textContent);
    const name = section.querySelector("h3").textContent;
    const columns = data.columns.map((title, at) => ({
      type: data.numeric[at] ? "num" : "string",
      className: data.numeric[at] ? "number" : "",
      render: (cell, kind) => (kind === "display" ? text(cell) : kind === "filter" || !data.numeric[at] ? cell : value(cell)),
    }));
    const table = new DataTable(section.querySelector("table"), {
      data: data.rows, columns, order: [], pageLength: 25, lengthMenu: [10, 25, 100, 1000], autoWidth: false,
      paging: data.rows.length > 25, info: data.rows.length > 25, searching: data.rows.length > 5,
      language: { search: `Filter ${name}:`, lengthMenu: `_MENU_ lines of ${name}` },
    });
    section.querySelector(".dt-paging nav")?.setAttribute("aria-label", `pages of ${name}`);
    for (const button of section.querySelectorAll("[data-as]"))
      button.addEventListener("click", () => copy(section, button.dataset.as, data, table));
    return { name, table };
  }

  const FORMATS = {
    csv: (head, rows) => [head, ...rows].map((row) => row.map((cell) =>
      (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")).join("\n") + "\n",
    markdown: (head, rows) => [head, head.map(() => "---"), ...rows].map((row) =>
      `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n") + "\n",
    latex: (head, rows, numeric) => {
      const letters = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$" };
      const line = (row) => row.map((cell) => cell.replace(/[&%$#_{}\\~^±]/g, (it) => letters[it] || `\\${it}`)).join(" & ") + " \\\\";
      const body = [`\\begin{tabular}{${numeric.map((is) => (is ? "r" : "l")).join("")}}`, "\\toprule", line(head), "\\midrule"];
      return [...body, ...rows.map(line), "\\bottomrule", "\\end{tabular}", ""].join("\n");
    },
  };

  async function copy(section, format, data, table) {
    const rows = table.rows({ search: "applied", order: "applied" }).data().toArray();
    const written = FORMATS[format](data.columns, rows, data.numeric);
    const status = section.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(written);
    } catch {  // without permission: the old way
      const area = Object.assign(document.createElement("textarea"), { value: written });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    status.textContent = `${rows.length} lines copied`;
  }

  const tables = [...document.querySelectorAll("section.table")].map(begin);
  const rows = tables.find(({ name }) => name === "table");

  // A point of a figure: the rows of its scheme.
  function follow() {
    if (!rows || !location.hash.startsWith("#rows=")) return;
    const scheme = decodeURIComponent(location.hash.slice(6));
    rows.table.search(scheme).draw();
    document.getElementById("table-table").scrollIntoView();
  }
  addEventListener("hashchange", follow);
  follow();

  // Paper has no pages to turn.
  const lengths = new Map();
  addEventListener("beforeprint", () => tables.forEach(({ table }) => {
    lengths.set(table, table.page.len());
    table.page.len(MOST_PRINTED).draw(false);
  }));
  addEventListener("afterprint", () => tables.forEach(({ table }) => table.page.len(lengths.get(table)).draw(false)));
})();
