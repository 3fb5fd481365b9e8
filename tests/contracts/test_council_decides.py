"""What the council decides comes into force in the real custody, after the exit window, and nothing else does."""

from dataclasses import replace

import pytest
from eth_utils import to_checksum_address
from settlement_world import TRADER, HeaderFields, World
from vyper_sources import deploy_source

from contracts.council import Council, Kind
from contracts.deployment import OUTFLOW_CAP_QUOTE, CollateralToken
from contracts.devchain.chain import funded_key
from contracts.records import Refused

NOBODY = bytes(20)
QUORUM = (0, 1, 2)


def council(world: World, seat: int) -> Council:
    return Council(world.provider, world.contract.council(), funded_key(seat))


def decide(world: World, kind: Kind, target: bytes, setting: int) -> None:
    """Proposed, approved by three operators of four, executed by a stranger when the exit window is over."""
    number = council(world, 0).propose(0, kind, target, setting)
    for seat in QUORUM[1:]:
        council(world, seat).approve(seat, number)
    with pytest.raises(Refused, match="council: exit window is open"):
        council(world, 9).execute(number)
    world.pass_time(council(world, 0).exit_window_s())
    council(world, 9).execute(number)


def test_a_newer_engine_is_admitted_and_its_first_header_ends_the_old_one(world: World) -> None:
    old = HeaderFields(height=1)
    with pytest.raises(Refused, match="checkpoint: engine not active"):
        world.post(replace(old, engine_version=2))
    decide(world, Kind.ENGINE_VERSION, NOBODY, 2)
    world.post(old)
    world.post(replace(old, height=2, engine_version=2))
    for version in (1, 3):
        with pytest.raises(Refused, match="checkpoint: engine not active"):
            world.post(replace(old, height=3, engine_version=version))
    with pytest.raises(Refused, match="council: engine version out of bounds"):
        council(world, 0).propose(0, Kind.ENGINE_VERSION, NOBODY, 2)


def test_an_outflow_cap_moves_by_half_or_double(world: World) -> None:
    token = world.contract.token_address
    decide(world, Kind.OUTFLOW_CAP, token, 2 * OUTFLOW_CAP_QUOTE)
    assert world.contract.payouts().outflow_cap(token) == 2 * OUTFLOW_CAP_QUOTE
    assert council(world, 0).cap_floor(token) == OUTFLOW_CAP_QUOTE // 16
    with pytest.raises(Refused, match="council: cap changes too much"):
        council(world, 0).propose(0, Kind.OUTFLOW_CAP, token, OUTFLOW_CAP_QUOTE - 1)


def test_a_new_collateral_is_taken_from_then_on(world: World) -> None:
    coin = deploy_source(world.provider, funded_key(0), "HostileToken")
    token = bytes.fromhex(coin.address[2:])
    world.contract._link.send(coin.functions.mint(to_checksum_address(world.contract.sender), 500))
    with pytest.raises(Refused):
        world.contract.deposit(TRADER, 0, 500, token)
    decide(world, Kind.ADD_TOKEN, token, CollateralToken(coin.address, 3, 10, 1_000).setting())
    world.contract.deposit(TRADER, 0, 500, token)
    assert world.contract.payouts().outflow_cap(token) == 1_000
    assert world.contract.token_balance(world.contract.address_bytes, token) == 500
    with pytest.raises(Refused, match="council: already a collateral token"):
        council(world, 0).propose(0, Kind.ADD_TOKEN, token, CollateralToken(coin.address, 3, 10, 1_000).setting())


def test_a_new_collateral_without_a_lot_never_comes(world: World) -> None:
    coin = deploy_source(world.provider, funded_key(0), "HostileToken")
    number = council(world, 0).propose(0, Kind.ADD_TOKEN, bytes.fromhex(coin.address[2:]), 1_000)
    for seat in QUORUM[1:]:
        council(world, seat).approve(seat, number)
    world.pass_time(council(world, 0).exit_window_s())
    with pytest.raises(Refused, match="outflow: setting"):
        council(world, 9).execute(number)
