"""Text from files, made safe for a terminal, for Markdown and for a plot.

Names, ids and reasons come from files that anybody may have written. Shown raw, they
can retitle a terminal, load a remote picture in the App, or vanish from a plot. There
is one function for each kind of output. All of them show the text as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: The maximum length of a message, in characters. Longer ones lose their middle.
LONGEST_MESSAGE = 2_000

# These only join letters, emoji and words
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\N{WORD JOINER}"
_SPACES = "\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}"

_CODE = re.compile(r"(`[^`\n]*`)")
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&])")
# Lists, rules and underlined headings
_LINE_START = re.compile(r"^(\d*)(?:([-+.])(?=\s|$)|([-=])(?=[-=\s]*$))", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)

_PLOT_MARKUP = str.maketrans({c: f"&#{ord(c)};" for c in "&<>{}$"})


def shortened(name: str, most: int) -> str:
    """Returns a name without its middle, since many names differ only at their ends.

    Args:
        name: the name
        most: the most characters to return

    Examples::

        >>> shortened("n02129165_lion", 14), shortened("n02129165_lion", 9)
        ('n02129165_lion', 'n021…lion')
    """
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[head + 1 - most :]}"


def printable(text: str, most: int = LONGEST_MESSAGE) -> str:
    r"""Returns a text that cannot control a terminal or reorder a line.

    Control characters, direction marks and lone surrogates are written as in a Python
    string. Line breaks stay.

    Args:
        text: the text
        most: the most characters to return

    Examples::

        >>> printable("cat\x1b]0;owned\x07"), printable("naïve 猫")
        ('cat\\x1b]0;owned\\x07', 'naïve 猫')
        >>> printable("a" * 50, most=9)
        'aaaa…aaaa'
    """
    text = shortened(text, most)
    if text.isprintable():
        return text
    return shortened("".join(map(_printable_character, text)), most)


def _printable_character(character: str) -> str:
    if character.isprintable() or character in "\n" + _JOINERS:
        return character
    if character in _SPACES:
        return " "
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def markdown(text: str) -> str:
    r"""Returns Markdown that shows a text as it is, except for `code`.

    Our own messages put names between backticks. What is between them is code, in
    which Markdown has no other markup.

    Args:
        text: the text

    Examples::

        >>> markdown("![](http://x/y.png) in `a_b`")
        '!\\[\\](http://x/y.png) in `a_b`'
    """
    parts = _CODE.split(_INDENT.sub("", printable(text)))
    # Every second part is code
    for n in range(0, len(parts), 2):
        escaped = _MARKUP.sub(r"\\\1", parts[n])
        parts[n] = _LINE_START.sub(r"\1\\\2\3", escaped)
    return "".join(parts)


def markdown_cell(text: str) -> str:
    r"""Returns the same for a cell of a table in Markdown.

    Args:
        text: the text

    Examples::

        >>> markdown_cell("`cat|dog`\nand *more*")
        '`cat\\|dog` and \\*more\\*'
    """
    return re.sub(r"(?<!\\)\|", r"\\|", markdown(" ".join(text.splitlines())))


def markdown_list(texts: Iterable[str]) -> str:
    """Returns a list in Markdown of texts as they are.

    Args:
        texts: the texts
    """
    return "\n".join(f"- {' '.join(markdown(text).splitlines())}" for text in texts)


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1
) -> str:
    """Returns a table in Markdown, every cell of which shows its text as it is.

    Args:
        head: the heading of each column
        rows: the cells of each row
        text_columns: how many columns are text; the others are numbers, which stand
            at the right
    """
    rule = ["---" if n < text_columns else "--:" for n in range(len(head))]
    body = [[*map(markdown_cell, row)] for row in (head, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [body[0], rule, *body[1:]])


def plot_text(text: str) -> str:
    """Returns a text for the labels and the hover text of Plotly.

    Plotly reads tags such as ``<a>``, entities, and variables such as ``%{y}``.

    Args:
        text: the text

    Examples::

        >>> plot_text("<b>%{y}"), plot_text("R&D")
        ('&#60;b&#62;%&#123;y&#125;', 'R&#38;D')
    """
    return " ".join(printable(text).splitlines()).translate(_PLOT_MARKUP)


def hover_text(text: str) -> str:
    """Returns the same for a text whose lines are separated by ``<br>``.

    Args:
        text: the text

    Examples::

        >>> hover_text("<b>cat<br>3 boxes")
        '&#60;b&#62;cat<br>3 boxes'
    """
    return "<br>".join(map(plot_text, text.split("<br>")))
