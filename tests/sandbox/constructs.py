"""Small programs, one per language construct, that take some of their branches and not others."""

from pathlib import Path


def _read() -> dict[str, str]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    sections = (section.partition("\n") for section in text.split("=== ")[1:])
    return {name: source for name, _, source in sections}


CONSTRUCTS: dict[str, str] = {
    **_read(),
    "carriage returns": "x = 1\r\nif x:\r\n    y = 2\r\nelse:\r\n    y = 3\r\n",
    "old line ends": "x = 1\rif x: y = 2\rz = 3\r",
    "tabs and form feed": "if 1:\n\tx = 1\n\x0c\ny = 2\n",
}
