"""The file of CA certificates: whether it can be used."""

import ssl


def why_unusable(path: str) -> str | None:
    """Return why certificates can't be verified by those in this file; None if they can."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as exc:  # also ssl.SSLError
        return "holds no certificates" if isinstance(exc, ssl.SSLError) else exc.strerror
    return None
