"""Small-scope exhaustive check of agreement (`python -m testnet.exhaustive`), in place of a paper proof.

Four members, one of them byzantine, two views, and every order of messages there can be, with the real
`consensus.core.Core` as each of the three honest members.

What makes the space finite and small, and why nothing is lost by it
- **The network is a set of statements.** What an honest member signed is there for ever; everything that can be
  made of it (with the byzantine member's votes, which are always there) may be delivered to anyone, at any time, once,
  or never. So loss, duplicates, delays and order are all covered by "which of the deliverable messages come next".
- **Votes are delivered as certificates.** One vote changes a member's behaviour in two ways only: it completes a quorum
  (then the certificate can be delivered as well), or it is the leader's nullify (then the timer, which may fire at any
  moment, does the same). Random walks with single votes check that against the explored space (`walk.py`).
- **Deliveries are lazy.** A delivery after which a member says nothing is postponed to the moment before it next says
  something. Nobody else can tell, and the message will still be deliverable, because statements never vanish.
  For the same reason a step that took in more than it needed is left out: the rest can come after it.
- **Time stands still.** Timers are choices; so are late answers of the host. Back-off, pacing and repair are left to
  the simulator.
- **Members with equal roles are interchangeable.** Global states are kept up to their permutation.

What is bounded: two views (members stop at the door of the third), the leader of each view may be byzantine or not, a
byzantine leader has two blocks on every parent, no restarts, no range sync. By default late hosts are tried under
honest leaders only.
"""
