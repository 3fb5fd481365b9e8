"""Of several things that went wrong at once, the one to tell."""


def find_first_cause(group: BaseExceptionGroup) -> BaseException:
    """The first that is no group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
