"""What the engine raises. A trader's mistake is never an exception: it is a numbered answer (`engine.results`)."""


class ParamsError(ValueError):
    """Parameters of an exchange that break a bound of `engine.limits`; the operator's mistake."""


class PayloadInvalid(ValueError):
    """A block that no honest proposer builds: the peer's mistake. The parent state is untouched."""


class SnapshotError(ValueError):
    """Bytes that are no snapshot of these parameters."""


class InvariantBroken(Exception):
    """Our own mistake: the new state is not returned and the node must stop before it signs."""
