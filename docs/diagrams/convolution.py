"""Draw how one 3 × 3 convolution runs: python docs/diagrams/convolution.py [FILE.svg]"""

import sys
from pathlib import Path

WIDTH, HEIGHT = 960, 730
INK, GREY, SHARED, OWN, PASS = "#1f2933", "#7b8794", "#e4e7eb", "#d7ebff", "#fff3c4"
STYLE = f"""
  text {{ font-family: Helvetica, Arial, "DejaVu Sans", sans-serif; font-size: 17px; fill: {INK} }}
  .small {{ font-size: 15px; fill: #52606d }}
  .bold {{ font-weight: bold }}
  .code {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 14.5px }}
"""


class Drawing:
    """SVG elements, in the order in which they are drawn."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, x: int, y: int, w: int, h: int, fill: str, line: str = INK, dash: str = ""
    ) -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3" fill="{fill}" '
            f'stroke="{line}"{dashes}/>'
        )

    def text(self, x: int, y: int, *lines: str, kind: str = "", anchor: str = "middle") -> None:
        for n, line in enumerate(lines):
            words = line.replace("&", "&amp;").replace("<", "&lt;")
            self.parts.append(
                f'<text x="{x}" y="{y + 19 * n}" text-anchor="{anchor}" class="{kind}" '
                f'xml:space="preserve">{words}</text>'
            )

    def line(self, x1: int, y1: int, x2: int, y2: int, color: str = INK) -> None:
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color}"/>')

    def arrow(self, x1: int, y1: int, x2: int, y2: int) -> None:
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1.5" '
            'marker-end="url(#head)"/>'
        )

    def image(self, x: int, y: int, rows: tuple[int, int]) -> None:
        """An image of 12 × 12 pixels, with some rows marked."""
        side = 10
        self.box(x, y, 12 * side, 12 * side, SHARED)
        first, count = rows
        self.box(x, y + first * side, 12 * side, count * side, OWN)
        for i in range(1, 12):
            self.line(x + i * side, y, x + i * side, y + 12 * side, "#cbd2d9")
            self.line(x, y + i * side, x + 12 * side, y + i * side, "#cbd2d9")

    def planes(self, x: int, y: int, w: int, h: int, fill: str, across: str, down: str) -> None:
        """A stack of 36 matrices, and what their sides count."""
        for back in (3, 2, 1, 0):
            self.box(x + 8 * back, y - 8 * back, w, h, fill)
        self.text(x + w // 2, y + h + 16, across, kind="small")
        self.text(x - 6, y + h // 2 + 4, down, kind="small", anchor="end")

    def svg(self) -> str:
        head = (
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{INK}"/>'
            "</marker></defs>"
        )
        body = "\n".join([head, f"<style>{STYLE}</style>", *self.parts])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
        )


def main() -> None:
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    to.write_text(draw().svg())


def draw() -> Drawing:
    d = Drawing()
    images(d)
    scratch(d)
    weights(d)
    loops(d)
    return d


def images(d: Drawing) -> None:
    """x on the left, y on the right: shared by all threads."""
    d.text(90, 84, "x", kind="bold")
    d.image(30, 94, (3, 6))
    d.text(
        90,
        234,
        "(N, H, W, in)",
        "a tile row: six rows,",
        "a tile of 6 × 6 every",
        "four pixels",
        kind="small",
    )
    d.text(870, 84, "y", kind="bold")
    d.image(810, 94, (4, 4))
    d.text(870, 234, "(N, H, W, out)", "four rows,", "tiles of 4 × 4", kind="small")


def scratch(d: Drawing) -> None:
    """What one thread works in."""
    d.box(185, 20, 590, 300, "#f5faff", "#9fb3c8", "6 4")
    d.text(
        480,
        42,
        "scratch of one thread, for one group of tile rows: stays in its L2 cache",
        kind="small",
    )
    d.arrow(152, 154, 212, 154)
    d.box(215, 104, 100, 100, OWN)
    d.text(265, 96, "Bᵀ d", kind="bold")
    d.text(265, 150, "columns of", "the tile row", kind="small")
    d.arrow(317, 154, 400, 154)
    d.text(356, 144, "rows", kind="small")
    d.planes(440, 104, 90, 110, OWN, "in", "tiles")
    d.text(485, 70, "V = Bᵀ d B", kind="bold")
    d.text(485, 158, "36 planes", kind="small")
    d.planes(640, 104, 90, 110, OWN, "out", "tiles")
    d.text(700, 70, "M", kind="bold")
    d.text(685, 158, "36 planes", kind="small")
    d.box(480, 262, 230, 34, PASS)
    d.text(595, 284, "M_f = V_f U_f,  f = 0 … 35", kind="bold")
    d.arrow(485, 234, 540, 260)
    d.arrow(650, 260, 685, 234)
    d.arrow(760, 154, 808, 154)
    d.text(790, 345, "AᵀM A + bias, then max(·, 0) with a ReLU", kind="small")
    d.line(790, 330, 790, 158, GREY)


def weights(d: Drawing) -> None:
    """g and U: made once for a call, read by all threads."""
    d.box(30, 410, 120, 70, SHARED)
    d.text(90, 402, "g", kind="bold")
    d.text(90, 442, "weights", "(3, 3, in, out)", kind="small")
    d.arrow(152, 445, 500, 445)
    d.text(310, 435, "U = G g Gᵀ, once for each call;", kind="small")
    d.text(310, 464, "kept when the network is folded", kind="small")
    d.planes(540, 400, 110, 80, SHARED, "out, in panels of two vectors", "in")
    d.text(595, 445, "36 planes", kind="small")
    d.text(700, 440, "U, read by", "all threads", kind="small", anchor="start")
    d.arrow(595, 374, 595, 299)


def loops(d: Drawing) -> None:
    """The order of the work."""
    d.box(30, 535, 900, 172, "#f9fafb", "#cbd2d9")
    work = {
        "for each group of tile rows of this thread": "V and M of a group fit the cache",
        "    for each tile row of the group": "six rows of x, two shared with the next",
        "        transform its tiles into V": "",
        "    for each of the 36 planes f": "U streams by once for each group",
        "        for each panel of outputs": "a panel of U_f stays in the L1 cache",
        "            for each block of 8 tiles (AVX-512)": "sums over `in` stay in registers",
        "                micro-kernel: M_f = V_f · U_f panel": "",
        "    for each tile of the group": "y is written once, with bias and ReLU",
    }
    lines = (f"{what:<49}{why}".rstrip() for what, why in work.items())
    d.text(45, 560, *lines, kind="code", anchor="start")


if __name__ == "__main__":
    main()
