/* Short names for what the page does with its elements. */

export function byId(id) {
  return document.getElementById(id);
}

export function svgElement(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/* An HTML element with attributes and children, elements or texts. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/* Sentences, a paragraph each. */
export function showSentences(where, sentences) {
  where.replaceChildren(...sentences.map((sentence) => element("p", {}, sentence)));
}

/* A number with a true minus sign. */
export function formatNumber(value, digits = 3) {
  if (value === Infinity) return "∞";
  return value
    .toFixed(digits)
    .replace(/^-(?=.*[1-9])/, "−")
    .replace(/^-/, "");
}

/* What the chosen radio button of a form says. */
export function chosen(form, name) {
  return form.elements[name].value;
}

/* The step (right, down) of an arrow key, null for other keys. */
export function arrowStep(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  return steps[event.key] ?? null;
}

/* A function that calls `work` once before the next picture, however often it is called. */
export function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}

/* Call `work` when the page changes between light and dark. */
export function whenSchemeChanges(work) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", work);
}
