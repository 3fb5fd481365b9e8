"""The plan of a campaign: who attacks when, what proves that it happened, and which quiet window it is held against."""

from dataclasses import dataclass

QUIET = "quiet"
QUIET_WITHOUT = "quiet, one member gone"


@dataclass(frozen=True, slots=True)
class Phase:
    """`weight`: its share of the campaign's time. `proofs`: counters of the attacker that must not stay zero.
    `is_traitor_gone`: the last member's process has ended, and whoever comes with its keys is an attacker.
    `needs_observer`: whoever follows the chain through the public host must go on following.
    `ban_s_max`: after that every honest validator has banned the traitor, or still holds a ban from before; 0: it may
    stay.
    """

    name: str
    weight: float = 1.0
    attack: str = ""
    proofs: tuple[str, ...] = ()
    is_traitor_gone: bool = False
    ban_s_max: float = 0.0
    needs_observer: bool = False

    @property
    def baseline(self) -> str:
        return QUIET_WITHOUT if self.is_traitor_gone else QUIET


# A member that is gone costs every fourth view its leader, which has nothing to do with attacks: hence two windows.
PHASES: tuple[Phase, ...] = (
    Phase(QUIET, weight=3.0),
    Phase("junk on the committee port", attack="junk", proofs=("connections", "closed by the node")),
    Phase("negotiations one byte at a time", attack="slow negotiation", proofs=("bytes sent", "closed by the node")),
    Phase("new connections without end", attack="connections", proofs=("connections",)),
    Phase("handshakes without end", attack="handshakes", proofs=("attempts", "refused")),
    Phase("API: more requests than allowed", attack="api flood", proofs=("requests", "answered 429")),
    Phase("API: junk on every route", attack="api junk", proofs=("bytes sent", "answered")),
    Phase("API: readers that do not read", attack="api slow readers", proofs=("subscribers", "slow requests")),
    Phase("public: gossip spam", attack="gossip spam", proofs=("frames sent", "thrown out"), needs_observer=True),
    Phase(QUIET_WITHOUT, weight=2.0, is_traitor_gone=True),
    Phase(
        "member: asks and never reads", attack="member never reads", proofs=("links", "requests"), is_traitor_gone=True,
        ban_s_max=25.0,
    ),
    Phase("member: frames one byte at a time", attack="member drips", proofs=("bytes sent",), is_traitor_gone=True),
    Phase(
        "member: repeats all it hears", attack="member repeats", proofs=("frames heard", "frames sent"),
        is_traitor_gone=True,
    ),
    Phase(
        "member: frames out of protocol", attack="member out of protocol", proofs=("frames sent",),
        is_traitor_gone=True, ban_s_max=3.0,
    ),
    Phase(
        "member: broken frames", attack="member breaks frames", proofs=("links", "refused or thrown out"),
        is_traitor_gone=True, ban_s_max=3.0,
    ),
)  # fmt: skip


def plan(duration_s: float, only: tuple[str, ...] = ()) -> list[tuple[Phase, float]]:
    """Each phase with its seconds; `only` these attacks, if any are named, and the quiet windows they need."""
    attacks = [phase for phase in PHASES if phase.attack and (not only or phase.attack in only)]
    needed = {phase.baseline for phase in attacks}
    phases = [phase for phase in PHASES if phase in attacks or phase.name in needed]
    total = sum(phase.weight for phase in phases)
    return [(phase, duration_s * phase.weight / total) for phase in phases]
