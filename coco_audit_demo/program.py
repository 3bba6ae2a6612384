"""The program of the demo: generate, import, evaluate, print, serve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coco_audit_demo.dataset import DemoPaths, generate, parameters
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.wording import counted, counted_objects

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.auditing import Audit

_EVAL_KEY = "eval"
_NEXT = """
In the App, the worst images come first, images without an AP last.
  - Colors: objects found are green, missed ones red; right predictions orange, wrong
    ones teal; labels that COCO ignores gray.
  - Predictions with a score below {score:g} are hidden. To show them, click the x of
    "FilterLabels", above the grid.
  - Sidebar, group "{key}": drag the slider of {key}_ap, or pick a {key}_status.
  - Checklist button above the grid: the panel "COCO Audit". Every finding, bar, point
    and cell opens its images or labels.
  - "+" beside "Samples", then "Augmentation Preview": what a pipeline does to labels.
  - "+" again, then "Model Evaluation": classes, confusions, PR curves.
  - Backtick key (`), then "evaluate": evaluate again, with other settings.
The planted faults of this dataset, and where they are, are listed in
  {manifest}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo.

    Args:
        argv: the arguments of the command line; None means those of the process

    Returns:
        the exit code
    """
    arguments = _parse(argv)
    try:
        with database_errors_explained():
            return _run(arguments)
    except CocoAuditError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m coco_audit_demo",
        description="Generate images with known faults and the predictions of a "
        "simulated detector, import and evaluate them, and serve the App.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path.home() / "fiftyone" / "coco-audit-demo",
        help="folder of the generated files",
    )
    parser.add_argument("--num-images", type=int, default=200, help="how many images")
    parser.add_argument("--seed", type=int, default=51, help="random seed")
    parser.add_argument(
        "--name", default="coco-audit-demo", help="name of the FiftyOne dataset"
    )
    parser.add_argument(
        "--app",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve the App at the end",
    )
    parser.add_argument("--port", type=int, default=5151, help="port of the App")
    parser.add_argument("--address", default="127.0.0.1", help="address of the App")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    import fiftyone as fo

    from fiftyone_coco_audit import (
        audit,
        audit_results,
        color_by_outcome,
        evaluate,
        import_coco,
        worst_first,
    )
    from fiftyone_coco_audit.terminal import (
        check_address,
        print_next_steps,
        print_results,
        serve,
        terminal_width,
    )

    if arguments.app:
        check_address(arguments.address, arguments.port)
    _check_name(arguments.name)
    wanted = parameters(arguments.num_images, arguments.seed)
    paths = DemoPaths(arguments.output.expanduser().resolve())
    if paths.parameters() == wanted:
        print(f"Using the demo in {paths.root}")
    else:
        print(f"Generating {counted(arguments.num_images, 'image')} in {paths.root}...")
        generate(
            paths.root,
            num_images=arguments.num_images,
            seed=arguments.seed,
            progress=fo.config.show_progress_bars,
        )

    print("Importing...")
    dataset = import_coco(
        str(paths.annotations),
        str(paths.images),
        predictions=str(paths.predictions),
        name=arguments.name,
        overwrite=True,
    )
    dataset.info["coco_audit"]["demo"] = wanted
    dataset.save()

    print("Auditing...")
    findings = audit(dataset)

    print("Evaluating...")
    results = evaluate(dataset, eval_key=_EVAL_KEY, iou_type="bbox")
    steps = audit_results(dataset, _EVAL_KEY)
    colors = color_by_outcome(dataset, _EVAL_KEY)
    score = results.evaluation.settings.score_threshold

    print(f"\nDataset {dataset.name!r}: {_describe(dataset, findings)}\n")
    print(findings.to_text(terminal_width()))
    print()
    print_results(results, paths.images)
    print_next_steps(steps)
    print(_NEXT.format(key=_EVAL_KEY, score=score, manifest=paths.manifest))
    if arguments.app:
        serve(
            worst_first(dataset, _EVAL_KEY, min_score=score),
            color_scheme=colors,
            port=arguments.port,
            address=arguments.address,
        )
    return 0


def _check_name(name: str) -> None:
    import fiftyone as fo

    if name not in fo.list_datasets():
        return
    if "demo" not in fo.load_dataset(name).info.get("coco_audit", {}):
        raise CocoAuditError(
            f"Dataset {name!r} is not the demo and would be lost: choose another "
            "name with --name"
        )


def _describe(dataset: fo.Dataset, audited: Audit) -> str:
    objects = counted_objects(audited.num_objects, audited.num_crowds)
    predictions = counted(dataset.count("predictions.detections"), "prediction")
    return f"{counted(audited.num_images, 'image')}, {objects}, {predictions}"
