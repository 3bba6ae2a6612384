"""The base of our operators: three ways to call one function of the SDK."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.coco.paths import absolute_path
from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.operators.forms import path_of

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_REPORTS = 0.2


class SdkOperator(foo.Operator):
    """An operator that is a function of the SDK, with its parameters.

    -   Called in Python, it is that function; with ``delegate=True`` it schedules
        a call.
    -   Called by the App, it streams its progress, shows a user's mistake as one
        sentence, and ends by opening the result.
    -   Through :func:`fiftyone.operators.execute_operator` or delegated, it returns
        the result as JSON, and raises what the function raises.
    """

    #: The function of the SDK, whose name is also that of the operator
    function: Callable[..., Any]

    #: What the App shows
    label: str
    description: str
    icon: str

    #: The label of the button of its form
    submit: str

    #: The parameters that hold paths
    paths: tuple[str, ...] = ()

    @property
    def config(self) -> foo.OperatorConfig:
        """The configuration of the operator."""
        return foo.OperatorConfig(
            name=self.function.__name__,
            label=self.label,
            description=self.description,
            icon=self.icon,
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """The form."""
        inputs = types.Object()
        self.fill(inputs, ctx)
        title = self.label.rpartition(": ")[2]
        return types.Property(
            inputs,
            view=types.PromptView(
                label=title[0].upper() + title[1:], submit_button_label=self.submit
            ),
        )

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        raise NotImplementedError

    def call(self, ctx: ExecutionContext, progress: Any) -> Any:
        """Calls the function of the SDK with what the form holds."""
        raise NotImplementedError

    def arguments(self, ctx: ExecutionContext) -> dict[str, Any]:
        """The arguments of the function that the form has values for."""
        return {
            name: path_of(ctx, name) if name in self.paths else value
            for name in inspect.signature(self.function).parameters
            if name != "progress"
            and (value := ctx.params.get(name)) is not None
            and value != ""
        }

    def to_results(self, ctx: ExecutionContext, value: Any) -> dict[str, Any]:
        """What the function returned, as JSON."""
        raise NotImplementedError

    def open(self, ctx: ExecutionContext, value: Any) -> Iterator[GeneratedMessage]:
        """Opens the result in the App: new fields, by default."""
        yield ctx.ops.reload_dataset()

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Fills the form that shows the results."""
        raise NotImplementedError

    def __call__(self, *args: Any, delegate: bool = False, **kwargs: Any) -> Any:
        """Calls the function of the SDK.

        Args:
            *args: the function's arguments
            delegate: whether to schedule the call rather than to wait for it
            **kwargs: the function's keyword arguments

        Returns:
            what the function returns; if delegated, a
            :class:`fiftyone.operators.executor.ExecutionResult`
        """
        if not delegate:
            return self.function(*args, **kwargs)
        params = inspect.signature(self.function).bind(*args, **kwargs).arguments
        for name in params.keys() & {"samples", "dataset", "first", "second"}:
            require_samples(params[name])
        target = [v for v in params.values() if isinstance(v, SampleCollection)]
        return foo.execute_operator(
            self.uri,
            {"view": target[0].view()} if target else {},
            params={
                # It may run later in another folder
                name: absolute_path(value, name) if name in self.paths else value
                for name, value in self.scheduled(params).items()
                if value is not None and name != "progress"
            },
            request_delegation=True,
        )

    def scheduled(self, params: dict[str, Any]) -> dict[str, Any]:
        """The arguments as a scheduled call keeps them.

        Args:
            params: the arguments by name. The first that are samples are the target
                of the call, and are left out here
        """
        return {
            name: value
            for name, value in params.items()
            if not isinstance(value, SampleCollection)
        }

    def execute(self, ctx: ExecutionContext) -> Any:
        """Calls the function of the SDK; for the App as a stream of messages."""
        if _asked_by_app(ctx):
            return self._stream(ctx)
        progress = _reporting(ctx.set_progress) if ctx.delegated else None
        return self.to_results(ctx, self.call(ctx, progress))

    def _stream(self, ctx: ExecutionContext) -> Iterator[GeneratedMessage]:
        steps: SimpleQueue[tuple[float, str] | None] = SimpleQueue()
        pool = ThreadPoolExecutor(1)
        call = pool.submit(self.call, ctx, _reporting(lambda *step: steps.put(step)))
        call.add_done_callback(lambda _: steps.put(None))
        # If the browser is closed, the call ends by itself
        pool.shutdown(wait=False)
        for share, label in iter(steps.get, None):
            yield ctx.ops.set_progress(label, share, variant="linear")
        # The final output replaces the progress
        try:
            value = call.result()
            yield from self.open(ctx, value)
            yield self._show(ctx, self.to_results(ctx, value))
        except CocoAuditError as error:
            yield self._show(ctx, {"error": str(error)})
        except Exception:
            logger.exception("%s failed", self.uri)
            yield self._show(ctx, {"bug": traceback.format_exc()})

    def _show(self, ctx: ExecutionContext, results: dict[str, Any]) -> GeneratedMessage:
        return ctx.ops.show_output(self._outputs(results).to_json(), results)

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """The form that shows the results of a delegated call."""
        return self._outputs(ctx.results) if ctx.results else None

    def _outputs(self, results: dict[str, Any]) -> types.Property:
        outputs = types.Object()
        if "error" in results:
            outputs.view("message", types.Error(label=results["error"]))
        elif "bug" in results:
            outputs.view("message", types.Error(label=f"{self.config.label} failed"))
            outputs.str("bug", view=types.CodeView(read_only=True))
        else:
            self.describe(results, outputs)
        return types.Property(outputs, view=types.View(label=self.config.label))


def _asked_by_app(ctx: ExecutionContext) -> bool:
    # A request over HTTP names the operator, and keeps the name when it is delegated
    return "operator_uri" in ctx.request_params and not ctx.delegated


def _reporting(report: Callable[[float, str], Any]) -> Callable[[Any], None]:
    """A callback for FiftyOne's progress bars that reports a share and a text."""

    def callback(bar: Any) -> None:
        stage = getattr(bar, "stage", None)
        told = f"{stage}: " if stage else ""
        report(bar.progress, f"{told}{bar.iteration:,} of {bar.total:,} images")

    return fo.report_progress(callback, dt=_SECONDS_BETWEEN_REPORTS)
