"""What goes wrong on purpose."""

from collections.abc import Callable


class Trouble(Exception):
    pass


def after(calls: int, error: BaseException, function: Callable[..., object]) -> Callable[..., object]:
    """The function, which raises after so many calls."""
    done = iter(range(calls))

    def wrapped(*args: object, **kwargs: object) -> object:
        if next(done, None) is None:
            raise error
        return function(*args, **kwargs)

    return wrapped
