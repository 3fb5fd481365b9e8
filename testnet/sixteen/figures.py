"""What a large committee has shown, and what is asked of it."""

from statistics import mean

from testnet.counters import Window
from testnet.sixteen.model import compute_frames
from testnet.sixteen.network import Outcome
from testnet.verdicts import Row


def list_rows(outcome: Outcome) -> list[Row]:
    steady, bereft, killed = outcome.steady, outcome.bereft, outcome.killed_count
    return [
        Row("first block, all vote", f"{outcome.formed_s:.1f} s after the first was started"),
        Row("blocks in the window, all at work", str(steady.blocks), "> 0", steady.blocks > 0),
        Row("blocks/s", f"{steady.blocks_per_s:.2f}"),
        Row("finality p50 / p99", f"{steady.finality_p50_ms} / {steady.finality_p99_ms} ms"),
        Row("actions/s", f"{steady.actions_per_s:.1f}"),
        Row("CPU of one node for one block", f"{steady.cpu_ms_per_block:.1f} ms"),
        Row("bytes out a block and node", f"{steady.bytes_out_per_block:.0f}"),
        *list_frame_rows(outcome.member_count, steady),
        Row("memory of a node, shared parts divided", f"{mean(outcome.proportional_mib):.0f} MiB"),
        Row("the same, shared parts in full", f"{max(outcome.resident_mib)} MiB at most"),
        Row(f"blocks after kill -9 of {killed}", str(bereft.blocks), "> 0", bereft.blocks > 0),
        Row("blocks/s without them", f"{bereft.blocks_per_s:.2f}"),
        Row("finality p50 / p99 without them", f"{bereft.finality_p50_ms} / {bereft.finality_p99_ms} ms"),
        Row("started again, until all are at the others' height", f"{outcome.back_s:.1f} s"),
        Row("of them in a certificate again", str(outcome.voting_again), str(killed), outcome.voting_again == killed),
        Row(
            "heights with one root on all nodes", str(outcome.compared), "> 0, no disagreement",
            outcome.compared > 0 and not outcome.disagreements,
        ),
        Row("validators that ended by themselves", str(len(outcome.deaths)), "0", not outcome.deaths),
    ]  # fmt: skip


def list_frame_rows(members: int, window: Window) -> list[Row]:
    """Measured beside the model, of which the share of every kind is shown."""
    frames = compute_frames(members, window.blocks_per_s, window.actions_per_s)
    ratio = window.frames_out_per_block / frames.total
    return [
        Row("frames out a block and node", f"{window.frames_out_per_block:.1f}, {ratio:.2f} x the model's"),
        Row(
            "the model's",
            f"{frames.total:.1f} = {frames.votes:.1f} votes + {frames.proposal:.1f} proposal + up to "
            f"{frames.certificates_max:.1f} certificates + {frames.reports:.1f} price reports + "
            f"{frames.heartbeats:.1f} heartbeats + {frames.batches:.1f} batches",
        ),
        Row("writes a block and node", f"{window.writes_per_block:.1f}"),
    ]  # fmt: skip
