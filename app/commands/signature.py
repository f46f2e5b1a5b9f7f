"""Make a command of the command line from the dataclass of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import PydanticCustomError

from app.commands.option import OptionField, option_fields
from app.numbers import Numbers, parse_number

Options = TypeVar("Options")
# Any, below: the type of Typer's Option and Argument, and of the values that it parses.
FORMER = "former_"


def takes(kind: type[Options]) -> Callable[[Callable[[Options], object]], Callable[..., object]]:
    """Return a decorator that makes a Typer command of a function of these options."""

    def decorate(function: Callable[[Options], object]) -> Callable[..., object]:
        def command(**values: object) -> object:
            return function(kind(**_gather(kind, values)))

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        parameters = [
            parameter for field in option_fields(kind) for parameter in _parameters(field)
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def number_option(numbers: Numbers, *names: str, help: str, metavar: str | None = None) -> Any:
    """Return an option whose number is parsed like that of a field of the page."""

    def parse_value(value: object) -> object:
        if not isinstance(value, str):  # a default
            return value
        try:
            return parse_number(value, numbers)
        except ValueError as error:
            # The message of a ValueError would start with "Value error".
            raise PydanticCustomError("number", "{words}", {"words": str(error)}) from None

    return typer.Option(
        *names,
        min=None if numbers.open_low else numbers.low,
        max=None if numbers.open_high else numbers.high,
        parser=parse_value,
        metavar=metavar or ("INTEGER" if numbers.whole else "FLOAT"),
        help=help,
    )


def _parameters(field: OptionField) -> list[inspect.Parameter]:
    """Return the parameter of an option, and that of its former name."""
    option = field.option
    info: Any
    if option.by_place:
        info = typer.Argument(help=option.help, metavar=option.metavar)
    elif option.numbers is not None:
        info = number_option(option.numbers, field.flag, help=option.help, metavar=option.metavar)
    else:
        info = typer.Option(
            field.flag, help=option.help, metavar=option.metavar, show_default=option.show_default
        )
    parameters = [_parameter(field.name, field, info)]
    if option.former:
        info = typer.Option(option.former, hidden=True)
        parameters.append(_parameter(FORMER + field.name, field, info))
    return parameters


def _parameter(name: str, field: OptionField, info: Any) -> inspect.Parameter:
    wanted: Any = list[field.type] if field.several else field.type  # type: ignore[name-defined]
    default = field.default
    if field.required:
        default = inspect.Parameter.empty
    elif field.several or field.optional:
        wanted, default = wanted | None, None if field.several else default
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[wanted, info])


def _gather(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the fields; for an empty tuple, the default is used."""
    gathered = {}
    for field in option_fields(kind):
        value = values[field.name]
        if field.several:
            value = (*(value or ()), *(values.get(FORMER + field.name) or ()))
            if not value:
                continue
        gathered[field.name] = value
    return gathered
