"""A withdrawal from the first word to money on the chain: command, certified block, checkpoint, Merkle proof, claim."""

import logging
from decimal import Decimal

import trio

from contracts.settlement import ChainError, Refused, Settlement
from engine.units import parse_quote
from net.client import HansaError
from testnet.report import Report
from testnet.traders import Trader

AMOUNT_USDC = Decimal("125.5")
POLL_INTERVAL_S = 0.5
PAUSE_S = 60
CLAIM_ATTEMPTS = 40
log = logging.getLogger("hansa.withdrawal")


class WithdrawalFailed(Exception):
    """The chain paid something else than was withdrawn."""


async def keep_withdrawing(trader: Trader, settlement: Settlement, first_after_s: float, report: Report) -> None:
    """One withdrawal after `first_after_s`, then one a minute, until there is no money left to withdraw."""
    await trio.sleep(first_after_s)
    while True:
        try:
            await withdraw_once(trader, settlement, report)
        except HansaError as error:
            trader.note(error)
            report.withdrawal_stage = f"refused: {error}"
        await trio.sleep(PAUSE_S)


async def withdraw_once(trader: Trader, settlement: Settlement, report: Report) -> None:
    """Raises `HansaError` when the exchange refuses, `WithdrawalFailed` when the chain pays wrongly."""
    report.withdrawal_stage = "asked for"
    report.commands_sent += 1
    withdrawing = await trader.client.withdraw(AMOUNT_USDC)
    while withdrawing.index is None:
        await trio.sleep(POLL_INTERVAL_S)
        status = await trader.client.command_status(withdrawing.progress.command_id)
        if status.get("withdrawal_index") is not None:
            break
        if status["is_final"]:
            raise HansaError(status["code"], status["reason"])
    index = withdrawing.index if withdrawing.index is not None else status["withdrawal_index"]
    report.withdrawal_stage = f"number {index} waits for a checkpoint"
    while True:
        mine = [entry for entry in await trader.client.withdrawals() if entry["index"] == index]
        if mine and mine[0]["x_status"] == "on_chain":
            break
        await trio.sleep(POLL_INTERVAL_S)
    owner, amount_quote = trader.account.address, parse_quote(f"{AMOUNT_USDC:f}")
    before_quote = await trio.to_thread.run_sync(settlement.token_balance, owner)
    report.withdrawal_stage = f"number {index} can be claimed"
    await claim(trader, settlement, index, mine[0]["x_height"], amount_quote)
    paid_quote = await trio.to_thread.run_sync(settlement.token_balance, owner) - before_quote
    if paid_quote != amount_quote:
        raise WithdrawalFailed(f"withdrawal {index} paid {paid_quote}, not {amount_quote} quote units")
    report.withdrawal_stage = f"number {index} claimed"
    report.withdrawals_claimed += 1


async def claim(trader: Trader, settlement: Settlement, index: int, withdrawn_height: int, amount_quote: int) -> None:
    """Wait for a checkpoint that holds the withdrawal and is old enough; show the contract the proof of that height."""
    for _ in range(CLAIM_ATTEMPTS):
        await trio.sleep(POLL_INTERVAL_S)
        checkpoint = await trio.to_thread.run_sync(settlement.payable_checkpoint)
        if checkpoint is None or checkpoint.height < withdrawn_height:
            trader.report.withdrawal_stage = f"number {index} waits for its checkpoint to become old enough"
            continue
        try:
            proof = await trader.client.withdrawal_proof(index, checkpoint.height)
            siblings = [bytes.fromhex(sibling.removeprefix("0x")) for sibling in proof["siblings"]]
            await trio.to_thread.run_sync(
                settlement.claim_withdrawal, checkpoint.height, index, trader.account.address, amount_quote, siblings
            )
            return
        except (Refused, ChainError, HansaError) as error:
            trader.report.withdrawal_stage = f"number {index} is not paid yet: {error}"
            log.info("bots.withdrawal_unpaid index=%d height=%d error=%s", index, checkpoint.height, error)
    raise WithdrawalFailed(f"the chain did not pay withdrawal {index}: {trader.report.withdrawal_stage}")
