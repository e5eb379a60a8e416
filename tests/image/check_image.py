"""Runs the image the way compose.yaml does, and checks what a container is asked to keep.

`run.sh` builds the image and starts this in a network that is loopback alone. The bridge posts to
the sandbox, a second container of the same image, and this process plays Segment. It prints what it
checked, and exits 1 when anything failed.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from bridge.clock import SystemClock
from tests.image.container import Container, compose_service, image_facts, podman, run_flags
from tests.image.report import Report
from tests.image.sender import PREFIX, SECRET, Sender

APP_ID = "8f2b1f6e-4a3c-4c55-9d0e-6b1f0c2d7a11"
BRIDGE = "http://127.0.0.1:8080"
SANDBOX_PORT = 8090
SANDBOX = f"http://127.0.0.1:{SANDBOX_PORT}"
USERS = 2000
HEALTHY_WITHIN = 5.0
LOAD_SECONDS = 4.0
SETTLED_WITHIN = 120.0
MAPPING = """\
version: 1
identity: {external_id: "{{ userId }}"}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {step: "{{ traits.step }}"}}}
"""
COUNT_PENDING = """\
import sqlite3
journal = sqlite3.connect("file:/data/bridge.db?mode=ro", uri=True, timeout=5)
print(journal.execute("SELECT count(*) FROM pending").fetchone()[0])
"""
STATUS_OF_THE_PROCESS = "import pathlib; print(pathlib.Path('/proc/1/status').read_text())"

clock = SystemClock()
report = Report()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a stopped bridge left in its volume."""

    steps: frozenset[int]
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that takes part: the two containers, the volume, and who posts."""

    bridge: Container
    sandbox: Container
    volume: str
    settings: Path
    interval: float
    grace: int
    sender: Sender

    async def start_sandbox(self) -> None:
        flags = run_flags(compose_service("sandbox"))
        command = ("sandbox", "--host", "127.0.0.1", "--port", str(SANDBOX_PORT))
        await self.sandbox.start(*flags, command=command)

    async def start_bridge(self) -> float:
        """Start a new container over the same volume; seconds until docker would call it healthy.

        Without a start period, docker runs the health check after one interval, and at each.
        """
        started = clock.monotonic()
        await self.bridge.start(f"--volume={self.volume}:/data", *self.flags())
        for attempt in range(1, 11):
            await clock.sleep(started + attempt * self.interval - clock.monotonic())
            if await self.bridge.is_healthy():
                return clock.monotonic() - started
        raise RuntimeError(f"never healthy; it said:\n{await self.bridge.logs()}")

    def flags(self) -> list[str]:
        """All that the bridge is started with, but for its volume."""
        return [
            *run_flags(compose_service("bridge")),
            f"--volume={self.settings}:/run/secrets:ro",
            f"--env=BRIDGE_ONESIGNAL_APP_ID={APP_ID}",
            f"--env=BRIDGE_ONESIGNAL_URL={SANDBOX}",
            "--env=BRIDGE_MAPPINGS=/run/secrets/mapping.yaml",
        ]

    async def stop_under_load(self) -> tuple[float, int]:
        """SIGTERM while events are posted; seconds until it was gone, and its exit code."""
        load = asyncio.create_task(self.sender.run())
        await clock.sleep(LOAD_SECONDS)
        begun = clock.monotonic()
        code = await self.bridge.stop(grace_seconds=self.grace)
        seconds = clock.monotonic() - begun
        self.sender.stop()
        await load
        return seconds, code

    async def journal(self) -> Journal:
        """What the stopped bridge left."""
        folder = (await podman("volume", "inspect", "--format={{.Mountpoint}}", self.volume)).output
        return read_copy(Path(folder))

    async def pending(self) -> int:
        """How many events the running bridge still has to deliver."""
        return int((await self.bridge.execute("python3", "-c", COUNT_PENDING)).output)


def read_copy(folder: Path) -> Journal:
    """Read a copy of the database: opening the original would tidy up what the bridge left."""
    with TemporaryDirectory() as scratch:
        for file in folder.glob("bridge.db*"):
            copy(file, scratch)
        with closing(sqlite3.connect(f"{scratch}/bridge.db")) as database:
            events = database.execute("SELECT message_id FROM event").fetchall()
            (pending,) = database.execute("SELECT count(*) FROM pending").fetchone()
    steps = frozenset(int(message.removeprefix(PREFIX)) for (message,) in events)
    return Journal(steps=steps, pending=pending)


def check_image(facts: dict[str, Any]) -> None:
    config, health = facts["Config"], facts["Healthcheck"]
    report.note("image size", f"{facts['Size'] / 1e6:.0f} MB unpacked")
    report.check("the image's user is a number, not root", config.get("User") == "10001:10001")
    report.check("/data is a volume", list(config.get("Volumes", {})) == ["/data"])
    report.check("entry point without a shell", config.get("Entrypoint") == ["segment-bridge"])
    report.check("health check without a shell", health["Test"][0] == "CMD")
    report.check("no start period, which delays the first", not health.get("StartPeriod"))
    report.check("stopped by SIGTERM", config.get("StopSignal") == "SIGTERM")


async def check_inside(stage: Stage) -> None:
    status = (await stage.bridge.execute("python3", "-c", STATUS_OF_THE_PROCESS)).output
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    report.check("the process is not root", facts["Uid"].split() == ["10001"] * 4, facts["Uid"])
    report.check("no capability, none to be had", {facts["CapEff"], facts["CapBnd"]} == {"0" * 16})
    report.check("no new privileges", facts["NoNewPrivs"] == "1")
    for path in ("/x", "/etc/x", "/opt/venv/x", "/var/tmp/x"):
        refused = await stage.bridge.execute("touch", path)
        report.check(f"{path} cannot be written", "Read-only" in refused.errors, refused.errors)
    for path in ("/tmp/x", "/data/x"):
        report.check(f"{path} can", (await stage.bridge.execute("touch", path)).code == 0)
    shipped = await stage.bridge.execute("segment-bridge", "check", BRIDGE_MAPPINGS="")
    report.check(
        "the starter mapping is in it", shipped.code == 0, shipped.output.rpartition("\n")[2]
    )
    for tool in ("cc", "gcc", "make", "pip", "curl"):
        found = await stage.bridge.execute("sh", "-c", f"command -v {tool}")
        report.check(f"no {tool} in it", found.code != 0, found.output)


async def check_health_check(stage: Stage, test: list[str]) -> None:
    wrong = await stage.bridge.execute(*test[1:], BRIDGE_PORT="1")
    report.check("the health check asks BRIDGE_PORT, and can fail", wrong.code == 1)
    proxied = await stage.bridge.execute(*test[1:], HTTP_PROXY="http://127.0.0.1:1")
    report.check("the health check ignores a proxy", proxied.code == 0, proxied.errors)


async def check_refusals(stage: Stage) -> None:
    code, said = await ending(stage.bridge.image, *run_flags(compose_service("bridge")))
    named = "BRIDGE_ONESIGNAL_APP_ID" in said
    report.check("without settings it says so and ends", code not in {0, 137} and named, str(code))
    code, said = await ending(stage.bridge.image, "--image-volume=ignore", *stage.flags())
    named = "no-volume" in said
    report.check("without a volume it says so and ends", code not in {0, 137} and named, str(code))


async def ending(image: str, *flags: str) -> tuple[int, str]:
    """How a container ends that ought to refuse: its exit code, and what it said."""
    container = Container(name=f"segment-bridge-refuses-{os.getpid()}", image=image)
    try:
        await container.start(*flags)
        async with asyncio.timeout(20):
            code = await container.wait()
        return code, await container.logs()
    finally:
        await container.remove()


async def check_first_stop(stage: Stage) -> None:
    seconds, code = await stage.stop_under_load()
    journal, sender = await stage.journal(), stage.sender
    lost = sender.acknowledged - journal.steps
    report.note("requests ended", ", ".join(f"{n} x {way}" for way, n in sender.endings.items()))
    report.check("SIGTERM under load: gone in 10 s", seconds < 10, f"{seconds:.2f} s")
    report.check("it ended by itself", code == 0, f"exit code {code}")
    counts = f"{len(sender.acknowledged)} acknowledged, {len(journal.steps)} in the database"
    report.check("every acknowledged event is in the database", not lost, counts)
    report.check("there was load", len(sender.acknowledged) > 100)


async def check_stop_while_onesignal_hangs(stage: Stage) -> Journal:
    await podman("pause", stage.sandbox.name)
    seconds, code = await stage.stop_under_load()
    journal, sender = await stage.journal(), stage.sender
    await podman("unpause", stage.sandbox.name)
    lost = sender.acknowledged - journal.steps
    report.check("SIGTERM while OneSignal hangs: gone in 10 s", seconds < 10, f"{seconds:.2f} s")
    report.check("it ended by itself again", code == 0, f"exit code {code}")
    counts = f"{len(sender.acknowledged)} acknowledged, {len(journal.steps)} in the database"
    report.check("again every acknowledged event is there", not lost, counts)
    report.check("there is a backlog", journal.pending > 0, f"{journal.pending} events wait")
    return journal


async def check_backlog(stage: Stage, left: Journal) -> None:
    seconds = await stage.start_bridge()
    report.check("healthy in 5 s with a backlog", seconds < HEALTHY_WITHIN, f"{seconds:.2f} s")
    begun = clock.monotonic()
    while (waiting := await stage.pending()) and clock.monotonic() - begun < SETTLED_WITHIN:
        await clock.sleep(0.5)
    took = f"{clock.monotonic() - begun:.1f} s for {left.pending} events"
    report.check(
        "the backlog is delivered after the restart", waiting == 0, f"{took}, {waiting} left"
    )
    await check_users(stage, left)
    last = max(stage.sender.acknowledged)
    again = await stage.sender.post_again(last)
    report.check(
        "what was acknowledged is a duplicate now", again.get("duplicates") == 1, str(again)
    )


async def check_users(stage: Stage, left: Journal) -> None:
    """The sandbox's users must look as the events in the database say, whoever was answered what."""
    expected = {stage.sender.user(step): str(step) for step in sorted(left.steps)}
    users = (await ask_sandbox("users"))["users"]
    seen = {user["identity"]["external_id"]: user["tags"].get("step") for user in users}
    wrong = [user for user, step in expected.items() if seen.get(user) != step]
    detail = ", ".join(f"{user}: {seen.get(user)}, not {expected[user]}" for user in wrong[:3])
    name = "every user has the tag of their last event"
    report.check(name, not wrong, detail or f"{len(expected)} users")
    counts = await ask_sandbox("counts")
    report.note("OneSignal answered", str(counts["statuses"]))
    report.note("OneSignal complained of", str(counts["complaints"] or "nothing"))


async def ask_sandbox(what: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{SANDBOX}/sandbox/{what}") as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


def write_settings(folder: Path) -> None:
    """What compose.yaml mounts as secrets, and a mapping beside it."""
    (folder / "segment").write_text(SECRET + "\n")
    (folder / "onesignal").write_text("made-up\n")
    (folder / "mapping.yaml").write_text(MAPPING)
    folder.chmod(0o755)


async def play(stage: Stage, facts: dict[str, Any]) -> None:
    check_image(facts)
    await check_refusals(stage)
    await stage.start_sandbox()
    seconds = await stage.start_bridge()
    report.check("healthy in 5 s", seconds < HEALTHY_WITHIN, f"{seconds:.2f} s")
    await check_inside(stage)
    await check_health_check(stage, facts["Healthcheck"]["Test"])
    await check_first_stop(stage)
    seconds = await stage.start_bridge()
    report.check("healthy in 5 s after a stop", seconds < HEALTHY_WITHIN, f"{seconds:.2f} s")
    left = await check_stop_while_onesignal_hangs(stage)
    await check_backlog(stage, left)
    code = await stage.bridge.stop(grace_seconds=stage.grace)
    report.check("stopped without load", code == 0, f"exit code {code}")


async def main(image: str) -> bool:
    facts = await image_facts(image)
    name = f"segment-bridge-{os.getpid()}"
    with TemporaryDirectory() as settings:
        write_settings(Path(settings))
        stage = Stage(
            bridge=Container(name=name, image=image),
            sandbox=Container(name=f"{name}-sandbox", image=image),
            volume=name,
            settings=Path(settings),
            interval=facts["Healthcheck"]["Interval"] / 1e9,
            grace=int(compose_service("bridge")["stop_grace_period"].removesuffix("s")),
            sender=Sender(f"{BRIDGE}/v1/segment/default", clock=clock, users=USERS),
        )
        try:
            await play(stage, facts)
        finally:
            await stage.bridge.remove()
            await stage.sandbox.remove()
            await podman("volume", "rm", "--force", stage.volume)
    return report.close()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(sys.argv[1])) else 1)
