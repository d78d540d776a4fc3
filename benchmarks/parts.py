"""Finished parts of a long benchmark, kept in a file, so that one that was stopped goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyproto.state import atomic_write


class Parts:
    """Results by name: what is in the file is not computed again.

    path: the file, or None to keep nothing. about: what determines the results, in terms of JSON;
    ValueError for a file that is of something else, or damaged.
    """

    def __init__(self, path: Path | None, about: dict[str, Any]):
        self.path, self.about = path, json.loads(json.dumps(about))
        self.found: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        try:
            kept = json.loads(path.read_text())
            known, found = kept["about"], kept["parts"]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{path} holds no parts of a benchmark: remove it") from None
        if known != self.about:
            raise ValueError(f"{path} is of {known}, not of {self.about}: remove it")
        self.found = found

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of this name, computed and kept if it is not there."""
        if name not in self.found:
            self.found[name] = compute()
            if self.path is not None:
                with atomic_write(self.path) as temporary:
                    temporary.write_text(json.dumps({"about": self.about, "parts": self.found}))
        return self.found[name]

    def remove(self) -> None:
        """When all is done and written elsewhere."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
