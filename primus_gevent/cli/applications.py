"""The application that a user names as ``module:name`` or ``module:factory()``."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from .. import OptionError, Primus
from .errors import Failure

__all__ = ["find_primus", "is_flask", "load_application"]

# Where only the module is given, these are looked for.
USUAL = ("primus", "app", "application")


def load_application(where: str) -> Any:
    """Import what ``where`` names: ``module:name``, ``module:factory()``, or a module that has one of the
    `USUAL` names. The folder that we are in comes first, as it does for ``python -m``.

    Raises:
        OptionError: it is not written so.
        Failure: it cannot be imported, is not there, or is no application.
    """
    module_name, found, expression = where.partition(":")
    check_module_name(module_name, expression or "app")
    if found and not expression:
        raise OptionError(f"what in {module_name}? Write {module_name}:app, say", "app")
    name, arguments = parse_expression(expression) if expression else ("", None)
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = import_module(module_name)
    application = attribute(module, name) if name else usual(module)
    if arguments is not None:
        with_advice = f"{module_name}:{expression}"
        application = users(with_advice, "failed", lambda: application(*arguments[0], **arguments[1]))
    check_application(application, where)
    return application


def check_module_name(module: str, expression: str) -> None:
    if module.endswith(".py") or "/" in module or os.sep in module:
        guess = os.path.relpath(module).removesuffix(".py").replace(os.sep, ".")
        raise OptionError(f"{module!r} is a file; give its module: {guess}:{expression}", "app")
    if not all(part.isidentifier() for part in module.split(".")):
        raise OptionError(f"{module!r} is no name of a module; write module:name, such as chat:app", "app")


def parse_expression(text: str) -> tuple[str, tuple[list[Any], dict[str, Any]] | None]:
    """The dotted name of ``name`` or ``name(...)``, and the arguments of the latter, which are literals.

    Raises:
        OptionError: it is something else.
    """
    try:
        node = ast.parse(text, mode="eval").body
        arguments = None
        if isinstance(node, ast.Call):
            keywords = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords if word.arg}
            if len(keywords) < len(node.keywords):
                raise ValueError
            arguments = ([ast.literal_eval(value) for value in node.args], keywords)
            node = node.func
        return dotted(node), arguments
    except (SyntaxError, ValueError):
        raise OptionError(
            f"{text!r} is no name and no call; write module:name or module:factory(), where arguments are "
            "plain values",
            "app",
        ) from None


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError


def import_module(name: str) -> Any:
    try:
        return users(name, "cannot be imported", lambda: importlib.import_module(name))
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing != name:
            raise Failure(f"there is no package {missing!r}, so {name!r} cannot be in it") from None
        raise Failure(f"there is no module {name!r}: neither installed, nor here in {os.getcwd()}") from None


def users(what: str, failed: str, call: Callable[[], Any]) -> Any:
    """Run code of the user's: what it raises is told with its traceback, without our part of it.

    Raises:
        ModuleNotFoundError: the module ``what`` itself is not there.
        Failure: anything else.
    """
    try:
        return call()
    except ModuleNotFoundError as error:
        if error.name and (what == error.name or what.startswith(f"{error.name}.")):
            raise
        raise failure(what, failed, error) from error
    except (Exception, SystemExit) as error:
        raise failure(what, failed, error) from error


def failure(what: str, failed: str, error: BaseException) -> Failure:
    shown = traceback.TracebackException.from_exception(error)
    frames = list(shown.stack)
    while frames and frames[0].filename.startswith(OURS):
        del frames[0]
    shown.stack = traceback.StackSummary.from_list(frames)
    said = f": {error}" if str(error) else ""
    return Failure(f"{what} {failed}: {type(error).__name__}{said}", "".join(shown.format()))


# Files on the way to code of the user's.
OURS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, importlib.__file__, "<frozen")


def attribute(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            offers = applications_in(module)
            hint = f"it has {', '.join(offers)}" if offers else "nor another application"
            raise Failure(f"module {module.__name__!r} has no {name!r}; {hint}")
        found = getattr(found, part)
    return found


def usual(module: Any) -> Any:
    for name in USUAL:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    offers = applications_in(module)
    hint = f"name one: {module.__name__}:{offers[0]}" if offers else "write module:name"
    raise Failure(f"module {module.__name__!r} has none of {', '.join(USUAL)}; {hint}")


def applications_in(module: Any) -> list[str]:
    """What in a module could be an application, or make one: written as it is to be given."""
    found = []
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.isclass(value) or inspect.ismodule(value):
            continue
        if isinstance(value, Primus) or is_flask(value):
            found.append(name)
        elif inspect.isfunction(value) and value.__module__ == module.__name__:
            if takes(value, None, None):
                found.append(name)
            elif takes(value):
                found.append(f"{name}()")
    return found


def check_application(application: Any, where: str) -> None:
    """Refuse what is no WSGI application; a factory that was not called is the usual mistake.

    Raises:
        Failure: it is none.
    """
    if not callable(application):
        raise Failure(f"{where} is no application but {application!r:.60}")
    if inspect.isclass(application) or not takes(application, None, None):
        if takes(application):
            raise Failure(f"{where} is no application, but may make one: write {where}()")
        raise Failure(f"{where} is no WSGI application: it does not take (environ, start_response)")


def takes(function: Any, *arguments: Any) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True


def is_flask(application: Any) -> bool:
    """Whether it is a Flask app, or made alike."""
    # Of the class: a proxy of Flask's, imported by name, refuses to be asked outside of a request.
    return hasattr(type(application), "wsgi_app") and hasattr(application, "extensions")


def find_primus(application: Any) -> Primus | None:
    """The Primus that ``application`` is, or that is in front of this Flask app."""
    if isinstance(application, Primus):
        return application
    if is_flask(application):
        found = application.extensions.get("primus")
        return found if isinstance(found, Primus) else None
    return None
