"""What all who show a `status` answer say alike."""

from downtimer.control.wording import down_already
from downtimer.model import ICMP, WORKS
from tests.unit.status_answers import answer, failing


def test_what_is_down_already_is_a_line_that_stays_one() -> None:
    assert down_already(answer()) == ""
    down = [failing("service/nova"), failing("service/nova", WORKS, "http-503"), failing("service/a\nb")]
    assert down_already(answer(down=down)) == "down already: nova (http-503, refused), a\\x0ab (refused)"
    down = [failing(f"address/10.0.0.{last}", ICMP, "no-reply") for last in range(7)]
    assert down_already(answer(down=down, more_down=30)).endswith(", 10.0.0.4 (no-reply) and 32 more")
