"""Compiles, or loads from the cache, all kernels that a block or a question may need, before a vote could wait for it.

`engine.warm` knows what every block does; here are the rare things: a listing of the governor, a halt, a question about
volatilities or about a margin.
"""

from engine import simulate
from engine.apply import BatchInput, BlockInput, execute
from engine.commands import ALL_MARKETS, LIST, SET_PHASE, Action, Command
from engine.intake import decode_batch
from engine.params import DEFAULT_MARKETS, KINDS, ExchangeParams
from engine.state import genesis
from engine.tables import MODE_PORTFOLIO, PHASE_CANCEL_ONLY, PHASE_POST_ONLY
from engine.warm import warm
from validator.surfaces import warm_surfaces

GOVERNOR = bytes([1]) * 20
EXPIRY_MS, STRIKE_E8 = 7_200_000, 50_000 * 10**8


def warm_everything() -> None:
    """Half a minute when the cache is empty."""
    warm()
    warm_surfaces()
    warm_governance()
    warm_simulation()


def warm_simulation() -> None:
    """What a question about a margin in another case needs, for a portfolio that is empty."""
    state = genesis(ExchangeParams(DEFAULT_MARKETS, bytes(20), 1, 1, bytes(20)), 1)
    simulate.simulate(state.tables, simulate.Holdings(0, {}, {}, 0, MODE_PORTFOLIO))


def warm_governance() -> list[int]:
    """One block in which a governor lists an option, sets its phase and halts a small exchange; the codes."""
    actions = (
        Action(LIST, side=KINDS.index("call"), good_till_ms=EXPIRY_MS, price_ticks=STRIKE_E8, display_lots=1_000),
        Action(SET_PHASE, market=len(DEFAULT_MARKETS), side=PHASE_POST_ONLY),
        Action(SET_PHASE, market=ALL_MARKETS, side=PHASE_CANCEL_ONLY),
    )
    messages, rows = decode_batch(Command(GOVERNOR, 1, 10**9, actions).encode())
    batch = BatchInput(0, 1, messages, rows, messages["owner"].copy())
    state = genesis(ExchangeParams(DEFAULT_MARKETS, bytes(20), 1, 1, bytes(20), governor=GOVERNOR), 1)
    _, result = execute(state, BlockInput(1, 1_000, bytes(32), (), (), 0, (batch,)))
    codes: list[int] = result.receipts["code"].tolist()
    return codes
