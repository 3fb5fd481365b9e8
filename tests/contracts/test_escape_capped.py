"""A withdrawal above the outflow cap is paid in parts, and the command says what is left to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from account_book import owner_of
from settlement_world import CLAIM_DELAY_S, HeaderFields, World
from trader_desk import served
from trees import fold_withdrawal_tree

from contracts.devchain.chain import funded_key
from contracts.escape_plan import Wishes
from contracts.escape_tool import Escape, show
from contracts.saved_proof import CertifiedHeader, SavedWithdrawal
from contracts.settlement import Settlement
from contracts.withdrawals_file import FiledWithdrawal

CAP, WITHDRAWN, FIRST_PART = 1_000, 2_600, 250
DAY_S = 86_400


@pytest.fixture
def capped() -> Iterator[World]:
    world = World(outflow_cap_quote=CAP)
    world.register_all()
    world.activate()
    yield world
    world.chain.close()


def make_withdrawal(world: World) -> SavedWithdrawal:
    """Certified by a checkpoint that is old enough."""
    row = FiledWithdrawal(0, 1, owner_of(5), world.contract.token_address, WITHDRAWN)
    root, siblings = fold_withdrawal_tree([row.leaf()], 0)
    world.deposit(WITHDRAWN)
    fields = world.consumed(HeaderFields(withdrawals_root=root, withdrawals_total=WITHDRAWN))
    world.post(fields)
    world.pass_time(CLAIM_DELAY_S)
    header = fields.encode()
    certified = CertifiedHeader(header, b"\x0f", world.sign(world.digest(header)))
    return SavedWithdrawal(0, row.owner, row.token, row.amount, siblings, certified)


def test_parts_add_up_and_each_run_tells_what_it_paid(
    capped: World, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    withdrawal = make_withdrawal(capped)
    wishes, owner = Wishes(withdrawals=[withdrawal]), withdrawal.owner
    with served(capped) as url:
        settlement = Settlement(url, capped.deployment.settlement, funded_key(7))
        (problem,) = Escape(settlement, wishes, is_refunding=False).run()
        assert "outflow cap admits no more; run this again later" in problem
        assert capsys.readouterr().out == f"paid 0.000{FIRST_PART} USDC to 0x{owner.hex()}\n"
        assert capped.contract.token_balance(owner) == FIRST_PART
        assert show(settlement, wishes) == 0
        assert f"would pay 0.00{WITHDRAWN - FIRST_PART} USDC" in capsys.readouterr().out
        runs = 1
        while problem is not None:
            capped.pass_time(DAY_S)
            problem, runs = next(iter(Escape(settlement, wishes, is_refunding=False).run()), None), runs + 1
    assert capped.contract.token_balance(owner) == WITHDRAWN and runs > 2
    assert not capped.contract.is_frozen()
