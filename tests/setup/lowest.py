"""Writes the lowest versions that pyproject.toml declares as requirements, for `tox -e lowest`.

Usage: lowest.py PYPROJECT REQUIREMENTS

What only builds the documentation is left out: it never runs beside the rest.
"""

import sys
import tomllib
from pathlib import Path

# A lower bound and nothing else: an upper bound or a marker would need more thought than a replaced operator.
OPERATOR = ">="
RUN_TIME_EXTRAS = ("clouds",)


def lowest(declared: str) -> str:
    """Turn `h11>=0.14` into `h11==0.14`."""
    name, operator, version = declared.partition(OPERATOR)
    if not operator or not version.replace(".", "").isdigit():
        raise SystemExit(f"pyproject.toml: {declared!r} is not of the form name{OPERATOR}version")
    return f"{name}=={version}"


def main() -> None:
    """Read the one file and write the other."""
    pyproject, requirements = map(Path, sys.argv[1:])
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = [project["optional-dependencies"][extra] for extra in RUN_TIME_EXTRAS]
    declared = [*project["dependencies"], *(one for extra in extras for one in extra)]
    requirements.write_text("".join(f"{lowest(one)}\n" for one in declared))


if __name__ == "__main__":
    main()
