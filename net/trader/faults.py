"""What the gateway refuses by itself, in the numbers 9xx. All other refusals are the nodes' (docs/errors.md)."""

from net.gateway.errors import Fault

INVALID_CREDENTIALS = Fault(
    901, "invalid_credentials", 13004, "invalid_credentials",
    "an API key of this gateway, as `hansa gateway keys new` printed it; times within a minute of this machine's",
)  # fmt: skip
UNAUTHORIZED = Fault(
    902, "unauthorized", 13009, "unauthorized", "log in with public/auth, or send a valid Authorization header"
)
FORBIDDEN = Fault(903, "forbidden", 13021, "forbidden", "the API key has no scope for this method", False, 403)
NO_NODE = Fault(904, "no_node", 10040, "retry", "no node of the network answers; the gateway keeps trying", True, 503)
UNPROVEN = Fault(
    905, "unproven", 11094, "internal_server_error",
    "the nodes say that this is final and show no certificate of the committee for it; it may be", False, 502,
)  # fmt: skip
BAD_LABEL = Fault(906, "bad_label", -32602, "invalid params", "a label has at most 64 characters")
READ_ONLY = Fault(
    907, "read_only", 13021, "forbidden", "the gateway runs without a key: start it with --keystore", False, 403
)
WRONG_HOST = Fault(908, "wrong_host", 13021, "forbidden", "the gateway serves this machine only", False, 403)
OUTCOME_UNKNOWN = Fault(
    909, "outcome_unknown", 10040, "retry",
    "no node told the result before the command expired; its status: public/x_get_command_status", True, 503,
)  # fmt: skip
KEY_EXPIRED = Fault(
    910, "key_expired", 13009, "unauthorized",
    "the session key of this gateway has ended: `hansa session new` makes another; start the gateway with it", False,
    403,
)  # fmt: skip

TRADER_FAULTS: tuple[Fault, ...] = (
    INVALID_CREDENTIALS, UNAUTHORIZED, FORBIDDEN, NO_NODE, UNPROVEN, BAD_LABEL, READ_ONLY, WRONG_HOST, OUTCOME_UNKNOWN,
    KEY_EXPIRED,
)  # fmt: skip
