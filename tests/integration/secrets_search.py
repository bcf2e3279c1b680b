"""A search for secrets: in whatever way one is written, and wherever it may have got to."""

import base64
import dataclasses
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self
from urllib.parse import quote, quote_plus

from downtimer import config
from downtimer.printable import printable
from tests.integration import traces
from tests.integration.command import Command, Said

_POLL_S: Final = 0.05


def forms_of(secret: str) -> set[bytes]:
    """Return how a secret may be written: as it is, or encoded as a whole or as a part of something."""
    raw = secret.encode()
    texts = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(raw)[2:-1],
        printable(secret),
        raw.hex(),
    }
    forms = {text.encode() for text in texts}
    forms |= {secret.encode("latin-1", "replace"), secret.encode("utf-16-le")}
    return forms | {encoded for form in forms for encoded in _in_base64(form)}


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Yield what is to be seen of a text within something in base64, wherever it begins."""
    for before in range(3):  # bytes before it in its group of three
        encoded = base64.b64encode(b"\0" * before + text)
        inside = encoded[
            4 if before else 0 : -4
        ]  # the first and the last group have neighbours' bits in them
        yield inside
        yield inside.translate(bytes.maketrans(b"+/", b"-_"))


def showing(places: Mapping[str, bytes], secrets: Iterable[str]) -> list[str]:
    """Return the places in which one of these secrets is to be seen."""
    forms = [form for secret in secrets for form in forms_of(secret)]
    return sorted(place for place, content in places.items() if any(form in content for form in forms))


def secret_options() -> list[tuple[str, str]]:
    """Return the section and the name of every option that is secret."""
    return [
        (name, field.name)
        for name, section in config.SECTIONS.items()
        for field in dataclasses.fields(section)
        if config.option_of(field).is_secret
    ]


class Watch:
    """Looks all the while at what processes of an installation show of themselves, and keeps what was said.

    Attributes:
        seen: What was seen, by where.
    """

    def __init__(self, command: Command) -> None:
        self.seen: dict[str, bytes] = {}
        self._command = command
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no longer."""
        self._ending.set()
        self._thread.join()

    def said(self, name: str, said: Said) -> Said:
        """Keep what a command said."""
        self.seen[f"{name}, output {len(self.seen)}"] = f"{said.out}\n{said.err}".encode()
        return said

    def run(self, *words: str) -> Said:
        """Run a command and keep what it said."""
        return self.said(" ".join(words), self._command.run(*words))

    def ok(self, *words: str) -> str:
        """Run a command that must succeed, and keep what it said; return what it printed."""
        said = self.run(*words)
        assert said.code == 0, f"{words}: {said}\n{self._command.log()}"
        return said.out

    def places(self) -> dict[str, bytes]:
        """Return all that was seen, and all files that there are now."""
        return self.seen | traces.shown_by_files(self._command.directory)

    def _look(self) -> None:
        while not self._ending.wait(_POLL_S):
            for pid in traces.processes(self._command):
                shown = traces.shown_by_processes({pid})
                if b"downtimer.cli" in shown[f"/proc/{pid}/cmdline"]:
                    continue  # the user's own command, which has the user's environment
                self.seen |= {f"{place} {hash(content)}": content for place, content in shown.items()}
