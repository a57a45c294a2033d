// The rows of the table that the page of a query shows.

const NUMBER = /^-?\d+(\.\d+)?(e[-+]?\d+)?$/;

// Returns the rows as objects by the names of columns; null for an empty cell. time: the text of the column time_ns.
export function readRows(table) {
  if (!table) return [];
  const names = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent.trim());
  return Array.from(table.tBodies[0].rows, (row) => {
    const values = Array.from(row.cells, (cell) => cell.textContent.trim());
    const found = Object.fromEntries(names.map((name, index) => [name, valueOf(values[index])]));
    return { ...found, time: values[names.indexOf("time_ns")] };
  });
}

function valueOf(text) {
  if (!text) return null;
  return NUMBER.test(text) ? Number(text) : text;
}
