// Tables. On a narrow screen each row becomes a card.

// `rows` are lists of cells: texts or elements, or `{ value, shown }` where a table is sorted by a
// value that is written in another way.
//
// With `onSort` a click on a title sorts it, and the new order of the rows is told.
function table(titles, rows, onSort) {
  const body = element("tbody");
  const made = element("table", {}, element("thead", {}, element("tr")), body);
  const lines = rows.map((cells, row) => ({
    cells,
    row,
    line: element("tr", {}, ...cells.map((cell, i) => {
      const data = element("td", { "data-title": titles[i].textContent ?? titles[i] });
      data.append(cell?.shown ?? cell ?? "-");
      return data;
    })),
  }));
  body.append(...lines.map(({ line }) => line));
  const heads = titles.map((title, i) => element("th", { scope: "col" }, onSort
    ? element("button", { class: "sort", title: "Sort by this", click: () => sortBy(i) }, title) : title));
  made.tHead.rows[0].append(...heads);

  function sortBy(column) {
    const isUp = heads[column].getAttribute("aria-sort") !== "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", isUp ? "ascending" : "descending");
    // Neither direction brings what is missing to the top.
    lines.sort((a, b) => {
      const [left, right] = [a, b].map(({ cells }) => sortable(cells[column]));
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      const order = typeof left === "number" ? left - right : String(left).localeCompare(String(right));
      return isUp ? order : -order;
    });
    body.append(...lines.map(({ line }) => line));
    onSort(lines.map(({ row }) => row));
  }

  return element("div", { class: "table" }, made);
}

const sortable = (cell) => cell?.value ?? cell?.textContent ?? cell ?? undefined;
