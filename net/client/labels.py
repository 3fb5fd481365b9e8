"""Labels as text. The node knows an order's label as the signed number `clientId`, 1 to 2^63 - 1, 0 for none; this is
the number of a text, the same in the SDK, in the gateway on a trader's machine and in the ccxt class.

Digits stay the number that they are, so that a label that the node answers means itself. Any other text is named by the
first eight bytes of its Keccak-256, the top bit cleared: nobody can read it back, so who wants the text keeps it.
"""

from engine.commands import keccak

LABEL_CHARACTERS_MAX = 64
_NUMBER_END = 1 << 63


def number_label(label: str | int) -> int:
    """The number that is signed. Raises `ValueError` for a number out of range and for a text that is too long."""
    if isinstance(label, int):
        if not 0 <= label < _NUMBER_END:
            raise ValueError(f"label {label} is no number from 0 to 2^63 - 1: take another, or text")
        return label
    if len(label) > LABEL_CHARACTERS_MAX:
        raise ValueError(f"a label of {len(label)} characters: at most {LABEL_CHARACTERS_MAX}")
    if not label:
        return 0
    # "007" is another label than "7", so only what the number prints as is the number.
    if label.isascii() and label.isdigit() and label[0] != "0" and int(label) < _NUMBER_END:
        return int(label)
    return int.from_bytes(keccak(label.encode())[:8], "big") % _NUMBER_END
