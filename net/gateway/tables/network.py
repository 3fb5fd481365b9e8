"""The network, its committee and its proofs: names of our own."""

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
from net.gateway.shapes.orders import CommandState, DecodedCommand
from net.gateway.shapes.session import Counters
from net.gateway.tables.terms import ACCOUNT, COMMAND, HEIGHT

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
    Method("public/x_get_command_status", public.get_command_status, "How far a command has come.",
           (Param("command_id", "hex", "32 bytes: the EIP-712 digest, or the id of one of several actions",
                  size_bytes=32),),
           "command_id=0x…", result=CommandState),
    Method("public/x_decode_action", public.decode_action,
           "What a command says, its digest and who signed it. Nothing is executed.", (COMMAND,), "command=0x…",
           result=DecodedCommand),
)  # fmt: skip
