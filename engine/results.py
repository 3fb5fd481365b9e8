"""Numbered answers to commands, in order of precedence: the first rule that a command breaks names its code.

Numbers are never reused or renumbered. 1xx: the command itself; 2xx: who and when; 3xx: the market's rules; 4xx: the
account's means; 5xx: limits of the book. The node's own refusals, before a command reaches a block, are in
`net/gateway/errors.py`.
"""

from enum import IntEnum


class Code(IntEnum):
    """What became of one command."""

    OK = 0
    # 1xx: the bytes
    MALFORMED = 101  # unknown kind, or a field the kind does not use is not zero
    BAD_SIGNATURE = 102  # nobody's signature, or not the owner's
    # 2xx: who and when
    EXPIRED = 201  # block time above expiry_ms
    UNKNOWN_ACCOUNT = 202  # no deposit ever credited to (owner, subaccount)
    NONCE_REUSED = 203  # nonce spent already
    NONCE_TOO_OLD = 204  # nonce below the window of remembered ones
    NOT_PERMITTED = 205  # the signer may not do this: a key's scopes, or governance by another than the governor
    # From here on the nonce is spent, so that a refused command can never execute later.
    # 3xx: the market's rules
    UNKNOWN_MARKET = 301
    SIZE_NOT_POSITIVE = 302
    SIZE_TOO_LARGE = 303
    PRICE_OUT_OF_RANGE = 304  # not above zero, or above the largest price
    PRICE_OUTSIDE_BAND = 305  # too far from the mark price
    NO_PRICE = 306  # the market has no fresh oracle price
    WOULD_CROSS = 307  # post-only order that would have traded
    UNKNOWN_ORDER = 308  # not open, or not this account's
    DUPLICATE_CLIENT_ID = 309  # an open order of the account carries it
    UNKNOWN_ENUM = 310  # side, time_in_force or flags has no such value
    PHASE_REFUSES = 311  # auction, post-only, cancel-only, settled or halted
    NOT_FILLABLE = 312  # fill or kill: not enough rests within the price
    NOT_REDUCING = 313  # reduce-only without a position on the other side
    CONTRADICTORY = 314  # parts of the action that do not go together, or a time that is not ahead
    BAD_TRIGGER = 315  # trigger price out of range, or what it is linked with does not exist
    PROTECTED = 316  # market-maker protection is frozen
    ABOVE_SESSION_CAP = 317  # worth more than the session key may place
    UNKNOWN_ASSET = 318  # no such collateral
    PARAMETER_OUT_OF_BOUNDS = 319  # governance: outside its bounds, too large a step, or no such parameter
    COUNTERPARTY_FAILED = 320  # the other account does not exist or cannot bear its side
    LEG_FAILED = 321  # a combination whose leg fails; the leg's own code says why
    # 4xx: the account's means
    INSUFFICIENT_MARGIN = 401
    POSITION_TOO_LARGE = 402
    INSUFFICIENT_BALANCE = 403  # withdrawal above what margin leaves free
    AMOUNT_NOT_POSITIVE = 404
    WRONG_MARGIN_MODE = 405  # the account's margin mode does not admit it
    # 5xx: limits
    TOO_MANY_OPEN_ORDERS = 501  # of the account
    BOOK_FULL = 502  # of the market
    WITHDRAWALS_FULL = 503
    TOO_MANY_TRIGGERS = 504  # of the account, or of all
    POSITIONS_FULL = 505  # no row for another position
    TABLE_FULL = 506  # no row for another key, offer, market or account


class OrderState(IntEnum):
    """Where an order stands after the command that placed it."""

    NONE = 0
    OPEN = 1
    FILLED = 2
    CANCELLED = 3  # rest of an immediate-or-cancel, cancelled by its owner, by liquidation, or by self-trade prevention
