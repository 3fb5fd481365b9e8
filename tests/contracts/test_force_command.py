"""`hansa force`: an owner with a key file and an endpoint acts, with no node anywhere."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account
from settlement_world import FORCE_DEADLINE_S, HeaderFields, World
from trader_desk import served

from contracts import digests
from contracts.devchain.chain import funded_key
from contracts.records import InboxRecord
from validator.force_command import app

SESSION = "0x" + "6b" * 20
OWNER = bytes.fromhex(Account.from_key(funded_key(5)).address[2:])
NOBODY = bytes(20)


@dataclass
class Desk:
    """Runs the command; `answer` is its JSON, `said` what it told people."""

    world: World
    where: list[str]
    key: Path
    capsys: pytest.CaptureFixture[str]
    answer: dict[str, object] | None = None
    said: str = ""

    def run(self, *arguments: str, needs_key: bool = True) -> int:
        self.capsys.readouterr()
        try:
            status = app([*arguments, *self.where, *(["--key", str(self.key)] if needs_key else [])])
        except SystemExit as ended:
            status = int(ended.code or 0)
        shown = self.capsys.readouterr()
        self.answer = json.loads(shown.out) if shown.out.startswith("{") else None
        self.said = shown.err + shown.out
        return int(status or 0)

    def newest(self) -> InboxRecord:
        return self.world.contract.inbox_entries(0, 100, self.world.contract.latest_block())[-1]


@pytest.fixture
def desk(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    key = tmp_path / "owner.key"
    key.write_text("0x" + funded_key(5).hex() + "\n")
    with served(world) as url:
        yield Desk(world, ["--rpc", url, "--contract", world.deployment.settlement], key, capsys)


@pytest.mark.parametrize(
    ("arguments", "kind", "amount", "data"),
    [
        (("cancel",), 2, 0, digests.close_data(digests.ALL_MARKETS, 0)),
        (("cancel", "--market", "3"), 2, 0, digests.close_data(3, 0)),
        (("close", "--market", "3"), 3, 0, digests.close_data(3, 0)),
        (("close", "--market", "3", "--lots", "25", "--limit", "499999"), 3, 25, digests.close_data(3, 499_999)),
        (("withdraw",), 4, 0, bytes(32)),
        (("withdraw", "--amount", "250.5"), 4, 250_500_000, bytes(32)),
        (("key", SESSION, "--revoke"), 5, 0, digests.key_data(bytes.fromhex(SESSION[2:]), 0, 0)),
    ],
)
def test_every_command_is_an_entry_of_the_owner(
    desk: Desk, arguments: tuple[str, ...], kind: int, amount: int, data: bytes
) -> None:
    assert desk.run(*arguments, "--subaccount", "7") == 0, desk.said
    entry = desk.newest()
    token = desk.world.contract.token_address if kind == 4 else NOBODY
    assert (entry.kind, entry.token, entry.amount, entry.data) == (kind, token, amount, data)
    assert (entry.sender, entry.subaccount) == (OWNER, 7)
    assert desk.answer is not None and desk.answer["index"] == 0
    assert desk.answer["due_s"] == entry.time_s + FORCE_DEADLINE_S
    assert "anyone may freeze" in desk.said and "hansa force status 0 --rpc" in desk.said


def test_a_key_gets_the_scopes_and_the_life_that_were_asked_for(desk: Desk) -> None:
    assert desk.run("key", SESSION, "--scopes", "trade,transfer", "--hours", "2", "--cap", "1000") == 0, desk.said
    entry = desk.newest()
    expiry_ms = int.from_bytes(entry.data[:8], "big")
    assert entry.data[8:] == (5).to_bytes(4, "big") + bytes.fromhex(SESSION[2:]) and entry.amount == 1_000_000_000
    assert desk.run("key", SESSION, "--hours", "3") == 0
    assert abs(int.from_bytes(desk.newest().data[:8], "big") - expiry_ms - 3_600_000) < 600_000


def test_status_follows_an_entry_from_waiting_to_consumed(desk: Desk) -> None:
    assert desk.run("withdraw", "--amount", "1") == 0
    assert desk.run("status", "0", needs_key=False) == 0
    assert desk.answer is not None
    assert (desk.answer["kind"], desk.answer["is_consumed"], desk.answer["can_freeze"]) == ("withdraw", False, False)
    assert desk.answer["amount"] == 1_000_000 and "s are left to consume it" in desk.said
    desk.world.post(desk.world.consumed(HeaderFields()))
    assert desk.run("status", "0", needs_key=False) == 0
    assert desk.answer["is_consumed"] is True and "checkpoint at height 1" in desk.said


def test_status_of_an_ignored_entry_says_that_anyone_may_freeze(desk: Desk) -> None:
    assert desk.run("cancel") == 0
    desk.world.pass_time(FORCE_DEADLINE_S + 60)
    assert desk.run("status", "0", needs_key=False) == 0
    assert desk.answer is not None and desk.answer["can_freeze"] is True and "overdue" in desk.said
    desk.world.contract.freeze()
    assert desk.run("status", "0", needs_key=False) == 0
    assert desk.answer["is_frozen"] is True and "hansa escape" in desk.said
    assert desk.run("cancel") == 1 and "force: frozen" in desk.said


def spoil_key(desk: Desk) -> None:
    desk.key.write_text("no key at all")


def spoil_contract(desk: Desk) -> None:
    desk.where[3] = "0x12"


def spoil_rpc(desk: Desk) -> None:
    desk.where[1] = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "spoil", "status", "said"),
    [
        (("cancel",), spoil_key, 2, "holds no secret key"),
        (("cancel",), spoil_contract, 2, "is no address"),
        (("cancel",), spoil_rpc, 1, "did not answer"),
        (("cancel", "--market", str(1 << 32)), None, 1, "the contract refuses: force: market too large"),
        (("cancel", "--subaccount", str(1 << 32)), None, 1, "the contract refuses: force: subaccount too large"),
        (("close", "--market", "-1"), None, 2, "Must be"),
        (("withdraw", "--amount", "0"), None, 2, "0 would mean everything"),
        (("withdraw", "--amount", "0.0000001"), None, 2, "finer than 6 decimals"),
        (("withdraw", "--amount", "much"), None, 2, "is no decimal number"),
        (("withdraw", "--amount", "NaN"), None, 2, "is no decimal number"),
        (("withdraw", "--amount", "1e30"), None, 2, "too large"),
        (("key", SESSION, "--scopes", "withdraw"), None, 2, "no such scope as 'withdraw'"),
        (("key", "0x12"), None, 2, "is no address"),
        (("status", "0"), None, 2, "no entry 0 yet"),
    ],
)
def test_wrong_calls_send_nothing_and_say_what_to_do(
    desk: Desk, arguments: tuple[str, ...], spoil: Callable[[Desk], None] | None, status: int, said: str
) -> None:
    if spoil is not None:
        spoil(desk)
    assert desk.run(*arguments, needs_key=arguments[0] != "status") == status, desk.said
    assert said in " ".join(desk.said.split()).replace("│", "")
    assert desk.world.contract.inbox_length() == 0
