"""A disk as a power cut leaves it: what was synced, and of all that came later any part.

What POSIX promises, and no more. A file's bytes and its length are as they were at its last fsync or at any
moment since, each block and the length for itself: a write may be torn, and a later one be there without one
before. A name stands for what it did at the last fsync of its folder or at any moment since; that a file is
synced does not make its name durable. Where a file has grown and none of the bytes have come, anything is.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

ROOT: Final = 0
"""The folder in which all others are. It was there before."""

BLOCKS: Final = (512, 4096, 1 << 30)
"""Sizes in bytes of what a disk writes at once: a sector, a page, all of a file."""


@dataclass(frozen=True, slots=True)
class Link:
    """In a folder a name stands for a file or folder from now on; None for nothing."""

    folder: int
    name: str
    inode: int | None
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes are written into a file."""

    inode: int
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file gets another length."""

    inode: int
    length: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What was done to a file, or to the names in a folder, is durable."""

    inode: int


Change = Link | Write | Truncate | Sync


@dataclass(slots=True)
class _File:
    """A file's durable bytes, and what was done to it since they were."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _do(self.durable, change)
        self.pending.clear()

    def after_cut(self, rng: random.Random) -> bytes:
        """Return what may be found in it."""
        if not self.pending:
            return bytes(self.durable)
        size = rng.choice(BLOCKS)
        newest = rng.choice((0.0, 0.5, 0.9, 1.0))  # how likely a block is as it was last
        length = self._length(rng, newest)
        found = bytearray(length)
        found[: len(self.durable)] = self.durable[:length]
        if rng.random() < 0.5 and length > len(self.durable):
            found[len(self.durable) :] = rng.randbytes(length - len(self.durable))
        for block, changes in self._by_block(size).items():
            many = len(changes) if rng.random() < newest else rng.randrange(len(changes) + 1)
            start, end = block * size, min((block + 1) * size, length)
            if many:
                _clear(found, max(start, len(self.durable)), end)
            for change in changes[:many]:
                _do_within(found, change, start, end)
        return bytes(found)

    def _length(self, rng: random.Random, newest: float) -> int:
        lengths = [len(self.durable)]
        for change in self.pending:
            length = change.length if isinstance(change, Truncate) else max(lengths[-1], change.end)
            if length != lengths[-1]:
                lengths.append(length)
        return lengths[-1] if rng.random() < newest else rng.choice(lengths)

    def _by_block(self, size: int) -> dict[int, list[Write | Truncate]]:
        """Return what was done to each block, in order. A truncation is done to all that was behind it."""
        blocks: dict[int, list[Write | Truncate]] = {}
        length = len(self.durable)
        for change in self.pending:
            if isinstance(change, Write):
                first, end = change.offset, change.end
                length = max(length, end)
            else:
                first, end = change.length, length
                length = change.length
            for block in range(first // size, (end - 1) // size + 1):
                blocks.setdefault(block, []).append(change)
        return blocks


class Disk:
    """Folders and files, to which changes are applied in order."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[
            int, dict[str, list[int | None]]
        ] = {}  # what each stood for since its folder's sync

    def apply(self, change: Change) -> None:
        """Do a change, which is lost with the power until its file or folder is synced."""
        match change:
            case Link():
                names = self._names.setdefault(change.folder, {})
                names.setdefault(change.name, [None]).append(change.inode)
                if change.is_folder and change.inode is not None:
                    self._names.setdefault(change.inode, {})
            case Sync() if change.inode in self._names:
                for meanings in self._names[change.inode].values():
                    del meanings[:-1]
            case Sync():
                self._file(change.inode).sync()
            case _:
                self._file(change.inode).pending.append(change)

    def after_cut(self, rng: random.Random, *, leave_out: str) -> dict[PurePosixPath, bytes]:
        """Return what files may be found, by their paths in the root folder.

        Args:
            rng: Chooses among all that may be.
            leave_out: Files whose names end like this.
        """
        return dict(self._found(rng, ROOT, PurePosixPath(), leave_out))

    def _found(
        self, rng: random.Random, folder: int, path: PurePosixPath, leave_out: str
    ) -> Iterator[tuple[PurePosixPath, bytes]]:
        newest = rng.choice((0.0, 0.5, 1.0))
        for name, meanings in self._names.get(folder, {}).items():
            inode = meanings[-1] if rng.random() < newest else rng.choice(meanings)
            if inode is None:
                continue
            if inode in self._names:
                yield from self._found(rng, inode, path / name, leave_out)
            elif not name.endswith(leave_out):
                yield path / name, self._file(inode).after_cut(rng)

    def _file(self, inode: int) -> _File:
        return self._files.setdefault(inode, _File())


def _do(content: bytearray, change: Write | Truncate) -> None:
    length = change.length if isinstance(change, Truncate) else max(len(content), change.end)
    if length > len(content):
        content.extend(bytes(length - len(content)))
    del content[length:]
    if isinstance(change, Write):
        content[change.offset : change.end] = change.data


def _do_within(content: bytearray, change: Write | Truncate, start: int, end: int) -> None:
    """Do what a change does to a part of a file, whose length is what it is."""
    if isinstance(change, Truncate):
        _clear(content, max(start, change.length), end)
    else:
        first, last = max(start, change.offset), min(end, change.end)
        if first < last:
            content[first:last] = change.data[first - change.offset : last - change.offset]


def _clear(content: bytearray, start: int, end: int) -> None:
    if start < end:
        content[start:end] = bytes(end - start)
