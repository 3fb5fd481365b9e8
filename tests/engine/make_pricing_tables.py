"""Writes the polynomial tables of integer pricing: `python -m tests.engine.make_pricing_tables` prints their digest.

Every table cuts its range into equal pieces centred on nodes. In a piece the function is a polynomial of t, the
distance from the node in piece widths (-1/2 <= t < 1/2), through the Chebyshev points of the piece, computed with 60
digits. The texts are consensus constants: whoever changes one changes every price.
"""

import hashlib
import textwrap
from collections.abc import Callable
from pathlib import Path

from mpmath import mp, mpf

from engine import pricing_tables

FOLDER = Path(pricing_tables.__file__).parent
DIGITS = 60
Function = Callable[[mpf], mpf]


def chebyshev_points(degree: int) -> list[mpf]:
    """Where the interpolating polynomial of a piece meets the function."""
    return [mp.cos(mp.pi * (2 * index + 1) / (2 * degree + 2)) / 2 for index in range(degree + 1)]


def inverse_vandermonde(points: list[mpf]) -> mp.matrix:
    return mp.matrix([[point**power for power in range(len(points))] for point in points]) ** -1


def piece_coefficients(function: Function, pieces: int, scale: int, degree: int) -> list[list[mpf]]:
    """One row of coefficients (constant first) for each node index / scale, index from 0 to pieces - 1."""
    points = chebyshev_points(degree)
    solve = inverse_vandermonde(points)
    rows = []
    for index in range(pieces):
        values = mp.matrix([function((index + point) / mpf(scale)) for point in points])
        rows.append(list(solve * values))
    return rows


def to_fixed(value: mpf, bits: int) -> int:
    return int(mp.nint(value * mpf(2) ** bits))


def fixed_rows(function: Function, pieces: int, scale: int, bits: int) -> list[list[int]]:
    rows = piece_coefficients(function, pieces, scale, 7)
    return [[to_fixed(value, bits) for value in row] for row in rows]


def logarithm_rows() -> list[list[int]]:
    """ln(1 + u): six coefficients in Q69, then the constant as a Q57 floor and what is left of it in Q69."""
    rows = []
    for row in piece_coefficients(lambda u: mp.log(1 + u), 129, 128, 6):
        constant = to_fixed(row[0], 69)
        rows.append([constant >> 12, *(to_fixed(value, 69) for value in row[1:]), constant & 4095])
    return rows


def make_tables() -> dict[str, list[list[int]]]:
    with mp.workdps(DIGITS):
        return {
            "LOGARITHM": logarithm_rows(),
            "RECIPROCAL": fixed_rows(lambda u: 1 / (1 + u), 65, 64, 62),
            "EXPONENTIAL": fixed_rows(lambda u: mpf(2) ** (u - 1), 65, 64, 62),
            "ROOT": fixed_rows(lambda u: 1 / mp.sqrt(1 + u), 193, 64, 62),
            "DISTRIBUTION": fixed_rows(mp.ncdf, 146, 16, 62),
            "DENSITY": fixed_rows(mp.npdf, 146, 16, 62),
        }


def table_text(rows: list[list[int]]) -> str:
    return textwrap.fill(" ".join(str(number) for row in rows for number in row), 118)


def module_text(header: str, tables: dict[str, list[list[int]]], names: tuple[str, ...]) -> str:
    parts = [f'"""{header}\n\nWritten by `tests/engine/make_pricing_tables.py`; see there for how.\n"""\n']
    parts += [f'\n{name} = """\n{table_text(tables[name])}\n"""\n' for name in names]
    return "".join(parts)


FILES = {
    "pricing_tables_elementary.py": (
        "Coefficients of ln, 1/x, 2**x and 1/sqrt(x), row after row, eight numbers each.",
        ("LOGARITHM", "RECIPROCAL", "EXPONENTIAL", "ROOT"),
    ),
    "pricing_tables_normal.py": (
        "Coefficients of the normal distribution and its density, row after row, eight numbers each.",
        ("DISTRIBUTION", "DENSITY"),
    ),
}


def main() -> None:
    tables = make_tables()
    for name, (header, names) in FILES.items():
        (FOLDER / name).write_text(module_text(header, tables, names))
    numbers = b"".join(
        number.to_bytes(8, "little", signed=True) for rows in tables.values() for row in rows for number in row
    )
    print(hashlib.sha256(numbers).hexdigest())


if __name__ == "__main__":
    main()
