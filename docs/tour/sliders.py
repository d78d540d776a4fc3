"""Sliders over the rows of a search: what was measured for the values that they are set to."""

import json
from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import Any

Row = Mapping[str, Any]

PAGE = Template("""
<style>
.sliders { max-width: 26rem; }
.sliders label, .sliders .bar { align-items: center; display: grid; gap: 0.6rem; }
.sliders label, .sliders .bar { grid-template-columns: 4rem 1fr 4.5rem; }
.sliders .bar i { display: block; height: 0.9rem; background: #0072B2; }
.sliders output, .sliders b { text-align: right; font-weight: normal; }
</style>
<div class="sliders" id="$name">
$labels
<p role="status"></p>
$bars
</div>
<script>
(() => {
  const { values, rows } = $data;
  const box = document.getElementById("$name");
  const inputs = [...box.querySelectorAll("input")];
  const show = () => {
    const chosen = inputs.map((input, i) => values[i][input.value]);
    inputs.forEach((input, i) => {
      input.nextElementSibling.value = chosen[i];
      input.setAttribute("aria-valuetext", chosen[i]);
    });
    const found = rows[chosen.join(" ")];
    box.querySelector("p").textContent = found ? "" : "Nothing was trained with both.";
    box.querySelectorAll(".bar").forEach((bar, i) => {
      bar.children[1].style.width = (found ? found[i] : 0) + "%";
      bar.children[2].textContent = found ? found[i].toFixed(1) + " %" : "";
    });
  };
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
})();
</script>
""")


def sliders(
    rows: Sequence[Row],
    settings: Mapping[str, tuple[str, float]],
    figures: Mapping[str, Callable[[Row], float]],
) -> str:
    """HTML with a slider for each of some settings, and a bar for each figure.

    Parameters
    ----------
    rows : sequence of dict
        Each has its "row", the settings in which it differs from the base, such as
        "adversarial-weight-2+consistency-weight-1", and its "settings". Those are shown that differ
        in settings of the sliders alone.
    settings : dict of str to (str, float)
        What each setting is called, and the value that its slider begins at.
    figures : dict of str to callable
        Percentages of a row, by name.
    """
    changed = {name.replace("_", "-") for name in settings}
    shown = [
        row for row in rows
        if row["row"] == "base" or {c.rpartition("-")[0] for c in row["row"].split("+")} <= changed
    ]  # fmt: skip
    values = [sorted({row["settings"][name] for row in shown}) for name in settings]
    measured = {
        " ".join(f"{row['settings'][name]:g}" for name in settings): [
            of(row) for of in figures.values()
        ]
        for row in shown
    }
    labels = [
        f'<label>{called} <input type="range" min="0" max="{len(of) - 1}" '
        f'value="{of.index(start)}"> <output></output></label>'
        for (called, start), of in zip(settings.values(), values, strict=True)
    ]
    bars = [f'<div class="bar"><span>{name}</span><i></i><b></b></div>' for name in figures]
    written = [[f"{value:g}" for value in of] for of in values]
    return PAGE.substitute(
        name="sliders-" + "-".join(sorted(changed)),
        labels="\n".join(labels),
        bars="\n".join(bars),
        data=json.dumps({"values": written, "rows": measured}),
    )
