#!/usr/bin/env python3
"""Draws src/paths.svg: one network of three cross-connected paths, and the routes that two inputs take through it.

A sketch of the idea; the gates below are made up. Run it again after a change: `python3 docs/picture.py`.
"""

from pathlib import Path

# Per input and per gap between layers, gates[i][j]: how much of source path i flows into target path j. Rows sum to 1.
INPUTS = {
    "input A": [
        [[0.75, 0.20, 0.05], [0.60, 0.30, 0.10], [0.15, 0.25, 0.60]],
        [[0.10, 0.85, 0.05], [0.25, 0.65, 0.10], [0.20, 0.50, 0.30]],
    ],
    "input B": [
        [[0.15, 0.15, 0.70], [0.10, 0.35, 0.55], [0.05, 0.15, 0.80]],
        [[0.45, 0.10, 0.45], [0.70, 0.20, 0.10], [0.80, 0.05, 0.15]],
    ],
}
LAYERS = ["stage 1", "stage 2", "stage 3"]
COLOURS = ["#2f6fb0", "#c8782a", "#3d8b57"]
INK, FAINT = "#26313b", "#66727d"

WIDTH, PANEL, TOP = 880, 176, 56
BOX_WIDTH, BOX_HEIGHT, ROW = 96, 34, 50
COLUMNS = [150, 380, 610]


def row(panel, path):
    """The vertical middle of a path's boxes."""
    return TOP + panel * PANEL + 28 + path * ROW


def text(x, y, content, size=14, colour=INK, anchor="middle", style="normal"):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-style="{style}">{content}</text>'
    )


def curve(x0, y0, x1, y1, width, colour, opacity):
    middle = (x0 + x1) / 2
    return (
        f'<path d="M{x0} {y0} C{middle} {y0} {middle} {y1} {x1} {y1}" fill="none" stroke="{colour}" '
        f'stroke-width="{width:.1f}" stroke-opacity="{opacity:.2f}"/>'
    )


def panel(index, name, gates):
    middle = row(index, 1)
    end = COLUMNS[-1] + BOX_WIDTH
    parts = [text(52, middle + 5, name)]
    for path, colour in enumerate(COLOURS):
        y = row(index, path)
        parts.append(curve(86, middle, COLUMNS[0], y, 2, FAINT, 0.6))
        parts.append(curve(end, y, end + 66, middle, 2, FAINT, 0.6))
        for gap, matrix in enumerate(gates):
            x0, x1 = COLUMNS[gap] + BOX_WIDTH, COLUMNS[gap + 1]
            for target, gate in enumerate(matrix[path]):
                parts.append(curve(x0, y, x1, row(index, target), 1 + 12 * gate, colour, 0.2 + 0.6 * gate))
    for x, layer in zip(COLUMNS, LAYERS):
        for path, colour in enumerate(COLOURS):
            y = row(index, path)
            parts.append(
                f'<rect x="{x}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" '
                f'fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
            )
            parts.append(text(x + BOX_WIDTH / 2, y + 5, layer, colour=colour))
    parts.append(text(end + 104, middle - 2, "mean of"))
    parts.append(text(end + 104, middle + 16, "the logits"))
    return parts


def main():
    height = TOP + PANEL * len(INPUTS) + 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" role="img">',
        "<title>Two inputs take different routes through one network of three paths</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#f7f8f9"/>',
        text(COLUMNS[0] + BOX_WIDTH / 2, 30, "three paths", 13, FAINT),
    ]
    for gap in range(len(COLUMNS) - 1):
        x = (COLUMNS[gap] + BOX_WIDTH + COLUMNS[gap + 1]) / 2
        parts.append(text(x, 24, "Y<tspan font-size='10' dy='3'>j</tspan><tspan dy='-3'> = Σ</tspan>"
                          "<tspan font-size='10' dy='3'>i</tspan><tspan dy='-3'> g</tspan>"
                          "<tspan font-size='10' dy='3'>ij</tspan><tspan dy='-3'> X</tspan>"
                          "<tspan font-size='10' dy='3'>i</tspan>", 15, INK, style="italic"))
        parts.append(text(x, 44, "a line's width is the gate", 12, FAINT))
    for index, (name, gates) in enumerate(INPUTS.items()):
        parts += panel(index, name, gates)
    y = TOP + PANEL - 4
    parts.append(f'<line x1="24" x2="{WIDTH - 24}" y1="{y}" y2="{y}" stroke="#d5dade"/>')
    parts.append("</svg>\n")
    (Path(__file__).parent / "src" / "paths.svg").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
