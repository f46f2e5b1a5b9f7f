"""Descriptions of a command's options, from which the command line and the page are made.

The options of a command are a frozen dataclass, whose fields are annotated with an `Option`:

    neurons: Annotated[int, Option("Important neurons.", numbers=COUNT, label="Neurons")] = 6
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from inspect import get_annotations
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from app.numbers import Numbers, write_number


@dataclass(frozen=True)
class Option:
    """The description of an option.

    Attributes
    ----------
    help : str
        Its text in `--help`.
    metavar : str, optional
        Name of its value in `--help`; by default its type.
    numbers : Numbers, optional
        The numbers that it takes.
    flag : str
        Its name on the command line, if that differs from the field's.
    former : str
        Its name in earlier versions, which still works.
    by_place : bool
        Whether it is a positional argument, without an option name.
    show_default : bool
        Whether `--help` names its default.
    label : str
        Its name on the page; empty if the page does not have it.
    info : str
        The page's explanation below the label.
    placeholder : str
        The page's text in an empty field.
    choices : tuple of str
        Choices of the page; for a bool, those for no and for yes.
    unset : str
        The page's choice for a default without a name.
    needed : str
        What the page asks for if the field is empty but required.
    images : bool
        Whether it names images: a folder, or a list that may name a folder elsewhere.
    """

    help: str
    metavar: str | None = None
    numbers: Numbers | None = None
    flag: str = ""
    former: str = ""
    by_place: bool = False
    show_default: bool = True
    label: str = ""
    info: str = ""
    placeholder: str = ""
    choices: tuple[str, ...] = ()
    unset: str = ""
    needed: str = ""
    images: bool = False


@dataclass(frozen=True)
class OptionField:
    """A field of a command's options.

    Attributes
    ----------
    name : str
    type : type
        bool, int, float, str or Path; for several values, the type of each.
    several : bool
        Whether it is a tuple of values.
    optional : bool
        Whether it may be None.
    default : any
        `dataclasses.MISSING` for a required option.
    option : Option
    """

    name: str
    type: type
    several: bool
    optional: bool
    default: Any  # of the field's type, or MISSING
    option: Option

    @property
    def required(self) -> bool:
        """Whether the command line has to name a value."""
        return self.default is MISSING

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return self.option.flag or "--" + self.name.strip("_").replace("_", "-")


def option_fields(kind: type[Any]) -> tuple[OptionField, ...]:
    """Return the fields of a command's options, in the order of `--help`.

    The command's own options come first, then those that it shares with other commands.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    names = dict.fromkeys(name for base in kind.__mro__ for name in get_annotations(base))
    return tuple(_describe(fields[name], hints[name]) for name in names if name in fields)


def _describe(field: dataclasses.Field[object], hint: object) -> OptionField:
    assert get_origin(hint) is Annotated, f"{field.name} has no Option"
    wanted, option = get_args(hint)
    optional = get_origin(wanted) in (UnionType, Union)
    if optional:
        (wanted,) = (part for part in get_args(wanted) if part is not type(None))
    several = get_origin(wanted) is tuple
    if several:
        wanted = get_args(wanted)[0]
    return OptionField(field.name, wanted, several, optional, field.default, option)


def arguments(options: object) -> list[str]:
    """Return the words after a command's name, for options that differ from their defaults.

    Arguments come first, then the other options in the order of `--help`.
    """
    places: list[str] = []
    words: list[str] = []
    for field in option_fields(type(options)):
        value = getattr(options, field.name)
        if value is None or value == field.default:
            continue
        if field.option.by_place:
            places.append(_word(value))
        elif field.type is bool:
            words.append(field.flag)
        else:
            for item in value if field.several else (value,):
                word = _word(item)
                # A word that starts with a dash would be read as an option.
                words += [f"{field.flag}={word}"] if word.startswith("-") else [field.flag, word]
    return places + words


def _word(value: str | Path | float) -> str:
    if isinstance(value, Path):
        return f"./{value}" if str(value).startswith("-") else str(value)
    return value if isinstance(value, str) else write_number(value)
