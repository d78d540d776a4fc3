/* Vectors are Float64Arrays; a matrix is an array of them, its rows. (Of one kind of array only,
   the browser makes fast code.) */

export function dot(a, b) {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j] * b[j];
  return sum;
}

export function add(a, b) {
  return a.map((value, j) => value + b[j]);
}

export function subtract(a, b) {
  return a.map((value, j) => value - b[j]);
}

/* a + s b */
export function addScaled(a, s, b) {
  return a.map((value, j) => value + s * b[j]);
}

export function times(a, s) {
  return a.map((value) => s * value);
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/* Each element between those of low and high. */
export function clip(a, low, high) {
  return a.map((value, j) => clamp(value, low[j], high[j]));
}

/* The products of each row with each, a matrix. */
export function gram(rows) {
  return rows.map((row) => Float64Array.from(rows, (other) => dot(row, other)));
}

/* Σₖ weightsₖ rowsₖ */
export function combine(weights, rows) {
  const sum = new Float64Array(rows[0].length);
  rows.forEach((row, k) => {
    if (weights[k] !== 0) for (let j = 0; j < sum.length; j++) sum[j] += weights[k] * row[j];
  });
  return sum;
}

/* The norm of a vector: "l2", "linf" or "l1". */
export function norm(a, kind) {
  let total = 0;
  for (let j = 0; j < a.length; j++) {
    if (kind === "l2") total += a[j] * a[j];
    else if (kind === "l1") total += Math.abs(a[j]);
    else total = Math.max(total, Math.abs(a[j]));
  }
  return kind === "l2" ? Math.sqrt(total) : total;
}

/* How much a·δ can grow for ‖δ‖ = 1: the dual norm of a. */
export function dualNorm(a, kind) {
  return norm(a, kind === "l2" ? "l2" : "l1");
}

/* The place of the largest element, the first of equal ones. */
export function argmax(a) {
  let best = 0;
  for (let j = 1; j < a.length; j++) if (a[j] > a[best]) best = j;
  return best;
}
