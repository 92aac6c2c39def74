"""The command line: `python -m core COMMAND`. The same core as the app, without a screen.

Exit status: 0 done, 1 refused with a reason, 2 wrong usage. With --json, standard output holds one JSON object and
nothing else; whatever else there is to say goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO

from core.commands import DONE, REFUSED, Reply, answers, data, explaining, exports, mapping, people, quality, training
from core.commands import missing as gaps
from core.errors import FusescopeError

GROUPS = (data, training, answers, mapping, explaining, people, quality, gaps, exports)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    output = sys.stdout
    try:
        with redirect_stdout(sys.stderr):  # a library that prints must not spoil the JSON
            reply: Reply = options.run(options)
    except FusescopeError as error:
        return _refuse(error, options, output)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return DONE if options.__dict__.get("job") is not None else REFUSED
    if reply.silent:
        return reply.status
    text = json.dumps(plain(reply.answer), ensure_ascii=False) if options.json else "\n".join(reply.lines)
    output.write(f"{text}\n")
    return reply.status


def _refuse(error: FusescopeError, options: argparse.Namespace, output: TextIO) -> int:
    print(f"refused: {error}", file=sys.stderr)
    if options.json:
        refusal = {"where": "", "code": error.code, "reason": error.message}
        output.write(json.dumps({"error": refusal, "refused": [refusal]}, ensure_ascii=False) + "\n")
    return REFUSED


def parser() -> argparse.ArgumentParser:
    """All commands with their options; no heavy import happens here."""
    top = argparse.ArgumentParser(
        prog="python -m core", description="Fusescope: which word, which photo and which modality made it so."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in GROUPS:
        group.register(commands)
    return top


def plain(value: Any) -> Any:
    """Plain JSON: mappings, lists and finite numbers; a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(kept) for key, kept in value.items()}
    if isinstance(value, list | tuple):
        return [plain(kept) for kept in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return plain(value.item())
    return value


if __name__ == "__main__":
    sys.exit(main())
