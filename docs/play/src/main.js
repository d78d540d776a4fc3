/* Starts both parts of the page. */

import { makeNetwork } from "./network.js";
import { float16Rows, pixelRows } from "./decode.js";
import { SIDE } from "./pictures.js";
import { byId } from "./elements.js";
import { startPlane } from "./plane.js";
import { startDecision } from "./decision.js";
import { startAttackPanel } from "./attack_panel.js";
import { startChoice } from "./choice.js";

function start() {
  const data = JSON.parse(byId("data").textContent);
  const pixels = SIDE * SIDE;
  const [positive, negative] = [data.positive, data.negative].map((part) =>
    float16Rows(part, pixels),
  );
  const network = makeNetwork(positive, negative, data.beta, data.perClass);
  const showDecision = startDecision(network);
  const takeDigit = startAttackPanel(network);
  startPlane();
  startChoice(pixelRows(data.digits, pixels), data.labels, (digit) => {
    showDecision(digit);
    takeDigit(digit);
  });
}

start();
