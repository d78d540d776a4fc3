/* node node.mjs FOLDER_OF_SOURCES < questions > answers: answer.js, with the page's modules. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";

const folder = pathToFileURL(`${process.argv[2]}/`);
for (const name of ["decode", "fit_digit", "network", "radius", "small_systems", "truth"]) {
  Object.assign(globalThis, await import(new URL(`${name}.js`, folder)));
}
runInThisContext(readFileSync(new URL("answer.js", import.meta.url), "utf8"));
const questions = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(questions.map(answer)));
