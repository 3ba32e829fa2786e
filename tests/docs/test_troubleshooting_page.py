"""The messages of the page of troubleshooting are those that the code prints."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from ray._private.authentication import authentication_constants, http_token_authentication

from tests.docs.commands import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
FORMAT = re.compile(r"%[-\d.]*[a-z]")


def messages(section: str) -> list[str]:
    """The first cells of a section's table."""
    rows = re.search(rf"^## {section}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert rows is not None, section
    return re.findall(r"^\| `([^|]+)` \|", rows[1], re.MULTILINE)


OWN = [
    message
    for section in ("Before the run starts", "Sandboxes", "While it runs")
    for message in messages(section)
]


@cache
def texts() -> tuple[str, ...]:
    """Every text of our packages; `…` stands for what is put into it."""
    found: list[str] = []
    for package in ("actors", "curriculum", "deploy", "learner", "sandbox"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…"
                             for part in node.values]  # fmt: skip
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(FORMAT.sub("…", node.value))
    return tuple(found)


@pytest.mark.parametrize("message", OWN)
def test_a_message_is_printed_by_the_code(message: str) -> None:
    pattern = re.compile(".*".join(map(re.escape, message.strip("… ").split("…"))))
    assert any(pattern.search(text) for text in texts())


def test_every_section_has_its_messages() -> None:
    assert len(OWN) > 35
    assert len(set(OWN)) == len(OWN)


def test_rays_messages_are_rays() -> None:
    own = authentication_constants.TOKEN_AUTH_ENABLED_BUT_NO_TOKEN_FOUND_ERROR_MESSAGE
    source = http_token_authentication.__file__
    assert source is not None
    with open(source) as file:
        answers = file.read()
    for message in messages("From Ray"):
        if "authentication token" in message:
            assert message == own or f'"{message}"' in answers
