"""Which file a name means, whatever machine wrote the path."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import compress
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import parse_qsl, unquote, urlsplit

#: In place of the row of a file: there is none, or several fit
NONE, SEVERAL = -1, -2

_DRIVE = re.compile(r"[A-Za-z]:")


class NamedFiles(NamedTuple):
    """The files that a name may mean.

    Attributes:
        rows: positions of the files; exactly one where the meaning is clear
        certain: whether the name itself says so, without guessing
        taken: whether the only file it may mean is that of another name
    """

    rows: tuple[int, ...]
    certain: bool = False
    taken: bool = False

    @property
    def row(self) -> int | None:
        """The position of the file, ``None`` where it is not clear."""
        return self.rows[0] if len(self.rows) == 1 and not self.taken else None

    @property
    def row_or_code(self) -> int:
        """The position of the file, :data:`NONE` or :data:`SEVERAL`."""
        if self.row is not None:
            return self.row
        return SEVERAL if self.rows else NONE


def tail(name: str) -> str:
    r"""A path without parts that lead to another machine or out of a folder.

    Args:
        name: a path or a URL

    Returns:
        a relative path with ``/``, empty if nothing is left

    Examples::

        >>> tail(r"C:\data\train\a.jpg"), tail("../../a.jpg")
        ('data/train/a.jpg', 'a.jpg')
        >>> tail("https://example.com/val2017/a%20b.jpg?size=big")
        'val2017/a b.jpg'
    """
    is_url = "://" in name
    path = unquote(urlsplit(name).path) if is_url else name
    return "/".join(_parts(path))


def meanings(
    names: Sequence[str],
    paths: Sequence[str],
    *,
    certain: bool = False,
    least_deep: bool = False,
    claimed: Collection[int] = (),
) -> list[NamedFiles]:
    """Finds out which file each of several names means.

    A name means the only file of its base name; of several, the one that shares most
    of the folders above. Where no base name is the same, percent-encoding, the form of
    accents, and upper and lower case are ignored, in this order. A file that two names
    may mean by such guesses is given to neither.

    Args:
        names: paths as any machine spells them, or URLs
        paths: the paths of the files, with ``/``
        certain: whether a name surely means the file whose path ends with
            it exactly
        least_deep: whether it then means, of several, the one that lies least deep
        claimed: positions of files that no guess may give to a name

    Returns:
        a :class:`NamedFiles` for each name
    """
    index = _Suffixes(paths)
    found = [_meaning(name, index, certain, least_deep) for name in names]
    clear = {m.rows[0] for m in found if m.certain and len(m.rows) == 1}.union(claimed)
    guesses = [len(m.rows) == 1 and not m.certain for m in found]
    wanted = Counter(m.rows[0] for m in compress(found, guesses))
    return [
        m._replace(taken=guess and (m.rows[0] in clear or wanted[m.rows[0]] > 1))
        for m, guess in zip(found, guesses, strict=True)
    ]


def _meaning(
    name: str, index: _Suffixes, certain: bool, least_deep: bool
) -> NamedFiles:
    forms = list(_forms(name))
    for spelling in _SPELLINGS:
        for number, form in enumerate(forms):
            rows, whole = index.longest(form, spelling)
            if not rows:
                continue
            if whole and least_deep:
                rows = index.least_deep(rows)
            unchanged = spelling is _as_is and number == 0
            return NamedFiles(tuple(rows), certain and whole and unchanged)
    return NamedFiles(())


def _forms(name: str) -> Iterator[list[str]]:
    """The paths that a name may stand for, split into folders and base name."""
    paths = [name]
    if "%" in name:
        paths.append(unquote(name))
    if "://" in name or "?" in name or "#" in name:
        with suppress(ValueError):  # a bracket that is not closed
            url = urlsplit(name)
            # Label Studio writes /data/local-files/?d=folder/a.jpg
            values = [value for _, value in parse_qsl(url.query)]
            paths += [url.path, unquote(url.path), *values]
    for path in paths:
        if parts := _parts(path):
            yield parts


def _parts(path: str) -> list[str]:
    path = posixpath.normpath(path.replace("\\", "/"))
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return parts[1:] if parts and _DRIVE.fullmatch(parts[0]) else parts


def _as_is(text: str) -> str:
    return text


def _plain(text: str) -> str:
    return normalize("NFC", unquote(text))


def _folded(text: str) -> str:
    return normalize("NFC", _plain(text).casefold())


_Spelling = Callable[[str], str]
_SPELLINGS: tuple[_Spelling, ...] = (_as_is, _plain, _folded)


class _Suffixes:
    """Paths by their last components, indexed only as deep as names need it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._split: dict[_Spelling, list[list[str]]] = {}
        self._rows: dict[tuple[_Spelling, int], dict[str, list[int]]] = {}

    def longest(self, parts: list[str], spelling: _Spelling) -> tuple[list[int], bool]:
        """Returns the paths that share most last components, and whether all."""
        rows = self._with([spelling(parts[-1])], spelling)
        if not rows:
            return rows, False
        parts = [spelling(part) for part in parts]
        if len(rows) > 1:
            for count in range(len(parts), 1, -1):
                if deeper := self._with(parts[-count:], spelling):
                    rows = deeper
                    break
        return rows, self._components(spelling)[rows[0]][-len(parts) :] == parts

    def least_deep(self, rows: list[int]) -> list[int]:
        depths = [self._paths[row].count("/") for row in rows]
        least = min(depths)
        return [row for row, d in zip(rows, depths, strict=True) if d == least]

    def _components(self, spelling: _Spelling) -> list[list[str]]:
        if spelling not in self._split:
            self._split[spelling] = [
                [part for part in spelling(path).split("/") if part]
                for path in self._paths
            ]
        return self._split[spelling]

    def _with(self, suffix: list[str], spelling: _Spelling) -> list[int]:
        count = len(suffix)
        rows = self._rows.get((spelling, count))
        if rows is None:
            rows = {}
            for row, parts in enumerate(self._components(spelling)):
                if len(parts) >= count:
                    rows.setdefault("/".join(parts[-count:]), []).append(row)
            self._rows[spelling, count] = rows
        return rows.get("/".join(suffix), [])
