"""What traders of the campaigns send: one list of messages, the same in every run, signed once a process."""

import random
from functools import lru_cache

from coincurve import PrivateKey

from engine.commands import BUY, CANCEL_ALL, IMMEDIATE_OR_CANCEL, PLACE, SELL, WITHDRAW, Command, address_of
from engine.state import EngineState
from testnet.sim.exchange import EXPIRY_MS, PRICE_TICKS, SEPARATOR

TRADERS = 4
MESSAGES_OF_A_TRADER = 60
DEPOSIT_QUOTE = 100_000 * 10**6


class Script:
    """The list, over and over: after its end it is what nodes refuse."""

    def __init__(self) -> None:
        self._sent = 0

    def deposits(self) -> list[tuple[bytes, int]]:
        """Owner and quote, before anything else happens."""
        return [(owner, DEPOSIT_QUOTE) for _, owner in traders()]

    def next_message(self, _state: EngineState, _feeds_e8: list[int]) -> tuple[bytes, bytes]:
        """Record and signer."""
        messages = signed_messages()
        self._sent += 1
        return messages[(self._sent - 1) % len(messages)]


@lru_cache(maxsize=1)
def traders() -> tuple[tuple[PrivateKey, bytes], ...]:
    """Private key and address of each."""
    keys = [PrivateKey(bytes([101 + number]) * 32) for number in range(TRADERS)]
    return tuple((key, address_of(key.public_key)) for key in keys)


@lru_cache(maxsize=1)
def signed_messages() -> tuple[tuple[bytes, bytes], ...]:
    """What traders send, in this order in every run: record and signer. Signing costs more than all the rest of a
    simulated trader, so it is done once a process.
    """
    rng = random.Random(20_240)
    messages = []
    for nonce in range(1, MESSAGES_OF_A_TRADER + 1):
        for key, owner in traders():
            command = draw_command(rng, owner, nonce).signed(key, SEPARATOR)
            messages.append((command.encode(), owner))
    return tuple(messages)


def draw_command(rng: random.Random, owner: bytes, nonce: int) -> Command:
    draw = rng.random()
    market = rng.randrange(2)
    if draw < 0.06:
        return Command.of(CANCEL_ALL, owner, nonce, EXPIRY_MS, market=market)
    if draw < 0.12:
        return Command.of(WITHDRAW, owner, nonce, EXPIRY_MS, size_lots=rng.randint(1, 10**7))
    return Command.of(
        PLACE, owner, nonce, EXPIRY_MS, market=market, side=rng.choice((BUY, SELL)), size_lots=rng.randint(1, 50),
        price_ticks=PRICE_TICKS[market] + rng.randint(-40, 40) * 10, client_id=nonce,
        time_in_force=IMMEDIATE_OR_CANCEL if rng.random() < 0.2 else 0,
    )  # fmt: skip
