"""Draws docs/sharing.svg: stage s2 of examples/nets/digits.ksn, unshared beside shared.

    python docs/sharing.py > docs/sharing.svg
"""

COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2"]
LAYERS = [f"s2[{block}].conv{layer}" for block in range(3) for layer in (1, 2)]
WIDTH, HEIGHT, TOP, STEP = 880, 480, 92, 50


def text(x, y, content, size=14, anchor="middle", weight="normal", colour="#222"):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{colour}">{content}</text>'
    )


def kernel(x, y, size, colour):
    """A 3x3 kernel whose top left corner is at (x, y)."""
    cell = size / 3
    squares = [
        f'<rect x="{x + column * cell:g}" y="{y + row * cell:g}" width="{cell:g}" height="{cell:g}"/>'
        for row in range(3)
        for column in range(3)
    ]
    return f'<g fill="{colour}" stroke="white" stroke-width="1.5">{"".join(squares)}</g>'


def panel(x, title, kernels, notes):
    """A column of layers; `kernels` are the layers of each kernel."""
    parts = [text(x + 190, 42, title, 20, weight="bold")]
    for block in range(3):
        y = TOP + 2 * block * STEP - 8
        parts.append(f'<rect x="{x}" y="{y}" width="168" height="{2 * STEP - 6}" rx="8" fill="#f0f2f5"/>')
    for colour, visits in zip(COLOURS, kernels):
        size, shape = 34, "32x16x3x3" if 0 in visits else "32x32x3x3"
        centre = TOP + 17 + sum(visits) / len(visits) * STEP
        for visit in visits:
            y = TOP + visit * STEP + 17
            parts.append(
                f'<path d="M {x + 156} {y} C {x + 210} {y}, {x + 210} {centre:g}, {x + 268} {centre:g}" '
                f'fill="none" stroke="{colour}" stroke-width="2.5"/>'
            )
            parts.append(f'<rect x="{x + 12}" y="{y - 17}" width="144" height="34" rx="5" fill="white" stroke="{colour}" stroke-width="2"/>')
            parts.append(text(x + 84, y + 5, LAYERS[visit]))
        parts.append(kernel(x + 268, centre - size / 2, size, colour))
        parts.append(text(x + 310, f"{centre + 4:g}", shape, 11, anchor="start", colour="#666"))
    for line, (note, weight) in enumerate(notes):
        parts.append(text(x + 190, 430 + 24 * line, note, weight=weight))
    return parts


def main():
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="Helvetica, Arial, sans-serif">')
    print("<title>A stage of six convolutions with six kernels, and with two</title>")
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="white"/>')
    unshared = [("Stage s2: 6 kernels, 50,688 parameters", "bold"), ("Whole network: 280,250 parameters", "normal")]
    shared = [("Stage s2: 2 kernels, 13,824 parameters", "bold"), ("Whole network: 84,410 parameters", "normal")]
    print("\n".join(panel(40, "Unshared", [[layer] for layer in range(6)], unshared)))
    print("\n".join(panel(470, "share isomorphic conv in s2", [[0], [1, 2, 3, 4, 5]], shared)))
    print("</svg>")


if __name__ == "__main__":
    main()
