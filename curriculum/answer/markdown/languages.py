"""What the info string of a code fence says about the language of its block."""

import re

_PYTHON = re.compile(
    r"(?:language-|lang-|source-)?(?:[icg]?python|py|pypy|sage)(?:[-_ ]?[23](?:\.\d+)*)?\Z"
    r"|python-code\Z|tool_code\Z|[\w./-]+\.pyi?\Z|(?:code|solution|answer|none)\Z",
    re.IGNORECASE,
)
_NAMES = """
bash bat bf c c# c++ cfg clojure cmake cmd coffeescript console cpp cs csharp css csv d dart diff
dockerfile elixir elm erlang f# fish fortran fsharp go golang graphql groovy haskell hs html ini
java javascript jinja js json json5 jsonl jsx julia kotlin kt latex less lisp lua makefile markdown
math matlab md mermaid nim objc objective-c ocaml octave output pascal perl php plain plaintext
powershell prolog ps1 pseudocode pycon python-console python-repl pytb r rb repl rs ruby rust scala
scheme scss sh shell sql stdin stdout svelte swift tcl tex text toml ts tsx txt typescript vb
verilog vhdl vue xml yaml yml zig zsh
"""
DOCUMENTS = frozenset({"markdown", "md"})
"""Words of blocks that are documents with blocks of their own."""
_OTHERS = frozenset(_NAMES.split())
_WORD = re.compile(r"\{?\s*(?:lang(?:uage)?\s*=\s*)?[\"'.]?(?P<word>[^\s{}:,;=\"']+)(?P<equals>=)?")


def fence_word(info: str) -> str:
    """The language word of an info string, in lower case; empty where there is none.

    Knows Pandoc's and R Markdown's braces (`{.python}`, `{python echo=false}`), attributes behind
    the word (`python title="a.py"`), and names of files behind a colon (`python:a.py`).
    """
    if not info:
        return ""
    found = _WORD.match(info.strip())
    return "" if found is None or found["equals"] else found["word"].lower()


def is_python(word: str) -> bool:
    """Whether a fence's language word is one of Python's, or says nothing."""
    return not word or _PYTHON.match(word) is not None


def is_language(word: str) -> bool:
    """Whether a word is known as a language's name, so that alone on a line it is no code."""
    return word.lower() in _OTHERS or _PYTHON.match(word) is not None
