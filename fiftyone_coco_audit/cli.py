"""The command line: ``coco-audit ANNOTATIONS [IMAGES]``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import fiftyone_coco_audit
from fiftyone_coco_audit.database import database_errors_explained, leave_lost_database
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.files import NO_IMAGES, check_writable_path, write_text
from fiftyone_coco_audit.findings import SEVERITIES

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.auditing import Audit

_DESCRIPTION = """\
Import COCO files into FiftyOne, audit images, objects and classes, evaluate the
predictions with the numbers of pycocotools, and list the worst classes and images, and
what to do next by the AP that it gains.
"""
_EXAMPLES = """\
examples:
  coco-audit annotations.json images/
  coco-audit annotations.json images/ --predictions results.json --launch
  coco-audit annotations.json images/ --predictions results.json --iou-type segm
  coco-audit annotations.json --predictions results.json
  coco-audit annotations.json images/ --fail-on error --audit-json audit.json

The dataset stays in FiftyOne's database. To open it again: fiftyone app launch NAME
"""

_PATIENCE_MS = 5_000  # with a database that does not answer


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments; by default, those of the process

    Returns:
        the exit code: 0; 1 if ``--fail-on`` matches a finding; 2 if the input cannot be
        used; 130 if interrupted by Ctrl-C
    """
    arguments = _parser().parse_args(argv)
    reached = ["nothing was imported"]
    try:
        _check_database()
        with database_errors_explained():
            return _run(arguments, reached)
    except CocoAuditError as error:
        print(f"coco-audit: error: {error}", file=sys.stderr)
        leave_lost_database(error)
        return 2
    except KeyboardInterrupt:
        print(f"coco-audit: interrupted: {reached[-1]}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coco-audit",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=fiftyone_coco_audit.__version__
    )
    parser.add_argument(
        "annotations", metavar="ANNOTATIONS", help="COCO file with the ground truth"
    )
    parser.add_argument(
        "images_dir",
        metavar="IMAGES",
        nargs="?",
        help="folder that the file names in the COCO file are relative to; without it, "
        "only steps that need pixels are skipped",
    )
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        help="list of COCO results, or COCO file with scores that is matched by file "
        "and category names; without it, nothing is evaluated",
    )
    parser.add_argument(
        "--iou-type",
        choices=["bbox", "segm", "keypoints"],
        default="bbox",
        help="evaluate boxes (bbox, the default), masks (segm) or keypoints",
    )
    parser.add_argument(
        "--sigmas",
        metavar="NUMBERS",
        type=_numbers,
        help="how far each keypoint may be off, as 0.03,0.1,...; by default COCO's for "
        "the 17 of a person",
    )
    _add_dataset_options(parser)
    _add_audit_options(parser)
    app = parser.add_argument_group("App")
    app.add_argument(
        "--launch", action="store_true", help="serve the App afterwards, until Ctrl-C"
    )
    app.add_argument(
        "--port", type=int, default=5151, help="port of the App (default: %(default)s)"
    )
    app.add_argument(
        "--address",
        default="127.0.0.1",
        help="address of the App (default: %(default)s)",
    )
    return parser


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _add_dataset_options(parser: argparse.ArgumentParser) -> None:
    dataset = parser.add_argument_group("dataset")
    dataset.add_argument(
        "--name",
        help="name of the dataset; by default, that of the COCO file or its folder, "
        "with a number if the name is taken",
    )
    dataset.add_argument(
        "--overwrite", action="store_true", help="replace an existing dataset"
    )
    dataset.add_argument(
        "--invalid",
        choices=["skip", "raise"],
        default="skip",
        help="unusable records: set them aside and report them (skip, the default), or "
        "stop and import nothing (raise)",
    )


def _add_audit_options(parser: argparse.ArgumentParser) -> None:
    audit = parser.add_argument_group("audit")
    audit.add_argument(
        "--resize",
        default="letterbox 640",
        help="resize policy of the network: 'letterbox 640' (the default), "
        "'stretch 300x200', 'longest_side 1024', 'shortest_side 800 max 1333' or "
        "'none'",
    )
    audit.add_argument(
        "--anchors",
        default="retinanet",
        help="anchors of the detector: a preset such as retinanet (the default), or "
        "text such as 'sizes 32,64,128 ratios .5,1,2 strides 8,16,32'",
    )
    audit.add_argument(
        "--select",
        metavar="CODES",
        help="rules to run, by code, start of a code, or name: CA3,CA501",
    )
    audit.add_argument("--ignore", metavar="CODES", default="", help="rules to skip")
    audit.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help="exit with code 1 if there is a finding of this severity or higher",
    )
    audit.add_argument(
        "--audit-json",
        metavar="FILE",
        help="write the findings of both audits with all ids to this file",
    )


def _check_database() -> None:
    """Checks that FiftyOne has a database.

    Raises:
        CocoAuditError: if there is none
    """
    import fiftyone as fo
    from fiftyone.core.config import FiftyOneConfigError
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        if fo.config.database_uri is not None:
            # FiftyOne itself waits for half a minute
            client: MongoClient = MongoClient(
                fo.config.database_uri, serverSelectionTimeoutMS=_PATIENCE_MS
            )
            with client:
                client.admin.command("ping")
        fo.list_datasets()
    except FiftyOneConfigError as error:
        raise CocoAuditError(
            "FiftyOne cannot find MongoDB, where it stores its datasets: install "
            "`mongod`, or set FIFTYONE_DATABASE_URI to a server, such as "
            "mongodb://localhost:27017"
        ) from error
    except (ConnectionError, PyMongoError) as error:
        raise CocoAuditError(
            "The MongoDB server at FIFTYONE_DATABASE_URI does not answer: start it, or "
            "set another one, such as mongodb://localhost:27017"
        ) from error


def _run(arguments: argparse.Namespace, reached: list[str]) -> int:
    """Runs all steps, and adds to ``reached`` after each one."""
    from fiftyone_coco_audit import audit, import_coco, import_report
    from fiftyone_coco_audit.evaluation.settings import Settings
    from fiftyone_coco_audit.terminal import check_address, serve, terminal_width

    rules, results_rules = _rules(arguments)
    Settings.parse(iou_type=arguments.iou_type, sigmas=arguments.sigmas)
    if arguments.launch:
        check_address(arguments.address, arguments.port)
    name = _dataset_name(arguments)
    print(f"Importing {arguments.annotations}...")
    dataset = import_coco(
        arguments.annotations,
        arguments.images_dir,
        predictions=arguments.predictions,
        name=name,
        invalid=arguments.invalid,
        overwrite=arguments.overwrite,
    )
    reached.append(f"dataset {name!r} is imported, but not audited")
    print(import_report(dataset))
    audits: list[Audit] = []
    if rules is not None:
        print("\nAuditing...")
        audits.append(audit(dataset, **rules))
        reached.append(f"dataset {name!r} is imported and audited, but not evaluated")
        print(audits[0].to_text(terminal_width()))
        _write_audits(arguments, audits)
    samples, colors = dataset, None
    if arguments.predictions is not None:
        samples, colors, steps = _evaluate(dataset, arguments, results_rules, reached)
        audits += steps
        _write_audits(arguments, audits)

    print(f"\nDataset {dataset.name!r} is ready. To open it in the App:")
    print(f"  fiftyone app launch {shlex.quote(dataset.name)}")
    if arguments.launch:
        serve(
            samples,
            color_scheme=colors,
            port=arguments.port,
            address=arguments.address,
        )
    severity = arguments.fail_on
    return 1 if severity and any(one.at_least(severity) for one in audits) else 0


def _write_audits(arguments: argparse.Namespace, audits: Sequence[Audit]) -> None:
    """Writes what ``--audit-json`` asks for; the results are its ``"results"``."""
    if arguments.audit_json is None:
        return
    content: dict[str, Any] = {}
    for one in audits:
        content |= {"results": one.as_dict()} if one.eval_key else one.as_dict()
    write_text(arguments.audit_json, json.dumps(content, indent=2))


def _dataset_name(arguments: argparse.Namespace) -> str:
    """The name of the new dataset, which is not taken unless it is to be replaced."""
    import fiftyone as fo

    from fiftyone_coco_audit.coco.names import (
        dataset_of_that_name,
        default_dataset_name,
    )

    name = arguments.name
    if name is None:  # an empty name, as from an unset variable, is a mistake
        name = default_dataset_name(arguments.annotations)
    if name in fo.list_datasets() and not arguments.overwrite:
        raise CocoAuditError(
            f"Dataset {name!r} already exists: choose another name with --name, or "
            "replace it with --overwrite"
        )
    if arguments.name is None:
        there = dataset_of_that_name(arguments.annotations)
        if there is not None:
            print(
                f"Dataset {there!r} already exists, so the new one is {name!r}. To "
                f"replace the old one, use --name {shlex.quote(there)} --overwrite."
            )
    return name


def _evaluate(
    dataset: fo.Dataset,
    arguments: argparse.Namespace,
    rules: dict[str, Any] | None,
    reached: list[str],
) -> tuple[fo.DatasetView, fo.ColorScheme, list[Audit]]:
    """Evaluates, audits the results and prints.

    Returns:
        a tuple of what the App shows, in which colors, and the audit if there is one
    """
    from fiftyone_coco_audit import (
        audit_results,
        color_by_outcome,
        evaluate,
        worst_first,
    )
    from fiftyone_coco_audit.evaluation.colors import LEGEND
    from fiftyone_coco_audit.terminal import (
        print_next_steps,
        print_results,
        terminal_width,
    )

    print("\nEvaluating...")
    results = evaluate(dataset, iou_type=arguments.iou_type, sigmas=arguments.sigmas)
    reached.append(f"dataset {dataset.name!r} is imported, audited and evaluated")
    print_results(results, arguments.images_dir or NO_IMAGES)
    audits = []
    if rules is not None:
        audits.append(audit_results(dataset, results.key, **rules))
        print_next_steps(audits[0])
    colors = color_by_outcome(dataset, results.key)
    score = results.evaluation.settings.score_threshold
    samples = worst_first(dataset, results.key, min_score=score)
    print(
        "\n"
        + fill(
            f"In the App: {LEGEND} With --launch, predictions with a score below "
            f"{score:g} are hidden; click the x of FilterLabels, above the grid, to "
            "show them.",
            width=min(terminal_width(), 100),
            subsequent_indent="  ",
        )
    )
    return samples, colors, audits


def _rules(
    arguments: argparse.Namespace,
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The arguments of both audits, checked before anything is imported.

    Returns:
        those of the audit of the dataset, and of that of the results; None for an audit
        that has no rule to run

    Raises:
        CocoAuditError: if one of them is invalid
    """
    from fiftyone_coco_audit.rule_selection import (
        OF_DATASETS,
        OF_RESULTS,
        selected_rules,
        words_for,
    )
    from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
    from fiftyone_coco_audit.statistics.resizing import ResizePolicy

    is_evaluated = arguments.predictions is not None
    needs = (*OF_DATASETS, *(OF_RESULTS if is_evaluated else ()))
    selected_rules(arguments.select, arguments.ignore, needs)
    if arguments.audit_json is not None:
        check_writable_path(arguments.audit_json)
    network = {
        "resize": ResizePolicy.parse(arguments.resize),
        "anchors": AnchorSet.parse(arguments.anchors),
    }
    of_dataset, of_results = (
        words_for(arguments.select, arguments.ignore, one)
        for one in (OF_DATASETS, OF_RESULTS)
    )
    return of_dataset and {**network, **of_dataset}, of_results


if __name__ == "__main__":
    sys.exit(main())
