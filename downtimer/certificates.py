"""Whether files of certificates can be used, and which connections go without."""

import ssl

from downtimer.account import Source, Trust
from downtimer.config import Config


def why_unusable(trust: Trust) -> str | None:
    """Return which file can't be used, and why: of CA certificates, or of ours; None if all can."""
    try:
        context = ssl.create_default_context(cafile=trust.cacert)
    except OSError as exc:  # also ssl.SSLError
        return f"{trust.cacert}: {'holds no certificates' if isinstance(exc, ssl.SSLError) else exc.strerror}"
    if trust.cert is None:
        return None
    try:
        context.load_cert_chain(trust.cert, trust.key, password="")
    except OSError as exc:
        files = trust.cert if trust.key is None else f"{trust.cert}, {trust.key}"
        if isinstance(exc, ssl.SSLError):
            return f"{files}: no certificate with its key (in PEM, and the key without a password)"
        return f"{files}: {exc.strerror}"
    return None


def where(config: Config) -> str:
    """Return where it is said which certificates count in the cloud."""
    if config.account is None or config.account.origin.source is Source.FILE:
        return f"{config.path}: [global] cacert"
    return config.account.origin.place_of("cacert")


def unverified(config: Config) -> list[str]:
    """Return a line about each connection whose other end may be anybody, for the user wants it so."""
    lines = []
    if config.trust.insecure:
        said = "[global] insecure" if config.account is None else config.account.origin.where("verify")
        lines.append(f"certificates of the cloud are not verified ({said})")
    if config.db is not None and config.db.ssl and not config.db.verify_ssl:
        lines.append("InfluxDB's certificate is not verified ([db] verify_ssl)")
    return lines
