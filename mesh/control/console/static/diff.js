// Two texts, line by line: a list of [" " | "+" | "-", line]; + is in `now` alone. With three lines around each change; longer runs
// that are alike become one line "…".
const MOST = 4e6; // cells of the table; more, and the middle is shown as all gone and all new
const AROUND = 3;

function middle(a, b) {
  if ((a.length + 1) * (b.length + 1) > MOST) return [...a.map((l) => ["-", l]), ...b.map((l) => ["+", l])];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let k = b.length - 1; k >= 0; k--)
      longest[i * width + k] = a[i] === b[k] ? longest[(i + 1) * width + k + 1] + 1 : Math.max(longest[(i + 1) * width + k], longest[i * width + k + 1]);
  const out = [];
  let i = 0, k = 0;
  while (i < a.length || k < b.length)
    if (i < a.length && k < b.length && a[i] === b[k]) (out.push([" ", a[i++]]), k++);
    else if (i < a.length && (k === b.length || longest[(i + 1) * width + k] >= longest[i * width + k + 1])) out.push(["-", a[i++]]);
    else out.push(["+", b[k++]]);
  return out;
}

function shorten(rows) {
  const near = rows.map(() => false);
  rows.forEach(([kind], i) => {
    if (kind !== " ") for (let k = Math.max(0, i - AROUND); k <= Math.min(rows.length - 1, i + AROUND); k++) near[k] = true;
  });
  return rows.flatMap((row, i) => (near[i] ? [row] : i === 0 || near[i - 1] ? [[" ", "…"]] : []));
}

export function lineDiff(was, now) {
  const a = was.split("\n"), b = now.split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const same = (lines) => lines.map((l) => [" ", l]);
  return shorten([...same(a.slice(0, head)), ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)), ...same(a.slice(a.length - tail))]);
}
