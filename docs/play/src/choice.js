/* The choice of a digit: one of the digits in the page, or a drawing. */

import { byId, chosen, element } from "./elements.js";
import { drawPixels, SIDE } from "./pictures.js";
import { fitDigit } from "./fit_digit.js";
import { startPad } from "./pad.js";

/* Calls `changed` with { x, label }: the digit and its class, null for a drawing. */
export function startChoice(digits, labels, changed) {
  const form = byId("choice-form");
  const pad = startPad((drawing) => changed({ x: fitDigit(drawing), label: null }));
  const choose = () => {
    const i = Number(chosen(form, "digit"));
    changed({ x: digits[i], label: labels[i] });
  };
  const showClass = () => {
    offerDigits(digits, labels, Number(chosen(form, "class")));
    choose();
  };
  const showSource = () => {
    const drawn = chosen(form, "source") === "drawn";
    byId("drawn-digit").hidden = !drawn;
    byId("mnist-digits").hidden = drawn;
    if (drawn) changed({ x: fitDigit(pad.drawing), label: null });
    else choose();
  };
  offerClasses();
  const answers = { source: showSource, class: showClass, digit: choose };
  form.addEventListener("input", (event) => answers[event.target.name]?.());
  form.addEventListener("submit", (event) => event.preventDefault());
  showClass();
}

function offerClasses() {
  byId("class-choice").replaceChildren(
    ...Array.from({ length: 10 }, (_, c) => {
      const radio = element("input", { type: "radio", name: "class", value: c });
      radio.checked = c === 3;
      return element("label", {}, radio, ` ${c}`);
    }),
  );
}

function offerDigits(digits, labels, wanted) {
  const places = [...labels.keys()].filter((i) => labels[i] === wanted);
  byId("digit-choice").replaceChildren(
    ...places.map((i, n) => {
      const name = `digit ${i}, a ${wanted}`;
      const radio = element("input", {
        type: "radio",
        name: "digit",
        value: i,
        "aria-label": name,
      });
      radio.checked = n === 0;
      const canvas = element("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
      drawPixels(canvas, digits[i]);
      return element("label", { title: name }, radio, canvas);
    }),
  );
}
