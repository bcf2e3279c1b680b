"""Whether a file of CA certificates can be used, and which connections go without."""

import ssl

from downtimer.config import Config


def why_unusable(path: str) -> str | None:
    """Return why certificates can't be verified by those in this file; None if they can."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as exc:  # also ssl.SSLError
        return "holds no certificates" if isinstance(exc, ssl.SSLError) else exc.strerror
    return None


def unverified(config: Config) -> list[str]:
    """Return a line about each connection whose other end may be anybody, for the user wants it so."""
    lines = []
    if config.global_.insecure:
        lines.append("certificates of the cloud are not verified ([global] insecure)")
    if config.db is not None and config.db.ssl and not config.db.verify_ssl:
        lines.append("InfluxDB's certificate is not verified ([db] verify_ssl)")
    return lines
