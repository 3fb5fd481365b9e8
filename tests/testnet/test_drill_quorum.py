"""`make drill-quorum`: what it finds, and that it would find what it looks for."""

from dataclasses import replace

from testnet import drill_quorum
from testnet.drill_quorum import HONEST, LOOT_UNITS, VICTIMS, Finding, refused
from testnet.quorum.exchange import OUTFLOW_CAP_QUOTE, QUORUM, Exchange


def test_three_stolen_keys_of_four_get_one_cap_at_most() -> None:
    findings, loot = drill_quorum.run_drill()
    assert [known for known in findings if not known.is_held] == []
    assert {known.part for known in findings} == {
        "signed, and wrong", "two blocks at one height", "paused, and leaving", "operators bought, too",
        "solvent, and stealing",
    }  # fmt: skip
    assert loot is not None
    assert 0 < loot.taken_units <= OUTFLOW_CAP_QUOTE < loot.signed_away_units == LOOT_UNITS


def test_what_is_accepted_is_no_guard() -> None:
    """An honest header, presented to the drill as a lie."""
    exchange = Exchange()
    try:
        for victim in VICTIMS:
            exchange.deposit(victim, drill_quorum.DEPOSIT_UNITS)
        exchange.post(HONEST)
        finding = refused("", "honest", "anything", lambda: exchange.post(replace(HONEST, height=2), QUORUM))
        assert finding == Finding("", "honest", "ACCEPTED", False)
        assert not refused("", "for another reason", "too much debt", lambda: exchange.post(HONEST)).is_held
    finally:
        exchange.close()
