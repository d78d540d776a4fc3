/* The drawing pad: a soft pen on 28 × 28 pixels, led by a pointer or by the keyboard. */

import { clamp } from "./vectors.js";
import { arrowStep, byId } from "./elements.js";
import { drawPixels, pixelAt, SIDE } from "./pictures.js";

const PEN_RADIUS = 1.1; // in pixels
const SOFT_EDGE = 0.9;

/* Calls `changed` with the drawing after each change of it. */
export function startPad(changed) {
  const canvas = byId("pad");
  const pad = {
    canvas,
    drawing: new Float64Array(SIDE * SIDE),
    cursor: [14, 6],
    penDown: false,
    changed,
  };
  listenToPen(pad);
  canvas.addEventListener("keydown", (event) => pressKey(pad, event));
  canvas.addEventListener("focus", () => showPad(pad));
  canvas.addEventListener("blur", () => {
    pad.penDown = false;
    showPad(pad);
  });
  byId("pad-clear").addEventListener("click", () => {
    pad.drawing.fill(0);
    pad.penDown = false;
    changePad(pad);
  });
  showPad(pad);
  return pad;
}

function listenToPen(pad) {
  let last = null;
  pad.canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.canvas.setPointerCapture(event.pointerId);
    last = pixelAt(pad.canvas, event);
    drawLine(pad, last, last);
  });
  pad.canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = pixelAt(pad.canvas, event);
    drawLine(pad, last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    pad.canvas.addEventListener(end, () => (last = null));
  }
}

function pressKey(pad, event) {
  const step = arrowStep(event);
  if (!step && event.key !== " ") return;
  event.preventDefault();
  const from = pad.cursor;
  if (step) pad.cursor = from.map((value, i) => clamp(value + step[i], 1, SIDE - 1));
  else pad.penDown = !pad.penDown;
  if (pad.penDown) drawLine(pad, from, pad.cursor);
  else showPad(pad);
}

/* The pen along a line between two places [column, row]. */
function drawLine(pad, [x0, y0], [x1, y1]) {
  const count = Math.ceil(4 * Math.hypot(x1 - x0, y1 - y0)) + 1;
  for (let i = 0; i <= count; i++) {
    stamp(pad.drawing, x0 + ((x1 - x0) * i) / count, y0 + ((y1 - y0) * i) / count);
  }
  changePad(pad);
}

function stamp(drawing, x, y) {
  for (let j = 0; j < drawing.length; j++) {
    const distance = Math.hypot((j % SIDE) + 0.5 - x, Math.floor(j / SIDE) + 0.5 - y);
    drawing[j] = Math.max(drawing[j], clamp((PEN_RADIUS + SOFT_EDGE - distance) / SOFT_EDGE, 0, 1));
  }
}

function changePad(pad) {
  showPad(pad);
  pad.changed(pad.drawing);
}

/* The drawing, and a square around the keyboard's place. */
function showPad(pad) {
  drawPixels(pad.canvas, pad.drawing);
  const focused = document.activeElement === pad.canvas && pad.canvas.matches(":focus-visible");
  const [x, y] = pad.cursor;
  byId("pad-state").textContent = focused
    ? `Pen ${pad.penDown ? "down" : "up"}, column ${x}, row ${y}.`
    : "";
  if (!focused) return;
  const context = pad.canvas.getContext("2d");
  context.strokeStyle = pad.penDown ? "#ff8a3c" : "#5cb3ff";
  context.strokeRect(x - 1.5, y - 1.5, 3, 3);
}
