"""The command line: ``coco-audit ANNOTATIONS IMAGES``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

import fiftyone_coco_audit
from fiftyone_coco_audit.errors import CocoAuditError

_DESCRIPTION = """\
Imports COCO files into FiftyOne, evaluates the predictions exactly as pycocotools
does, and each image by itself, and says which images are worst.
"""
_EXAMPLES = """\
examples:
  coco-audit annotations.json images/
  coco-audit annotations.json images/ --predictions results.json --launch
  coco-audit annotations.json images/ --predictions results.json --iou-type segm

The dataset stays in FiftyOne's database: `fiftyone app launch NAME` shows it again.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments, by default those of the process

    Returns:
        the exit code: 0, or 2 where the input cannot be used
    """
    arguments = _parser().parse_args(argv)
    try:
        _check_database()
        _run(arguments)
    except CocoAuditError as error:
        print(f"coco-audit: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


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
        "annotations", metavar="ANNOTATIONS", help="the COCO file of the ground truth"
    )
    parser.add_argument(
        "images_dir",
        metavar="IMAGES",
        help="the folder that the file names in the COCO file start from",
    )
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        help="a list of COCO results, or a COCO file with scores, which is matched by "
        "file and category names; without it nothing is evaluated",
    )
    parser.add_argument(
        "--iou-type",
        choices=["bbox", "segm"],
        default="bbox",
        help="what must overlap: boxes (bbox, the default) or masks (segm)",
    )

    dataset = parser.add_argument_group("dataset")
    dataset.add_argument(
        "--name", help="its name; by default that of the COCO file or its folder"
    )
    dataset.add_argument(
        "--overwrite", action="store_true", help="replace a dataset of that name"
    )
    dataset.add_argument(
        "--invalid",
        choices=["skip", "raise"],
        default="skip",
        help="what to do about a record that cannot be used: set it aside and say so "
        "(skip, the default), or stop and import nothing (raise)",
    )

    app = parser.add_argument_group("App")
    app.add_argument(
        "--launch", action="store_true", help="serve the App at the end, until Ctrl-C"
    )
    app.add_argument("--port", type=int, default=5151, help="its port: %(default)s")
    app.add_argument("--address", default="127.0.0.1", help="its address: %(default)s")
    return parser


def _check_database() -> None:
    """Checks that FiftyOne has a database.

    Raises:
        CocoAuditError: if there is none
    """
    import fiftyone as fo
    from fiftyone.core.config import FiftyOneConfigError

    try:
        fo.list_datasets()
    except FiftyOneConfigError as error:
        raise CocoAuditError(
            "FiftyOne finds no MongoDB, which it keeps its datasets in: install "
            "`mongod`, or name a server by FIFTYONE_DATABASE_URI, such as "
            "mongodb://localhost:27017"
        ) from error
    except ConnectionError as error:
        raise CocoAuditError(
            "The MongoDB that FIFTYONE_DATABASE_URI names does not answer: start it, "
            "or name another, such as mongodb://localhost:27017"
        ) from error


def _run(arguments: argparse.Namespace) -> None:
    from fiftyone_coco_audit import evaluate, import_coco, import_report, worst_first
    from fiftyone_coco_audit.coco.names import default_dataset_name
    from fiftyone_coco_audit.evaluation.views import outcome_colors
    from fiftyone_coco_audit.terminal import serve, worst_images

    print(f"Importing {arguments.annotations}...")
    dataset = import_coco(
        arguments.annotations,
        arguments.images_dir,
        predictions=arguments.predictions,
        name=arguments.name or default_dataset_name(arguments.annotations),
        invalid=arguments.invalid,
        overwrite=arguments.overwrite,
    )
    print(import_report(dataset))
    samples, colors = dataset, None
    if arguments.predictions is not None:
        print("\nEvaluating...")
        results = evaluate(dataset, iou_type=arguments.iou_type)
        results.print_summary()
        print("\nThe worst images")
        print(worst_images(results.per_image(), arguments.images_dir))
        samples, colors = worst_first(dataset), outcome_colors()

    print(f"\nThe dataset is {dataset.name!r}; this shows it in the App:")
    print(f"  fiftyone app launch {shlex.quote(dataset.name)}")
    if arguments.launch:
        serve(
            samples,
            color_scheme=colors,
            port=arguments.port,
            address=arguments.address,
        )


if __name__ == "__main__":
    sys.exit(main())
