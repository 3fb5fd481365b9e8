"""How a checker says that a property does not hold."""


class Violation(AssertionError):
    """A property does not hold; the text begins with its name."""


def require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)
