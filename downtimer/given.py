"""What the command line, or the environment, has given: checks, of which each failure is one line. Pure."""

from collections.abc import Collection

from downtimer.errors import ConfigError
from downtimer.options import hint


def check_choice(option: str, given: str, known: Collection[str]) -> None:
    """Check that a word is one of those that are known.

    Raises:
        ConfigError: It is not.
    """
    if given not in known:
        raise ConfigError(f"{option} {given}: there are {', '.join(known)}{hint(given, known)}")


def check_text(where: str, given: str, *, most: int | None = None) -> None:
    """Check that what may be any bytes is text.

    Args:
        where: It was given.
        given: As Python has it, with surrogates for what is no text.
        most: So many characters it may have.

    Raises:
        ConfigError: It is none, or longer.
    """
    if most is not None and len(given) > most:
        raise ConfigError(f"{where}: longer than {most} characters")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: not UTF-8 text") from None
