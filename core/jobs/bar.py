"""Progress of long work on a terminal, or as lines in a log."""

from __future__ import annotations

import math
import time
from typing import TextIO

LINE_EVERY = 5.0  # seconds between progress lines where there is no terminal to draw a bar on


class Bar:
    """Progress with the time that is left, on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._drawn, self._last = stream, False, -math.inf

    def show(self, label: str, fraction: float, remaining: float | None) -> None:
        now = time.monotonic()
        if now - self._last < (0.1 if self._stream.isatty() else LINE_EVERY) and fraction < 1:
            return
        self._last = now
        left = "" if remaining is None else f", {duration(remaining)} left"
        told = f"{fraction:4.0%} {label}{left}"
        if self._stream.isatty():
            filled = round(24 * fraction)
            self._stream.write(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {told}")
            self._drawn = True
        else:
            self._stream.write(f"{told}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._drawn:
            self._stream.write("\n")
            self._drawn = False


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any: 1:05, 2:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
