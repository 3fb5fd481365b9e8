"""Two pictures as plain SVG, drawn with whole numbers: PnL by scenario, and equity against margin over the steps."""

from collections.abc import Sequence

from testnet.worked_session.desk import USD

WIDTH, HEIGHT = 860, 340
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 40, 70
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#444}.t{font-size:14px;fill:#222}.a{stroke:#bbb}"
    ".e{stroke:#1a66b3;fill:#1a66b3}.i{stroke:#c98a00;fill:#c98a00}.m{stroke:#b8322a;fill:#b8322a}"
    ".b{fill:#8fb3d9}.w{fill:#b8322a}polyline{fill:none!important;stroke-width:2}</style>"
)


def _nice_step(span: int) -> int:
    """A round distance that divides a span into four to ten parts."""
    step = 1
    while span > 8 * step:
        step *= 5 if str(step)[0] in "1" and span > 20 * step else 2
    return step


def _axis(low_usd: int, high_usd: int) -> tuple[list[str], int, int]:
    """Horizontal lines with labels; returns them with the range they span."""
    step = _nice_step(max(high_usd - low_usd, 1))
    bottom_usd, top_usd = low_usd // step * step, -(-high_usd // step) * step
    lines = []
    for value_usd in range(bottom_usd, top_usd + 1, step):
        y = _y(value_usd, bottom_usd, top_usd)
        lines.append(f'<line class="a" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value_usd:,}</text>')
    return lines, bottom_usd, top_usd


def _y(value_usd: int, bottom_usd: int, top_usd: int) -> int:
    return TOP + (top_usd - value_usd) * (HEIGHT - TOP - BOTTOM) // max(top_usd - bottom_usd, 1)


def _frame(title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n<title>{title}</title>\n'
    )
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n<text class="t" x="{LEFT}" y="22">{title}</text>\n'
    return head + _STYLE + "\n" + back + "\n".join(parts) + "\n</svg>\n"


def draw_scenarios(title: str, vector: Sequence[int], worst: int) -> str:
    """A bar for each scenario, the worst in red."""
    values_usd = [number // USD for number in vector]
    parts, bottom_usd, top_usd = _axis(min(0, *values_usd), max(0, *values_usd))
    slot = (WIDTH - LEFT - RIGHT) // len(vector)
    zero = _y(0, bottom_usd, top_usd)
    for number, value_usd in enumerate(values_usd):
        x, y = LEFT + number * slot, _y(value_usd, bottom_usd, top_usd)
        kind = "w" if number == worst else "b"
        parts.append(
            f'<rect class="{kind}" x="{x + 2}" y="{min(y, zero)}" width="{slot - 4}" height="{max(abs(y - zero), 1)}"/>'
        )
        parts.append(f'<text x="{x + slot // 2}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number}</text>')
    parts.append(
        f'<text x="{LEFT}" y="{HEIGHT - 20}">USD by number of scenario; the worst is red; 33 is the basis</text>'
    )
    return _frame(title, parts)


def draw_margins(title: str, names: Sequence[str], lines: Sequence[tuple[str, str, Sequence[int]]]) -> str:
    """Lines over the steps: (class, label, quote by step)."""
    values_usd = [[number // USD for number in values] for _, _, values in lines]
    parts, bottom_usd, top_usd = _axis(min(0, *map(min, values_usd)), max(map(max, values_usd)))
    slot = (WIDTH - LEFT - RIGHT) // len(names)
    for at, name in enumerate(names):
        middle = LEFT + at * slot + slot // 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{name}</text>')
    for number, ((kind, label, _), own_usd) in enumerate(zip(lines, values_usd)):
        points = " ".join(
            f"{LEFT + at * slot + slot // 2},{_y(value_usd, bottom_usd, top_usd)}"
            for at, value_usd in enumerate(own_usd)
        )
        parts.append(f'<polyline class="{kind}" points="{points}"/>')
        x = LEFT + 200 * number
        parts.append(f'<rect class="{kind}" x="{x}" y="{HEIGHT - 30}" width="12" height="12"/>')
        parts.append(f'<text x="{x + 18}" y="{HEIGHT - 20}">{label}</text>')
    return _frame(title, parts)
