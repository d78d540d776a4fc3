/* Pictures of 28 × 28 numbers on a canvas: grey for pixels, two colours for signed numbers. */

import { clamp } from "./vectors.js";

export const SIDE = 28;

/* A colour of style.css, "#rrggbb", as three numbers. */
export function colourOf(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

export function mix(from, to, share) {
  return from.map((value, i) => value + share * (to[i] - value));
}

/* Black to white for 0 to 1. */
export function drawPixels(canvas, pixels) {
  paint(canvas, pixels, (value) => mix([0, 0, 0], [255, 255, 255], clamp(value, 0, 1)));
}

/* 0 in the colour of the paper; `size` and −size in the two full colours. */
export function drawSigned(canvas, values, size) {
  const paper = colourOf("--paper");
  const positive = colourOf("--positive");
  const negative = colourOf("--negative");
  paint(canvas, values, (value) =>
    mix(paper, value > 0 ? positive : negative, Math.min(Math.abs(value) / (size || 1), 1)),
  );
}

function paint(canvas, values, colour) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  values.forEach((value, j) => image.data.set([...colour(value), 255], 4 * j));
  context.putImageData(image, 0, 0);
}

/* Where on a canvas a pointer is, in pixels of its picture: [column, row], not rounded. */
export function pixelAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) / box.width) * SIDE,
    ((event.clientY - box.top) / box.height) * SIDE,
  ];
}

/* One picture of the page and the text below it, which is its name too. */
export function showPicture(figure, caption, draw) {
  const canvas = figure.querySelector("canvas");
  draw(canvas);
  canvas.setAttribute("aria-label", caption);
  figure.querySelector("figcaption").textContent = caption;
}

/* The figure that holds the picture of this name. */
export function figureOf(name) {
  return document.querySelector(`canvas[data-picture="${name}"]`).parentElement;
}
