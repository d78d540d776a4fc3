/* The picture of the plane: the regions of the classes on a canvas, and above it, as SVG, the
   radius, the ball, the path of the attack and the points. The unit square is 500 units of the SVG
   wide. */

import { svgElement } from "./elements.js";
import { colourOf, mix } from "./pictures.js";
import { classOf } from "./network.js";

const UNITS = 500;

/* A point of the unit square in units of the SVG, whose y points down. */
function inUnits([x, y]) {
  return [x * UNITS, (1 - y) * UNITS];
}

/* Each pixel in the colour of the class of the best neuron there, with a line between two neurons,
   and a stronger one between two classes. */
export function drawCells(canvas, network) {
  const size = Math.round(Math.min(canvas.clientWidth * devicePixelRatio, 640)) || UNITS;
  canvas.width = canvas.height = size;
  const winners = winnersOnGrid(network, size);
  const owner = network.A.map((_, k) => classOf(network, k));
  const paper = colourOf("--paper");
  const ink = colourOf("--ink");
  const colours = ["--class-a", "--class-b", "--class-c"].map(colourOf);
  const inside = owner.map((c) => mix(paper, colours[c], 0.25));
  const between = owner.map((c) => mix(paper, colours[c], 0.5));
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let i = 0; i < winners.length; i++) {
    const k = winners[i];
    const atRight = (i + 1) % size === 0;
    const right = atRight ? k : winners[i + 1];
    const below = winners[i + size] ?? k;
    const isBoundary = owner[right] !== owner[k] || owner[below] !== owner[k];
    const colour = isBoundary ? ink : right !== k || below !== k ? between[k] : inside[k];
    for (let part = 0; part < 3; part++) image.data[4 * i + part] = colour[part];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/* The winner at the centre of each pixel, row by row from the top. */
function winnersOnGrid(network, size) {
  const winners = new Uint8Array(size * size);
  for (let row = 0, i = 0; row < size; row++) {
    const y = 1 - (row + 0.5) / size;
    for (let column = 0; column < size; column++, i++) {
      const x = (column + 0.5) / size;
      let best = 0;
      let highest = -Infinity;
      for (let k = 0; k < network.A.length; k++) {
        const score = network.A[k][0] * x + network.A[k][1] * y + network.b[k];
        if (score > highest) [best, highest] = [k, score];
      }
      winners[i] = best;
    }
  }
  return winners;
}

/* The parts that no one moves. `found` is what plane.js computes. */
export function drawMeasures(layer, { x, radius, delta, eps, kind, path }) {
  layer.replaceChildren();
  if (Number.isFinite(radius)) {
    const nearest = inUnits([x[0] + delta[0], x[1] + delta[1]]);
    const [cx, cy] = inUnits(x);
    layer.append(ball(x, radius, kind, "radius-line"));
    layer.append(
      svgElement("line", { x1: cx, y1: cy, x2: nearest[0], y2: nearest[1], class: "radius-line" }),
    );
    layer.append(
      svgElement("circle", { cx: nearest[0], cy: nearest[1], r: 5, class: "nearest-point" }),
    );
  }
  if (eps !== null) layer.append(ball(x, eps, kind, "ball-line"));
  const places = path.map(inUnits);
  layer.append(
    svgElement("polyline", { points: places.map((p) => p.join()).join(" "), class: "path-line" }),
  );
  for (const [cx, cy] of places.slice(1)) {
    layer.append(svgElement("circle", { cx, cy, r: 3.5, class: "path-dot" }));
  }
}

function ball(x, radius, kind, style) {
  const [cx, cy] = inUnits(x);
  const r = radius * UNITS;
  return kind === "l2"
    ? svgElement("circle", { cx, cy, r, class: style })
    : svgElement("rect", { x: cx - r, y: cy - r, width: 2 * r, height: 2 * r, class: style });
}

/* The lines between the two prototypes of each neuron. */
export function drawPairs(layer, points) {
  layer.replaceChildren();
  points
    .filter((point) => point.kind === "positive")
    .forEach((positive) => {
      const negative = points.find((p) => p.kind === "negative" && p.neuron === positive.neuron);
      const [x1, y1] = inUnits(positive.at);
      const [x2, y2] = inUnits(negative.at);
      layer.append(svgElement("line", { x1, y1, x2, y2, class: "pair-line" }));
    });
}

/* The element of a point, with a large invisible circle to touch. */
export function makeHandle(point) {
  const handle = svgElement("g", {
    class: `handle ${point.kind} class-${point.class ?? "none"}`,
    tabindex: 0,
    role: "slider",
    "aria-label": `${point.name}; the arrow keys move it`,
    "aria-valuemin": 0,
    "aria-valuemax": 1,
  });
  const size = point.kind === "input" ? 9 : 12;
  handle.append(svgElement("circle", { r: 26, class: "touch" }));
  if (point.kind === "input") {
    handle.append(
      svgElement("rect", {
        x: -size,
        y: -size,
        width: 2 * size,
        height: 2 * size,
        transform: "rotate(45)",
        class: "mark",
      }),
    );
  } else {
    handle.append(svgElement("circle", { r: size, class: "mark" }));
    const sign = point.kind === "positive" ? "M-6 0H6M0 -6V6" : "M-6 0H6";
    handle.append(svgElement("path", { d: sign, class: "sign" }));
  }
  const label = svgElement("text", { class: "name" });
  label.textContent = point.kind === "input" ? "x" : point.kind === "positive" ? point.neuron : "";
  handle.append(label);
  return handle;
}

export function placeHandle(handle, point) {
  const [x, y] = inUnits(point.at);
  handle.setAttribute("transform", `translate(${x} ${y})`);
  const label = handle.querySelector(".name");
  const isNearRight = x > UNITS - 50;
  label.setAttribute("x", isNearRight ? -16 : 16);
  label.setAttribute("y", y < 30 ? 28 : -12);
  label.setAttribute("text-anchor", isNearRight ? "end" : "start");
  handle.setAttribute("aria-valuenow", point.at[0].toFixed(2));
  handle.setAttribute(
    "aria-valuetext",
    `${point.at[0].toFixed(2)} across, ${point.at[1].toFixed(2)} up`,
  );
}

/* Where in the unit square a pointer is. */
export function planePlace(frame, event) {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
}
