"""What a devnet's own methods refuse, in the API's form. Numbers from 901 on: no node has them (docs/errors.md)."""

from net.gateway.errors import Fault

NO_SNAPSHOT = Fault(901, "no_snapshot", -32602, "invalid params", "dev_snapshot gives the ids; each is good for once")
UNKNOWN_UNDERLYING = Fault(
    902, "unknown_underlying", -32602, "invalid params", "an underlying such as BTC: dev_info lists them"
)
NO_ACCOUNT = Fault(903, "no_account", -32602, "invalid params", "give it money first: dev_setBalance opens it")
NOT_DONE = Fault(904, "not_done", 11030, "other_reject", "the rules refuse it; data.engine_code says why")
NOTHING_TO_LIQUIDATE = Fault(
    905, "nothing_to_liquidate", 11030, "other_reject", "no price of its underlying ends this account's positions"
)
DEV_FAULTS = (NO_SNAPSHOT, UNKNOWN_UNDERLYING, NO_ACCOUNT, NOT_DONE, NOTHING_TO_LIQUIDATE)
