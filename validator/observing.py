"""The mark of a validator that must not vote, because it no longer knows what its key has signed.

The mark outlives restarts, but not its epoch: in the next one nobody has signed anything yet. It goes when the operator
writes `vote_above_view` into config.toml: the guard then starts with that floor. The view must be one that the whole
committee is sure to be below of; what a quorum's certificates prove, and `MARGIN_VIEWS` more, is.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from consensus.messages import Proposal, Vote, decode_message
from validator.vote_signer import VoteSigner

MARGIN_VIEWS = 16
OWN_TAGS = (1, 3)
_NAME = "observer"


def mark_observer(data: Path, epoch: int, seen_view: int) -> None:
    """Durable when it returns."""
    with (data / _NAME).open("w") as handle:
        handle.write(f"{epoch} {seen_view}\n")
        handle.flush()
        os.fsync(handle.fileno())
    folder = os.open(data, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def has_mark(data: Path, epoch: int) -> bool:
    """Whether the validator of this data folder was found to have lost its guard of this epoch."""
    try:
        return int((data / _NAME).read_text().split()[0]) >= epoch
    except FileNotFoundError:
        return False


def is_observer(data: Path, signer: VoteSigner, epoch: int, vote_above_view: int) -> bool:
    """Whether the mark stands. The operator's word removes it, after the guard has its floor."""
    if not has_mark(data, epoch):
        return False
    if vote_above_view == 0:
        return True
    signer.raise_floor(vote_above_view)
    (data / _NAME).unlink()
    return False


def find_highest_view(records: Sequence[bytes], me: int, epoch: int) -> int:
    """Of the journal's own votes of an epoch; 0 without any."""
    messages = [decode_message(record) for record in records if _is_own(record)]
    votes = [message.vote if isinstance(message, Proposal) else message for message in messages]
    own = [vote for vote in votes if isinstance(vote, Vote) and (vote.signer, vote.epoch) == (me, epoch)]
    return max((vote.view for vote in own), default=0)


def list_public(records: Sequence[bytes]) -> list[bytes]:
    """What an observer's core may remember of a voter's journal: certificates, blocks, evidence."""
    return [record for record in records if not _is_own(record)]


def _is_own(record: bytes) -> bool:
    """A vote or a proposal: of those only our own are journalled. A message is an array of its tag and its body."""
    return record[1] in OWN_TAGS
