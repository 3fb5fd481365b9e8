"""Parameters that rows of several tables take."""

from net.gateway.api import Param

INSTRUMENT = Param("instrument_name", "text", "such as `BTC-PERPETUAL`")
COUNT = Param("count", "integer", "1 to 1000, default 10", False)
ACCOUNT = (
    Param("owner", "address", "whose account; after `public/auth` its own without it", False),
    Param("subaccount", "integer", "default 0", False),
)
CURRENCY = Param("currency", "text", "accepted and not used: there is one currency, USDC", False)
COMMAND = Param("command", "hex", "a signed message with 1 to 128 actions: docs/protocol.md, section 5")
SIGNED = (
    *ACCOUNT,
    Param("nonce", "integer", "above every nonce used before, usually the time in microseconds"),
    Param("expiry_ms", "integer", "the command is valid in blocks up to this time"),
    Param("valid_until", "integer", "as Deribit's clients send it: `expiry_ms` must not be later", False),
    Param("signature", "hex", "65 bytes `r ‖ s ‖ v` over the EIP-712 digest, see `public/x_get_domain`"),
    Param("x_wait", "text", "`final` (default): answer when nothing can undo it; `received`: at once", False),
    Param("x_timeout_s", "integer", "longest wait for `final`; afterwards the answer tells the status so far", False),
)
HEIGHT = Param("height", "integer", "default: the last finalised block", False)
