"""Every experiment of the ±ED-WTA paper (arXiv 2008.08750) on whole MNIST and Fashion-MNIST.

    python benchmarks/bench_paper_ed_wta.py [--quick] [--dataset mnist fashion] [--json FILE]
                                            [--pictures DIR]

IP-WTA, ED-WTA and ±ED-WTA are trained one sample at a time from the same kind of random start, over
numbers of neurons K and seeds, and compared:

- accuracy for equal K (paper_accuracy.png);
- the distance from their centres to the data, and whether the nearest image is of their class;
- how alike w⁺ and w⁻ of a neuron are;
- how the prototypes form (paper_formation.png);
- one neuron's sliding threshold during training, as BCM theory has it (paper_threshold.png);
- rejection of outliers: the AUROC for the other data set, and for noise;
- dead neurons, and what reviving them halfway through training changes.

Every network has learning rates chosen on training images held out, and with the authors' K also
the authors' rates, which they chose for ±ED-WTA. All are trained for 12 epochs, in which the rates
fall as far as in the authors' 49. The detection of attacked images is a benchmark of its own.

Rows are written to FILE one after another, the most needed first; an interrupted run goes on there
when it is started again. Each table says how many seeds it has.
"""

from pathlib import Path

from common import argument_parser, known_rows, report, write_rows
from paper_ed_wta import DATA, figures, runs, tables

from tinyproto.evaluation.command import run_command


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--dataset", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="also draw the pictures here")
    chosen = parser.parse_args()
    found = {name: runs.load_images(name, chosen.data) for name in DATA}
    whole = all(images.complete for images in found.values())
    about = {"quick": chosen.quick, "whole data": whole}
    rows = known_rows(chosen.json, about)
    for run in runs.plan(chosen.dataset, chosen.quick):
        if any(run._asdict().items() <= row.items() for row in rows):
            continue
        rows.append(runs.measure(run, found[run.data], runs.outlier_images(found, run.data)))
        print(*run, f"{rows[-1]['test accuracy %']:.2f} %", flush=True)
        write_rows(rows, chosen.json, about=about)
    for name in chosen.dataset:
        if not any(row["data"] == name and "test image distance" in row for row in rows):
            distance = runs.test_image_distance(found[name])
            rows.append({"data": name, "test image distance": distance})
            write_rows(rows, chosen.json, about=about)
    for title, table in tables.everything(rows).items():
        print(f"\n{title}")
        report(table, None)
    if chosen.pictures is not None:
        figures.draw(rows, found, chosen.pictures)


if __name__ == "__main__":
    run_command(main)
