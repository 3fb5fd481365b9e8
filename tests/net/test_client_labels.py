"""Labels as text: which number stands for which."""

import pytest

from net.client.labels import LABEL_CHARACTERS_MAX, number_label


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("", 0), (0, 0), (7, 7), ("7", 7), (2**63 - 1, 2**63 - 1), (str(2**63 - 1), 2**63 - 1),
        # Keccak-256 of "abc" begins so.
        ("abc", 0x4E03657AEA45A94F),
    ],
)  # fmt: skip
def test_the_number_of_a_label(label: str | int, number: int) -> None:
    assert number_label(label) == number


def test_texts_that_look_like_numbers_but_are_none() -> None:
    texts = ["007", "0", "٧", "-7", "7 ", str(2**63), "1" * LABEL_CHARACTERS_MAX, "é" * LABEL_CHARACTERS_MAX]
    numbers = [number_label(text) for text in texts]
    assert len(set(numbers)) == len(texts) and all(10 < number < 2**63 for number in numbers)


@pytest.mark.parametrize("label", [-1, 2**63, "x" * (LABEL_CHARACTERS_MAX + 1)])
def test_what_is_no_label(label: str | int) -> None:
    with pytest.raises(ValueError, match="label"):
        number_label(label)
