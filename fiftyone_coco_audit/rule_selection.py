"""Which rules are run, and why others are not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.findings import RULES, Need, Rule
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.wording import listed

#: What an audit of a dataset can examine
OF_DATASETS: tuple[Need, ...] = ("file", "dataset")

#: What an audit of results can examine
OF_RESULTS: tuple[Need, ...] = ("evaluation",)

_RUN_BY: dict[Need, str] = {
    "file": "Rules about files need a whole dataset that import_coco created.",
    "dataset": "audit(dataset) runs rules about datasets.",
    "pipeline": "audit_augmentation(dataset, pipeline) runs rules about pipelines.",
    "loader": "check_loader(dataset, loader) runs rules about loaders.",
    "evaluation": "audit_results(dataset, eval_key) runs rules about results.",
}


def fill_registry() -> None:
    """Fills :data:`.findings.RULES`, also from packages that import this one."""
    import_module("fiftyone_coco_audit.rules")


def selected_rules(
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    needs: Iterable[Need] = OF_DATASETS,
) -> list[Rule]:
    """The selected rules.

    Args:
        select: codes, starts of codes or names; by default all rules that can run
        ignore: rules to leave out, in the same forms
        needs: what there is for rules to look at

    Returns:
        a list of rules, which may include some that cannot run

    Raises:
        CocoAuditError: if there is no such rule, or a word selects none that can run
    """
    fill_registry()
    able = {code for code, rule in RULES.items() if rule.needs in needs}
    wanted = set(able)
    if select is not None:
        wanted = set()
        for word, codes in named_codes(select).items():
            wanted |= codes
            if not codes & able:
                raise CocoAuditError(
                    f"{word!r} selects no rule that can run here. "
                    f"{_RUN_BY[RULES[min(codes)].needs]}"
                )
    wanted -= set().union(*named_codes(ignore or ()).values())
    if not wanted & able:
        raise CocoAuditError(
            f"No rule is left to run: select is {select!r} and ignore is {ignore!r}"
        )
    return [RULES[code] for code in sorted(wanted)]


def words_for(
    select: Iterable[str] | None, ignore: Iterable[str], needs: Iterable[Need]
) -> dict[str, Any] | None:
    """The words of a selection for several audits that one of them understands.

    Args:
        select: codes, starts of codes or names; None for all rules
        ignore: rules to leave out, in the same forms
        needs: what the audit can examine

    Returns:
        its ``select`` and ``ignore``, None if no rule is left for it
    """
    fill_registry()
    able = {code for code, rule in RULES.items() if rule.needs in needs}
    wanted, words = able, None
    if select is not None:
        known = named_codes(select)
        words = [word for word, codes in known.items() if codes & able]
        wanted = set().union(*known.values()) & able
    left = wanted - set().union(*named_codes(ignore).values())
    return {"select": words, "ignore": ignore} if left else None


def named_codes(words: Iterable[str]) -> dict[str, set[str]]:
    """The codes of the rules that words name.

    Args:
        words: codes, starts of codes or names; also as one text, with commas

    Raises:
        CocoAuditError: if there is no such rule
    """
    fill_registry()
    if isinstance(words, str):
        words = words.replace(",", " ").split()
    if not isinstance(words, Iterable):
        words = [words]
    found: dict[str, set[str]] = {}
    for word in words:
        codes = isinstance(word, str) and {
            code
            for code, rule in RULES.items()
            if word == rule.name or code.startswith(word.upper())
        }
        if not word or not codes:
            raise CocoAuditError(
                f"There is no rule {word!r}: name a code such as 'CA301', the start "
                "of a code such as 'CA3', or the name of a rule"
            )
        found[word] = codes
    return found


def rules_not_run(
    rules: Iterable[Rule], statistics: Statistics, *, has_file: bool
) -> dict[str, str]:
    """Why rules are not run in an audit of a dataset.

    Args:
        rules: the rules that are wanted
        statistics: of the images
        has_file: whether it is a whole dataset whose import is known

    Returns:
        a sentence for each rule that cannot run, by its code
    """
    rules = list(rules)
    reasons = run_elsewhere(rules, OF_DATASETS if has_file else ["dataset"])
    for rule in rules:
        if rule.needs_whole and statistics.is_glimpse:
            reasons[rule.code] = (
                f"The view holds {len(statistics.labeled):,} of "
                f"{statistics.labeled.whole:,} images, too few to say which classes "
                "are rare or missing."
            )
    return reasons


def run_elsewhere(rules: Iterable[Rule], needs: Iterable[Need]) -> dict[str, str]:
    """What runs the rules that cannot run here.

    Args:
        rules: the rules that are wanted
        needs: what there is for rules to look at

    Returns:
        a sentence for each of these rules, by its code
    """
    return {rule.code: _RUN_BY[rule.needs] for rule in rules if rule.needs not in needs}


def not_run_notes(reasons: Mapping[str, str]) -> list[str]:
    """Sentences on the rules that were not run, one for each reason.

    Args:
        reasons: the reasons by code

    Examples::

        >>> not_run_notes({"CA101": "No file.", "CA102": "No file."})
        ['Not run: CA101 and CA102. No file.']
    """
    codes: dict[str, list[str]] = {}
    for code, reason in reasons.items():
        codes.setdefault(reason, []).append(code)
    return [f"Not run: {listed(some)}. {reason}" for reason, some in codes.items()]
