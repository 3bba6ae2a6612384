"""Numbers, shares and names, formatted for sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized

from fiftyone_coco_audit.escaping import printable

_LONGEST_NAME = 40  # in characters, of a class for example


def percent(share: float) -> str:
    """A share as a percentage, which is 0% or 100% only where it is none or all.

    Examples::

        >>> percent(0.414), percent(0.042), percent(0.9996), percent(1e-7)
        ('41%', '4.2%', '99.9%', '0.01%')
    """
    if share != share:
        return "n/a"
    value = 100 * share
    if 99 < value < 100:
        return f"{min(value, 99.9):.1f}%"
    if 0 < value < 10:
        return f"{max(value, 0.01):.2g}%"
    return f"{value:.0f}%"


def pixels(length: float) -> str:
    """A length with its significant digits: one decimal below 10 pixels.

    Examples::

        >>> pixels(1.3), pixels(4.0), pixels(0.04), pixels(55.4), pixels(1234.5)
        ('1.3 px', '4 px', '0.04 px', '55 px', '1,234 px')
    """
    if length and abs(length) < 0.95:
        return f"{length:.1g} px"
    if abs(length) < 9.95:
        return f"{length:.1f}".removesuffix(".0") + " px"
    return f"{length:,.0f} px"


def counted(count: int, noun: str) -> str:
    """A number of things.

    Examples::

        >>> counted(1, "image"), counted(1200, "class"), counted(3, "box")
        ('1 image', '1,200 classes', '3 boxes')
        >>> counted(0, "batch"), counted(1, "batch")
        ('0 batches', '1 batch')
    """
    ending = "" if count == 1 else "es" if noun.endswith(("s", "x", "ch")) else "s"
    return f"{count:,} {noun}{ending}"


def counted_objects(objects: int, crowds: int) -> str:
    """A number of objects, and of crowd regions if there are any.

    Examples::

        >>> counted_objects(1746, 0), counted_objects(619, 5)
        ('1,746 objects', '619 objects and 5 crowd regions')
    """
    told = counted(objects, "object")
    return f"{told} and {counted(crowds, 'crowd region')}" if crowds else told


def listed(items: Sequence[str], most: int = 3) -> str:
    """Some items, and how many more there are.

    Examples::

        >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
        ('a and b', 'a, b, c and 2 more')
    """
    words = list(items[:most])
    if len(items) > most:
        words.append(f"{len(items) - most:,} more")
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def quoted(name: str) -> str:
    r"""A name of any length and any characters, made safe for a sentence or a card.

    Backticks would end the quotation, and line breaks the paragraph.

    Examples::

        >>> quoted("cat"), quoted("a `big` cat ")
        ('`cat`', "`a 'big' cat `")
        >>> quoted("\x1b[2J")
        '`\\x1b[2J`'
        >>> quoted("n" * 300 + "02129165")
        '`nnnnnnnnnnnnnnnnnnnn…nnnnnnnnnnn02129165`'
    """
    words = " ".join(name.splitlines()).replace("`", "'")
    return f"`{printable(words, _LONGEST_NAME) or ' '}`"


def named(
    names: Sequence[str],
    notes: Iterable[object] | None = None,
    form: str = "{} ({})",
    most: int = 3,
) -> str:
    """The names of some classes, and how many more there are.

    Args:
        names: the names
        notes: what to say of each, if anything
        form: how name and note stand together
        most: how many names are said

    Examples::

        >>> named(["cat", "dog"]), named(["cat", "dog"], [9, 1])
        ('`cat` and `dog`', '`cat` (9) and `dog` (1)')
    """
    said = [quoted(name) for name in names]
    if notes is not None:
        said = [form.format(name, note) for name, note in zip(said, notes, strict=True)]
    return listed(said, most)


def out_of(found: Sized, things: Sized, noun: str) -> str:
    """How many of how many things were found.

    Examples::

        >>> out_of([1], range(2), "box"), out_of([1], range(1), "image")
        ('1 of 2 boxes', '1 image')
    """
    total = counted(len(things), noun)
    return total if len(things) == 1 else f"{len(found):,} of {total}"


def none_of(things: Sized, noun: str, source: str, verb: str) -> str:
    """The start of a sentence on things that all have a problem.

    Examples::

        >>> none_of(range(2), "image", "a.json", "is")
        'None of the 2 images of a.json is'
        >>> none_of(["a"], "prediction", "a.json", "can")
        'The only prediction of a.json cannot'
    """
    if len(things) == 1:
        not_so = "cannot" if verb == "can" else f"{verb} not"
        return f"The only {noun} of {source} {not_so}"
    return f"None of the {counted(len(things), noun)} of {source} {verb}"


def plural(things: Sized, one: str, many: str) -> str:
    """The singular or the plural of a word, by the number of things.

    Examples::

        >>> plural(["a"], "has", "have"), plural(["a", "b"], "has", "have")
        ('has', 'have')
    """
    return one if len(things) == 1 else many


def json_kind(value: object) -> str:
    """What a value is in JSON, with its article.

    Examples::

        >>> json_kind(3), json_kind(None), json_kind("a"), json_kind({}), json_kind([])
        ('a number', 'null', 'text', 'an object', 'a list')
    """
    if value is None:
        return "null"
    # A bool is an int, so it comes first
    for kinds, name in (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (dict, "an object"),
        ((list, tuple), "a list"),
    ):
        if isinstance(value, kinds):
            return name
    return f"a value of type {type(value).__name__}"
