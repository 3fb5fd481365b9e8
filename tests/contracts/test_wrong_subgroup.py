"""Points on the curve and not in the group: pairings with them can lie, so they sign nothing and register nothing."""

import pytest
from py_ecc.bls.point_compression import modular_squareroot_in_FQ2
from py_ecc.optimized_bls12_381 import FQ, FQ2, b, b2, curve_order, field_modulus, is_inf, is_on_curve, multiply
from settlement_world import HeaderFields, World

from contracts.devchain.chain import funded_key
from contracts.records import Refused
from contracts.registry import Registry

Words = list[bytes]


def split(*coordinates: int) -> Words:
    """Coordinates in the layout of EIP-2537: 64 bytes each."""
    data = b"".join(coordinate.to_bytes(64, "big") for coordinate in coordinates)
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def signature_outside_the_group() -> Words:
    for x in range(1, 100):
        at = FQ2([x, 1])
        y = modular_squareroot_in_FQ2(at * at * at + b2)
        if y is not None:
            point = (at, y, FQ2.one())
            assert is_on_curve(point, b2)
            assert not is_inf(multiply(point, curve_order))
            return split(*(int(part) for part in (*at.coeffs, *y.coeffs)))
    raise AssertionError("no point found")


def key_outside_the_group() -> Words:
    for x in range(1, 100):
        square = FQ(x) ** 3 + b
        y = square ** ((field_modulus + 1) // 4)
        if y * y == square:
            point = (FQ(x), y, FQ.one())
            assert is_on_curve(point, b)
            assert not is_inf(multiply(point, curve_order))
            return split(x, int(y))
    raise AssertionError("no point found")


def test_a_signature_outside_the_group_is_none(world: World) -> None:
    header = HeaderFields(height=1).encode()
    words = [header[at : at + 32] for at in range(0, len(header), 32)]
    with pytest.raises(Refused, match="checkpoint: signature"):
        world.contract._send("checkpoint", words, b"", signature_outside_the_group())


def test_a_key_outside_the_group_does_not_register(open_world: World) -> None:
    registry = Registry(open_world.provider, open_world.deployment.registry, funded_key(0))
    with pytest.raises(Refused, match="register: possession not proven"):
        registry._send("register", key_outside_the_group(), signature_outside_the_group(), b"\x01" * 32)
