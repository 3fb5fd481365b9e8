"""What must hold in every run, seen by one who sees everything: one family of properties a file.

| file | properties |
|---|---|
| `agreement.py` | S1 one block a height, S2 no gaps, S5 skipped views are nullified |
| `certificates.py` | S3, S4, S6 what cannot be certified together, S7 enough genuine signers |
| `signatures.py` | S8 what no honest key says twice, over all its restarts |
| `durability.py` | D1 nothing is said before it is on disk |
| `evidence.py` | S9 nobody honest is accused, every accusation proves something |
| `roots.py` | S10 what is final was executed rightly; equal blocks, equal results |
| `accountability.py` | A1 whoever breaks agreement is named |
| `signing.py` | R3, R7: no vote without the data, none while syncing |
| `payloads.py` | V1 to V4: reports, batches and times are what they claim |
| `money.py` | S12 nothing made, nothing lost |
| `censorship.py` | L6 honest authors get in |
| `disks.py` | D3 a disk that nothing damaged is trusted |
| `memory.py` | B4 no structure outgrows its bound |

`Checkers` in `facade.py` is the one door to them.
"""

from testnet.sim.checkers.facade import Checkers
from testnet.sim.checkers.violation import Violation, require

__all__ = ["Checkers", "Violation", "require"]
