"""A socket filter (classic BPF, Linux' Documentation/networking/filter.rst) for echo replies.

A raw socket hears every reply that comes to the host. Used by the icmp worker only.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_INSTRUCTION: Final = struct.Struct("=HBBI")  # code, jump if true, jump if false, operand
_PROGRAM: Final = struct.Struct("@HP")  # struct sock_fprog: how many instructions, where
_ALL: Final = 0xFFFFFFFF

_LOAD_BYTE, _LOAD_BYTE_FROM_X = 0x30, 0x50
_LOAD_HALF, _LOAD_HALF_FROM_X = 0x28, 0x48
_X_IS_HEADER_LENGTH: Final = 0xB1  # 4 * (byte & 15), the length of an IPv4 header
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_IDENTIFIER_AT: Final = 4


def of_replies(reply: int, identifiers: Sequence[int], *, has_header: bool) -> bytes:
    """Return a filter by which echo replies pass with one of these identifiers only, and all else passes.

    Args:
        reply: Their type.
        identifiers: At least one.
        has_header: Messages begin with the header of IPv4.
    """
    count = len(identifiers)
    program = [(_X_IS_HEADER_LENGTH, 0, 0, 0)] if has_header else []
    program += [
        (_LOAD_BYTE_FROM_X if has_header else _LOAD_BYTE, 0, 0, 0),
        (_JUMP_IF_EQUAL, 0, count + 2, reply),
        (_LOAD_HALF_FROM_X if has_header else _LOAD_HALF, 0, 0, _IDENTIFIER_AT),
    ]
    program += [
        (_JUMP_IF_EQUAL, count - number, 0, identifier) for number, identifier in enumerate(identifiers)
    ]
    program += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, _ALL)]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def attach(sock: socket.socket, program: bytes) -> None:
    """Have only that pass to a socket, from now on, instead of what passed before.

    Raises:
        OSError: The kernel refuses it.
    """
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        _PROGRAM.pack(len(program) // _INSTRUCTION.size, ctypes.addressof(code)),
    )
