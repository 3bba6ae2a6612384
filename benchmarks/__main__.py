"""Times us and the peers side by side: ``make bench``, or ``python -m benchmarks``.

Each task runs in a process of its own, so that its peak of memory is its own; those of
a comparison take turns. The tables give medians, and ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.data import Files, generate
from coco_audit_demo.composition import MIN_IMAGES
from coco_audit_demo.dataset import DemoPaths, parameters
from coco_audit_demo.dataset import generate as generate_demo

FOLDER = Path(".cache/bench/data")
# The stock evaluation takes so long that it sees the first images only
STOCK_IMAGES = 500
# A pipeline as detectors have it
_DRY = "ultralytics"


@dataclass(frozen=True)
class Measurement:
    """The runs of one task."""

    seconds: dict[str, float]
    peak_mb: float
    figure: float


def main() -> int:
    """Runs the benchmarks and prints their tables.

    Returns:
        the exit code
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each task")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of all sizes, once"
    )
    parser.add_argument("--only", help="the sections whose title has this word")
    parser.add_argument("--output", type=Path, help="write the tables here as well")
    arguments = parser.parse_args()
    bench = Bench(1 if arguments.quick else arguments.runs, arguments.quick)
    lines = [
        text
        for section in (
            bench.imports,
            bench.imports_of_masks,
            bench.matching,
            bench.matching_of_masks,
            bench.analysis,
            bench.evaluation,
            bench.scale,
            bench.statistics,
            bench.damage,
            bench.dry_run,
        )
        if not arguments.only or arguments.only in section.__name__
        for text in section()
    ]
    if arguments.output:
        page = arguments.output.read_text().split(_MARK)[0]
        arguments.output.write_text(page + _MARK + "\n\n" + "\n".join(lines) + "\n")
    return 0


_MARK = "<!-- all below is written by make bench -->"


class Bench:
    """The comparisons.

    Args:
        runs: how often each task is run
        quick: whether all sizes are a tenth
    """

    def __init__(self, runs: int, quick: bool) -> None:
        self._runs = runs
        self._scale = 10 if quick else 1

    def imports(self) -> list[str]:
        """Boxes: ours against FiftyOne's importer."""
        files = self._files(5_000)
        ours, stock = self._measure(files, "import-ours", "import-stock")
        return self._table(
            f"Import of {self._size(files)}",
            ("`import_coco`", ours),
            ("FiftyOne `from_dir` + `add_coco_labels`", stock),
        )

    def imports_of_masks(self) -> list[str]:
        """Masks: ours against FiftyOne's importer, and the memory of ours."""
        files = self._files(500, masks=True)
        ours, stock = self._measure(files, "import-ours", "import-stock", masks=True)
        lines = self._table(
            f"Import with masks of {self._size(files)}",
            ("`import_coco`", ours),
            ("FiftyOne `from_dir` + `add_coco_labels`", stock),
        )
        files = self._files(5_000, masks=True)
        (ours,) = self._measure(files, "import-ours", masks=True, runs=1)
        return lines + self._table(
            f"Import with masks of {self._size(files)}", ("`import_coco`", ours)
        )

    def matching(self) -> list[str]:
        """Boxes: matching and accumulation from columns, on one core."""
        return self._matching(masks=False)

    def matching_of_masks(self) -> list[str]:
        """Masks: matching and accumulation from columns, on one core."""
        return self._matching(masks=True)

    def _matching(self, *, masks: bool) -> list[str]:
        files = self._files(5_000, masks=masks)
        peers = [
            ("core-pycocotools", "`COCOeval.evaluate` + `accumulate`"),
            ("core-hotcoco", "hotcoco `evaluate` + `accumulate`"),
        ]
        if find_spec("vernier"):
            peers.append(("core-vernier", "vernier `Evaluator.evaluate`"))
        if find_spec("ultrafast_pycocotools"):
            name = "ultrafast-pycocotools `evaluate` + `accumulate`"
            peers.append(("core-ultrafast", name))
        tasks, names = zip(*peers, strict=True)
        ours, *others = self._measure(files, "core-ours", *tasks, masks=masks)
        for other in others:
            assert abs(ours.figure - other.figure) < 1e-9
        what = "masks" if masks else "boxes"
        return self._table(
            f"Matching and accumulation of {what} on one core, {self._size(files)}",
            ("ours, with per-image AP and marks of labels", ours),
            *zip(names, others, strict=True),
        )

    def analysis(self) -> list[str]:
        """What is computed from one matching, against another evaluation."""
        files = self._files(5_000)
        pycocotools, *ours = self._measure(
            files,
            "core-pycocotools",
            "core-error-costs",
            "core-influence",
            "core-bootstrap",
            "core-intervals",
        )
        costs, influence, bootstrap, intervals = ours
        for one in (costs, influence, bootstrap):
            assert one.seconds["total"] < pycocotools.seconds["total"]
        return self._table(
            f"Analysis of an evaluation on one core, {self._size(files)}",
            ("`COCOeval.evaluate` + `accumulate`", pycocotools),
            ("`results.error_costs()`", costs),
            ("`results.influence()`, each image left out", influence),
            ("AP of 100 draws of the images, all classes", bootstrap),
            ("`results.intervals(num_draws=100)`, AP by area as well", intervals),
            first="times the first",
        )

    def evaluation(self) -> list[str]:
        """The whole of ``evaluate``, database included."""
        files = self._files(5_000)
        images = 5_000 // self._scale
        part = STOCK_IMAGES // self._scale
        self._measure(files, "import-ours", runs=1)
        ours, stock = self._measure(
            files, "evaluate-ours", "evaluate-stock", limit=part
        )
        scaled = Measurement(
            {"total": stock.seconds["total"] * images / part}, stock.peak_mb, 0
        )
        return self._table(
            f"Evaluation of a dataset, {self._size(files)}",
            ("`evaluate()`, fields and run written", ours),
            (
                f"`evaluate_detections(compute_mAP=True)`, {images // part} times the "
                f"time of {part:,} images",
                scaled,
            ),
        )

    def scale(self) -> list[str]:
        """The whole of ``evaluate`` on ten times the images."""
        small, large = self._files(5_000), self._files(50_000)
        self._measure(small, "import-ours", runs=1)
        (of_small,) = self._measure(small, "evaluate-ours")
        (imported,) = self._measure(large, "import-ours", runs=1)
        (of_large,) = self._measure(large, "evaluate-ours", runs=1)
        return self._table(
            f"Ten times the images, {self._size(large)}",
            (f"`evaluate()`, {self._size(small)}", of_small),
            (f"`evaluate()`, {self._size(large)}", of_large),
            (f"`import_coco`, {self._size(large)}", imported),
        )

    def statistics(self) -> list[str]:
        """Statistics and audit against an import of the same ground truth."""
        files = self._files(5_000)
        size = self._size(files, predictions=False)
        self._measure(files, "import-ours", runs=1, predictions=False)
        ours, unwritten, audited, opened, redrawn, stock = self._measure(
            files,
            "statistics-ours",
            "statistics-unwritten",
            "audit-ours",
            "panel-opened",
            "panel-redrawn",
            "import-stock",
            predictions=False,
        )
        return self._table(
            f"Statistics of a dataset, {size}",
            ("`compute_statistics()`, fields written", ours),
            ("the same as frames, without writing fields", unwritten),
            ("`audit()`", audited),
            ("FiftyOne `from_dir`", stock),
        ) + self._table(
            f"All tabs of the panel, {size}",
            ("redrawn after a change of the resize policy", redrawn),
            ("drawn for the first time", opened),
        )

    def damage(self) -> list[str]:
        """What measuring the damage to labels adds to a bare pipeline."""
        files = self._demo(200)
        size = self._size(files, predictions=False)
        lines = []
        for preset in ("rotation", "ultralytics", "ssd", "minimal"):
            ours, bare = self._measure(
                files, "damage-ours", "damage-bare", preset=preset
            )
            assert ours.figure == bare.figure
            lines += self._table(
                f"Damage by the pipeline {preset}, three draws of {size}",
                ("decoding and the bare pipeline, one process", bare),
                ("`audit_augmentation()`, one process", ours),
                first="times the first",
            )
        return lines

    def dry_run(self) -> list[str]:
        """What timing and catching adds to a bare loop, and what processes gain."""
        files = self._demo(1_000)
        bare, one, two = self._measure(
            files, "dry-run-bare", "dry-run-in-one", "dry-run-in-two", preset=_DRY
        )
        assert one.figure == bare.figure
        return self._table(
            f"Dry run of the pipeline {_DRY}, {self._size(files, predictions=False)}",
            ("the bare loop: read, decode, pipeline", bare),
            ("`dry_run()`, one process", one),
            ("`dry_run()`, two processes", two),
            first="times the first",
        )

    def _demo(self, num_images: int) -> Files:
        """The demo, imported."""
        number = max(num_images // self._scale, MIN_IMAGES)
        paths = DemoPaths(FOLDER / f"demo-{number}")
        if paths.parameters() != parameters(number, 51):
            generate_demo(paths.root, num_images=number)
        files = Files(paths.annotations, paths.predictions, paths.images)
        self._measure(files, "import-ours", runs=1, predictions=False)
        return files

    def _files(self, num_images: int, *, masks: bool = False) -> Files:
        return generate(FOLDER, num_images // self._scale, masks=masks)

    def _measure(
        self, files: Files, *tasks: str, runs: int | None = None, **options: Any
    ) -> list[Measurement]:
        found: dict[str, list[dict[str, Any]]] = {task: [] for task in tasks}
        for _ in range(runs or self._runs):
            for task in tasks:
                found[task].append(_run(task, files, options))
        return [_median(outcomes) for outcomes in found.values()]

    def _size(self, files: Files, *, predictions: bool = True) -> str:
        images = sum(path.is_file() for path in files.images.rglob("*"))
        objects = files.annotations.read_bytes().count(b'"bbox"')
        size = f"{images:,} images, {objects:,} objects"
        if predictions:
            number = files.predictions.read_bytes().count(b'"bbox"')
            size += f", {number:,} predictions"
        return size

    def _table(
        self, title: str, *rows: tuple[str, Measurement], first: str = "times ours"
    ) -> list[str]:
        lines = [
            f"## {title}",
            "",
            f"| | seconds | steps | peak memory | {first} |",
            "|---|---:|---|---:|---:|",
        ]
        ours = rows[0][1].seconds["total"]
        for name, measured in rows:
            steps = ", ".join(
                f"{step} {seconds:.2f}"
                for step, seconds in measured.seconds.items()
                if step != "total"
            )
            total = measured.seconds["total"]
            lines.append(
                f"| {name} | {total:.2f} | {steps} | {measured.peak_mb:,.0f} MB "
                f"| {total / ours:.3g} |"
            )
        lines.append("")
        print("\n".join(lines), flush=True)
        return lines


def _run(task: str, files: Files, options: dict[str, Any]) -> dict[str, Any]:
    print(f"{task} on {files.images.parent.name}...", file=sys.stderr, flush=True)
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.tasks",
            task,
            json.dumps(asdict(files), default=str),
            json.dumps(options),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


def _median(outcomes: list[dict[str, Any]]) -> Measurement:
    return Measurement(
        seconds={
            step: median(outcome["seconds"][step] for outcome in outcomes)
            for step in outcomes[0]["seconds"]
        },
        peak_mb=median(outcome["peak_mb"] for outcome in outcomes),
        figure=outcomes[0]["figure"],
    )


if __name__ == "__main__":
    sys.exit(main())
