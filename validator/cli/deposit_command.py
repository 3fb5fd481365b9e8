"""`hansa deposit`: money to the exchange, by a transaction on the settlement chain. Needs the extra `node`."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from validator.cli.terms import HERE, Terms, UsageError, guard, print_json, say

if TYPE_CHECKING:
    from contracts.settlement import Settlement


def deposit(
    amount_usdc: Annotated[str, Parameter(help="USDC, such as 1000")],
    *,
    rpc: Annotated[str, Parameter(env_var="HANSA_RPC", help="An endpoint of the settlement chain")],
    contract: Annotated[str | None, Parameter(help="Settlement contract; default: what the node says")] = None,
    mint: Annotated[bool, Parameter(help="Make the money first; test networks only", negative="")] = False,
    terms: Terms = HERE,
) -> int:
    """Bring USDC from the key's own address to its account, or to --account.

    The first of two transactions allows the contract to take the money, unless it may already.

    For example:

        hansa deposit 1000 --rpc http://127.0.0.1:8545 --key main
    """

    def send() -> None:
        from contracts.records import ChainError, Refused
        from contracts.settlement import Settlement
        from engine.units import parse_quote

        amount_quote = parse_quote(amount_usdc)
        if amount_quote <= 0:
            raise UsageError(f"{amount_usdc} USDC: an amount above zero")
        with terms.client(is_signing=True) as client:
            network, signer, owner = client.network(), client.operations.signer, client.owner
        address = contract or "0x" + network.contract.hex()
        try:
            settlement = Settlement(rpc, address, signer.key.secret)
            sent = _send(settlement, bytes.fromhex(owner[2:]), terms.subaccount, amount_quote, mint)
        except (ChainError, Refused) as error:
            raise UsageError(f"the chain says no: {error}") from None
        facts = {
            "amount USDC": amount_usdc,
            "account": f"{owner}/{terms.subaccount}",
            "contract": address,
            "transaction": sent,
        }
        if terms.as_json:
            print_json(facts)
        else:
            print("\n".join(f"{name:12} {value}" for name, value in facts.items()))
        say("it is credited once the chain has it for good: `hansa call public/x_get_inbox owner=ADDRESS` shows it")

    return guard(terms, send)


def _send(settlement: "Settlement", owner: bytes, subaccount: int, amount_quote: int, is_minting: bool) -> Any:
    if is_minting:
        settlement.mint_test_usdc(settlement.sender, amount_quote)
    return "0x" + settlement.deposit(owner, subaccount, amount_quote).tx_hash.hex()
