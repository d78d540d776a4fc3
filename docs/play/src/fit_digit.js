/* A drawing as MNIST has its digits: scaled so that its longer side is 20 of 28 pixels, and moved
   so that its centre of mass is in the middle. */

const WIDTH = 28;
const LONGEST = 20;
const LARGEST_SCALE = 2.5;

export function fitDigit(drawing) {
  const ink = inkOf(drawing);
  if (ink.mass === 0) return drawing.slice();
  const scale = Math.min(LONGEST / ink.longerSide, LARGEST_SCALE);
  const middle = (WIDTH - 1) / 2;
  return Float64Array.from({ length: WIDTH * WIDTH }, (_, i) => {
    const row = Math.floor(i / WIDTH);
    const column = i % WIDTH;
    return interpolate(
      drawing,
      ink.row + (row - middle) / scale,
      ink.column + (column - middle) / scale,
    );
  });
}

/* The mass of the drawing, its centre, and the longer side of the rectangle around it. */
function inkOf(drawing) {
  let mass = 0;
  let row = 0;
  let column = 0;
  let top = WIDTH;
  let bottom = -1;
  let left = WIDTH;
  let right = -1;
  drawing.forEach((value, i) => {
    if (value < 0.1) return;
    const r = Math.floor(i / WIDTH);
    const c = i % WIDTH;
    mass += value;
    row += value * r;
    column += value * c;
    [top, bottom, left, right] = [
      Math.min(top, r),
      Math.max(bottom, r),
      Math.min(left, c),
      Math.max(right, c),
    ];
  });
  return {
    mass,
    row: row / mass,
    column: column / mass,
    longerSide: Math.max(bottom - top, right - left) + 1,
  };
}

/* The value between four pixels, 0 outside of the drawing. */
function interpolate(drawing, row, column) {
  const r = Math.floor(row);
  const c = Math.floor(column);
  const down = row - r;
  const across = column - c;
  const at = (i, j) => (i < 0 || j < 0 || i >= WIDTH || j >= WIDTH ? 0 : drawing[i * WIDTH + j]);
  return (
    (1 - down) * ((1 - across) * at(r, c) + across * at(r, c + 1)) +
    down * ((1 - across) * at(r + 1, c) + across * at(r + 1, c + 1))
  );
}
