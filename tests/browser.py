"""A real browser, Debian's Chromium, driven without a screen: what a page does, says and asks for."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.waiting import wait_until

OUTPUT: Final = Path(__file__).parents[1] / "test-output" / "html"
"""Pictures of pages are kept here, to be looked at."""

_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # which root is not allowed
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_LOAD_S: Final = 60.0
_PATIENCE_S: Final = 10.0


class Browser:
    """One window, with one page at a time.

    Attributes:
        driver: Selenium's.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        """Open a file, and wait until its script is done; nothing of an earlier page is left."""
        self.driver.get("about:blank")
        self.errors()
        self.requests()
        self.driver.get(path.as_uri())
        self.wait(lambda: self.script("return document.documentElement.dataset.ready"), "the page")
        self.settle()

    def script(self, source: str, *arguments: object) -> Any:  # noqa: ANN401 - what JavaScript returns
        """Return what a script returns."""
        return self.driver.execute_script(source, *arguments)

    def settle(self) -> None:
        """Wait until what is due has been drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def wait(self, predicate: Any, what: str) -> None:  # noqa: ANN401 - of any result
        """Wait until something is so."""
        wait_until(predicate, timeout_s=_PATIENCE_S, what=what)

    def find(self, selector: str) -> WebElement:
        """Return the first element that a CSS selector fits."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that a CSS selector fits, in order of the page's rows."""
        found = self.script(
            """return [...document.querySelectorAll(arguments[0])]
                .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
                .map((one) => one.textContent)""",
            selector,
        )
        return [str(text) for text in found]

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other, whatever has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
        self.settle()

    def hover(self, element: WebElement) -> None:
        """Move the pointer to the middle of an element."""
        ActionChains(self.driver).move_to_element(element).perform()
        self.settle()

    def wheel(self, element: WebElement, notches: int) -> None:
        """Turn the wheel over an element; up is negative."""
        box = element.rect
        self.driver.execute_cdp_cmd(
            "Input.dispatchMouseEvent",
            {
                "type": "mouseWheel",
                "x": box["x"] + box["width"] / 2,
                "y": box["y"] + box["height"] / 2 - self.script("return scrollY"),
                "deltaX": 0,
                "deltaY": 100 * notches,
            },
        )
        self.settle()

    def drag(self, element: WebElement, by_x: int, from_x: int = 0) -> None:
        """Drag from a point of an element, so far from its middle, to the right."""
        chain = ActionChains(self.driver, duration=50).move_to_element_with_offset(element, from_x, 0)
        chain.click_and_hold().move_by_offset(by_x, 0).release().perform()
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in px."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.settle()

    def emulate(self, *, scheme: str = "light", media: str = "") -> None:
        """Have the page believe that the system's colours are light or dark, or that it is printed."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self.settle()

    def allow_scripts(self, *, allowed: bool) -> None:
        """Say whether the next page may run any script; this one goes on as it is."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    def picture(self, name: str) -> None:
        """Keep a picture of what is seen."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(OUTPUT / f"{name}.png"))

    def pdf(self, name: str) -> bytes:
        """Print the page, and keep that."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        options = {"printBackground": True, "preferCSSPageSize": True}
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", options)
        pdf = base64.b64decode(printed["data"])
        (OUTPUT / f"{name}.pdf").write_bytes(pdf)
        return pdf

    def errors(self) -> list[str]:
        """Return what the console has said since it was last asked."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Return the URLs that were asked for since this was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def _log(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser; it is gone afterwards."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(_LOAD_S)
        made = Browser(driver)
        made.resize(1300, 900)
        yield made
    finally:
        driver.quit()
