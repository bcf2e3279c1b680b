"""The packets of the responder."""

import socket

from downtimer.demo.responder import checksum, make_reply, read_echo

PAYLOAD = b"\x12\x34\x00\x07cookie"


def request(payload: bytes = PAYLOAD, kind: int = 8) -> bytes:
    """An echo request from 10.0.0.1 to 10.0.0.2, with three bytes of padding behind it."""
    message = bytes([kind, 0, 0, 0]) + payload
    length = (20 + len(message)).to_bytes(2, "big")
    addresses = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
    return b"\x45\0" + length + b"\0\0\0\0\x40\x01\0\0" + addresses + message + b"pad"


def test_reply_carries_the_payload_and_a_right_checksum() -> None:
    address, reply = read_echo(request())
    assert address == "10.0.0.2"
    assert reply is not None
    assert (reply[:2], reply[4:]) == (b"\0\0", PAYLOAD)
    assert checksum(reply) == b"\0\0"  # a message with its checksum sums up to nothing


def test_checksum_of_an_odd_message_pads_it() -> None:
    assert checksum(b"\x01\x02\x03") == checksum(b"\x01\x02\x03\x00")


def test_only_echo_requests_are_answered() -> None:
    assert read_echo(request(kind=0)) == ("", None)
    assert read_echo(b"") == ("", None)


def test_reply_goes_back_from_where_the_request_went_or_from_elsewhere() -> None:
    _, reply = read_echo(request())
    assert reply is not None
    right = make_reply(request(), reply, source=None)
    wrong = make_reply(request(), reply, source="10.0.0.3")
    assert [socket.inet_ntoa(right[at : at + 4]) for at in (12, 16)] == ["10.0.0.2", "10.0.0.1"]
    assert [socket.inet_ntoa(wrong[at : at + 4]) for at in (12, 16)] == ["10.0.0.3", "10.0.0.1"]
