"""The network, its committee and its proofs: names of our own."""

from net.gateway import certainty
from net.gateway import public_methods as public
from net.gateway.api import Method, Param
from net.gateway.params import I64_MAX, U32_MAX
from net.gateway.shapes.account import InboxEntry, Withdrawal
from net.gateway.shapes.network import (
    AccountProofAnswer,
    CertificateAnswer,
    EvidenceAnswer,
    SigningDomain,
    Uptime,
    WithdrawalProofAnswer,
)
from net.gateway.shapes.orders import CommandStates, DebuggedCommand, DecodedCommand, Receipt
from net.gateway.shapes.session import Counters
from net.gateway.tables.terms import ACCOUNT, COMMAND, HEIGHT

_DEBUGGED = (
    Param("command", "hex", "a message as bytes, as in `public/x_submit`", False),
    Param("method", "text", "or the name of a method that writes, such as `private/buy`", False),
    Param("params", "object", "with its parameters; a `signature` may be missing", False),
)

NETWORK_ROWS = (
    Method("public/x_get_domain", public.get_domain, "What to sign with: EIP-712 domain and types, and every market.",
           result=SigningDomain),
    Method("public/x_get_proof", public.get_proof, "Merkle-sum proof of an account against a certified header.",
           (*ACCOUNT, HEIGHT), "owner=0x…", result=AccountProofAnswer, credits=5000),
    Method("public/x_get_withdrawal_proof", public.get_withdrawal_proof, "Merkle proof to claim a withdrawal on chain.",
           (Param("index", "integer", "the withdrawal's `index`", low=0, high=U32_MAX),
            Param("height", "integer", "of a checkpoint; default: the last one", False, low=0, high=I64_MAX)),
           "index=0", result=WithdrawalProofAnswer, credits=5000),
    Method("public/x_get_withdrawals", public.get_withdrawals, "Withdrawals of an owner.", ACCOUNT[:1], "owner=0x…",
           result=list[Withdrawal]),
    Method("public/x_get_inbox", public.get_inbox,
           "Deposits and forced actions of an owner: which wait to be consumed, and what became of the others.",
           (*ACCOUNT[:1], Param("count", "integer", "how many that were answered, 1 to 100, default 20", False,
                               low=1, high=100)),
           "owner=0x…", result=list[InboxEntry]),
    Method("public/x_get_certificate", public.get_certificate, "A finalised header and its certificate.", (HEIGHT,),
           result=CertificateAnswer),
    Method("public/x_get_evidence", public.get_evidence, "Proven faults of committee members, for the court on chain.",
           result=list[EvidenceAnswer]),
    Method("public/x_get_uptime", public.get_uptime,
           "How many of the last thousand finalisation certificates each validator signed.", result=Uptime),
    Method("public/x_get_counters", public.get_counters,
           "Totals since the node started: processor time, actions by result code, blocks by time to finality and by "
           "its steps, frames by link. Read them twice to measure what is between.", result=Counters),
    Method("public/x_get_command_status", certainty.get_command_status,
           "How far a command has come: by its id for ever, by nonce or label among the last million actions.",
           (Param("command_id", "hex", "32 bytes: the EIP-712 digest, or the id of one of several actions", False),
            *ACCOUNT, Param("nonce", "integer", "that the message spent", False),
            Param("label", "integer", "that the action carried", False)),
           "command_id=0x…", result=CommandStates),
    Method("public/x_get_receipt", certainty.get_receipt,
           "The receipt that this node signed for a command, among its last 20,000.",
           (Param("command_id", "hex", "32 bytes: the EIP-712 digest"),), "command_id=0x…", result=Receipt),
    Method("public/x_decode_action", certainty.decode_action,
           "What a command says, its digest and who signed it. Nothing is executed.", (COMMAND,), "command=0x…",
           result=DecodedCommand),
    Method("private/x_order_debug", certainty.order_debug,
           "All that decides whether a command would be taken: domain, hashes, signer and his rights, nonce, expiry, "
           "margin. Nothing is sent.", _DEBUGGED, "command=0x…", result=DebuggedCommand),
    Method("private/order_debug", certainty.order_debug, "The same.", _DEBUGGED, "command=0x…",
           result=DebuggedCommand),
)  # fmt: skip
