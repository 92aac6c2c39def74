"""Every error a person can meet, in one tree. Each says what came, what was expected and what to do next.

FusescopeError              anything below; `str(error)` is fit for the screen, `error.code` for a machine
|-- InputError              something given from outside is refused
|   |-- PhotoError          E-IMG-*
|   |-- SoundError          E-AUD-*
|   |-- ClipError           E-VID-*
|   |-- TextError           E-TXT-*
|   |-- TableError          E-TAB-*, E-ROW-*
|   `-- AddressError        E-URL-*, E-INPUT-*
|-- UnknownNameError        E-INPUT-VALUE: a name that no registry or store knows; lists the known ones
|-- SettingsError           settings that cannot work together
|-- ShapeError              arrays whose shapes do not belong together (a programming error, told in words)
|-- ModelError              E-MODEL-*: weights or run files that may not be loaded
|-- StoreError              E-DB-*, E-DISK-*
|-- JobError                E-JOB-*, E-QUEUE-*, E-WORKER-*
`-- RoleError               E-SESSION-ROLE: who signed in may look, not change
"""

from collections.abc import Iterable


class FusescopeError(Exception):
    """Base of all; `code` is stable, `message` is for people."""

    code = "E-INPUT-VALUE"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.code, self.message)


class InputError(FusescopeError):
    """Something given from outside is refused."""


class PhotoError(InputError):
    """A picture that cannot be used."""


class SoundError(InputError):
    """A sound that cannot be used."""


class ClipError(InputError):
    """A film that cannot be used."""


class TextError(InputError):
    """A text that cannot be used."""


class TableError(InputError):
    """A table, or a row of it, that cannot be used."""


class AddressError(InputError):
    """A web address of the app names something that is not there."""


class UnknownNameError(FusescopeError):
    """A name that nobody knows; the message lists the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = ", ".join(sorted(known)) or "none yet"
        FusescopeError.__init__(self, "E-INPUT-VALUE", f'unknown {kind} "{name}"; known: {choices}')
        self.kind, self.name, self.known = kind, name, choices

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:  # type: ignore[override]
        return UnknownNameError, (self.kind, self.name, self.known.split(", "))


class SettingsError(FusescopeError):
    """Settings that are out of range or cannot work together."""

    def __init__(self, message: str) -> None:
        FusescopeError.__init__(self, "E-INPUT-VALUE", message)

    def __reduce__(self) -> tuple[type, tuple[str]]:  # type: ignore[override]
        return type(self), (self.message,)


class ShapeError(SettingsError):
    """Arrays whose shapes do not belong together."""


class ModelError(FusescopeError):
    """Weights or run files that may not be loaded."""


class StoreError(FusescopeError):
    """The database or the disk refused."""


class JobError(FusescopeError):
    """Long work that could not start or died."""


class RoleError(FusescopeError):
    """Whoever signed in may look, not change anything."""
