"""What a process does to the files of a folder, seen by strace, as changes to a disk.

All data that is written is in it. Of several processes one after another the traces are read in order.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from tests.chaos.disk import ROOT, Change, Link, Sync, Truncate, Write
from tests.processes import require_program
from tests.waiting import wait_until

END_S: Final = 60.0

_TRACED: Final = (
    "openat,creat,close,dup,dup2,dup3,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,"
    "write,writev,pwrite64,pwritev,pwritev2,copy_file_range,sendfile,truncate,ftruncate,fallocate,"
    "fsync,fdatasync,sync_file_range"
)
_LINE: Final = re.compile(r"(\d+) +(\d+)\.(\d{9}) (.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)")
_UNFINISHED: Final = " <unfinished ...>"
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class Step(NamedTuple):
    """A change, and when it began: ns since the epoch."""

    at_ns: int
    change: Change


class _Call(NamedTuple):
    """A system call that was made; its texts and data are `strings`, its other arguments `words`."""

    at_ns: int
    name: str
    words: list[str]
    strings: list[bytes]
    result: int


def traced(log: Path) -> list[str]:
    """Return what comes before a command, so that its calls are written to a file.

    The command is our own child nevertheless: strace watches from beside.
    """
    program = require_program("strace", "strace")
    options = ["--daemonize=grandchild", "--follow-forks", "--seccomp-bpf", "--quiet=attach,personality"]
    options += ["--absolute-timestamps=format:unix,precision:ns", "--strings-in-hex=all"]
    options += ["--string-limit=100000000", f"--trace={_TRACED}", f"--output={log}"]
    return [program, *options]


def await_end(log: Path, pid: int) -> None:
    """Wait until the trace of a process that has ended is complete."""
    ended = re.compile(rf"^{pid} .* \+\+\+ (exited|killed)", re.MULTILINE)

    def is_complete() -> bool:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 10_000))
            return ended.search(file.read().decode()) is not None

    wait_until(is_complete, timeout_s=END_S, what=f"the end of the trace {log}")


def read(logs: Sequence[Path], root: Path) -> list[Step]:
    """Return what was done in a folder, which was empty before."""
    folder = _Folder(root)
    return [step for log in logs for step in folder.changes(_calls(log))]


class _Folder:
    """Which files there are in the folder, and which of them a process has open."""

    def __init__(self, root: Path) -> None:
        self._root = PurePosixPath(root)
        self._names: dict[PurePosixPath, int] = {self._root: ROOT}
        self._inodes = ROOT
        self._open: dict[int, int] = {}
        self._kinds: dict[str, Callable[[_Call], Iterator[Change]]] = {
            "openat": self._opened,
            "mkdir": self._made_folder,
            "unlink": self._unlinked,
            "rename": self._renamed,
            "pwrite64": self._written,
            "ftruncate": self._truncated,
            "fsync": self._synced,
            "fdatasync": self._synced,
        }

    def changes(self, calls: Iterator[_Call]) -> Iterator[Step]:
        """Yield what one process did."""
        self._open.clear()
        for call in calls:
            if call.result < 0:
                continue
            if call.name == "close":
                self._open.pop(int(call.words[0]), None)
            elif call.name in self._kinds:
                for change in self._kinds[call.name](call):
                    yield Step(call.at_ns, change)
            elif self._concerns(call):
                raise ValueError(f"what {call.name} does to a file is not known here: {call}")

    def _opened(self, call: _Call) -> Iterator[Change]:
        path = PurePosixPath(call.strings[0].decode())
        if path not in self._names and "O_CREAT" in call.words[-2] + call.words[-1] and self._is_inside(path):
            yield self._new(path)
        if path in self._names:
            self._open[call.result] = self._names[path]
            if "O_TRUNC" in call.words[-1]:
                yield Truncate(self._names[path], 0)

    def _made_folder(self, call: _Call) -> Iterator[Change]:
        path = PurePosixPath(call.strings[0].decode())
        if self._is_inside(path):
            yield self._new(path, is_folder=True)

    def _new(self, path: PurePosixPath, *, is_folder: bool = False) -> Link:
        self._inodes += 1
        self._names[path] = self._inodes
        return Link(self._names[path.parent], path.name, self._inodes, is_folder)

    def _unlinked(self, call: _Call) -> Iterator[Change]:
        path = PurePosixPath(call.strings[0].decode())
        if self._names.pop(path, None) is not None:
            yield Link(self._names[path.parent], path.name, None)

    def _renamed(self, call: _Call) -> Iterator[Change]:
        old, new = (PurePosixPath(text.decode()) for text in call.strings)
        if old in self._names:
            inode = self._names[new] = self._names.pop(old)
            yield Link(self._names[new.parent], new.name, inode)
            yield Link(self._names[old.parent], old.name, None)

    def _written(self, call: _Call) -> Iterator[Change]:
        if (inode := self._inode(call)) is not None:
            yield Write(inode, int(call.words[-1]), call.strings[0][: call.result])

    def _truncated(self, call: _Call) -> Iterator[Change]:
        if (inode := self._inode(call)) is not None:
            yield Truncate(inode, int(call.words[-1]))

    def _synced(self, call: _Call) -> Iterator[Change]:
        if (inode := self._inode(call)) is not None:
            yield Sync(inode)

    def _inode(self, call: _Call) -> int | None:
        return self._open.get(int(call.words[0]))

    def _concerns(self, call: _Call) -> bool:
        is_of_open = call.words[0].isdecimal() and int(call.words[0]) in self._open
        return is_of_open or any(self._is_inside(PurePosixPath(text.decode())) for text in _paths(call))

    def _is_inside(self, path: PurePosixPath) -> bool:
        return path.is_relative_to(self._root)


def _paths(call: _Call) -> list[bytes]:
    return [] if call.words[0].isdecimal() else call.strings


def _calls(log: Path) -> Iterator[_Call]:
    """Yield the calls of a trace in the order in which they ended."""
    begun: dict[str, tuple[int, str]] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            found = _LINE.fullmatch(line.rstrip("\n"))
            assert found is not None, line[:200]
            process, seconds, fraction, text = found.groups()
            at_ns = int(seconds) * 1_000_000_000 + int(fraction)
            if text.endswith(_UNFINISHED):
                begun[process] = (at_ns, text.removesuffix(_UNFINISHED))
                continue
            if resumed := _RESUMED.fullmatch(text):
                at_ns, head = begun.pop(process)
                text = head + resumed[1]
            if made := _CALL.match(text):
                yield _call(at_ns, *made.groups())


def _call(at_ns: int, name: str, arguments: str, result: str) -> _Call:
    strings = []
    for text, is_cut in _STRING.findall(arguments):
        assert not is_cut, "strace has left out data"
        strings.append(bytes.fromhex(text.replace("\\x", "")))
    words = [word.strip() for word in _STRING.sub('""', arguments).split(",")]
    return _Call(at_ns, name, words, strings, -1 if result == "?" else int(result))
