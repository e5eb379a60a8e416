"""A container of the image, run by podman the way compose.yaml wants it run.

podman's word for each setting of a compose service is in `run_flags`; the image's own entry point,
user, environment and health check are left alone, for they are what is tested.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

COMPOSE_FILE = Path(__file__).parents[2] / "compose.yaml"
#: By itself podman asks for more than a machine may be allowed to give.
MODEST_LIMITS = ("--ulimit=nofile=1024:4096", "--ulimit=nproc=1024:1024")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command said, and its exit code."""

    code: int
    output: str
    errors: str


async def podman(*arguments: str, may_fail: bool = False) -> Finished:
    """Run podman with `arguments`; what fails is an error unless it may.

    runc, because crun refuses machines that have both generations of control groups.
    """
    process = await asyncio.create_subprocess_exec(
        *("podman", "--runtime=runc", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    finished = Finished(
        code=process.returncode or 0, output=output.decode().strip(), errors=errors.decode().strip()
    )
    if finished.code and not may_fail:
        raise RuntimeError(f"podman {' '.join(arguments)}: {finished.errors or finished.output}")
    return finished


async def image_facts(image: str) -> dict[str, Any]:
    """What `podman image inspect` knows of an image."""
    facts: list[dict[str, Any]] = json.loads((await podman("image", "inspect", image)).output)
    return facts[0]


def compose_service(name: str) -> dict[str, Any]:
    """A service of compose.yaml, with what it takes from elsewhere in the file."""
    services = YAML(typ="safe").load(COMPOSE_FILE)["services"]
    return dict(services[name])


def run_flags(service: Mapping[str, Any]) -> list[str]:
    """A compose service's restrictions as flags of `podman run`."""
    return [
        *(["--read-only", "--read-only-tmpfs=false"] if service.get("read_only") else []),
        *(f"--tmpfs={path}" for path in service.get("tmpfs", ())),
        *(f"--cap-drop={name}" for name in service.get("cap_drop", ())),
        *(f"--security-opt={option}" for option in service.get("security_opt", ())),
        *(f"--env={name}={value}" for name, value in service.get("environment", {}).items()),
        "--network=host",
        *MODEST_LIMITS,
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    name: str
    image: str

    async def start(self, *flags: str, command: tuple[str, ...] = ()) -> None:
        """Create it anew and start it; `command` replaces the image's own."""
        await self.remove()
        await podman("run", "--detach", f"--name={self.name}", *flags, self.image, *command)

    async def is_healthy(self) -> bool:
        """Whether the image's HEALTHCHECK, run now, succeeds."""
        return (await podman("healthcheck", "run", self.name, may_fail=True)).code == 0

    async def execute(self, *command: str, **environment: str) -> Finished:
        """Run a command inside, as the image's user."""
        flags = [f"--env={name}={value}" for name, value in environment.items()]
        return await podman("exec", *flags, self.name, *command, may_fail=True)

    async def stop(self, *, grace_seconds: int) -> int:
        """Send STOPSIGNAL, kill it after the grace; its exit code, 137 when it was killed."""
        await podman("stop", f"--time={grace_seconds}", self.name)
        return int(await self._inspect("{{.State.ExitCode}}"))

    async def wait(self) -> int:
        """The exit code, once it has ended by itself."""
        return int((await podman("wait", self.name)).output)

    async def logs(self) -> str:
        finished = await podman("logs", self.name, may_fail=True)
        return f"{finished.output}\n{finished.errors}"

    async def remove(self) -> None:
        await podman("rm", "--force", "--volumes", "--ignore", self.name, may_fail=True)

    async def _inspect(self, template: str) -> str:
        return (await podman("inspect", f"--format={template}", self.name)).output
