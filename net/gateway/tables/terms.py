"""Parameters that rows of several tables take."""

from net.gateway.api import Param
from net.gateway.limits import Limits
from net.gateway.params import I64_MAX, U32_MAX

INSTRUMENT = Param("instrument_name", "text", "such as `BTC-PERPETUAL`")
COUNT = Param("count", "integer", "1 to 1000, default 10", False, low=1, high=1000)
ACCOUNT = (
    Param("owner", "address", "whose account; after `public/auth` its own without it", False),
    Param("subaccount", "integer", "default 0", False, low=0, high=U32_MAX),
)
CURRENCY = Param("currency", "text", "accepted and not used: there is one currency, USDC", False)
COMMAND = Param("command", "hex", "a signed message with 1 to 128 actions: docs/protocol.md, section 5")
SIGNED = (
    *ACCOUNT,
    Param("nonce", "integer", "above every nonce used before, usually the time in microseconds", low=1, high=I64_MAX),
    Param("expiry_ms", "integer", "the command is valid in blocks up to this time", low=0, high=I64_MAX),
    Param(
        "valid_until",
        "integer",
        "as Deribit's clients send it: `expiry_ms` must not be later",
        False,
        low=0,
        high=I64_MAX,
    ),
    Param("signature", "hex", "65 bytes `r ‖ s ‖ v` over the EIP-712 digest, see `public/x_get_domain`", size_bytes=65),
    Param(
        "x_wait",
        "text",
        "`final` (default): answer when nothing can undo it; `received`: at once",
        False,
        ("final", "received"),
    ),
    Param(
        "x_timeout_s",
        "integer",
        "longest wait for `final`; afterwards the answer tells the status so far",
        False,
        low=0,
        high=Limits().final_wait_s_max,
    ),
)
HEIGHT = Param("height", "integer", "default: the last finalised block", False, low=0, high=I64_MAX)
