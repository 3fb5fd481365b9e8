"""The EIP-2537 precompiles for py-evm, backed by arkworks: far faster than py-evm's own, same gas and answers."""

from collections.abc import Callable
from typing import TypeVar

from eth.abc import ComputationAPI
from eth.exceptions import VMError
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES, PragueComputation
from eth.vm.forks.prague.state import PragueState
from py_arkworks_bls12381 import GT, G1Point, G2Point

FIELD_PRIME = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
G1ADD_GAS = 375
G2ADD_GAS = 600
MAP_FP_TO_G1_GAS = 5_500
MAP_FP2_TO_G2_GAS = 23_800
PAIRING_BASE_GAS = 37_700
PAIRING_PER_PAIR_GAS = 32_600

_G1_BYTES = 128
_G2_BYTES = 256
_PAIR_BYTES = _G1_BYTES + _G2_BYTES


def _coordinates(data: bytes) -> bytes:
    """64-byte field elements to 48-byte ones. Raises `VMError` for elements >= p."""
    elements = []
    for at in range(0, len(data), 64):
        if int.from_bytes(data[at : at + 64], "big") >= FIELD_PRIME:
            raise VMError("field element is not canonical")
        elements.append(data[at + 16 : at + 64])
    return b"".join(elements)


def _words(coordinates: bytes) -> bytes:
    """48-byte field elements to 64-byte ones."""
    return b"".join(bytes(16) + coordinates[at : at + 48] for at in range(0, len(coordinates), 48))


Point = TypeVar("Point", G1Point, G2Point)


def _point(decode: Callable[[bytes], Point], data: bytes) -> Point:
    try:
        return decode(_coordinates(data))
    except ValueError as error:
        raise VMError(str(error)) from error


def _take_input(computation: ComputationAPI, length: int, gas: int) -> bytes:
    data = computation.msg.data_as_bytes
    if len(data) != length:
        raise VMError(f"precompile input has {len(data)} bytes, not {length}")
    computation.consume_gas(gas, reason="EIP-2537")
    return data


# Additions check the curve only, pairings the subgroup too: EIP-2537.
def g1_add(computation: ComputationAPI) -> ComputationAPI:
    data = _take_input(computation, 2 * _G1_BYTES, G1ADD_GAS)
    left, right = (_point(G1Point.from_xy_bytes_unchecked_be, half) for half in (data[:_G1_BYTES], data[_G1_BYTES:]))
    computation.output = _words((left + right).to_xy_bytes_be())
    return computation


def g2_add(computation: ComputationAPI) -> ComputationAPI:
    data = _take_input(computation, 2 * _G2_BYTES, G2ADD_GAS)
    left, right = (_point(G2Point.from_xy_bytes_unchecked_be, half) for half in (data[:_G2_BYTES], data[_G2_BYTES:]))
    computation.output = _words((left + right).to_xy_bytes_be())
    return computation


def map_fp_to_g1(computation: ComputationAPI) -> ComputationAPI:
    data = _take_input(computation, 64, MAP_FP_TO_G1_GAS)
    computation.output = _words(_point(G1Point.map_from_fp_be, data).to_xy_bytes_be())
    return computation


def map_fp2_to_g2(computation: ComputationAPI) -> ComputationAPI:
    data = _take_input(computation, 128, MAP_FP2_TO_G2_GAS)
    computation.output = _words(_point(G2Point.map_from_fp2_be, data).to_xy_bytes_be())
    return computation


def pairing_check(computation: ComputationAPI) -> ComputationAPI:
    data = computation.msg.data_as_bytes
    if not data or len(data) % _PAIR_BYTES:
        raise VMError("pairing input is no sequence of pairs")
    pairs = [data[at : at + _PAIR_BYTES] for at in range(0, len(data), _PAIR_BYTES)]
    computation.consume_gas(PAIRING_BASE_GAS + PAIRING_PER_PAIR_GAS * len(pairs), reason="EIP-2537")
    lefts = [_point(G1Point.from_xy_bytes_be, pair[:_G1_BYTES]) for pair in pairs]
    rights = [_point(G2Point.from_xy_bytes_be, pair[_G1_BYTES:]) for pair in pairs]
    computation.output = int(GT.pairing_check(lefts, rights)).to_bytes(32, "big")
    return computation


def _address(number: int) -> bytes:
    return number.to_bytes(20, "big")


class FastComputation(PragueComputation):
    """Prague with fast curve operations; the multi-scalar multiplications, which we never use, stay py-evm's."""

    _precompiles = {  # noqa: RUF012 - py-evm declares it so
        **PRAGUE_PRECOMPILES,
        _address(0x0B): g1_add,
        _address(0x0D): g2_add,
        _address(0x0F): pairing_check,
        _address(0x10): map_fp_to_g1,
        _address(0x11): map_fp2_to_g2,
    }


class FastState(PragueState):
    computation_class = FastComputation


class FastVM(PragueVM):
    """The virtual machine of the development chain: Prague rules."""

    _state_class = FastState
