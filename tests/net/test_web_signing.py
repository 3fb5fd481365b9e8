"""What a browser signs and sends is byte for byte what the engine reads: digests, signatures, messages, proofs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from coincurve import PrivateKey

from engine.commands import (
    ALL_MARKETS,
    AMEND,
    CANCEL,
    CANCEL_ALL,
    PLACE,
    SET_SESSION,
    TRIGGER,
    WITHDRAW,
    Command,
    address_of,
    command_id,
    compute_domain_separator,
    typed_data,
    typed_message,
)
from engine.params import DEFAULT_MARKETS

NODE = shutil.which("node")
SCRIPTS = Path(__file__).parents[2] / "net" / "gateway" / "static" / "js"
KEY, CONTRACT = PrivateKey(b"\x07" * 32), b"\x11" * 20
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
ACTIONS = [
    (PLACE, {"market": 3, "side": 1, "time_in_force": 2, "flags": 17, "price_ticks": 640_000, "size_lots": 12}),
    (PLACE, {"client_id": (1 << 62) + 5, "display_lots": 3, "good_till_ms": 99, "link": 7, "size_lots": 1}),
    (CANCEL, {"market": 1, "order_id": 17}),
    (CANCEL_ALL, {"market": ALL_MARKETS}),
    (WITHDRAW, {"size_lots": 25_500_000}),
    (AMEND, {"market": 1, "order_id": 4, "price_ticks": 5, "size_lots": 6}),
    (TRIGGER, {"market": 1, "time_in_force": 1, "flags": 80, "price_ticks": -5, "size_lots": 3, "trigger_ticks": 777}),
    (SET_SESSION, {"data": b"\x33" * 20 + bytes(4), "flags": 3, "good_till_ms": 1 << 41, "size_lots": 500}),
]


def run_module(code: str) -> object:
    ended = subprocess.run(
        [str(NODE), "--input-type=module", "-e", code], capture_output=True, text=True, timeout=60, cwd=SCRIPTS
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_messages_are_those_of_the_protocol() -> None:
    separator, owner = compute_domain_separator(31337, CONTRACT), address_of(KEY.public_key)
    cases, expected = [], []
    for kind, fields in ACTIONS:
        command = Command.of(kind, owner, 1_700_000_000_000_001, 1 << 41, subaccount=2, **fields).signed(KEY, separator)
        name, values = typed_message(command)
        shown = {key: str(value) if isinstance(value, int) else value for key, value in values.items()}
        cases.append({"name": name, "values": shown})
        expected.append(["0x" + command_id(command, separator).hex(), "0x" + command.encode().hex()])
    code = f"""
    import {{ addressOf, sign }} from "{SCRIPTS}/signing.js";
    import {{ digestOf, encodeMessage }} from "{SCRIPTS}/messages.js";
    import {{ fromHex, toHex }} from "{SCRIPTS}/hex.js";
    const domain = {json.dumps(typed_data(31337, CONTRACT))}, secret = fromHex("{KEY.secret.hex()}");
    console.log(JSON.stringify([addressOf(secret), {json.dumps(cases)}.map(({{ name, values }}) => {{
      const digest = digestOf(domain, name, values);
      return [toHex(digest), toHex(encodeMessage(name, values, sign(digest, secret)))];
    }})]));"""
    assert run_module(code) == ["0x" + owner.hex(), expected]


@pytest.mark.parametrize(
    ("order", "kind", "fields"),
    [
        ({"side": "buy", "type": "limit", "price": "64000", "amount": "0.010", "timeInForce": "gtc"}, "Place",
         {"side": 0, "priceTicks": 640_000, "sizeLots": 10, "timeInForce": 0, "flags": 0}),
        ({"side": "sell", "type": "limit", "price": "1e3", "amount": ".5", "timeInForce": "fok"}, "Place",
         {"side": 1, "priceTicks": 10_000, "sizeLots": 500, "timeInForce": 3, "flags": 0}),
        ({"side": "buy", "type": "limit", "price": "64000.1", "amount": "1", "timeInForce": "gtc", "isPostOnly": True},
         "Place", {"side": 0, "priceTicks": 640_001, "sizeLots": 1000, "timeInForce": 2, "flags": 0}),
        ({"side": "sell", "type": "market", "amount": "1", "isReduceOnly": True}, "Place",
         {"side": 1, "priceTicks": 0, "sizeLots": 1000, "timeInForce": 1, "flags": 17}),
        # A stop that sells waits below, one that buys above; a take is the other way round.
        ({"side": "sell", "type": "stop_market", "trigger": "60000", "amount": "1"}, "Trigger",
         {"side": 1, "sizeLots": 1000, "timeInForce": 1, "flags": 16 | 64, "triggerTicks": 600_000, "priceTicks": 0}),
        ({"side": "buy", "type": "stop_limit", "price": "61", "trigger": "60", "amount": "1", "timeInForce": "gtc"},
         "Trigger",
         {"side": 0, "sizeLots": 1000, "timeInForce": 0, "flags": 0, "triggerTicks": 600, "priceTicks": 610}),
        ({"side": "buy", "type": "take_market", "trigger": "60", "amount": "1"}, "Trigger",
         {"side": 0, "sizeLots": 1000, "timeInForce": 1, "flags": 16 | 64, "triggerTicks": 600, "priceTicks": 0}),
    ],
)  # fmt: skip
def test_the_form_says_what_is_meant(order: dict, kind: str, fields: dict) -> None:
    assert read_order(order) == [kind, {"market": 0, **fields}]


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ({"price": "64000.05"}, "The price must be a multiple of 0.1; the nearest is 64,000.1."),
        ({"price": ""}, "The price is missing."),
        ({"price": "-5"}, "The price must be a number above zero."),
        ({"amount": "0.0004"}, "The amount must be a multiple of 0.001; the nearest is 0.001."),
        ({"amount": "much"}, "The amount must be a number above zero."),
    ],
)
def test_the_form_refuses_in_words(order: dict, sentence: str) -> None:
    whole = {"side": "buy", "type": "limit", "price": "1", "amount": "1", "timeInForce": "gtc"} | order
    assert read_order(whole) == sentence


def read_order(order: dict) -> object:
    market = DEFAULT_MARKETS[0]
    instrument = {
        "instrument_name": market.symbol, "instrument_id": 0, "tick_size": market.tick_size,
        "min_trade_amount": market.lot_size,
    }  # fmt: skip
    return run_module(f"""
    import {{ readOrder }} from "{SCRIPTS}/placing.js";
    let answer;
    try {{
      const {{ name, members }} = readOrder({json.dumps(instrument)}, {json.dumps(order)});
      answer = [name, Object.fromEntries(Object.entries(members).map(([key, value]) => [key, Number(value)]))];
    }} catch (error) {{ answer = error.message; }}
    console.log(JSON.stringify(answer));""")


def test_decimals_are_exact() -> None:
    code = f"""
    import {{ fromUnits, inSteps, toUnits }} from "{SCRIPTS}/decimal.js";
    const shown = value => (value === null ? null : value.toString());
    console.log(JSON.stringify([
      shown(toUnits("90071992547409.931234", 6)), shown(toUnits("0.1234567", 6)), shown(toUnits("-1.5", 6)),
      shown(toUnits("1e-6", 6)), shown(toUnits("", 6)), shown(toUnits(".", 6)), fromUnits(-5n, 6),
      fromUnits(12345n, 2), shown(inSteps("0.3", "0.1")), shown(inSteps("0.35", "0.1")), shown(inSteps("300", "25")),
      shown(inSteps("1", "0.001"))]));"""
    assert run_module(code) == [
        "90071992547409931234", None, "-1500000", "1", None, None, "-0.000005", "123.45", "3", None, "12", "1000",
    ]  # fmt: skip
