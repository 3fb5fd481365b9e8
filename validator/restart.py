"""How a node asks to be built anew."""


class Restart(Exception):
    """The disk, or the signer, knows more than this node does: build it anew from there."""
