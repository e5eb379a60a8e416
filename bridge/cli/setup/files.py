"""The files that `init` writes: settings, secrets, mappings; readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bridge.cli.setup.answers import DEFAULT_SOURCE, Answers, Source
from bridge.cli.setup.mapping import mapping_text
from bridge.errors import BridgeError

SETTINGS = PurePosixPath("bridge.env")
CONFIG = PurePosixPath("bridge.yaml")


class FilesExistError(BridgeError):
    """Something is there already, and would be lost."""

    code = "file-exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a source shows: Segment signs with the one, and sends the other as a header."""

    secret: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything to be written, by its path below the folder; nothing is, yet."""

    files: dict[PurePosixPath, str]
    #: Of each source by its name.
    proofs: dict[str, Proof]

    @property
    def mappings(self) -> list[PurePosixPath]:
        return [path for path in self.files if path.suffix == ".yaml" and path != CONFIG]


def draft(answers: Answers) -> Draft:
    """The files of these answers, with secrets made for them."""
    proofs = {
        source.name: Proof(secret=secrets.token_hex(32), token=secrets.token_urlsafe(32))
        for source in answers.sources
    }
    files = _simple(answers, proofs) if answers.is_simple else _several(answers, proofs)
    return Draft(files=files, proofs=proofs)


_TOP = """\
# Settings of the bridge, made by `segment-bridge init`. Keep this file to yourself: it holds secrets.
"""
_BOTTOM = """\
# While you write rules: keeps what no rule wants, so that `explain` can say which value was in the way.
# BRIDGE_KEEP_UNMATCHED=1d
# To try it without OneSignal, start segment-bridge sandbox.
# BRIDGE_ONESIGNAL_URL=http://127.0.0.1:8090
"""


def _simple(answers: Answers, proofs: dict[str, Proof]) -> dict[PurePosixPath, str]:
    (source,) = answers.sources
    proof, mapping = proofs[source.name], PurePosixPath("mapping.yaml")
    settings = {
        "ONESIGNAL_APP_ID": answers.app_id,
        "ONESIGNAL_API_KEY": answers.api_key,
        **({} if answers.plan == "unknown" else {"ONESIGNAL_PLAN": answers.plan}),
        "ONESIGNAL_PLATFORMS": ",".join(answers.platforms),
        "SEGMENT_SECRETS": proof.secret,
        "SEGMENT_TOKEN": proof.token,
        "MAPPINGS": str(mapping),
        **_rehearsal(answers),
    }
    return {
        SETTINGS: _environment(settings),
        mapping: mapping_text(source, answers, name=str(mapping)),
    }


def _several(answers: Answers, proofs: dict[str, Proof]) -> dict[PurePosixPath, str]:
    folder = PurePosixPath("secrets")
    files = {
        SETTINGS: _environment({"CONFIG": str(CONFIG), **_rehearsal(answers)}),
        CONFIG: _config(answers),
        folder / "onesignal": f"{answers.api_key}\n",
    }
    for source in answers.sources:
        files[folder / f"{source.name}.secret"] = f"{proofs[source.name].secret}\n"
        files[folder / f"{source.name}.token"] = f"{proofs[source.name].token}\n"
        path = PurePosixPath("mappings") / f"{source.name}.yaml"
        files[path] = mapping_text(source, answers, name=str(path))
    return files


def _rehearsal(answers: Answers) -> dict[str, str]:
    """Pushes that somebody else wrote leave when those who send them say so."""
    return {"DRY_RUN": "yes"} if answers.has_pushes else {}


def _environment(settings: dict[str, str]) -> str:
    # Nothing in it needs quotes, so that a shell and docker read the same.
    settings = settings | {"ADMIN_TOKEN": secrets.token_urlsafe(32)}
    lines = (f"BRIDGE_{name}={value}\n" for name, value in settings.items())
    return "".join((_TOP, *lines, _BOTTOM))


def _config(answers: Answers) -> str:
    plan = "" if answers.plan == "unknown" else f"    plan: {answers.plan}\n"
    return (
        "# Sources of Segment's and the app at OneSignal that they go to, made by `segment-bridge init`.\n"
        "apps:\n"
        f"  {DEFAULT_SOURCE}:\n"
        f"    app_id: {answers.app_id}\n"
        "    api_key_file: secrets/onesignal\n"
        f"{plan}"
        f"    platforms: [{', '.join(answers.platforms)}]\n"
        "sources:\n" + "".join(map(_entry, answers.sources))
    )


def _entry(source: Source) -> str:
    # Anyone can read the write key of a browser or an app, and send events with it.
    trust = "    trust: client\n" if source.kind == "client" else ""
    return (
        f'  "{source.name}":\n'
        f"    secrets_file: secrets/{source.name}.secret\n"
        f"    token_file: secrets/{source.name}.token\n"
        f"    mappings: mappings/{source.name}.yaml\n"
        f"{trust}"
    )


def write(made: Draft, folder: Path, *, force: bool) -> None:
    """Write all of it, or nothing.

    Raises:
        FilesExistError: without `force`, when one of the files is there.
        OSError: the folder cannot be written.
    """
    there = [str(folder / path) for path in made.files if (folder / path).exists()]
    if there and not force:
        raise FilesExistError(
            f"there already: {', '.join(there)}",
            hint="--folder for another place, --force to replace",
        )
    for path, text in made.files.items():
        _write(folder / path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 — the handle is what has the mode
        os.fchmod(handle, 0o600)
        file.write(text)
