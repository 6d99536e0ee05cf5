"""``@check_gradients``: a property test of gradients from a function and strategies."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

try:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.strategies import DataObject, SearchStrategy, data
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_rnn.testing.check_gradients needs Hypothesis. "
        "Install it with: pip install 'tinygrad-rnn[test]'"
    ) from error

from tinygrad_rnn.testing.agreement import check_devices, check_dtypes
from tinygrad_rnn.testing.checks import check_subject
from tinygrad_rnn.testing.kinks import Kinks
from tinygrad_rnn.testing.laws.common import Law
from tinygrad_rnn.testing.numeric import Method
from tinygrad_rnn.testing.subject import of_function

__all__ = ["check_gradients"]


def check_gradients(
    *,
    wrt: Iterable[int | str] | None = None,
    order: int = 1,
    method: Method | Literal["auto"] = "auto",
    directions: int = 2,
    kinks: Kinks = "detect",
    vjp: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    laws: Sequence[Law] = (),
    dtypes: Sequence[Any] = ("float64",),
    devices: Sequence[str] = ("cpu",),
    settings: settings | None = None,
    strategies: dict[str, SearchStrategy[Any]] | None = None,
    **more: SearchStrategy[Any],
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a test that draws the arguments and checks the gradients of what the body returns.

        @check_gradients(x=gs.arrays((3, 4)), w=gs.arrays((4, 2)))
        def test_dense(x, w):
            return ops.tanh(x @ w)

    A strategy may also stand in an annotation: ``x: Annotated[Tensor, gs.arrays((3, 4))]``.
    Arguments without one are left to pytest. With ``vjp`` or ``gradient`` the body is a
    function of NumPy arrays, and these compute its gradient.

    Args:
        wrt, order, method, directions, kinks, vjp, gradient: As in ``assert_gradients``.
        laws: Of ``testing.laws``, to hold as well.
        dtypes: "float32" among them compares values and gradients in float32, too.
        devices: Several are compared with each other.
        settings: Of Hypothesis; those of the profile, without a deadline, unless given.
        strategies: For arguments whose names are also options of this decorator.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., None]:
        drawn = {**_annotated(test), **(strategies or {}), **more}
        taken = inspect.signature(test).parameters
        drawn.update({name: drawn.pop(name) for name in taken if name in drawn})  # in their order
        unknown = [name for name in drawn if name not in taken]
        if unknown or not drawn:
            given_names = f"a strategy for {unknown[0]!r}" if unknown else "no strategies"
            raise TypeError(
                f"check_gradients: given {given_names}, expected one for arguments of "
                f"{test.__name__}: {', '.join(taken) or 'it has none'}."
            )

        def run(data: DataObject, **arguments: Any) -> None:
            __tracebackhide__ = True  # pytest shows no line of ours; the report says it all
            inputs = [arguments.pop(name) for name in drawn]

            def fn(*values: Any) -> Any:
                return test(**arguments, **dict(zip(drawn, values, strict=True)))

            fn.__name__ = test.__name__
            subject = of_function(
                fn, inputs, wrt=wrt, names=list(drawn), title=test.__name__, vjp=vjp,
                gradient=gradient,
            )  # fmt: skip
            origin = subject.origin and (_bound(test, arguments, drawn), *subject.origin[1:])
            subject = replace(subject, origin=origin if origin and origin[0] else None)
            check_subject(subject, order=order, method=method, directions=directions, kinks=kinks)
            for law in laws:
                law(subject, data.draw)
            if any(str(dtype) == "float32" for dtype in map(_name, dtypes)):
                check_dtypes(subject)
            if len(devices) > 1:
                check_devices(subject, devices=devices)

        return _property(test, run, drawn, settings)

    return decorate


def _bound(test: Callable[..., Any], arguments: dict[str, Any], drawn: Iterable[str]) -> Any:
    """The body as a function of what is drawn alone; None where fixtures come first."""
    if not arguments:
        return test
    leading = list(inspect.signature(test).parameters)[: len(list(drawn))]
    return functools.partial(test, **arguments) if leading == list(drawn) else None


def _property(
    test: Callable[..., Any],
    run: Callable[..., None],
    drawn: dict[str, SearchStrategy[Any]],
    chosen: settings | None,
) -> Callable[..., None]:
    """The Hypothesis test around ``run``, with the signature that pytest has to see."""
    functools.update_wrapper(run, test)
    own = inspect.signature(test)
    first = inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY)
    # Hypothesis wants no defaults: what is not drawn and has one keeps it, unseen.
    keywords = [
        p.replace(kind=p.KEYWORD_ONLY, default=p.empty)
        for p in own.parameters.values()
        if p.name in drawn or p.default is p.empty
    ]
    run.__signature__ = own.replace(parameters=[*keywords, first])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    found: Callable[..., None] = given(data=data(), **drawn)(run)
    # Phase.explain names lines that only failures run, which would be lines of this library.
    how = chosen or settings(
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        phases=[phase for phase in settings().phases if phase is not Phase.explain],
    )
    return how(found)


def _annotated(test: Callable[..., Any]) -> dict[str, SearchStrategy[Any]]:
    """The strategies in the annotations of a test's arguments."""
    found = {}
    for name, hint in get_type_hints(test, include_extras=True).items():
        if get_origin(hint) is Annotated:
            for extra in get_args(hint)[1:]:
                if isinstance(extra, SearchStrategy):
                    found[name] = extra
    return found


def _name(dtype: Any) -> str:
    return dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
